"""CPC: what lies below in the picture, what comes next in the sound?  van den Oord et al., 2018, arXiv:1807.03748.

python recipes/cpc.py --data.root ~/pictures --train.epochs 200
python recipes/cpc.py --modality audio --sound 2 --data.root ~/sounds
"""

from dataclasses import dataclass, field

from avssl.cli import cli
from avssl.data import Data, EitherView, one_thing
from avssl.encoders import ConvGRU, MaskedRows, SoundNet, VideoNet
from avssl.evaluation import probes, transfer
from avssl.samplers import RandomClips
from avssl.tasks import Foresee, Patches, StepsAhead, among_all, over_time
from avssl.training import Run, Train, fit, start
from avssl.transforms import ColourJitter, Gain, Grey, HorizontalFlip, RandomResizedCrop


@dataclass(frozen=True, kw_only=True)
class Config(EitherView):
    frames: int = 1
    size: int = 64
    data: Data = field(default_factory=one_thing)
    train: Train = field(default_factory=lambda: Train(epochs=12, lr=2e-3, warmup=1))
    encoder: VideoNet = VideoNet.tiny_resnet_gn
    sound_encoder: SoundNet = SoundNet.tiny_sound_gn
    patch: int = 16
    """Side of a patch, pixels; one begins every half of it."""
    steps: tuple[int, ...] = (2, 3, 4, 5)
    """How many rows below, or steps of the sound's sequence on, the guesses are."""
    width: int = 128
    """Of the features that are foreseen, and of the context."""


# Not as in the paper: ResNet-50 with group normalisation instead of its ResNet-101 without any; batch and epochs, which
# it does not tell.
PAPER = Config(
    size=256,
    patch=64,
    encoder=VideoNet.resnet50_gn,
    width=1024,
    train=Train(optimizer="adam", lr=2e-4, weight_decay=0.0, batch_size=512, epochs=200, schedule="constant"),
)


def main(c: Config) -> Run:
    run = start(c)
    colours = ColourJitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, p=0.8) | Grey(p=0.2)
    shown = RandomResizedCrop(c.size, scale=(0.4, 1.0)) | HorizontalFlip() | colours
    grid = c.pick(Patches(side=c.patch, stride=c.patch // 2), over_time)
    context = c.pick(MaskedRows, ConvGRU)(c.width)
    encoder = c.pick(c.encoder, c.sound_encoder).build(sample_rate=c.sample_rate)
    task = Foresee(encoder, StepsAhead(encoder.dim, grid=grid, context=context, steps=c.steps), contest=among_all)
    clips = c.data.clips(c.cut(RandomClips()), c.pick(shown, Gain()))
    fit(run, task, clips, probes=probes(c.data, c))
    return transfer(run, task.encoders(), c.data, c)


if __name__ == "__main__":
    cli(main, Config, paper=PAPER)
