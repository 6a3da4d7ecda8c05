"""Nearest neighbours by cosine: the classifier and the retrieval, which need no training at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from avssl.evaluation.answers import Answers, Labelled, guess_level, two_classes
from avssl.evaluation.head import unit_rows

__all__ = ["Distance", "NearestNeighbours", "nearest", "nearest_neighbours"]

Distance: TypeAlias = Literal["cosine", "euclidean"]


@dataclass(frozen=True, kw_only=True)
class NearestNeighbours:
    """The weighted vote of the k nearest: each neighbour of cosine s votes with exp(s / temperature).

    Wu et al., CVPR 2018, arXiv:1805.01978, section 3.4 (temperature 0.07); k = 20 is the best of the choices of Caron
    et al., ICCV 2021, arXiv:2104.14294, section 4.1.
    """

    k: tuple[int, ...] = (20,)
    """Neighbours that vote, each number a metric of its own; never more than there are training items."""
    temperature: float = 0.07
    centre: bool = False
    """Whether the mean of the training features is subtracted before the cosine."""

    def __post_init__(self) -> None:
        if not self.k or min(self.k) < 1 or self.temperature <= 0:
            raise ValueError(f"k {self.k}, temperature {self.temperature}: give at least one k, all ≥ 1, and > 0")


DEFAULT = NearestNeighbours()


def nearest(
    queries: np.ndarray,
    gallery: np.ndarray,
    *,
    k: int,
    centre: bool = False,
    distance: Distance = "cosine",
    chunk: int = 1024,
) -> tuple[np.ndarray, np.ndarray]:
    """The k most similar rows of `gallery` (M, D) for each query (Q, D): positions (Q, k) and similarities (Q, k).

    A similarity is the cosine, or the negative Euclidean distance in units of the longest row of the gallery. They are
    rounded to 1e-6, so that equal items tie whatever the order of summation, and ties go to the lower position. A
    feature of zeros has cosine 0 with everything.
    """
    if not 1 <= k <= len(gallery):
        raise ValueError(f"k = {k} neighbours of a gallery of {len(gallery)}: give 1 ≤ k ≤ {len(gallery)}")
    offset = gallery.mean(axis=0, dtype=np.float64) if centre else np.zeros(gallery.shape[1])
    wanted = gallery - offset
    if distance == "cosine":
        wanted = unit_rows(wanted)
    lengths = np.square(wanted).sum(axis=1)
    longest = max(float(lengths.max()), 1e-24) ** 0.5
    positions = np.empty((len(queries), k), dtype=np.int64)
    found = np.empty((len(queries), k))
    for start in range(0, len(queries), chunk):
        rows = slice(start, start + chunk)
        asked = queries[rows] - offset
        if distance == "cosine":
            similar = unit_rows(asked) @ wanted.T
        else:
            squares = np.square(asked).sum(axis=1)[:, None] + lengths - 2 * asked @ wanted.T
            similar = -np.sqrt(np.maximum(squares, 0)) / longest
        similar = np.round(similar, 6)
        positions[rows] = np.argsort(-similar, axis=1, kind="stable")[:, :k]
        found[rows] = np.take_along_axis(similar, positions[rows], axis=1)
    return positions, found


def nearest_neighbours(
    train: Labelled, test: Labelled, *, choice: NearestNeighbours = DEFAULT, seed: int = 0
) -> Answers:
    """The class with the heaviest vote of the nearest training items; ties go to the lower class number.

    Several k make several metrics, "top-1 of k"; the predictions are those of the first. `seed` is unused: nothing is
    drawn. It is there because every protocol is called alike.

    Raises:
        ValueError: fewer than 2 classes in `train`.
    """
    two_classes(train, test)
    counts = {k: min(k, len(train)) for k in choice.k}
    positions, cosines = nearest(test.values, train.values, k=max(counts.values()), centre=choice.centre)
    guess = guess_level(train, test)
    answers = {
        k: _vote(train.labels[positions[:, :n]], np.exp((cosines[:, :n] - cosines[:, :1]) / choice.temperature))
        for k, n in counts.items()
    }
    names = {k: "top-1" if len(counts) == 1 else f"top-1 of {k}" for k in counts}
    first, *_ = answers
    return Answers(
        predictions=answers[first],
        correct={names[k]: (said == test.labels).astype(np.float64) for k, said in answers.items()},
        chance=dict.fromkeys(names.values(), guess),
        settings={
            "k": counts[first] if len(counts) == 1 else [*counts.values()],
            "temperature": choice.temperature,
            "distance": "cosine",
            "centred": choice.centre,
        },
        neighbours=positions[:, : counts[first]],
    )


def _vote(labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The class of the heaviest vote of neighbours with these labels (M, k) and weights (M, k): (M,)."""
    votes = np.zeros((len(labels), int(labels.max()) + 1))
    np.add.at(votes, (np.arange(len(labels))[:, None], labels), weights)
    # equal votes may differ in the last bits, as sums of the same numbers in another order do
    scale = votes.max(axis=1, keepdims=True)
    predictions: np.ndarray = np.argmax(np.round(votes / scale, 9), axis=1)
    return predictions


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
