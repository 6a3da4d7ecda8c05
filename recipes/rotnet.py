"""RotNet: by which quarter turn was this picture rotated?  Gidaris et al., ICLR 2018, arXiv:1803.07728.

3D-RotNet, Jing et al., 2018, arXiv:1811.11387, is `--preset paper --frames 16 --step 2 --size 112 --encoder r3d_18
--hidden 64 --train.no-nesterov --train.lr 0.1 --train.weight-decay 1e-3 --train.batch-size 32`, but for its tilt by up
to 10° before the turn, and its rate × 0.1 every 24 000 steps.

    python recipes/rotnet.py --data.root ~/pictures --train.epochs 50
"""

from dataclasses import dataclass, field

from avssl.cli import cli
from avssl.data import Data, View
from avssl.encoders import EachHead, VideoNet
from avssl.evaluation import probes, transfer
from avssl.samplers import RandomClips
from avssl.tasks import Classify
from avssl.training import Run, Train, fit, start
from avssl.transforms import HorizontalFlip, RandomCrop, Rotate90


@dataclass(frozen=True, kw_only=True)
class Config(View):
    frames: int = 1
    data: Data = field(default_factory=Data)
    train: Train = field(default_factory=lambda: Train(batch_size=16))
    encoder: VideoNet = VideoNet.tiny_r2plus1d
    hidden: int | None = None
    """Width of a hidden layer between features and answer; None: there is none."""


# Not as in the paper: crops have one scale; those of the released code have 8 to 100 % of the picture.
PAPER = Config(
    size=224,
    encoder=VideoNet.alexnet_rotnet,
    train=Train(
        optimizer="sgd",
        nesterov=True,
        lr=1e-2,
        weight_decay=5e-4,
        batch_size=192,
        epochs=50,
        schedule="steps",
        milestones=(15, 30, 45),
    ),
)


def main(c: Config) -> Run:
    run = start(c)
    sampler = c.cut(RandomClips())
    transform = RandomCrop(c.size, short_side=c.short_side) | HorizontalFlip() | Rotate90()
    encoder = c.encoder.build()
    task = Classify(encoder, EachHead(encoder.dim, 4, hidden=c.hidden), label="rotation")
    fit(run, task, c.data.clips(sampler, transform), probes=probes(c.data, c))
    return transfer(run, task.encoders(), c.data, c)


if __name__ == "__main__":
    cli(main, Config, paper=PAPER)
