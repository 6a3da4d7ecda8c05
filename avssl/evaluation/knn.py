"""Nearest neighbours by cosine: the classifier and the retrieval, which need no training at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avssl.evaluation.answers import Answers, Labelled, guess_level, two_classes

__all__ = ["NearestNeighbours", "nearest", "nearest_neighbours"]


@dataclass(frozen=True, kw_only=True)
class NearestNeighbours:
    """The weighted vote of the k nearest: each neighbour of cosine s votes with exp(s / temperature).

    Wu et al., CVPR 2018, arXiv:1805.01978, section 3.4 (temperature 0.07); k = 20 is the best of the choices of Caron
    et al., ICCV 2021, arXiv:2104.14294, section 4.1.
    """

    k: int = 20
    """Neighbours that vote; never more than there are training items."""
    temperature: float = 0.07
    centre: bool = False
    """Whether the mean of the training features is subtracted before the cosine."""

    def __post_init__(self) -> None:
        if self.k < 1 or self.temperature <= 0:
            raise ValueError(f"k {self.k}, temperature {self.temperature}: must be ≥ 1 and > 0")


DEFAULT = NearestNeighbours()


def nearest(
    queries: np.ndarray, gallery: np.ndarray, *, k: int, centre: bool = False, chunk: int = 1024
) -> tuple[np.ndarray, np.ndarray]:
    """The k most similar rows of `gallery` (M, D) for each query (Q, D): positions (Q, k) and cosines (Q, k).

    Cosines are rounded to 1e-6, so that equal items tie whatever the order of summation, and ties go to the lower
    position. A feature of zeros has cosine 0 with everything.
    """
    if not 1 <= k <= len(gallery):
        raise ValueError(f"k = {k} neighbours of a gallery of {len(gallery)}: give 1 ≤ k ≤ {len(gallery)}")
    offset = gallery.mean(axis=0, dtype=np.float64) if centre else np.zeros(gallery.shape[1])
    wanted = _unit(gallery - offset)
    positions = np.empty((len(queries), k), dtype=np.int64)
    cosines = np.empty((len(queries), k))
    for start in range(0, len(queries), chunk):
        rows = slice(start, start + chunk)
        similar = np.round(_unit(queries[rows] - offset) @ wanted.T, 6)
        positions[rows] = np.argsort(-similar, axis=1, kind="stable")[:, :k]
        cosines[rows] = np.take_along_axis(similar, positions[rows], axis=1)
    return positions, cosines


def nearest_neighbours(
    train: Labelled, test: Labelled, *, choice: NearestNeighbours = DEFAULT, seed: int = 0
) -> Answers:
    """The class with the heaviest vote of the nearest training items; ties go to the lower class number.

    `seed` is unused: nothing is drawn. It is there because every protocol is called alike.

    Raises:
        ValueError: fewer than 2 classes in `train`.
    """
    two_classes(train, test)
    k = min(choice.k, len(train))
    positions, cosines = nearest(test.values, train.values, k=k, centre=choice.centre)
    votes = np.zeros((len(test), int(train.labels.max()) + 1))
    rows = np.repeat(np.arange(len(test)), k)
    np.add.at(votes, (rows, train.labels[positions].ravel()), np.exp((cosines.ravel() - 1) / choice.temperature))
    # equal votes may differ in the last bits, as sums of the same numbers in another order do
    scale = votes.max(axis=1, keepdims=True)
    predictions = np.argmax(np.round(votes / scale, 9), axis=1)
    return Answers(
        predictions=predictions,
        correct={"top-1": (predictions == test.labels).astype(np.float64)},
        chance={"top-1": guess_level(train, test)},
        settings={"k": k, "temperature": choice.temperature, "distance": "cosine", "centred": choice.centre},
        neighbours=positions,
    )


def _unit(values: np.ndarray) -> np.ndarray:
    """Rows of length 1 (float64); rows of zeros stay zero."""
    values = values.astype(np.float64)
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    unit: np.ndarray = np.divide(values, norms, out=np.zeros_like(values), where=norms > 1e-12)
    return unit


def hit_by_chance(labels: np.ndarray, queries: np.ndarray, ranks: Sequence[int]) -> dict[int, float]:
    """How often k items drawn without replacement from a gallery of `labels` would hold the class of a query."""
    total = len(labels)
    counts = dict(zip(*(x.tolist() for x in np.unique(labels, return_counts=True)), strict=True))
    chances = {}
    for k in ranks:
        missed = 0.0
        for label in queries.tolist():
            others = total - counts.get(label, 0)
            missed += float(np.prod([max(others - i, 0) / (total - i) for i in range(k)]))
        chances[k] = 1 - missed / len(queries)
    return chances
