"""AET: by which plane map was this picture warped?  Zhang et al., CVPR 2019, arXiv:1901.04596.

python recipes/aet.py --data.root ~/pictures --train.epochs 1500
"""

from dataclasses import dataclass, field

from avssl.cli import cli
from avssl.data import Data, View
from avssl.encoders import ConcatHead, VideoNet
from avssl.evaluation import probes, transfer
from avssl.losses import Standardised
from avssl.samplers import RandomClips
from avssl.tasks import Drawn, Regress
from avssl.training import Run, Train, fit, start
from avssl.transforms import HorizontalFlip, ProjectiveWarp, RandomCrop


@dataclass(frozen=True, kw_only=True)
class Config(View):
    frames: int = 1
    data: Data = field(default_factory=Data)
    train: Train = field(default_factory=lambda: Train(epochs=60, lr=3e-3, warmup=2))
    encoder: VideoNet = VideoNet.tiny_resnet_fc
    hidden: int | None = 128
    """Features of the head's hidden layer; None: no such layer, as in the paper."""


# Not as in the paper: ResNet-18 for Network in Network; no line to a rate of 0 from epoch 1000 on; unit variances.
PAPER = Config(
    size=32,
    hidden=None,
    encoder=VideoNet.resnet18_small,
    train=Train(
        optimizer="sgd",
        nesterov=True,
        lr=0.1,
        weight_decay=5e-4,
        batch_size=512,
        epochs=1500,
        schedule="steps",
        milestones=(240, 480, 640, 800),
        gamma=0.2,
    ),
)


def main(c: Config) -> Run:
    run = start(c)
    warp = ProjectiveWarp(name="warp")
    transform = RandomCrop(c.size, short_side=c.short_side) | HorizontalFlip() | warp
    encoder, criterion = c.encoder.build(), Standardised(*warp.moments)
    head = ConcatHead(encoder.dim, criterion.outputs, clips=2, hidden=c.hidden)
    task = Regress(encoder, head, target=Drawn("warp.numbers"), criterion=criterion)
    fit(run, task, c.data.clips(c.cut(RandomClips()), transform), probes=probes(c.data, c))
    return transfer(run, task.encoders(), c.data, c)


if __name__ == "__main__":
    cli(main, Config, paper=PAPER)
