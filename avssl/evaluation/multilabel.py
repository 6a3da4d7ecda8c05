"""Items with several labels, or none: a linear probe that says yes or no to each class, and how well it ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch

from avssl.evaluation.answers import Labelled, one_vector
from avssl.evaluation.head import Card, LinearHead, standardisation
from avssl.evaluation.hold_out import cross_parts
from avssl.evaluation.ranking import Points, area_under_curve, average_precision, d_prime, mean_over_classes

__all__ = ["ManyLabelProbe", "Ranked", "many_label_probe", "ranked"]


@dataclass(frozen=True, kw_only=True)
class ManyLabelProbe:
    """Logistic regression of each class by itself (binary cross-entropy) on standardised features, L-BFGS.

    The penalty is 1 / (2 C) · ||w||² beside the sum over the items.
    """

    costs: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
    """Candidates for C, of which the one of highest mean average precision in cross-validation is taken."""
    parts: int = 3
    """Of the cross-validation inside the training part."""
    points: Points = "every"
    """Which average precision."""
    iterations: int = 500
    """Most steps of L-BFGS."""

    def __post_init__(self) -> None:
        if not self.costs or min(self.costs) <= 0:
            raise ValueError(f"costs {self.costs}: give at least one, all > 0")
        if self.parts < 2 or self.iterations < 1:
            raise ValueError("parts must be ≥ 2 and iterations ≥ 1")


DEFAULT = ManyLabelProbe()


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """Scores (M, K) of the test items and their truth (M, K), with what they are worth.

    `precisions` (K,) are the average precisions, NaN for a class that no test item has.
    """

    scores: np.ndarray
    truth: np.ndarray
    precisions: np.ndarray
    values: Mapping[str, float]
    chance: Mapping[str, float]
    head: LinearHead
    points: Points
    settings: Mapping[str, Any] = field(default_factory=dict)
    found: Mapping[str, Any] = field(default_factory=dict)

    def resampled(self, groups: Sequence[str] = (), *, resamples: int = 200, seed: int = 0) -> dict[str, np.ndarray]:
        """The values of each metric over bootstrap resamples of the items, or of whole groups where there are any."""
        names = [g or f"\0{n}" for n, g in enumerate(groups)] if groups else [str(n) for n in range(len(self.truth))]
        member = np.unique(np.asarray(names), return_inverse=True)[1]
        of_group = np.split(np.argsort(member, kind="stable"), np.cumsum(np.bincount(member))[:-1])
        rng = np.random.default_rng(seed)
        found: dict[str, list[float]] = {name: [] for name in self.values}
        for _ in range(resamples):
            rows = np.concatenate([of_group[g] for g in rng.integers(len(of_group), size=len(of_group))])
            try:
                values = worth(self.truth[rows], self.scores[rows], points=self.points)[0]
            except ValueError:  # a resample without any item of any class
                continue
            for name, value in values.items():
                found[name].append(value)
        return {name: np.array(v) for name, v in found.items()}


def worth(truth: np.ndarray, scores: np.ndarray, *, points: Points) -> tuple[dict[str, float], np.ndarray]:
    """mAP and mean AUC of scores (M, K), and the average precision of each class."""
    precision, each = mean_over_classes(partial(average_precision, points=points), truth, scores)
    area, _ = mean_over_classes(area_under_curve, truth, scores)
    return {"mAP" if points == "every" else "mAP 11-point": precision, "mean AUC": area}, each


def ranked(
    train: Labelled,
    test: Labelled,
    head: LinearHead,
    *,
    points: Points,
    settings: Mapping[str, Any],
    found: Mapping[str, Any],
) -> Ranked:
    """What a head fitted to `train` is worth on `test`, both with labels (M, K).

    Chance is what a random order reaches: of the average precision about the share of the items that have the class.
    """
    scores = head.scores(test.values)
    values, each = worth(test.labels, scores, points=points)
    absent = [int(k) for k in np.flatnonzero(np.isnan(each))]
    told = (test.labels >= 0).sum(axis=0)
    share = (test.labels > 0).sum(axis=0) / np.maximum(told, 1)
    first = next(iter(values))
    return Ranked(
        scores=scores,
        truth=test.labels,
        precisions=each,
        values=values,
        chance={first: float(share[~np.isnan(each)].mean()), "mean AUC": 0.5},
        head=head,
        points=points,
        settings={**settings, "average precision": "every step of recall" if points == "every" else "11 points"},
        found={**found, "d'": d_prime(values["mean AUC"]), "classes absent in the test": absent},
    )


def many_labels(train: Labelled, test: Labelled) -> None:
    """Raise ValueError unless labels are (M, K) and every class of the test can be learnt from `train`."""
    if train.labels.ndim != 2 or test.labels.ndim != 2 or train.labels.shape[1] != test.labels.shape[1]:
        raise ValueError(f"labels of shape {train.labels.shape} and {test.labels.shape}: give (M, K) with the same K")
    one_vector(train, test)
    tested = (test.labels > 0).any(axis=0)
    learnt = (train.labels > 0).any(axis=0) & (train.labels == 0).any(axis=0)
    if missing := np.flatnonzero(tested & ~learnt).tolist():
        raise ValueError(
            f"classes {missing}: the test has them, but the training part lacks items with and without them; "
            "label or split differently"
        )


def many_label_probe(train: Labelled, test: Labelled, *, choice: ManyLabelProbe = DEFAULT, seed: int = 0) -> Ranked:
    """Fit on `train`, rank `test`; labels are (M, K). C is chosen inside `train`, by groups where it has them.

    Raises:
        ValueError: a class of the test cannot be learnt from `train`.
    """
    many_labels(train, test)
    cost, tried = _choose(train, choice, seed)
    head = fit_bce(train, cost=cost, iterations=choice.iterations)
    return ranked(
        train,
        test,
        head,
        points=choice.points,
        settings={"regression": "logistic, one for each class, L2", "C": [*choice.costs]},
        found={"C": cost, "C chosen": tried},
    )


def _choose(train: Labelled, choice: ManyLabelProbe, seed: int) -> tuple[float, str]:
    """The C of highest mean average precision over the parts of a cross-validation; ties to the smallest."""
    if len(choice.costs) == 1:
        return choice.costs[0], "given"
    part = cross_parts(train, choice.parts, np.random.default_rng(np.random.SeedSequence((seed, 2))))
    sums, counted = np.zeros(len(choice.costs)), 0
    for n in np.unique(part):
        fit, held = train.where(part != n), train.where(part == n)
        learnt = (fit.labels > 0).any(axis=0) & (held.labels > 0).any(axis=0)
        if not learnt.any():
            continue
        counted += 1
        for c, cost in enumerate(choice.costs):
            scores = fit_bce(fit, cost=cost, iterations=choice.iterations).scores(held.values)
            measure = partial(average_precision, points=choice.points)
            sums[c] += mean_over_classes(measure, held.labels[:, learnt], scores[:, learnt])[0]
    if not counted:
        return sorted(choice.costs)[len(choice.costs) // 2], "middle of the sweep: the classes are too small"
    best = min(c for c, s in zip(choice.costs, sums, strict=True) if np.isclose(s, sums.max(), atol=1e-9))
    return best, f"by cross-validation over {counted} parts"


def fit_bce(train: Labelled, *, cost: float, iterations: int = 500) -> LinearHead:
    """One logistic regression for each column of labels (M, K), all at once; labels of -1 do not count."""
    mean, scale = standardisation(train.values)
    x = torch.from_numpy((train.values - mean) * scale)
    y = torch.from_numpy(train.labels)
    told, wanted = (y >= 0).double(), (y > 0).double()
    weight = torch.zeros(y.shape[1], x.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(y.shape[1], dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS(
        [weight, bias], max_iter=iterations, tolerance_grad=1e-7, tolerance_change=1e-12, line_search_fn="strong_wolfe"
    )

    def loss() -> torch.Tensor:
        solver.zero_grad()
        scores = x @ weight.T + bias
        entropy = torch.nn.functional.binary_cross_entropy_with_logits(scores, wanted, weight=told, reduction="sum")
        total: torch.Tensor = (cost * entropy + weight.square().sum() / 2) / max(cost, 1.0)
        total.backward()  # type: ignore[no-untyped-call]
        return total

    solver.step(loss)  # type: ignore[no-untyped-call]
    numbers = tuple(range(y.shape[1]))
    return LinearHead(
        card=Card(classes=tuple(str(n) for n in numbers), numbers=numbers, several=True),
        mean=mean,
        scale=scale,
        weight=weight.detach().numpy(),
        bias=bias.detach().numpy(),
    )
