"""What a protocol is given and what it answers, before either has become a score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from avssl.evaluation.kept import kept
from avssl.evaluation.scores import Score, scores_of

if TYPE_CHECKING:
    from avssl.evaluation.head import Head

__all__ = ["Answers", "Labelled", "class_accuracy", "confusion", "guess_level", "hits", "pooled", "to_scores"]


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """Features `values` (M, D), or tokens (M, L, D), with class numbers `labels` (M,) in 0…K-1, and the group of each
    item if it has one.

    Of several labels an item, `labels` are (M, K): 1 has the class, 0 has not, -1 is not told and does not count.
    """

    values: np.ndarray
    labels: np.ndarray
    groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.values.ndim not in {2, 3} or len(self.values) == 0 or len(self.values) != len(self.labels):
            raise ValueError(
                f"features of shape {self.values.shape} with {len(self.labels)} labels: give (M, D) and M, M ≥ 1"
            )
        if self.labels.ndim == 2 and not np.isin(self.labels, (-1, 0, 1)).all():
            raise ValueError("labels (M, K) hold other numbers than 1, 0 and -1: give one column for each class")
        if len(self.groups) not in {0, len(self.labels)}:
            raise ValueError(f"{len(self.groups)} groups for {len(self.labels)} items: give none or one for each")
        if not np.isfinite(self.values).all():
            bad = int((~np.isfinite(self.values.reshape(len(self.values), -1)).all(axis=1)).sum())
            raise ValueError(f"{bad} of {len(self.values)} features are not finite: has the encoder diverged?")

    def __len__(self) -> int:
        """M."""
        return len(self.labels)

    def where(self, kept: np.ndarray) -> Labelled:
        """The items of a mask (M,) or at positions, in that order."""
        groups = tuple(np.asarray(self.groups, dtype=object)[kept]) if self.groups else ()
        return Labelled(values=self.values[kept], labels=self.labels[kept], groups=groups)


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What a protocol answered for M test items.

    `correct` maps a metric to a (M,) array of 0 and 1, `chance` to what guessing would reach. `predictions` (M,) are
    class numbers (of retrieval: the class of the nearest neighbour). `neighbours` (M, k) are positions in the training
    part, where the protocol has them. `settings` were chosen beforehand, `found` came out besides.
    """

    predictions: np.ndarray
    correct: Mapping[str, np.ndarray]
    chance: Mapping[str, float]
    settings: Mapping[str, Any] = field(default_factory=dict)
    found: Mapping[str, Any] = field(default_factory=dict)
    neighbours: np.ndarray | None = None
    head: Head | None = None
    """What was fitted, to be applied again, where the protocol fits something."""


def hits(scores: np.ndarray, labels: np.ndarray, *, top: int) -> np.ndarray:
    """Whether the class is among the `top` of highest score: scores (M, K), labels (M,) → (M,) of 0 and 1.

    Ties go to the lower class number, as in the prediction itself.
    """
    best = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    found: np.ndarray = (best == labels[:, None]).any(axis=1).astype(np.float64)
    return found


def class_accuracy(matrix: np.ndarray) -> np.ndarray:
    """The share of each class that was answered rightly (K,), of a confusion (K, K); NaN where the test lacks it."""
    counts = matrix.sum(axis=1)
    share: np.ndarray = np.divide(np.diag(matrix), counts, out=np.full(len(matrix), np.nan), where=counts > 0)
    return share


def confusion(truth: np.ndarray, predictions: np.ndarray, *, classes: int) -> np.ndarray:
    """Counts (K, K); rows are the truth."""
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (truth, predictions), 1)
    return counts


def guess_level(train: Labelled, test: Labelled, *, top: int = 1) -> float:
    """The better of guessing evenly (`top`/K) and of always answering the most frequent classes of the training."""
    seen, counts = np.unique(train.labels, return_counts=True)
    frequent = seen[np.argsort(-counts, kind="stable")[:top]]
    return max(min(1.0, top / len(seen)), float(np.isin(test.labels, frequent).mean()))


def answered(
    scores: np.ndarray,
    train: Labelled,
    test: Labelled,
    *,
    tops: Sequence[int],
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """(correct, chance) of top-k for each k of `tops`, from scores (M, K) of the test items."""
    return (
        {f"top-{k}": hits(scores, test.labels, top=k) for k in tops},
        {f"top-{k}": guess_level(train, test, top=k) for k in tops},
    )


def two_classes(train: Labelled, test: Labelled) -> None:
    """Raise ValueError unless there is something to tell apart and the two parts have features of one size."""
    if len(np.unique(train.labels)) < 2:
        raise ValueError("the training part has fewer than 2 classes: there is nothing to tell apart")
    one_vector(train, test)


def one_vector(train: Labelled, test: Labelled) -> None:
    """Raise ValueError unless both parts have one vector for each item, all of one size."""
    if train.values.ndim != 2 or test.values.ndim != 2:
        raise ValueError(f"features of shape {train.values.shape}: this protocol takes one vector an item, (M, D)")
    if train.values.shape[1] != test.values.shape[1]:
        raise ValueError(f"features of size {train.values.shape[1]} in training and {test.values.shape[1]} in test")


def pooled(answers: Sequence[Answers], names: Sequence[str]) -> Answers:
    """The answers of several folds as one: every test item counts once; each fold's own values are in `found`."""
    if len(answers) == 1:
        return answers[0]
    sizes = np.array([len(a.predictions) for a in answers], dtype=float)
    metrics = answers[0].correct.keys()
    return Answers(
        predictions=np.concatenate([a.predictions for a in answers]),
        correct={m: np.concatenate([a.correct[m] for a in answers]) for m in metrics},
        chance={m: float(np.average([a.chance[m] for a in answers], weights=sizes)) for m in metrics},
        settings=answers[0].settings,
        found={
            n: {**a.found, **{m: float(a.correct[m].mean()) for m in metrics}}
            for n, a in zip(names, answers, strict=True)
        },
    )


def to_scores(
    answers: Answers,
    *,
    encoder: str,
    protocol: str,
    label: str,
    n_train: int,
    truth: np.ndarray,
    groups: Sequence[str] = (),
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
) -> list[Score]:
    """One score for each metric, with a bootstrap interval over the test items (or groups); `truth` (M,) is classes."""
    recalls = [float((answers.predictions[truth == k] == k).mean()) for k in np.unique(truth)]

    def found(metric: str, correct: np.ndarray) -> dict[str, Any]:
        more = {"mean class accuracy": float(np.mean(recalls))} if metric == "top-1" else {}
        return {**answers.found, **more, **kept(correct, truth=truth, groups=groups)}

    return scores_of(
        answers.correct,
        answers.chance,
        encoder=encoder,
        protocol=protocol,
        label=label,
        n_train=n_train,
        groups=groups,
        seed=seed,
        settings={**answers.settings, **(settings or {})},
        found=found,
    )
