"""AET: by which plane map was this picture warped?  Zhang et al., CVPR 2019, arXiv:1901.04596.

With `--frames 16` all frames of a clip are warped alike; `--warp affine` draws affine maps.

    python recipes/aet.py --data.root ~/pictures --train.epochs 1500
"""

from dataclasses import dataclass, field
from typing import Literal

from avssl.cli import cli
from avssl.data import Data, View
from avssl.encoders import ConcatHead, VideoNet
from avssl.evaluation import probes, transfer
from avssl.losses import Standardised
from avssl.samplers import RandomClips
from avssl.tasks import Drawn, Regress
from avssl.training import Run, Train, fit, start
from avssl.transforms import AffineWarp, HorizontalFlip, ProjectiveWarp, RandomCrop


@dataclass(frozen=True, kw_only=True)
class Config(View):
    frames: int = 1
    data: Data = field(default_factory=Data)
    train: Train = field(default_factory=lambda: Train(epochs=40, lr=3e-3, warmup=2))
    encoder: VideoNet = VideoNet.tiny_resnet
    warp: Literal["projective", "affine"] = "projective"
    """Which maps are drawn."""


# Not as in the paper: a ResNet-18 for its four blocks of Network in Network, pictures of 56 pixels for those of 32, a
# cosine for its rate × 0.2 at epochs 240, 480, 640 and 800 and its line to 0, and numbers of unit variance for its own.
PAPER = Config(
    size=56,
    encoder=VideoNet.resnet18,
    train=Train(optimizer="sgd", nesterov=True, lr=0.1, weight_decay=5e-4, batch_size=512, epochs=1500),
)


def main(c: Config) -> Run:
    run = start(c)
    warp = ProjectiveWarp(name="warp") if c.warp == "projective" else AffineWarp(name="warp")
    transform = RandomCrop(c.size, short_side=c.short_side) | HorizontalFlip() | warp
    encoder, criterion = c.encoder.build(), Standardised(*warp.moments)
    head = ConcatHead(encoder.dim, criterion.outputs, clips=2)
    task = Regress(encoder, head, target=Drawn("warp.numbers"), criterion=criterion)
    fit(run, task, c.data.clips(c.cut(RandomClips()), transform), probes=probes(c.data, c))
    return transfer(run, task.encoders(), c.data, c)


if __name__ == "__main__":
    cli(main, Config, paper=PAPER)
