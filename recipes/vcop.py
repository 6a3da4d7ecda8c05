"""VCOP: in which order did these three clips happen?  Xu et al., CVPR 2019.

python recipes/vcop.py --data.root ~/ucf101/videos --train.epochs 300
"""

from dataclasses import dataclass, field

from avssl.cli import cli
from avssl.data import Data, View, one_way
from avssl.encoders import PairwiseHead, VideoNet
from avssl.evaluation import probes, transfer
from avssl.samplers import ClipOrder
from avssl.tasks import Classify
from avssl.training import Run, Train, fit, start
from avssl.transforms import RandomCrop


@dataclass(frozen=True, kw_only=True)
class Config(View):
    frames: int = 8
    step: int = 2
    data: Data = field(default_factory=one_way)
    train: Train = field(default_factory=lambda: Train(epochs=20, batch_size=16, lr=1e-3, warmup=2))
    encoder: VideoNet = VideoNet.tiny_r2plus1d
    clips: int = 3
    """Clips to put in order; all their permutations are the classes."""
    gap: int = 8
    """Frames between one clip and the next."""


PAPER = Config(
    frames=16,
    step=1,
    size=112,
    encoder=VideoNet.r2plus1d_10,
    train=Train(optimizer="sgd", lr=1e-3, weight_decay=5e-4, batch_size=8, epochs=300, schedule="constant"),
)


def main(c: Config) -> Run:
    run = start(c)
    sampler = c.cut(ClipOrder(clips=c.clips, gap=c.gap))
    transform = RandomCrop(c.size, short_side=c.short_side)  # each clip its own crop: position cannot tell the order
    encoder = c.encoder.build()
    task = Classify(encoder, PairwiseHead(encoder.dim, sampler.classes, clips=c.clips), label="order")
    fit(run, task, c.data.clips(sampler, transform), probes=probes(c.data, c))
    return transfer(run, task.encoders(), c.data, c)


if __name__ == "__main__":
    cli(main, Config, paper=PAPER)
