"""How well scores rank the items that have a class before those that have not: average precision and its mean, AUC."""

from __future__ import annotations

from collections.abc import Callable
from statistics import NormalDist
from typing import Literal, TypeAlias

import numpy as np

__all__ = ["Points", "area_under_curve", "average_precision", "d_prime", "mean_over_classes"]

Points: TypeAlias = Literal["every", "11"]
"""Of average precision: the sum over every step of recall (as scikit-learn and AudioSet), or the mean of the best
precision at recalls of 0, 0.1 … 1 (as VOC2007)."""


def average_precision(truth: np.ndarray, scores: np.ndarray, *, points: Points = "every") -> float:
    """Average precision of scores (M,) for truth (M,) of 0 and 1; -1 is left out. NaN where no item has the class.

    Items of equal score count together, so that the order of the items does not matter.
    """
    told = truth >= 0
    truth, scores = truth[told] > 0, scores[told]
    total = int(truth.sum())
    if total == 0:
        return float("nan")
    right, seen = _curve(truth, scores)
    precision, recall = right / seen, right / total
    if points == "every":
        return float(np.sum(np.diff(recall, prepend=0) * precision))
    # a recall of 0.3 must be reached by 3 of 10, whatever 3 / 10 - 0.1 · 3 is in floating point
    best = [precision[recall >= n / 10 - 1e-9].max(initial=0.0) for n in range(11)]
    return float(np.mean(best))


def area_under_curve(truth: np.ndarray, scores: np.ndarray) -> float:
    """The share of pairs of an item that has the class and one that has not that are ranked rightly, ties by half.

    `truth` (M,) is 1 or 0, and -1 is left out. NaN where one of the two kinds is absent.
    """
    told = truth >= 0
    truth, scores = truth[told] > 0, scores[told]
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if not positives or not negatives:
        return float("nan")
    _, member, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[member]
    return float((ranks[truth].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def d_prime(area: float) -> float:
    """√2 · Φ⁻¹ of an area under the curve, as for AudioSet: Hershey et al., ICASSP 2017, arXiv:1609.09430."""
    return 2**0.5 * NormalDist().inv_cdf(min(max(area, 1e-12), 1 - 1e-12))


def mean_over_classes(
    measure: Callable[[np.ndarray, np.ndarray], float], truth: np.ndarray, scores: np.ndarray
) -> tuple[float, np.ndarray]:
    """The mean over classes of a measure of (M, K) truth and scores, and its value for each class (K,).

    Classes for which it is NaN do not count in the mean.

    Raises:
        ValueError: it is NaN for every class.
    """
    values = np.array([measure(t, s) for t, s in zip(truth.T, scores.T, strict=True)])
    if np.isnan(values).all():
        raise ValueError("no class has both items with it and items without it in the test: nothing can be ranked")
    return float(np.nanmean(values)), values


def _curve(truth: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many are right and how many there are in all above each distinct score, from the highest on."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)
    return np.cumsum(truth[order])[last], (np.arange(len(truth)) + 1)[last]
