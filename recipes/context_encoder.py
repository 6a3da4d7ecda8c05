"""Context encoder: what is behind the hole in this picture?  Pathak et al., CVPR 2016, arXiv:1604.07379.

Its pictures, and not its features, come of `--preset paper --place centre --adversary 0.001 --size 128 --overlap 4`.

    python recipes/context_encoder.py --data.root ~/pictures --train.epochs 100
"""

from dataclasses import dataclass, field
from typing import Literal

from avssl.cli import cli
from avssl.data import Data, View
from avssl.encoders import Judge, UpDecoder, VideoNet
from avssl.evaluation import probes, transfer
from avssl.samplers import RandomClips
from avssl.tasks import Adversary, Inpainting, Restore, by_inpainting
from avssl.training import Run, Train, fit, start
from avssl.transforms import Holes, HorizontalFlip, RandomCrop


@dataclass(frozen=True, kw_only=True)
class Config(View):
    frames: int = 1
    data: Data = field(default_factory=Data)
    train: Train = field(default_factory=lambda: Train(epochs=20, lr=2e-3))
    encoder: VideoNet = VideoNet.tiny_resnet
    place: Literal["centre", "blocks"] = "centre"
    """Whether a quarter of the picture in its middle is hidden, or blocks of up to a quarter anywhere."""
    overlap: int = 2
    """Pixels along the edge of a hole that are shown and asked for."""
    adversary: float = 1e-3
    """Weight of the term by which answers are to pass for true ones; 0: there is none."""


# Not as in the paper: AlexNet has batch normalisation, blocks are rectangles, not shapes of any form, and epochs are
# ours. Its features come of squared error alone.
PAPER = Config(
    size=227,
    encoder=VideoNet.alexnet_pool5,
    place="blocks",
    overlap=0,
    adversary=0.0,
    train=Train(optimizer="adam", betas=(0.5, 0.999), lr=2e-3, weight_decay=0.0, batch_size=64, schedule="constant"),
)


def main(c: Config) -> Run:
    run = start(c)
    encoder, riddle = c.encoder.build(), Inpainting(window=0.5 if c.place == "centre" else None, overlap=c.overlap)
    size = riddle.size(c.size)
    decoder = UpDecoder(encoder, 3, shown=(c.frames, c.size, c.size), size=size, full=True)
    adversary = Adversary(Judge(size=size), weight=c.adversary, lr_scale=0.1) if c.adversary else None
    task = Restore(encoder, decoder, riddle=riddle, measure=by_inpainting, adversary=adversary)
    transform = RandomCrop(c.size, short_side=c.short_side) | HorizontalFlip() | Holes(place=c.place)
    fit(run, task, c.data.clips(c.cut(RandomClips()), transform), probes=probes(c.data, c))
    return transfer(run, task.encoders(), c.data, c)


if __name__ == "__main__":
    cli(main, Config, paper=PAPER)
