"""Pace: how fast is this clip played?  Wang, Jiao and Liu, ECCV 2020, arXiv:2008.05861.

python recipes/pace.py --data.root ~/ucf101/videos --train.epochs 100
"""

from dataclasses import dataclass, field

from avssl.cli import cli
from avssl.data import Data, View
from avssl.encoders import EachHead, VideoNet
from avssl.evaluation import probes, transfer
from avssl.samplers import Pace
from avssl.tasks import Classify
from avssl.training import Run, Train, fit, start
from avssl.transforms import ColourJitter, HorizontalFlip, RandomCrop, Scope


@dataclass(frozen=True, kw_only=True)
class Config(View):
    step: int = 2
    data: Data = field(default_factory=Data)
    train: Train = field(default_factory=lambda: Train(epochs=25, lr=3e-3, warmup=2))
    encoder: VideoNet = VideoNet.tiny_r2plus1d
    paces: tuple[int, ...] = (1, 2, 3, 4)
    """Steps between frames to tell apart; the transfer then uses `step`."""
    jitter: Scope = "clip"
    """Whether each frame has colours of its own, as in the paper, or a clip has them for all its frames."""


# Not as in the paper: files too short for the fastest pace are left out, not looped; classification only, without the
# contrastive term of its best results. An epoch of its code shows each video ten times: 18 are 180 here.
PAPER = Config(
    step=1,
    size=112,
    jitter="frame",
    encoder=VideoNet.r2plus1d_10,
    train=Train(
        optimizer="sgd", lr=1e-3, weight_decay=5e-3, batch_size=30, epochs=180, schedule="steps", milestones=(60, 120)
    ),
)


def main(c: Config) -> Run:
    run = start(c)
    sampler = Pace(paces=c.paces, frames=c.frames, rate=c.rate)
    jitter = ColourJitter(brightness=0.8, contrast=0.8, saturation=0.8, hue=0.2, p=0.8, scope=c.jitter)
    transform = RandomCrop(c.size, short_side=c.short_side) | HorizontalFlip() | jitter
    encoder = c.encoder.build()
    task = Classify(encoder, EachHead(encoder.dim, len(c.paces)), label="pace")
    fit(run, task, c.data.clips(sampler, transform), probes=probes(c.data, c))
    return transfer(run, task.encoders(), c.data, c)


if __name__ == "__main__":
    cli(main, Config, paper=PAPER)
