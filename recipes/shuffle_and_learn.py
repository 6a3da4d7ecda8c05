"""Shuffle & Learn: are these three frames in order?  Misra, Zitnick and Hebert, ECCV 2016, arXiv:1603.08561.

python recipes/shuffle_and_learn.py --data.root ~/ucf101/videos --train.epochs 100
"""

from dataclasses import dataclass, field

from avssl.cli import cli
from avssl.data import Data, View, one_way
from avssl.encoders import ConcatHead, VideoNet
from avssl.evaluation import probes, transfer
from avssl.samplers import TemporalOrderTriple
from avssl.tasks import Classify
from avssl.training import Run, Train, fit, start
from avssl.transforms import HorizontalFlip, RandomCrop


@dataclass(frozen=True, kw_only=True)
class Config(View):
    frames: int = 8
    data: Data = field(default_factory=one_way)
    train: Train = field(default_factory=lambda: Train(epochs=40, batch_size=16, lr=1e-3, warmup=2))
    encoder: VideoNet = VideoNet.tiny_resnet_fc
    longest: float = 1.0
    """Seconds from the first to the last frame of a triple, at most."""
    shortest: float = 0.2
    """Seconds between the middle frame, or what stands in for it, and the others, at least."""
    positives: float = 0.5
    """Share of the triples that are in order."""
    hidden: int | None = 128
    """Features of the head's hidden layer; None: no such layer, as in the paper."""


# 100 000 steps, the rate × 0.1 at 80 000, in epochs of a triple from each of 9537 videos (UCF101, first split). Unlike
# there, 128 triples are normalised together, not 32 (--train.accumulate 4); 259 pixels are cropped from, not 256.
PAPER = Config(
    size=227,
    encoder=VideoNet.caffenet,
    longest=60 / 25,  # frames, of UCF101's 25 a second
    shortest=15 / 25,
    positives=0.25,
    hidden=None,
    train=Train(
        optimizer="sgd", lr=1e-3, weight_decay=5e-4, batch_size=128, epochs=1350, schedule="steps", milestones=(1080,)
    ),
)


def main(c: Config) -> Run:
    run = start(c)
    sampler = TemporalOrderTriple(shortest=c.shortest, longest=c.longest, positives=c.positives)
    transform = RandomCrop(c.size, short_side=c.short_side, scope="sample") | HorizontalFlip(scope="sample")
    encoder = c.encoder.build()
    task = Classify(encoder, ConcatHead(encoder.dim, 2, clips=3, hidden=c.hidden), label="in_order")
    fit(run, task, c.data.clips(sampler, transform), probes=probes(c.data, c))
    return transfer(run, task.encoders(), c.data, c)


if __name__ == "__main__":
    cli(main, Config, paper=PAPER)
