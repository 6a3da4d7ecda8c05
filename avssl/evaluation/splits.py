"""Which items train a probe and which test it, and the guards against leaks between the two."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from avssl.data import Item

__all__ = ["Fold", "Split", "Unscorable", "belonging", "folds", "guard", "labels_of", "many_labels_of"]


class Unscorable(ValueError):
    """The labels and splits of the data allow no score, or none that means anything; says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Split:
    """How the items are parted: by the names in `split`, by the folds of a column, or one group at a time."""

    train: str = "train"
    """Value of `split` of the items that train the probe."""
    test: str = "test"
    """Value of `split` of the items that test it."""
    folds: str = ""
    """A column of official folds, such as ESC-50's: each value tests once, the others train."""
    group: str = ""
    """A column of groups, such as the person: one is left out at a time, each tests once. The items' own column
    `group` is taken by 'group'."""
    apart: tuple[str, ...] = ()
    """More columns of which no value may be both in training and in test, such as the performer or the source video;
    files and the items' own groups never may."""
    share_groups: bool = False
    """Allow training and test to share groups or files (a leak, unless you know better)."""

    def to_json(self) -> dict[str, Any]:
        """The choice as plain JSON values."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


@dataclass(frozen=True, kw_only=True)
class Fold:
    """One way to train and to test: positions of items, in their order."""

    name: str
    train: tuple[int, ...]
    test: tuple[int, ...]


def column(items: Sequence[Item], name: str) -> list[str]:
    """A column as text for each item: `label`, `split`, `group`, or any column of the manifest.

    Raises:
        Unscorable: no item has it; the message names the columns that there are.
    """
    own = {"label", "split", "group"}
    values = [getattr(i, name) if name in own else i.columns.get(name, "") for i in items]
    if not any(values):
        known = {k for i in items for k, v in i.columns.items() if v} | {
            n for n in own if any(getattr(i, n) for i in items)
        }
        raise Unscorable(f"no item has a {name!r}; the columns are {', '.join(sorted(known - {'path'})) or 'none'}")
    return values


def belonging(items: Sequence[Item], split: Split) -> tuple[str, ...]:
    """The group of each item (M,) for all that is drawn or held out inside a part, '' of one that stands alone.

    Items belong together if they share the group, or a value of the columns that `split` leaves out or keeps apart, and
    so do those that both belong to a third.
    """
    names = [n for n in ("group", split.group, *split.apart) if n]
    columns = [column(items, n) if n != "group" else [i.group for i in items] for n in dict.fromkeys(names)]
    told = [values for values in columns if any(values)]
    if len(told) < 2:
        return tuple(told[0]) if told else ("",) * len(items)
    first: dict[tuple[int, str], int] = {}
    above = list(range(len(items)))

    def root(n: int) -> int:
        while above[n] != n:
            above[n] = above[above[n]]
            n = above[n]
        return n

    for c, values in enumerate(told):
        for n, value in enumerate(values):
            if value:
                above[root(n)] = root(first.setdefault((c, value), n))
    alone = [not any(values[n] for values in told) for n in range(len(items))]
    return tuple("" if a else str(root(n)) for n, a in enumerate(alone))


def labels_of(items: Sequence[Item], name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Class numbers (M,), -1 for items without the label, and the names of the classes in alphabetical order.

    Raises:
        Unscorable: there is no such column, or it has fewer than 2 classes.
    """
    values = column(items, name)
    classes = tuple(sorted({v for v in values if v}))
    if len(classes) < 2:
        raise Unscorable(f"label {name!r} has only the class {classes[0]!r}: there is nothing to tell apart")
    number = {c: k for k, c in enumerate(classes)}
    return np.array([number.get(v, -1) for v in values], dtype=np.int64), classes


def many_labels_of(
    items: Sequence[Item], name: str, *, untold: str = "difficult"
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels (M, K), 1 where an item has the class and 0 where not, and the names of the classes in alphabetical order.

    The column holds classes with ';' between them; an item may have none. Those that an item has in the column
    `untold`, if there is one, are -1: neither there nor absent, as the difficult objects of VOC07.

    Raises:
        Unscorable: there is no such column, or it has fewer than 2 classes.
    """
    values = [_several(v) for v in column(items, name)]
    classes = tuple(sorted(set().union(*values)))
    if len(classes) < 2:
        raise Unscorable(f"labels {name!r} have only the class {classes[0]!r}: there is nothing to tell apart")
    hidden = [_several(i.columns.get(untold, "")) for i in items]
    rows = [[1 if c in v else -1 if c in h else 0 for c in classes] for v, h in zip(values, hidden, strict=True)]
    return np.array(rows, dtype=np.int64), classes


def _several(text: str) -> set[str]:
    return {part.strip() for part in text.split(";")} - {""}


def folds(items: Sequence[Item], *, split: Split) -> list[Fold]:
    """The folds of an evaluation; several for official folds and for leave-one-group-out, otherwise one.

    Raises:
        Unscorable: a part is empty, and which values there are.
    """
    if split.folds and split.group:
        raise Unscorable(f"both folds {split.folds!r} and group {split.group!r}: choose one")
    if name := split.folds or split.group:
        values = column(items, name)
        wanted = sorted({v for v in values if v})
        if len(wanted) < 2:
            raise Unscorable(f"column {name!r} has only the value {wanted[0]!r}: nothing can be left out")
        return [
            Fold(
                name=f"{name} {w}",
                train=tuple(p for p, v in enumerate(values) if v and v != w),
                test=tuple(p for p, v in enumerate(values) if v == w),
            )
            for w in wanted
        ]
    fold = Fold(
        name=f"{split.train} → {split.test}",
        train=tuple(p for p, i in enumerate(items) if i.split == split.train),
        test=tuple(p for p, i in enumerate(items) if i.split == split.test),
    )
    for part, name in ((fold.train, split.train), (fold.test, split.test)):
        if not part:
            there = Counter(i.split for i in items)
            raise Unscorable(
                f"no item of split {name!r}; there are {dict(there)}: name the splits, or a column of folds, or a "
                "column of groups to leave out one at a time"
            )
    return [fold]


def guard(
    items: Sequence[Item],
    fold: Fold,
    *,
    labels: np.ndarray,
    classes: Sequence[str],
    share: bool = False,
    apart: Sequence[str] = (),
) -> None:
    """Stop at what would make a score mean nothing; `labels` (M,) are class numbers of all items, or (M, K) as in
    `Labelled`; `apart` are more columns of which no value may be on both sides.

    Raises:
        Unscorable: training and test share an item, a file or a group (unless `share`), or a value of `apart`; a class
            of the test is absent in training; training has fewer than 2 classes.
    """
    if both := sorted(set(fold.train) & set(fold.test)):
        raise Unscorable(f"{fold.name}: {len(both)} items train and test, such as {items[both[0]].path}")
    if not share:
        _apart(
            items, fold, "groups", [i.group for i in items], "Split by groups, or allow it with --split.share-groups"
        )
        _apart(
            items, fold, "files", [str(i.path) for i in items], "Split by files, or allow it with --split.share-groups"
        )
    for name in apart:
        _apart(items, fold, f"values of {name!r}", column(items, name), f"Split by --split.group {name}")
    known, asked = _classes(labels, fold.train), _classes(labels, fold.test)
    if len(known) < 2:
        raise Unscorable(f"{fold.name}: the training part has fewer than 2 classes: {[classes[k] for k in known]}")
    if absent := sorted(asked - known):
        names = ", ".join(repr(classes[k]) for k in absent)
        raise Unscorable(f"{fold.name}: the test has classes that training lacks: {names}; label or split differently")


def _classes(labels: np.ndarray, positions: Sequence[int]) -> set[int]:
    """The classes of these items."""
    of = labels[list(positions)]
    return set(np.flatnonzero((of > 0).any(axis=0)).tolist() if labels.ndim == 2 else of.tolist())


def _apart(items: Sequence[Item], fold: Fold, what: str, values: Sequence[str], remedy: str) -> None:
    """Raise Unscorable if a value is on both sides, with an item of each side for some of them."""
    trains, tests = ({values[p]: items[p].path for p in reversed(part)} for part in (fold.train, fold.test))
    shared = sorted((trains.keys() & tests.keys()) - {""})
    if not shared:
        return
    named = ", ".join(
        v if what == "files" else f"{v} ({trains[v].name} trains, {tests[v].name} tests)" for v in shared[:5]
    )
    more = ", …" if len(shared) > 5 else ""
    raise Unscorable(
        f"{fold.name}: training and test share {len(shared)} {what}: {named}{more}; this is a leak. {remedy}"
    )
