"""Tracking by colorization: where did each place of this grey frame get its colour from, in the frames before?

Vondrick et al., ECCV 2018, arXiv:1806.09594.

    python recipes/tracking_by_colorization.py --data.root ~/kinetics
"""

from dataclasses import dataclass, field

from avssl.cli import cli
from avssl.data import Data, View
from avssl.encoders import VideoNet
from avssl.evaluation import Dense, few_masks, probes, transfer, transfer_dense
from avssl.samplers import RandomClips
from avssl.tasks import CopyColours, PlaceNodes, Track
from avssl.training import Run, Train, fit, start
from avssl.transforms import ColourJitter, HorizontalFlip, RandomCrop, Twice


@dataclass(frozen=True, kw_only=True)
class Config(View):
    frames: int = 4
    """The last one copies from those before."""
    step: int = 2
    size: int = 48
    data: Data = field(default_factory=Data)
    train: Train = field(default_factory=lambda: Train(batch_size=16, epochs=4, lr=3e-3))
    encoder: VideoNet = VideoNet.tiny_resnet_fine_grey
    clusters: int = 16
    light: float = 0.0
    """How much brightness and contrast of each grey frame change, lest light alone tell what belongs together."""
    dense: Dense = field(default_factory=few_masks)


# Not as in the paper: no five 3-D convolutions, nor coordinates, after its ResNet-18. Its 400,000 steps are remembered.
PAPER = Config(
    step=1,
    rate=6.0,
    size=256,
    encoder=VideoNet.resnet18_fine_grey,
    train=Train(
        optimizer="adam", lr=1e-3, weight_decay=0.0, batch_size=32, epochs=43, schedule="steps", milestones=(6,)
    ),
    dense=Dense(protocols=("masks",)),
)


def main(c: Config) -> Run:
    run = start(c)
    light = ColourJitter(brightness=c.light, contrast=c.light, saturation=0, hue=0, p=1, scope="frame", only=(0,))
    transform = RandomCrop(c.size, short_side=c.short_side) | HorizontalFlip() | Twice() | light
    encoder = c.encoder.build()
    task = Track(encoder, PlaceNodes(encoder.dim, 64), question=CopyColours(clusters=c.clusters))
    clips = c.data.clips(c.cut(RandomClips()), transform)
    fit(run, task, clips, whole=clips.seen_as(*c.steady()), probes=probes(c.data, c))
    return transfer_dense(transfer(run, task.encoders(), c.data, c), c.data, c.dense)


if __name__ == "__main__":
    cli(main, Config, paper=PAPER)
