"""Linear probe: how much of a label can be read off the features by a hyperplane."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

from avssl.evaluation.answers import Answers, Labelled, guess_level, two_classes

__all__ = ["LinearProbe", "linear_probe"]


@dataclass(frozen=True, kw_only=True)
class LinearProbe:
    """Multinomial logistic regression on standardised features, L-BFGS; the penalty is 1 / (2 C) · ||w||².

    The sweep over the penalty is that of Kornblith et al., CVPR 2019, arXiv:1805.08974, section A.4, coarser.
    """

    costs: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
    """Candidates for C; one alone is used as it is."""
    held_out: float = 0.25
    """Share of the training part (of its groups, if it has any) on which C is chosen."""
    draws: int = 2
    """Over how many such hold-outs the choice is averaged."""
    iterations: int = 500
    """Most steps of L-BFGS; the settings of the score say whether it converged."""

    def __post_init__(self) -> None:
        if not self.costs or min(self.costs) <= 0:
            raise ValueError(f"costs {self.costs}: give at least one, all > 0")
        if not 0 < self.held_out < 1 or self.draws < 1 or self.iterations < 1:
            raise ValueError("held_out must lie in (0, 1), draws and iterations must be ≥ 1")


DEFAULT = LinearProbe()


def linear_probe(train: Labelled, test: Labelled, *, choice: LinearProbe = DEFAULT, seed: int = 0) -> Answers:
    """Fit on `train`, answer for `test`; C is chosen inside `train` alone, then all of `train` is fitted.

    The hold-out keeps groups together where `train` has them and is stratified otherwise. Ties between values of C go
    to the smallest, the most regularised.

    Raises:
        ValueError: fewer than 2 classes in `train`.
    """
    two_classes(train, test)
    cost, how = _choose(train, choice, seed)
    predictions, converged = _fit(train.values, train.labels, test.values, cost, choice.iterations)
    return Answers(
        predictions=predictions,
        correct={"top-1": (predictions == test.labels).astype(np.float64)},
        chance={"top-1": guess_level(train, test)},
        settings={"regression": "logistic, L2", "features": "standardised on train", "C": [*choice.costs]},
        found={"C": cost, "C chosen": how, "converged": converged},
    )


def _choose(train: Labelled, choice: LinearProbe, seed: int) -> tuple[float, str]:
    """The C of the highest accuracy on held-out parts of the training set, and a sentence on how it was chosen."""
    if len(choice.costs) == 1:
        return choice.costs[0], "given"
    grouped = len({g for g in train.groups if g}) > 1 and "" not in train.groups
    rng = np.random.default_rng(np.random.SeedSequence((seed, 0)))
    accuracy = np.zeros(len(choice.costs))
    for _ in range(choice.draws):
        parts = _held_out(train, choice.held_out, rng, grouped)
        if parts is None:  # one item or one group for each class: nothing can be held out
            return sorted(choice.costs)[len(choice.costs) // 2], "middle of the sweep: the classes are too small"
        fit, held = parts
        x, y, hx, hy = train.values[fit], train.labels[fit], train.values[held], train.labels[held]
        for c, cost in enumerate(choice.costs):
            accuracy[c] += (_fit(x, y, hx, cost, choice.iterations)[0] == hy).mean()
    best = min(c for c, a in zip(choice.costs, accuracy, strict=True) if np.isclose(a, accuracy.max(), atol=1e-12))
    return best, f"on {choice.held_out:.0%} of the training {'groups' if grouped else 'items'}"


def _held_out(
    train: Labelled, share: float, rng: np.random.Generator, grouped: bool
) -> tuple[np.ndarray, np.ndarray] | None:
    """Masks (M,) of what to fit (2 classes or more) and of what to hold out (of those classes); None if impossible."""
    if grouped:
        groups, member = np.unique(np.asarray(train.groups), return_inverse=True)
        count = min(max(1, round(share * len(groups))), len(groups) - 1)
        for _ in range(20):  # one draw may hold out all items of a class where another does not
            away = np.isin(member, rng.permutation(len(groups))[:count])
            left = np.unique(train.labels[~away])
            held = away & np.isin(train.labels, left)
            if len(left) > 1 and held.any():
                return ~away, held
        return None
    held = np.zeros(len(train), dtype=bool)
    for k in np.unique(train.labels):
        members = rng.permutation(np.flatnonzero(train.labels == k))
        if len(members) > 1:
            held[members[: min(max(round(share * len(members)), 1), len(members) - 1)]] = True
    return (~held, held) if held.any() else None


def _fit(x: np.ndarray, y: np.ndarray, test: np.ndarray, cost: float, iterations: int) -> tuple[np.ndarray, bool]:
    """Predictions for `test` of a regression fitted to (x, y) alone, and whether it converged."""
    x, test = x.astype(np.float64), test.astype(np.float64)
    mean, std = x.mean(axis=0), x.std(axis=0)
    # a feature that does not vary in training says nothing there and must not be blown up in test
    alive = std > 1e-6 * np.maximum(1.0, np.abs(mean))
    scale = np.where(alive, 1 / np.where(alive, std, 1), 0)
    x, test = (x - mean) * scale, (test - mean) * scale
    model = LogisticRegression(C=cost, max_iter=iterations)
    # on small problems the threads of BLAS cost more than they save, many times more on a busy machine
    limit = threadpool_limits(limits=1 if x.size < 1_000_000 else None)
    with limit, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(x, y)
    return model.predict(test), not any(issubclass(w.category, ConvergenceWarning) for w in caught)
