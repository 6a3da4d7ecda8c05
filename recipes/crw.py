"""Contrastive random walk: where does a walk along alike patches end, through the frames and back?

Jabri et al., NeurIPS 2020, arXiv:2006.14613. `--patch 16` cuts patches, as in the paper.

    python recipes/crw.py --data.root ~/kinetics --train.epochs 25
"""

from dataclasses import dataclass, field

from avssl.cli import cli
from avssl.data import Data, View
from avssl.encoders import VideoNet
from avssl.evaluation import Dense, few_masks, probes, transfer, transfer_dense
from avssl.samplers import RandomClips
from avssl.tasks import PatchNodes, PlaceNodes, Track, WalkThereAndBack
from avssl.training import Run, Train, fit, start
from avssl.transforms import HorizontalFlip, PatchGrid, RandomCrop


@dataclass(frozen=True, kw_only=True)
class Config(View):
    frames: int = 4
    step: int = 2
    size: int = 48
    data: Data = field(default_factory=Data)
    train: Train = field(default_factory=lambda: Train(batch_size=16, epochs=4, lr=3e-3))
    encoder: VideoNet = VideoNet.tiny_resnet_fine
    temperature: float = 0.05
    dropout: float = 0.1
    """Share of the edges that are not there while training."""
    patch: int = 0
    """Pixels of patches, 7 × 7 of each frame, moved by up to an eighth of that; 0: the places of the map."""
    dense: Dense = field(default_factory=few_masks)


# Not as in the paper's code: a clip has one crop, not each frame its own, and patches are moved, not enlarged.
PAPER = Config(
    step=1,
    rate=8.0,
    size=256,
    encoder=VideoNet.resnet18_fine,
    patch=64,
    train=Train(lr=1e-4, weight_decay=0.0, batch_size=20, epochs=25, schedule="steps", milestones=(20,), gamma=0.3),
    dense=Dense(protocols=("masks",)),
)


def main(c: Config) -> Run:
    run = start(c)
    look = RandomCrop(c.size, short_side=c.short_side) | HorizontalFlip()
    transform = look | PatchGrid(grid=7, patch=c.patch, jitter=c.patch // 8) if c.patch else look
    encoder = c.encoder.build()
    nodes = PatchNodes(encoder.dim, 128, grid=7) if c.patch else PlaceNodes(encoder.dim, 128)
    task = Track(encoder, nodes, question=WalkThereAndBack(temperature=c.temperature, dropout=c.dropout))
    fit(run, task, c.data.clips(c.cut(RandomClips()), transform), probes=probes(c.data, c))
    return transfer_dense(transfer(run, task.encoders(), c.data, c), c.data, c.dense)


if __name__ == "__main__":
    cli(main, Config, paper=PAPER)
