"""Synchrony: does a clip fit its own sound better than the same sound too early or too late, and from which lag on?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avssl.evaluation.dense.measured import Measured, hit_of_ranked

__all__ = ["SyncCurve", "Synchrony", "sync_curve", "synchrony"]


@dataclass(frozen=True, kw_only=True)
class Synchrony:
    """How far, and how finely, sound is shifted against the frames."""

    reach: float = 1.0
    """Seconds of the greatest lag, to either side."""
    steps: int = 5
    """Lags on either side, evenly spread up to the reach."""
    clips: int = 2
    """Clips of each item, evenly spread, each a trial."""
    tolerance: float = 0.2
    """Seconds by which the best lag may miss and still count as near, as a frame in SyncNet (Chung and Zisserman, ACCV
    2016 workshops)."""

    def __post_init__(self) -> None:
        if self.reach <= 0 or self.steps < 1 or self.clips < 1 or self.tolerance < 0:
            raise ValueError(f"{self}: reach must be > 0, steps and clips ≥ 1, tolerance ≥ 0")

    @property
    def lags(self) -> tuple[float, ...]:
        """The lags (s) in ascending order, 0 in the middle."""
        return tuple(self.reach * k / self.steps for k in range(-self.steps, self.steps + 1))


DEFAULT = Synchrony()


@dataclass(frozen=True, kw_only=True)
class SyncCurve:
    """By lag (O,), over M trials: `first`, how often it has the best score of all; `told`, how often the true sound
    scores better than the one at this lag (0.5 at lag 0, and everywhere by chance); `score`, the mean score in standard
    deviations of each trial's own. `low` and `high` bound `told`: 95 %, bootstrap over trials or groups."""

    lags: np.ndarray
    first: np.ndarray
    told: np.ndarray
    score: np.ndarray
    low: np.ndarray
    high: np.ndarray


def synchrony(scores: np.ndarray, lags: np.ndarray, *, choice: Synchrony = DEFAULT) -> Measured:
    """How often lag 0 is found, of scores (M, O) of M trials at O lags (s); ties are in random order.

    Metrics: "lag 0 first"; "lag within …", the best lag no farther from 0 than the tolerance; and "told apart", the
    mean over the other lags of how often the true sound scores better.

    Raises:
        ValueError: the shapes do not belong together, lag 0 is missing or alone, or not all is finite.
    """
    middle = _middle(scores, lags)
    first = hit_of_ranked(scores, np.full(len(scores), middle), k=1)
    best = scores == scores.max(axis=1, keepdims=True)
    near = np.abs(lags) <= choice.tolerance + 1e-9
    within = (best & near).sum(axis=1) / best.sum(axis=1)
    told = np.delete(_told(scores, middle), middle, axis=1).mean(axis=1)
    name = f"lag within {choice.tolerance:g} s"
    return Measured(
        values={"lag 0 first": first, name: within, "told apart": told},
        chance={"lag 0 first": 1 / len(lags), name: float(near.mean()), "told apart": 0.5},
        settings={"lags": [round(float(x), 6) for x in lags]},
        found={"told by lag": _told(scores, middle).mean(axis=0).round(4).tolist()},
    )


def sync_curve(
    scores: np.ndarray, lags: np.ndarray, *, groups: tuple[str, ...] = (), seed: int = 0, resamples: int = 500
) -> SyncCurve:
    """The curve of scores (M, O) over lags (s); see `synchrony`."""
    middle = _middle(scores, lags)
    best = scores == scores.max(axis=1, keepdims=True)
    told = _told(scores, middle)
    spread = scores.std(axis=1, keepdims=True)
    standard = (scores - scores.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1.0)
    names, member = np.unique(np.array(groups) if groups else np.arange(len(scores)).astype(str), return_inverse=True)
    sums = np.zeros((len(names), len(lags)))
    np.add.at(sums, member, told)
    counts, rng = np.bincount(member).astype(float), np.random.default_rng(seed)
    drawn = rng.integers(len(names), size=(resamples, len(names)))
    means = np.stack([sums[d].sum(axis=0) / counts[d].sum() for d in drawn])
    low, high = np.quantile(means, [0.025, 0.975], axis=0)
    return SyncCurve(
        lags=lags,
        first=(best / best.sum(axis=1, keepdims=True)).mean(axis=0),
        told=told.mean(axis=0),
        score=standard.mean(axis=0),
        low=low,
        high=high,
    )


def _told(scores: np.ndarray, middle: int) -> np.ndarray:
    """1 where the true sound scores better than at a lag, 0.5 where as good, 0 where worse: (M, O)."""
    told: np.ndarray = (np.sign(scores[:, middle, None] - scores) + 1) / 2
    return told


def _middle(scores: np.ndarray, lags: np.ndarray) -> int:
    if scores.ndim != 2 or len(scores) == 0 or scores.shape[1] != len(lags) or len(lags) < 2:
        raise ValueError(f"scores {scores.shape} at {len(lags)} lags: must be (M, O), M ≥ 1 and O ≥ 2")
    if not np.isfinite(scores).all():
        raise ValueError("scores that are not finite: has the encoder diverged?")
    if (np.abs(lags) < 1e-9).sum() != 1:
        raise ValueError(f"lags {lags.tolist()}: exactly one must be 0, the true one")
    return int(np.argmin(np.abs(lags)))
