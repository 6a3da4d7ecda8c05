"""Trains SimCLR for some steps with a network whose output for one clip does not depend on the others.

Run by test_training.py, alone and under torchrun: `python ranks_script.py ROOT OUT ACCUMULATE`.
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

from avssl.data import Clips, catalogue
from avssl.encoders import Projector, tiny_r2plus1d
from avssl.losses import InfoNCE
from avssl.samplers import RandomClips
from avssl.tasks import Contrast
from avssl.training import Train, fit, start
from avssl.transforms import HorizontalFlip, RandomCrop


@dataclass(frozen=True, kw_only=True)
class Config:
    train: Train


def main(root: Path, out: Path) -> None:
    train = Train(epochs=2, batch_size=8, out=out, device="cpu", optimizer="sgd", lr=0.01, clip_norm=1.0)
    run = start(Config(train=train))
    everything = catalogue(root)
    transform = RandomCrop(32, short_side=40) | HorizontalFlip()
    encoder = tiny_r2plus1d(width=16, norm="group")
    task = Contrast(encoder, Projector(encoder.dim, 16, norm="none"), criterion=InfoNCE(0.2))
    train_on, hold_out = (
        Clips.of(everything.where(split=s).items, RandomClips(n=2, frames=4, step=2), transform)
        for s in ("train", "test")
    )
    fit(run, task, replace(train_on, held_out=hold_out))
    run.ranks.leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
