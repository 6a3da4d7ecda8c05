"""MoCo v2: find the other view among the keys of a queue.  Chen et al., 2020, arXiv:2003.04297.

python recipes/moco.py --data.root ~/pictures --train.epochs 200
python recipes/moco.py --data.root ~/sounds --modality audio
"""

from dataclasses import dataclass, field

from avssl.cli import cli
from avssl.data import Data, EitherView
from avssl.encoders import Projector, SoundNet, VideoNet
from avssl.evaluation import probes, transfer
from avssl.losses import InfoNCE
from avssl.samplers import RandomClips
from avssl.tasks import Contrast, Momentum, Queue
from avssl.training import Run, Train, fit, start
from avssl.transforms import contrastive_views


@dataclass(frozen=True, kw_only=True)
class Config(EitherView):
    frames: int = 1
    data: Data = field(default_factory=Data)
    train: Train = field(default_factory=lambda: Train(epochs=30))
    encoder: VideoNet = VideoNet.tiny_r2plus1d_gn
    """Of group normalisation: a batch's statistics would tell positives from the queue, whose keys have others."""
    sound_encoder: SoundNet = SoundNet.tiny_sound_gn
    temperature: float = 0.1
    queue: int = 1024
    """Keys that the queue holds."""
    momentum: float = 0.99
    """Share of the key encoder that a step keeps."""
    blur: float = 0.0
    """Probability of blurring a view; small pictures need none."""


PAPER = Config(
    size=224,
    encoder=VideoNet.resnet50_gn,  # in the paper batch normalisation, shuffled among GPUs so as not to tell
    temperature=0.2,
    queue=65536,
    momentum=0.999,
    blur=0.5,
    train=Train(optimizer="sgd", lr=0.03, weight_decay=1e-4, batch_size=256, epochs=200),
)


def main(c: Config) -> Run:
    run = start(c)
    transform = contrastive_views(c.size, strength=0.5, blur=c.blur)
    encoder = c.pick(c.encoder, c.sound_encoder).build(sample_rate=c.sample_rate)
    projector, negatives = Projector(encoder.dim, 128, norm="none"), Queue(c.queue)
    criterion, target = InfoNCE(c.temperature), Momentum(c.momentum)
    task = Contrast(encoder, projector, criterion=criterion, negatives=negatives, target=target)
    fit(run, task, c.data.clips(c.cut(RandomClips(n=2)), transform), probes=probes(c.data, c))
    return transfer(run, task.encoders(), c.data, c)


if __name__ == "__main__":
    cli(main, Config, paper=PAPER)
