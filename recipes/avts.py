"""AVTS: sound and frames of one instant lie close, others apart.  Korbar et al., NeurIPS 2018, arXiv:1807.00230.

python recipes/avts.py --data.root ~/audioset/videos --train.epochs 90
"""

from dataclasses import dataclass, field

from avssl.cli import cli
from avssl.data import Data, View
from avssl.encoders import Projector, SoundNet, VideoNet
from avssl.evaluation import probes, transfer
from avssl.losses import Margin
from avssl.samplers import AudioOffset, easy_then_hard
from avssl.tasks import Contrast, synchronised
from avssl.training import Run, Train, fit, start
from avssl.transforms import Gain, HorizontalFlip, RandomCrop


@dataclass(frozen=True, kw_only=True)
class Config(View):
    frames: int = 24
    rate: float | None = 16.0
    sound: float | None = 1.5
    data: Data = field(default_factory=Data)
    train: Train = field(default_factory=lambda: Train(epochs=40, lr=3e-3, warmup=2))
    encoder: VideoNet = VideoNet.tiny_r2plus1d
    sound_encoder: SoundNet = SoundNet.tiny_sound
    hard_from: int = 20
    """The epoch from which on a quarter of the negatives is hard: sound of the same file, shifted."""
    shift: float = 1.0
    """Seconds by which the sound of a hard negative is shifted, at least."""


# Ours, not the paper's: learning rate and schedule, decay, batch, and the 64 mel bands that the sound network sees.
PAPER = Config(
    frames=25,
    rate=30.0,
    sound=1.0,
    size=224,
    hard_from=50,
    shift=0.5,  # nearer sound overlaps by more than half: super-hard negatives, which hurt in the paper
    encoder=VideoNet.mc3_18,
    sound_encoder=SoundNet.sound_vgg_64,
    train=Train(optimizer="sgd", lr=1e-2, weight_decay=1e-5, batch_size=64, epochs=90),
)


def main(c: Config) -> Run:
    run = start(c)
    sampler = easy_then_hard(c.cut(AudioOffset(min_shift=c.shift)), hard_from=c.hard_from)
    transform = RandomCrop(c.size, short_side=c.short_side) | HorizontalFlip() | Gain()
    video, sound = c.encoder.build(), c.sound_encoder.build(sample_rate=c.sample_rate)
    heads = Projector(video.dim, sound.dim), Projector(sound.dim, sound.dim)
    task = Contrast(video, heads[0], sound=sound, sound_projector=heads[1], policy=synchronised(), criterion=Margin())
    fit(run, task, c.data.clips(sampler, transform), probes=probes(c.data, c))
    return transfer(run, task.encoders(), c.data, c)


if __name__ == "__main__":
    cli(main, Config, paper=PAPER)
