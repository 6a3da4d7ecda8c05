"""Linear support vector machines, one class against the rest, as VOC07, ESC-50 and DCASE are scored."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

from avssl.evaluation.answers import Answers, Labelled, answered, two_classes
from avssl.evaluation.head import Card, LinearHead, by_number, unit_rows
from avssl.evaluation.hold_out import cross_parts
from avssl.evaluation.multilabel import Ranked, many_labels, ranked
from avssl.evaluation.ranking import Points, average_precision

__all__ = ["VOC07", "LinearSVM", "linear_svm", "many_label_svm", "vote"]


@dataclass(frozen=True, kw_only=True)
class LinearSVM:
    """One class against the rest, squared hinge, L2, on features of length 1: Goyal et al., ICCV 2019,
    arXiv:1905.01235, section 4.1 and its code.

    Its positives weigh twice as much as the others. scikit-learn's LinearSVC solves it, with the intercept among the
    weights as there.
    """

    costs: tuple[float, ...] = tuple(10.0**n for n in range(-7, 3))
    """Candidates for C, chosen by cross-validation inside the training part; `VOC07` has all of the paper."""
    parts: int = 3
    """Of the cross-validation; whole groups go to one part."""
    positive: float = 2.0
    """Weight of the items that have the class beside that of those that have not."""
    unit: bool = True
    """Whether features are brought to length 1 first."""
    points: Points = "11"
    """Of items with several labels: which average precision the test is scored by."""
    tops: tuple[int, ...] = (1,)
    """Of items with one label: the k of top-k."""
    iterations: int = 2000

    def __post_init__(self) -> None:
        if not self.costs or min(self.costs) <= 0:
            raise ValueError(f"costs {self.costs}: give at least one, all > 0")
        if self.parts < 2 or self.iterations < 1 or self.positive <= 0 or not self.tops:
            raise ValueError("parts must be ≥ 2, iterations ≥ 1, positive > 0, and tops at least one")


DEFAULT = LinearSVM()

_Judge: TypeAlias = Callable[[int, np.ndarray, np.ndarray], None]
"""Is told the number of a cost, the scores of held-out items, and the mask of which they are."""

VOC07 = LinearSVM(costs=tuple(sorted({2.0**n for n in range(-19, -3)} | {10.0**n for n in range(-7, 3)})))
"""The 26 costs of Goyal et al.: 2⁻¹⁹ … 2⁻⁴ and 10⁻⁷ … 10²."""


def linear_svm(
    train: Labelled, test: Labelled, *, choice: LinearSVM = DEFAULT, seed: int = 0, item: np.ndarray | None = None
) -> Answers:
    """The class of highest score, of items with one label; one C for all classes, that of the highest accuracy.

    Ties between values of C go to the smallest. Where `test` (and `train`) hold windows of items, as ESC-50 is scored,
    `item` (M,) says which item each window of `test` belongs to: the scores are summed over its windows, and the
    answers are those of the items in the order of their numbers. Give the windows of `train` their item as group.

    Raises:
        ValueError: fewer than 2 classes in `train`, or windows of one item with different labels.
    """
    two_classes(train, test)
    numbers = tuple(int(k) for k in np.unique(train.labels))
    wanted = (train.labels[:, None] == np.array(numbers)).astype(np.int64)
    right = np.zeros(len(choice.costs))

    def judge(c: int, scores: np.ndarray, held: np.ndarray) -> None:
        right[c] += float((np.array(numbers)[np.argmax(scores, axis=1)] == train.labels[held]).sum())

    how = _cross_validated(train, wanted, choice, seed, judge)
    cost = _best(choice.costs, right, how)
    head, converged = _fit(train.values, wanted, np.full(len(numbers), cost), choice, numbers=numbers)
    scores = head.scores(test.values)
    if item is not None:
        _, scores = vote(head, test, item)
        test = test.where(np.unique(item, return_index=True)[1])
    scores = by_number(scores, numbers, 1 + int(max(train.labels.max(), test.labels.max())))
    correct, chance = answered(scores, train, test, tops=choice.tops)
    return Answers(
        predictions=np.argmax(scores, axis=1),
        correct=correct,
        chance=chance,
        settings=_settings(choice) | ({} if item is None else {"vote": "sum of the scores over windows"}),
        found={"C": cost, "C chosen": how, "converged": converged},
        head=head,
    )


def many_label_svm(train: Labelled, test: Labelled, *, choice: LinearSVM = DEFAULT, seed: int = 0) -> Ranked:
    """Rank items with several labels (M, K), VOC07 above all; each class has the C of its highest average precision.

    In cross-validation that is the average precision over every step of recall; the test is scored by `choice.points`.

    Raises:
        ValueError: a class of the test cannot be learnt from `train`.
    """
    many_labels(train, test)
    size = train.labels.shape[1]
    precision = np.zeros((len(choice.costs), size))

    def judge(c: int, scores: np.ndarray, held: np.ndarray) -> None:
        truth = train.labels[held]
        precision[c] += np.nan_to_num([average_precision(truth[:, k], scores[:, k]) for k in range(size)])

    how = _cross_validated(train, train.labels, choice, seed, judge)
    costs = np.array([_best(choice.costs, precision[:, k], how) for k in range(size)])
    head, converged = _fit(train.values, train.labels, costs, choice, numbers=tuple(range(size)), several=True)
    found = {"C": costs.tolist(), "C chosen": how, "converged": converged}
    return ranked(train, test, head, points=choice.points, settings=_settings(choice), found=found)


def vote(head: LinearHead, windows: Labelled, item: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum the scores of a head over the windows of each item: (items, (their scores (M, K))), sorted by item.

    `item` (W,) says which item a window belongs to; the windows of `windows` are (W, D).

    Raises:
        ValueError: windows of one item with different labels.
    """
    numbers, first, member = np.unique(item, return_index=True, return_inverse=True)
    if (windows.labels != windows.labels[first][member]).any():
        raise ValueError("windows of one item have different labels: give each window the label of its item")
    scores = head.scores(windows.values)
    sums = np.zeros((len(numbers), scores.shape[1]))
    np.add.at(sums, member, scores)
    return numbers, sums


def _settings(choice: LinearSVM) -> dict[str, Any]:
    return {
        "svm": f"one against the rest, squared hinge, L2, positives weigh {choice.positive:g}",
        "features": "length 1" if choice.unit else "as they are",
        "C": [*choice.costs],
    }


def _cross_validated(train: Labelled, wanted: np.ndarray, choice: LinearSVM, seed: int, judge: _Judge) -> str:
    """Fit each cost on all parts but one and let `judge` see the scores of that one; says how it was done."""
    if len(choice.costs) == 1:
        return "given"
    part = cross_parts(train, choice.parts, np.random.default_rng(np.random.SeedSequence((seed, 3))))
    parts = [n for n in np.unique(part) if (wanted[part != n] > 0).any(axis=0).sum() > 1]
    for n in parts:
        fit, held = part != n, part == n
        for c, cost in enumerate(choice.costs):
            costs = np.full(wanted.shape[1], cost)
            head, _ = _fit(train.values[fit], wanted[fit], costs, choice, numbers=tuple(range(len(costs))))
            judge(c, head.scores(train.values[held]), held)
    return f"by cross-validation over {len(parts)} parts" if parts else "middle of the sweep: the classes are too small"


def _best(costs: tuple[float, ...], worth: np.ndarray, how: str) -> float:
    if how.startswith("middle"):
        return sorted(costs)[len(costs) // 2]
    return min(c for c, w in zip(costs, worth, strict=True) if np.isclose(w, worth.max(), atol=1e-9))


def _fit(
    values: np.ndarray,
    wanted: np.ndarray,
    costs: np.ndarray,
    choice: LinearSVM,
    *,
    numbers: tuple[int, ...],
    several: bool = False,
) -> tuple[LinearHead, bool]:
    """One machine for each column of `wanted` (M, K) with its own C; a class without both kinds never answers."""
    x = unit_rows(values) if choice.unit else values.astype(np.float64)
    weight, bias = np.zeros((wanted.shape[1], x.shape[1])), np.full(wanted.shape[1], -1e9)
    with threadpool_limits(limits=1), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        for k, cost in enumerate(costs):
            told = wanted[:, k] >= 0
            if len(np.unique(wanted[told, k])) < 2:
                continue
            model = LinearSVC(
                C=float(cost),
                class_weight={1: choice.positive, 0: 1.0},
                dual=True,
                tol=1e-4,
                max_iter=choice.iterations,
                random_state=0,
            )
            model.fit(x[told], wanted[told, k])
            weight[k], bias[k] = model.coef_[0], model.intercept_[0]
    card = Card(classes=tuple(str(n) for n in numbers), numbers=numbers, several=several)
    size = x.shape[1]
    head = LinearHead(card=card, mean=np.zeros(size), scale=np.ones(size), weight=weight, bias=bias, unit=choice.unit)
    return head, not any(issubclass(w.category, ConvergenceWarning) for w in caught)
