"""Trains with batch normalisation and a damaged file, once whole and once in two parts.

Run by test_training.py under torchrun: `python ranks_resume_script.py ROOT OUT`.
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

from avssl.data import Clips, catalogue
from avssl.encoders import Projector, tiny_r2plus1d
from avssl.samplers import RandomClips
from avssl.tasks import Contrast
from avssl.training import Train, fit, start
from avssl.transforms import RandomCrop


@dataclass(frozen=True, kw_only=True)
class Config:
    train: Train


def main(root: Path, out: Path) -> None:
    everything = catalogue(root)
    train_on, hold_out = (
        Clips.of(
            everything.where(split=s).items, RandomClips(n=2, frames=4), RandomCrop(32, short_side=40), damaged="skip"
        )
        for s in ("train", "test")
    )
    # as if it had been damaged since the scan
    items = tuple(replace(i, path=i.path.with_name("gone.mp4")) if n == 5 else i for n, i in enumerate(train_on.items))
    clips = replace(train_on, items=items, held_out=hold_out)
    train = Train(batch_size=8, device="cpu", schedule="constant", probe_every=1)
    for folder, epochs, resume in (("whole", 2, False), ("cut", 1, False), ("cut", 2, True)):
        run = start(Config(train=replace(train, epochs=epochs, out=out / folder, resume=resume)))
        encoder = tiny_r2plus1d(width=8)
        fit(run, Contrast(encoder, Projector(encoder.dim, 16)), clips)
    run.ranks.leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
