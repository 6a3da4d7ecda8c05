"""The ceiling: the same network trained with the labels, from scratch, then measured like any other encoder.

python tools/supervised.py --data.root labelled.csv --label label --train.epochs 25
"""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from avssl.cli import cli
from avssl.core import Example
from avssl.data import Data, View
from avssl.encoders import ConcatHead, Encoder, VideoNet
from avssl.evaluation import labels_of, transfer
from avssl.samplers import RandomClips
from avssl.tasks import Classify
from avssl.training import Run, Train, fit, start
from avssl.transforms import HorizontalFlip, RandomCrop, Transform


@dataclass(frozen=True, kw_only=True)
class Config(View):
    """What to train on which labels."""

    step: int = 2
    data: Data = field(default_factory=Data)
    train: Train = field(default_factory=lambda: Train(epochs=25, lr=3e-3, warmup=2))
    encoder: VideoNet = VideoNet.tiny_r2plus1d
    label: str = "label"
    """The column of the manifest to learn."""


class Supervised(Classify):
    """Classification by human labels, which it looks up by the number of the item: data sets yield none."""

    classes: Tensor

    def __init__(self, encoder: Encoder, classes: Tensor, *, count: int) -> None:
        super().__init__(encoder, ConcatHead(encoder.dim, count, clips=1), label="class")
        self.register_buffer("classes", classes, persistent=False)

    def forward(self, batch: Example) -> dict[str, Tensor]:
        """Loss and accuracy."""
        return super().forward(replace(batch, labels={"class": self.classes[batch.index]}))


def main(c: Config) -> Run:
    """Train and measure."""
    run = start(c)
    items = [i for i in c.data.catalogue() if i.columns.get(c.label)]
    numbers, names = labels_of(items, c.label)
    classes = torch.full((max(i.index for i in items) + 1,), -100)  # what cross-entropy leaves out
    classes[[i.index for i in items]] = torch.from_numpy(numbers)
    sampler = c.cut(RandomClips())
    transform: Transform = RandomCrop(c.size, short_side=c.short_side)
    if c.data.catalogue().flips:
        transform = transform | HorizontalFlip()
    task = Supervised(c.encoder.build(), classes, count=len(names))
    fit(run, task, c.data.clips(sampler, transform))
    return transfer(run, task.encoders(), c.data, c)


if __name__ == "__main__":
    cli(main, Config, paper=Config())
