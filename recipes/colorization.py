"""Colourisation: which colours does this grey picture have?  Zhang et al., ECCV 2016, arXiv:1603.08511.

python recipes/colorization.py --data.root ~/pictures --train.epochs 100
"""

from dataclasses import dataclass, field

from avssl.cli import cli
from avssl.data import Data, View
from avssl.encoders import UpDecoder, VideoNet
from avssl.evaluation import probes, transfer
from avssl.samplers import RandomClips
from avssl.tasks import Colouring, Rebalanced, Restore
from avssl.training import Run, Train, fit, start
from avssl.transforms import HorizontalFlip, RandomCrop


@dataclass(frozen=True, kw_only=True)
class Config(View):
    frames: int = 1
    data: Data = field(default_factory=Data)
    train: Train = field(default_factory=lambda: Train(epochs=20, lr=2e-3))
    encoder: VideoNet = VideoNet.tiny_resnet_grey
    spacing: float = 20.0
    """From bin to bin of colour; 10 gives 261 bins, 20 gives 76."""
    uniform: float = 0.5
    """Share of the uniform distribution in the balance of the bins; 1: none."""


# Not as in the paper: 261 bins of 8-bit colours, not 313; AlexNet with a decoder; the prior is of what was seen so far.
PAPER = Config(
    size=224,
    encoder=VideoNet.alexnet_pool5_grey,
    spacing=10.0,
    train=Train(
        optimizer="adam",
        betas=(0.9, 0.99),
        lr=3e-5,
        weight_decay=1e-3,
        batch_size=40,
        epochs=14,
        schedule="steps",
        milestones=(6.2, 11.7),
        gamma=0.32,
    ),
)


def main(c: Config) -> Run:
    run = start(c)
    riddle, encoder, shown = Colouring(spacing=c.spacing), c.encoder.build(), (c.frames, c.size, c.size)
    decoder = UpDecoder(encoder, riddle.classes, shown=shown, size=riddle.places(c.size))
    task = Restore(encoder, decoder, riddle=riddle, measure=Rebalanced(riddle.classes, uniform=c.uniform))
    transform = RandomCrop(c.size, short_side=c.short_side) | HorizontalFlip()
    fit(run, task, c.data.clips(c.cut(RandomClips()), transform), probes=probes(c.data, c))
    return transfer(run, task.encoders(), c.data, c)


if __name__ == "__main__":
    cli(main, Config, paper=PAPER)
