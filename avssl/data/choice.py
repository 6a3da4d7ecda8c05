"""The user's choice of data, as it appears on the command line of every recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from avssl.core import Sampler
from avssl.data.clips import Clips, Reading
from avssl.data.items import Catalogue
from avssl.data.scan import Damaged, catalogue
from avssl.media import Decoding, measured, unpacked
from avssl.media.toybox import ONE_WAY_MOTIONS, PROGRESSING_MOTIONS, Toybox, make_toybox
from avssl.samplers import ForeignSound, Frozen
from avssl.transforms import Noise, Transform

__all__ = ["Data", "moving_camera", "one_thing", "one_way", "two_cameras"]

LOOKED_AT = 1000
"""Items, at most, among which those are found that decoding is measured on."""


@dataclass(frozen=True, kw_only=True)
class Data:
    """What to learn from, and what to do about damaged files."""

    root: Path | None = None
    """A folder of media, a manifest (CSV with `path` and, if wanted, label, split, group, start, end), or a public data
    set as NAME:FOLDER, such as ucf101:~/ucf101 or ucf101-split2:~/ucf101 (the names: tools/manifest.py --help).
    None: the toybox, which avssl makes itself."""
    splits: tuple[str, ...] = ("train", "unlabelled", "")
    """Splits of the manifest to pretrain on; '' are the items that have none."""
    damaged: Damaged = "skip"
    """Whether a file that is damaged, or cannot be cut (too short, no sound where sound is asked for, a picture among
    videos), is named, counted and left out, or stops the run."""
    held_out: tuple[str, ...] = ("test",)
    """Splits on which the pretext task itself is measured, without labels; never trained on. None given: none is."""
    null: Literal["none", "frozen", "noise", "foreign-sound"] = "none"
    """Take the signal away, to see that the task is then at chance:
    every clip one frozen frame, every pixel noise, or every sound that of another file."""
    workers: int = 2
    """Threads or processes that decode ahead of the training step; 0: none. Of each rank, where there are several."""
    reading: Reading = "auto"
    """Whether threads or processes decode; the batches are the same. auto: processes from 4 workers on, if there are
    as many cores."""
    repeats: int = 1
    """Examples that each visit of an item gives, drawn one by one, decoded in one pass, and in the same batch (Hoffer
    et al., CVPR 2020). A batch still has `batch_size` examples, of so many times fewer items; an epoch still visits
    every item once, and so has as many times more steps. To a contrastive task they are clips of one item."""
    decoding: Decoding = field(default_factory=Decoding)
    """What decodes the films, and where their frames come."""
    toybox: Toybox = field(default_factory=Toybox)
    """The toybox to make, where no root is given."""

    def __post_init__(self) -> None:
        if self.workers < 0 or self.repeats < 1:
            raise ValueError(f"data: workers {self.workers} must be ≥ 0, and repeats {self.repeats} ≥ 1")
        if both := sorted(set(self.splits) & set(self.held_out)):
            raise ValueError(
                f"data: splits and held_out share {both}, and what is held out is never trained on: take it out of one"
            )

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Data:
        """The choice that a run's `config.json` tells of; what it does not tell is as by default."""
        known = _known(cls, values)
        if known.get("root") is not None:
            known["root"] = Path(known["root"])
        parts = {"toybox": Toybox, "decoding": Decoding}
        return cls(**known | {name: kind(**_known(kind, values.get(name, {}))) for name, kind in parts.items()})

    def source(self) -> Path:
        """The folder or manifest, made first if it is the toybox."""
        return self.root if self.root is not None else make_toybox(self.toybox)

    def catalogue(self) -> Catalogue:
        """Every item of every split; the source is looked through once, and its damaged files are named once."""
        return self._looked_through

    @cached_property
    def _looked_through(self) -> Catalogue:
        return catalogue(self.source(), damaged=self.damaged, workers=max(2, self.workers))

    @cached_property
    def _decoding(self) -> Decoding:
        """The choice, made by measuring if it is left to us; what it is made of is told."""
        if self.decoding.backend != "auto":
            return self.decoding
        items = self.catalogue().items
        items = items[:: -(-len(items) // LOOKED_AT)]
        tables = ((i.path, unpacked(i.table)) for i in items if i.table is not None)
        found = measured(tables, self.decoding.device, threads=self.workers)
        console = Console(stderr=True)
        console.print(f"Films are decoded for {found.device} {found.told}", markup=False, soft_wrap=True)
        return found

    def clips(self, sampler: Sampler, transform: Transform | None = None) -> Clips:
        """What to pretrain on: the items of the chosen splits, without their labels.

        Raises:
            MediaError: the source cannot be read, or the sampler can cut none of its items.
            ValueError: no item is of the chosen splits.
        """
        everything = self.catalogue()
        sampler, transform = self._veiled(sampler, transform)

        def of(splits: tuple[str, ...]) -> Clips:
            items = everything.where(split=splits).items
            clips = Clips.of(items, sampler, transform, workers=self.workers, damaged=self.damaged)
            return replace(clips, decoding=self._decoding, reading=self.reading)

        if not everything.where(split=self.splits).items:
            there = sorted({repr(i.split) for i in everything})
            raise ValueError(
                f"{self.source()} has no item of the splits {self.splits}, only {', '.join(there)}: choose with "
                "--data.splits"
            )
        held_out = of(self.held_out) if everything.where(split=self.held_out).items else None
        found = replace(of(self.splits), held_out=held_out, rejected=everything.rejected, repeats=self.repeats)
        return found if self.null == "none" else replace(found, veil=self._veiled)

    def _veiled(self, sampler: Sampler, transform: Transform | None) -> tuple[Sampler, Transform | None]:
        """The same with what `null` takes away taken away."""
        if self.null == "frozen":
            sampler = Frozen(sampler)
        elif self.null == "foreign-sound":
            sampler = ForeignSound(sampler)
        elif self.null == "noise":
            transform = Noise() if transform is None else Noise() | transform
        return sampler, transform


def one_way() -> Data:
    """The toybox of the motions that can be put in order: the default of the tasks that ask for one."""
    return Data(toybox=Toybox(motions=ONE_WAY_MOTIONS))


def one_thing() -> Data:
    """The toybox of a thing alone on a still ground: the default of the methods that learn from pictures.

    What the thing is can be learnt from single pictures there, in minutes; among distractors that takes far longer.
    """
    return Data(toybox=Toybox(distractors=0, drifting_camera=False))


def moving_camera() -> Data:
    """The toybox of cameras that move, of which the poses are known: the default of the tasks that ask for them."""
    return Data(toybox=Toybox(moving_camera=True, silent=True, seconds=3.0), repeats=2)


def two_cameras() -> Data:
    """The toybox of motions that never come back, filmed by two cameras: the default of the tasks that ask for them.

    Its background stands still, as a drifting one would tell the time like a clock.
    """
    toybox = Toybox(
        train=200, test=60, motions=PROGRESSING_MOTIONS, silent=True, distractors=0, drifting_camera=False, cameras=2
    )
    return Data(toybox=toybox)


def _known(kind: type[Data | Toybox | Decoding], values: Mapping[str, Any]) -> dict[str, Any]:
    """Those values that are fields of a dataclass; where they are tuples, JSON has lists."""
    names = {f.name for f in fields(kind)}
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k in names}
