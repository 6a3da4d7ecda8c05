"""V-JEPA: what are the features of the hidden blocks of this clip?  Bardes et al., TMLR 2024, arXiv:2404.08471.

python recipes/vjepa.py --data.root ~/kinetics/videos --train.epochs 100
"""

from dataclasses import dataclass, field

from avssl.cli import cli
from avssl.data import Data, View
from avssl.encoders import VideoNet
from avssl.evaluation import probes, transfer
from avssl.samplers import RandomClips
from avssl.tasks import Foresee, HiddenFeatures, Momentum, by_absolute_error
from avssl.training import Run, Train, fit, start
from avssl.transforms import BlockMask, HorizontalFlip, RandomResizedCrop


@dataclass(frozen=True, kw_only=True)
class Config(View):
    size: int = 48
    data: Data = field(default_factory=Data)
    train: Train = field(default_factory=lambda: Train(epochs=8, batch_size=16, lr=1e-3, warmup=1))
    encoder: VideoNet = VideoNet.tiny_vit
    short: float = 0.63
    """Share of the places that the mask of small blocks, of 15 % each, hides."""
    long: float = 0.84
    """Share that the mask of large blocks, of 70 % each, hides."""
    momentum: float = 0.99
    """Share of the slow copy that a step keeps at first; at the end it keeps all."""
    predictor: tuple[int, int, int] = (48, 2, 4)
    """Width, depth and heads of the predictor."""


# Not as in the paper: ViT-B; masks of the share that its blocks hide on average, which count by what they hide and have
# one token; momentum along a cosine; constant decay; the slow copy is not kept. An epoch there has 300 steps.
PAPER = Config(
    step=4,
    size=224,
    encoder=VideoNet.vit_base,
    momentum=0.998,
    predictor=(384, 12, 12),
    train=Train(lr=6.25e-4, weight_decay=0.04, batch_size=3072, epochs=300, warmup=40, clip_norm=10.0),
)


def main(c: Config) -> Run:
    run = start(c)
    encoder = c.encoder.build()
    grid = encoder.grid((c.frames, 3, c.size, c.size))
    masks = BlockMask(grid=grid, ratio=c.short, block=0.15) | BlockMask(grid=grid, ratio=c.long, block=0.7)
    transform = RandomResizedCrop(c.size, scale=(0.3, 1.0), ratio=(3 / 4, 1.35)) | HorizontalFlip() | masks
    width, depth, heads = c.predictor
    predictor = HiddenFeatures(encoder, masks=("mask", "mask_2"), width=width, depth=depth, heads=heads)
    task = Foresee(encoder, predictor, contest=by_absolute_error, target=Momentum(c.momentum, 1.0))
    fit(run, task, c.data.clips(c.cut(RandomClips()), transform), probes=probes(c.data, c))
    return transfer(run, task.encoders(), c.data, c)


if __name__ == "__main__":
    cli(main, Config, paper=PAPER)
