"""What to learn by which protocol, on which part of which labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from avssl.data import Damaged, Item, Reading
from avssl.evaluation.answers import Labelled
from avssl.evaluation.finetune.presets import VCOP
from avssl.evaluation.finetune.protocol import ClipProtocol
from avssl.evaluation.splits import Fold, Split, belonging, folds, guard, labels_of
from avssl.training import Train

__all__ = ["FineTune", "Parts", "groups_of", "parts_of"]


@dataclass(frozen=True, kw_only=True)
class FineTune:
    """What to learn by which protocol, and on which part of the labels."""

    protocol: ClipProtocol = VCOP
    shortened: Mapping[str, str] = field(default_factory=dict)
    """What was changed of the protocol, in words; scores then say "shortened"."""
    label: str = "label"
    """The column to learn."""
    split: Split = field(default_factory=Split)
    """Which items train and which test; several folds are trained one by one and pooled."""
    shares: tuple[float, ...] = (1.0,)
    """Shares of the labels, drawn class by class in whole groups; each is trained on by itself."""
    seeds: tuple[int, ...] = (0,)
    """One training for each, which draws the labels, the classifier, the clips and the random init by it."""
    random_init: bool = True
    """Whether the same network is trained equally from random init: what the labels alone teach."""
    damaged: Damaged = "skip"
    """Whether a file that turns out damaged is named, counted and left out, or ends it."""
    workers: int = 2
    """Threads or processes that decode."""
    reading: Reading = "auto"
    """Whether threads or processes decode."""
    train: Train = field(default_factory=Train)
    """Where and how to compute: device, precision, accumulate, compile, resume, checkpoints, loggers, clip_norm. The
    numbers of the protocol take the place of all others."""

    def __post_init__(self) -> None:
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds {self.seeds}: give at least one, each once")
        if not self.shares or min(self.shares) <= 0 or max(self.shares) > 1:
            raise ValueError(f"shares {self.shares}: give at least one, all in (0, 1]")

    def title(self, share: float) -> str:
        """The name of the protocol in the scores."""
        part = "" if share == 1 else f", {100 * share:g} % of labels"
        return f"{self.protocol.title}{' (shortened)' if self.shortened else ''}{part}"


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The items that have the label, their classes, and how they are parted."""

    items: tuple[Item, ...]
    numbers: np.ndarray
    classes: tuple[str, ...]
    folds: tuple[Fold, ...]
    together: tuple[str, ...]
    """Of each item what no draw may part: the items' groups, what the split keeps apart, or the file."""

    def labelled(self, positions: Sequence[int]) -> Labelled:
        """These items for whoever draws among them; there are no features."""
        groups = tuple(self.together[p] for p in positions)
        return Labelled(values=np.zeros((len(positions), 1)), labels=self.numbers[list(positions)], groups=groups)


def parts_of(items: Sequence[Item], choice: FineTune) -> Parts:
    """The items that have the label, parted and guarded.

    Raises:
        Unscorable: a label or a split is missing, or the parts leak (see `guard`).
    """
    numbers, classes = labels_of(items, choice.label)
    kept = np.flatnonzero(numbers >= 0)
    labelled, numbers, split = tuple(items[int(p)] for p in kept), numbers[kept], choice.split
    found = tuple(folds(labelled, split=split))
    for fold in found:
        guard(labelled, fold, labels=numbers, classes=classes, share=split.share_groups, apart=split.apart)
    together = tuple(g or str(i.path) for i, g in zip(labelled, belonging(labelled, split), strict=True))
    return Parts(items=labelled, numbers=numbers, classes=classes, folds=found, together=together)


def groups_of(items: Sequence[Item]) -> tuple[str, ...]:
    """The group of each item for an interval over them, of those without one the file; none where all are alone."""
    names = tuple(i.group or str(i.path) for i in items)
    return names if len(set(names)) < len(names) else ()
