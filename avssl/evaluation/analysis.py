"""What features are like, without labels: how alike those of two encoders are, and whether they have collapsed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from avssl.evaluation.head import unit_rows

__all__ = [
    "Health",
    "affinity",
    "alignment",
    "collapsed",
    "effective_rank",
    "health",
    "linear_cka",
    "representation_similarity",
    "uniformity",
]


def representation_similarity(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's correlation of the dissimilarities (1 - Pearson) of all pairs of items, -1…1.

    `a` (M, D) and `b` (M, D') are features of the same items. RSA, as Dwivedi and Roig, CVPR 2019, arXiv:1904.11740.

    Raises:
        ValueError: fewer than 3 items, not the same number of them, or dissimilarities that do not vary.
    """
    _same_items(a, b)
    pairs = np.triu_indices(len(a), k=1)
    ranks = [rankdata(np.round(1 - _pearson(x)[pairs], 12)) for x in (a, b)]
    if min(r.std() for r in ranks) == 0:
        raise ValueError("the dissimilarities do not vary: the features of all pairs of items are equally alike")
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def linear_cka(a: np.ndarray, b: np.ndarray) -> float:
    """Linear centred kernel alignment of features (M, D) and (M, D') of the same items, 0…1.

    Kornblith et al., ICML 2019, arXiv:1905.00414, equation 5: ||BᵀA||² / (||AᵀA|| ||BᵀB||) of centred features. It does
    not change with a rotation or a scale of either.

    Raises:
        ValueError: fewer than 3 items, not the same number of them, or features that do not vary.
    """
    _same_items(a, b)
    x, y = a.astype(np.float64), b.astype(np.float64)
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    if min(np.abs(x).max(), np.abs(y).max()) < 1e-12:
        raise ValueError("the features do not vary over the items")
    if max(x.shape[1], y.shape[1]) > len(x):  # the kernels (M, M) are smaller than the covariances
        k, m = x @ x.T, y @ y.T
        return float((k * m).sum() / (np.linalg.norm(k) * np.linalg.norm(m)))
    cross = float(np.square(y.T @ x).sum())
    return cross / float(np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))


def affinity(
    features: Mapping[str, np.ndarray], *, measure: Callable[[np.ndarray, np.ndarray], float] = linear_cka
) -> tuple[tuple[str, ...], np.ndarray]:
    """The names of several encoders and how alike the features (M, D) of each two are (N, N)."""
    names = tuple(features)
    table = np.eye(len(names))
    for i, first in enumerate(names):
        for j in range(i + 1, len(names)):
            table[i, j] = table[j, i] = measure(features[first], features[names[j]])
    return names, table


def effective_rank(values: np.ndarray) -> float:
    """exp of the entropy of the singular values of centred features (M, D), as shares: 1…min(M - 1, D).

    Roy and Vetterli, EUSIPCO 2007; RankMe (Garrido et al., ICML 2023, arXiv:2210.02885) does not centre, so that a mean
    that all items share counts as one direction there. 0 for features that do not vary at all.
    """
    x = values.astype(np.float64)
    singular = np.linalg.svd(x - x.mean(axis=0), compute_uv=False)
    # what rounding leaves of equal features is no direction
    singular = singular[singular > 1e-7 * max(float(np.linalg.norm(x)), 1e-30)]
    if not len(singular):
        return 0.0
    shares = singular / singular.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def alignment(first: np.ndarray, second: np.ndarray, *, power: float = 2.0) -> float:
    """Mean of ||x - y||^power over pairs of features (M, D), of length 1, of two clips of each item; 0 is best.

    Wang and Isola, ICML 2020, arXiv:2005.10242, section 4.
    """
    distances = np.linalg.norm(unit_rows(first) - unit_rows(second), axis=1)
    return float((distances**power).mean())


def uniformity(values: np.ndarray, *, scale: float = 2.0) -> float:
    """log of the mean of exp(-scale · ||x - y||²) over all pairs of features (M, D) of length 1; lower is more even.

    Wang and Isola, ICML 2020, arXiv:2005.10242, section 4; 0 if all are one point.

    Raises:
        ValueError: fewer than 2 items.
    """
    if len(values) < 2:
        raise ValueError(f"uniformity of {len(values)} items: it is about pairs of them")
    x = unit_rows(values)
    pairs = np.triu_indices(len(x), k=1)
    squares = np.square(x).sum(axis=1)
    distances = squares[:, None] + squares - 2 * x @ x.T
    return float(np.log(np.exp(-scale * np.maximum(distances[pairs], 0)).mean()))


@dataclass(frozen=True, kw_only=True)
class Health:
    """How features fill their space; see the functions of the same names."""

    effective_rank: float
    deviation: float
    """√D times the mean deviation over items of features of length 1: 1 if they are spread evenly around 0, 0 if all
    are one point (Chen and He, CVPR 2021, arXiv:2011.10566, figure 2)."""
    uniformity: float
    alignment: float | None = None

    def numbers(self) -> list[tuple[str, float]]:
        """(name, value) for a log."""
        named = {
            "effective rank": self.effective_rank,
            "deviation": self.deviation,
            "uniformity": self.uniformity,
            "alignment": self.alignment,
        }
        return [(name, value) for name, value in named.items() if value is not None]


def health(values: np.ndarray, pair: tuple[np.ndarray, np.ndarray] | None = None) -> Health:
    """The health of features (M, D), M ≥ 2; `pair` are those of two clips of each item, for the alignment."""
    return Health(
        effective_rank=effective_rank(values),
        deviation=float(unit_rows(values).std(axis=0).mean()) * values.shape[1] ** 0.5,
        uniformity=uniformity(values),
        alignment=None if pair is None else alignment(*pair),
    )


def collapsed(now: Health, before: Health | None = None) -> str | None:
    """What is wrong with features, or None; `before` are those of the untrained encoder on the same items.

    All items at one point (deviation below 0.001, or a tenth of what it was), in one direction (effective rank below
    1.5), or in a quarter of the directions that there were.
    """
    if now.deviation < (floor := max(0.001, 0.1 * before.deviation if before else 0.0)):
        return f"all items have nearly the same features: their deviation is {now.deviation:.2g}, below {floor:.2g}"
    if now.effective_rank < (least := max(1.5, before.effective_rank / 4 if before else 0.0)):
        return f"the features vary in few directions: their effective rank is {now.effective_rank:.1f} < {least:.1f}"
    return None


def _pearson(x: np.ndarray) -> np.ndarray:
    """Correlation of each two rows (M, M); 0 with one that does not vary."""
    x = x.astype(np.float64)
    rows = unit_rows(x - x.mean(axis=1, keepdims=True))
    found: np.ndarray = rows @ rows.T
    return found


def _same_items(a: np.ndarray, b: np.ndarray) -> None:
    if len(a) != len(b) or len(a) < 3:
        raise ValueError(f"features of {len(a)} and {len(b)} items: give those of the same items, 3 at least")
