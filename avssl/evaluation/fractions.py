"""Few labels: parts of the training items, drawn class by class in whole groups, and what a probe makes of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from avssl.evaluation.answers import Answers, Labelled
from avssl.evaluation.hold_out import members
from avssl.evaluation.splits import Unscorable

__all__ = ["Fractions", "fraction", "with_fractions"]


@dataclass(frozen=True, kw_only=True)
class Fractions:
    """Which shares of the labels are drawn, and how often."""

    shares: tuple[float, ...] = (0.01, 0.05, 0.1, 0.2, 1.0)
    draws: int = 3
    """Of each share below 1, with seeds of their own; the score is their mean."""

    def __post_init__(self) -> None:
        if not self.shares or min(self.shares) <= 0 or max(self.shares) > 1:
            raise ValueError(f"shares {self.shares}: give at least one, all in (0, 1]")
        if self.draws < 1:
            raise ValueError(f"draws {self.draws}: must be ≥ 1")


DEFAULT = Fractions()


def fraction(train: Labelled, *, share: float, seed: int) -> np.ndarray:
    """Positions (M',) of a share of the items of every class, in whole groups, at least one item of each class.

    The groups (of an item without a group: the item) come in an order drawn from `seed`, the same for every share, and
    each is taken if it has a class of which there are not enough yet: round(share · items), at least one. What a group
    holds of other classes comes along. So a smaller share lies inside a larger one of the same seed where groups are of
    one class. `train` has labels (M,).

    Raises:
        Unscorable: a share below 1 for which every item would have to be taken.
    """
    if share == 1:
        return np.arange(len(train))
    member = members(train)
    classes, label = np.unique(train.labels, return_inverse=True)
    counts = np.zeros((int(member.max()) + 1, len(classes)), dtype=np.int64)
    np.add.at(counts, (member, label), 1)
    wanted = np.maximum(1, np.round(share * counts.sum(axis=0)))
    rng = np.random.default_rng(np.random.SeedSequence((seed, 5)))
    have, taken = np.zeros(len(classes)), []
    for g in rng.permutation(len(counts)):
        if ((have < wanted) & (counts[g] > 0)).any():
            have += counts[g]
            taken.append(g)
    if len(taken) == len(counts):
        raise Unscorable(
            f"{share:.0%} of {len(train)} items cannot be drawn: every class keeps an item and no group is parted, for "
            f"which all {len(counts)} groups are needed; take a larger share, or data with more groups"
        )
    found: np.ndarray = np.flatnonzero(np.isin(member, taken))
    return found


def with_fractions(
    protocol: Callable[[Labelled, Labelled, int], Answers],
    train: Labelled,
    test: Labelled,
    *,
    choice: Fractions = DEFAULT,
    seeds: Sequence[int] | None = None,
) -> dict[tuple[float, int], Answers]:
    """The answers of a protocol fitted to each share of `train`, by (share, seed); all of `test` is always asked.

    `protocol` is called with the drawn part, the test part and the seed. `seeds` None: 0, 1, … as many as
    `choice.draws`. The share of all has the first seed only, for nothing is drawn.

    Raises:
        Unscorable: a share cannot be drawn (see `fraction`).
    """
    seeds = range(choice.draws) if seeds is None else seeds
    found = {}
    for share in choice.shares:
        for seed in seeds[:1] if share == 1 else seeds:
            found[share, seed] = protocol(train.where(fraction(train, share=share, seed=seed)), test, seed)
    return found
