"""Intervals of means over seeds, of differences, and rank correlation: what a comparison may honestly claim."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from avssl.report.reading import Array

__all__ = ["Answered", "Estimate", "Sample", "correlation", "difference", "estimate", "half_of_mean", "paired"]

RESAMPLES = 2000


@dataclass(frozen=True, kw_only=True, eq=False)
class Answered:
    """Which of the M test items were right (M,), their groups (M,) or none, and a mark that tells test sets apart."""

    right: Array
    groups: Array | None
    test: str


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The score of one seed: its value, and the distances from it to the ends of its interval over the test items.

    `drawn` is half of the interval (Student's t) over what was drawn within the seed: parts of the labels, probe seeds.
    """

    value: float
    below: float | None = None
    above: float | None = None
    drawn: float | None = None
    seed: str = ""
    how: str = ""
    answered: Answered | None = None


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean over `n` seeds with its standard deviation (n - 1), and a 95 % interval if any is known; `how` says which.

    `seeds` is whether the interval holds the spread over seeds.
    """

    value: float
    sd: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 1
    how: str = "no interval"
    seeds: bool = False

    @property
    def apart_from_zero(self) -> bool | None:
        """Whether 0 lies outside the interval; None without one."""
        return None if self.low is None or self.high is None else self.low > 0 or self.high < 0


def estimate(samples: Sequence[Sample]) -> Estimate:
    """The mean over seeds; its interval joins Student's t over the seeds and the mean interval over the test items.

    The seeds share their test items, so that what the choice of these adds does not shrink with more seeds: the two are
    taken for independent and added as squares, and so is what was drawn within each seed, the same for all. One seed
    keeps its own interval.
    """
    values = np.array([s.value for s in samples])
    below, above, how = _over_items(samples)
    half = half_of_mean(values) if len(samples) > 1 else None
    return _joined(values, half, below, above, how, drawn=_over_draws(samples))


def difference(
    a: Sequence[Sample], b: Sequence[Sample], *, pairs: bool = False, resamples: int = RESAMPLES
) -> Estimate:
    """The mean of `a` minus that of `b`; with `pairs` the i-th of `a` stands beside the i-th of `b`.

    Over seeds: Student's t of the pairs, or Welch's; a side of one seed is lent the deviation of the other. Over test
    items: a bootstrap of the same items for both if the scores tell which were right, otherwise the squares of both
    intervals added, which is too wide for scores of the same items.

    Raises:
        ValueError: a side is empty, or `pairs` of unequal number.
    """
    if not a or not b or (pairs and len(a) != len(b)):
        raise ValueError(f"a difference of {len(a)} and {len(b)} scores: give some of each, in pairs as many")
    x, y = np.array([s.value for s in a]), np.array([s.value for s in b])
    if pairs:
        values = x - y
        half = half_of_mean(values) if len(values) > 1 else None
    else:
        values, half = np.array([x.mean() - y.mean()]), _welch_half(x, y)
    below, above = _together(a, b, resamples) if paired(a, b) else _apart(a, b)
    how = "the same test items" if paired(a, b) else "test items as if unpaired"
    found = _joined(values, half, below, above, how, drawn=_hypot(_over_draws(a), _over_draws(b)))
    return found if pairs else Estimate(**{**found.__dict__, "n": min(len(a), len(b)), "sd": None})


def paired(a: Sequence[Sample], b: Sequence[Sample]) -> bool:
    """Whether all scores tell which items were right, and the items are the same."""
    tests = {s.answered.test if s.answered else "" for s in (*a, *b)}
    sizes = {len(s.answered.right) if s.answered else 0 for s in (*a, *b)}
    return len(tests) == 1 and "" not in tests and len(sizes) == 1


def correlation(x: Sequence[float], y: Sequence[float], *, seed: int = 0) -> tuple[float, float]:
    """Spearman's rank correlation and its two-sided p by permutation, exact up to 7 pairs; NaN where one is constant.

    Raises:
        ValueError: fewer than 3 pairs, or not pairs.
    """
    if len(x) != len(y) or len(x) < 3:
        raise ValueError(f"a rank correlation of {len(x)} and {len(y)} numbers: give at least 3 pairs")
    a, b = _ranks(np.asarray(x, dtype=float)), _ranks(np.asarray(y, dtype=float))
    if a.std() == 0 or b.std() == 0:
        return math.nan, math.nan
    a, b = (a - a.mean()) / a.std(), (b - b.mean()) / b.std()
    if len(a) <= 7:
        orders = np.array(list(permutations(range(len(a)))))
    else:
        rng = np.random.default_rng(seed)
        orders = np.array([np.arange(len(a)), *(rng.permutation(len(a)) for _ in range(9999))])
    found = (b[orders] * a).mean(axis=1)
    rho = float((a * b).mean())
    return rho, float((np.abs(found) >= abs(rho) - 1e-9).mean())


def _ranks(values: Array) -> Array:
    """Ranks from 1, of equal values their mean."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    mean: Array = (ends - (counts - 1) / 2)[inverse]
    return mean


def _joined(
    values: Array, half: float | None, below: float | None, above: float | None, how: str, *, drawn: float | None
) -> Estimate:
    mean, n = float(values.mean()), len(values)
    told = ["seeds (Student's t)"] * (half is not None) + ["draws (Student's t)"] * (drawn is not None)
    told += [how] if below is not None else []
    known = half is not None or drawn is not None or (below is not None and above is not None)
    return Estimate(
        value=mean,
        sd=float(values.std(ddof=1)) if n > 1 else None,
        low=mean - math.hypot(half or 0.0, drawn or 0.0, below or 0.0) if known else None,
        high=mean + math.hypot(half or 0.0, drawn or 0.0, above or 0.0) if known else None,
        n=n,
        how=" and ".join(told) or "no interval",
        seeds=half is not None,
    )


def _over_items(samples: Sequence[Sample]) -> tuple[float | None, float | None, str]:
    """The mean distances to the ends of the intervals over test items; None where a score has none."""
    how = " / ".join(dict.fromkeys(s.how for s in samples if s.how))
    below = [s.below for s in samples if s.below is not None]
    above = [s.above for s in samples if s.above is not None]
    if len(below) < len(samples) or len(above) < len(samples):
        return None, None, how
    return float(np.mean(below)), float(np.mean(above)), how


def _apart(a: Sequence[Sample], b: Sequence[Sample]) -> tuple[float | None, float | None]:
    """Distances to the ends of the interval of the difference, of intervals taken for independent."""
    (below_a, above_a, _), (below_b, above_b, _) = _over_items(a), _over_items(b)
    below = None if below_a is None or above_b is None else math.hypot(below_a, above_b)
    above = None if above_a is None or below_b is None else math.hypot(above_a, below_b)
    return below, above


def half_of_mean(values: Array) -> float:
    """Half of Student's 95 % interval of the mean of values (n,), n ≥ 2."""
    from scipy.stats import t

    return float(t.ppf(0.975, len(values) - 1)) * float(values.std(ddof=1)) / math.sqrt(len(values))


def _over_draws(samples: Sequence[Sample]) -> float | None:
    """The mean of what was drawn within each seed: seeds share their draws, so that more of them add none."""
    drawn = [s.drawn for s in samples if s.drawn is not None]
    return float(np.mean(drawn)) if drawn else None


def _hypot(a: float | None, b: float | None) -> float | None:
    return None if a is None and b is None else math.hypot(a or 0.0, b or 0.0)


def _welch_half(x: Array, y: Array) -> float | None:
    """Half of Welch's interval of the difference of means; None of one seed on either side."""
    from scipy.stats import t

    if len(x) == len(y) == 1:
        return None
    if 1 in {len(x), len(y)}:  # the spread of one seed is unknown, and no spread would be a false claim
        lent = x if len(x) > 1 else y
        variance, freedom = float(lent.var(ddof=1)) * (1 / len(x) + 1 / len(y)), float(len(lent) - 1)
    else:
        parts = [float(v.var(ddof=1)) / len(v) for v in (x, y)]
        variance = sum(parts)
        weight = sum(p**2 / (len(v) - 1) for p, v in zip(parts, (x, y), strict=True))
        freedom = variance**2 / weight if weight else 1.0
    return float(t.ppf(0.975, freedom)) * math.sqrt(variance)


def _together(a: Sequence[Sample], b: Sequence[Sample], resamples: int) -> tuple[float, float]:
    """Distances to the ends of the percentile interval of the difference, where test items or groups are resampled."""
    rights = [np.mean([s.answered.right for s in side if s.answered], axis=0) for side in (a, b)]
    gap = rights[0] - rights[1]
    groups = next((s.answered.groups for s in (*a, *b) if s.answered), None)
    member = np.arange(len(gap)) if groups is None else np.unique(groups, return_inverse=True)[1]
    sums, counts = np.bincount(member, weights=gap), np.bincount(member).astype(float)
    rng = np.random.default_rng(0)
    means = np.empty(resamples)
    some = max(1, 500_000 // len(sums))  # (resamples, M) would not fit for a large test set
    for start in range(0, resamples, some):
        drawn = rng.integers(len(sums), size=(min(some, resamples - start), len(sums)))
        means[start : start + len(drawn)] = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    middle = float(gap.mean())
    return max(0.0, middle - float(low)), max(0.0, float(high) - middle)
