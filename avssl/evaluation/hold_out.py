"""Parts of the training part on which something is chosen, so that the test part decides nothing."""

from __future__ import annotations

import numpy as np

from avssl.evaluation.answers import Labelled

__all__ = ["cross_parts", "grouped", "hold_out"]


def grouped(train: Labelled) -> bool:
    """Whether some items belong to groups, and not all to the same."""
    return any(train.groups) and len(set(train.groups)) > 1


def members(train: Labelled) -> np.ndarray:
    """The group of each item as a number (M,); an item without a group is one of its own."""
    if not grouped(train):
        return np.arange(len(train))
    names = [f"group {g}" if g else f"item {n}" for n, g in enumerate(train.groups)]
    return np.unique(np.asarray(names), return_inverse=True)[1]


def hold_out(train: Labelled, share: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray] | None:
    """Masks (M,) of what to fit (2 classes or more) and of what to hold out (of those classes); None if impossible.

    Groups stay together where there are any; otherwise each class gives its share.
    """
    if grouped(train):
        member = members(train)
        groups = int(member.max()) + 1
        count = min(max(1, round(share * groups)), groups - 1)
        for _ in range(20):  # one draw may hold out all items of a class where another does not
            away = np.isin(member, rng.permutation(groups)[:count])
            left = np.unique(train.labels[~away])
            held = away & np.isin(train.labels, left)
            if len(left) > 1 and held.any():
                return ~away, held
        return None
    held = np.zeros(len(train), dtype=bool)
    for k in np.unique(train.labels):
        ours = rng.permutation(np.flatnonzero(train.labels == k))
        if len(ours) > 1:
            held[ours[: min(max(round(share * len(ours)), 1), len(ours) - 1)]] = True
    return (~held, held) if held.any() else None


def cross_parts(train: Labelled, parts: int, rng: np.random.Generator) -> np.ndarray:
    """The number 0…parts-1 of the part of each item (M,), for cross-validation.

    Whole groups go to one part. The classes are spread evenly: the groups are dealt out in turn, class by class in the
    order of the draw, each to the part that has least of its most frequent class.
    """
    member = members(train)
    labels = train.labels if train.labels.ndim == 2 else train.labels[:, None] == np.unique(train.labels)
    counts = np.zeros((int(member.max()) + 1, labels.shape[1]))
    np.add.at(counts, member, labels > 0)
    sizes = np.bincount(member)
    held, filled = np.zeros((parts, labels.shape[1])), np.zeros(parts)
    where = np.zeros(len(counts), dtype=np.int64)
    for g in rng.permutation(len(counts)):
        most = int(np.argmax(counts[g]))
        where[g] = np.lexsort((filled, held[:, most]))[0]
        held[where[g]] += counts[g]
        filled[where[g]] += sizes[g]
    found: np.ndarray = where[member]
    return found
