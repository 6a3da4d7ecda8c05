"""The user's choice of data, as it appears on the command line of every recipe."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from avssl.core import Sampler
from avssl.data.clips import Clips
from avssl.data.items import Catalogue
from avssl.data.scan import Damaged, catalogue
from avssl.media.toybox import Toybox, make_toybox
from avssl.transforms import Transform

__all__ = ["Data"]


@dataclass(frozen=True, kw_only=True)
class Data:
    """What to learn from, and what to do about damaged files."""

    root: Path | None = None
    """A folder of media, or a manifest (CSV with `path` and, if wanted, label, split, group, start, end). None: the
    toybox, which avssl makes itself."""
    splits: tuple[str, ...] = ("train", "unlabelled", "")
    """Splits of the manifest to pretrain on; '' are the items that have none."""
    damaged: Damaged = "skip"
    """Whether a damaged file is named, counted and left out, or stops the run."""
    workers: int = 2
    """Threads that decode ahead of the training step; 0: none."""
    toybox: Toybox = field(default_factory=Toybox)
    """The toybox to make, where no root is given."""

    def source(self) -> Path:
        """The folder or manifest, made first if it is the toybox."""
        return self.root if self.root is not None else make_toybox(self.toybox)

    def catalogue(self) -> Catalogue:
        """Every item of every split."""
        return catalogue(self.source(), damaged=self.damaged, workers=max(2, self.workers))

    def clips(self, sampler: Sampler, transform: Transform | None = None) -> Clips:
        """What to pretrain on: the items of the chosen splits, without their labels."""
        chosen = self.catalogue().where(split=self.splits)
        if not chosen.items:
            raise ValueError(
                f"{self.source()} has no item of the splits {', '.join(map(repr, self.splits))}: choose others with "
                "--data.splits"
            )
        return Clips.of(chosen.items, sampler, transform, workers=self.workers, damaged=self.damaged)
