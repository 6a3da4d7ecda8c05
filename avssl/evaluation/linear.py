"""Linear probe: how much of a label can be read off the features by a hyperplane."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

from avssl.evaluation.answers import Answers, Labelled, two_classes
from avssl.evaluation.head import Card, LinearHead, standardisation, tested
from avssl.evaluation.hold_out import grouped, hold_out

__all__ = ["LinearProbe", "fit_linear", "linear_probe"]


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
    tops: tuple[int, ...] = (1,)
    """The k of top-k."""

    def __post_init__(self) -> None:
        if not self.costs or min(self.costs) <= 0:
            raise ValueError(f"costs {self.costs}: give at least one, all > 0")
        if not 0 < self.held_out < 1 or self.draws < 1 or self.iterations < 1:
            raise ValueError("held_out must lie in (0, 1), draws and iterations must be ≥ 1")
        if not self.tops or min(self.tops) < 1:
            raise ValueError(f"tops {self.tops}: give at least one, all ≥ 1")


DEFAULT = LinearProbe()


def linear_probe(train: Labelled, test: Labelled, *, choice: LinearProbe = DEFAULT, seed: int = 0) -> Answers:
    """Fit on `train`, answer for `test`; C is chosen inside `train` alone, then all of `train` is fitted.

    The hold-out keeps groups together where `train` has them and is stratified otherwise. Ties between values of C go
    to the smallest, the most regularised.

    Raises:
        ValueError: fewer than 2 classes in `train`.
    """
    two_classes(train, test)
    head, found = fit_linear(train, choice=choice, seed=seed)
    return tested(
        head,
        train,
        test,
        tops=choice.tops,
        settings={"regression": "logistic, L2", "features": "standardised on train", "C": [*choice.costs]},
        found=found,
    )


def fit_linear(train: Labelled, *, choice: LinearProbe = DEFAULT, seed: int = 0) -> tuple[LinearHead, dict[str, Any]]:
    """The head fitted to all of `train` with the C chosen inside it, and what was found on the way."""
    cost, how = _choose(train, choice, seed)
    head, converged = _fit(train, cost, choice.iterations)
    return head, {"C": cost, "C chosen": how, "converged": converged}


def _choose(train: Labelled, choice: LinearProbe, seed: int) -> tuple[float, str]:
    """The C of the highest accuracy on held-out parts of the training set, and a sentence on how it was chosen."""
    if len(choice.costs) == 1:
        return choice.costs[0], "given"
    rng = np.random.default_rng(np.random.SeedSequence((seed, 0)))
    accuracy = np.zeros(len(choice.costs))
    for _ in range(choice.draws):
        parts = hold_out(train, choice.held_out, rng)
        if parts is None:  # one item or one group for each class: nothing can be held out
            return sorted(choice.costs)[len(choice.costs) // 2], "middle of the sweep: the classes are too small"
        fit, held = train.where(parts[0]), train.where(parts[1])
        for c, cost in enumerate(choice.costs):
            head, _ = _fit(fit, cost, choice.iterations)
            said = np.array(head.card.numbers)[np.argmax(head.scores(held.values), axis=1)]
            accuracy[c] += (said == held.labels).mean()
    best = min(c for c, a in zip(choice.costs, accuracy, strict=True) if np.isclose(a, accuracy.max(), atol=1e-12))
    return best, f"on {choice.held_out:.0%} of the training {'groups' if grouped(train) else 'items'}"


def _fit(train: Labelled, cost: float, iterations: int) -> tuple[LinearHead, bool]:
    """A regression fitted to `train` alone, and whether it converged."""
    mean, scale = standardisation(train.values)
    x = (train.values - mean) * scale
    model = LogisticRegression(C=cost, max_iter=iterations)
    # on small problems the threads of BLAS cost more than they save, many times more on a busy machine
    limit = threadpool_limits(limits=1 if x.size < 1_000_000 else None)
    with limit, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(x, train.labels)
    weight, bias = model.coef_, model.intercept_
    if len(weight) == 1:  # of two classes it is the score of the second
        weight, bias = np.concatenate([0 * weight, weight]), np.concatenate([0 * bias, bias])
    numbers = tuple(int(k) for k in model.classes_)
    card = Card(classes=tuple(str(n) for n in numbers), numbers=numbers)
    head = LinearHead(card=card, mean=mean, scale=scale, weight=weight, bias=bias)
    return head, not any(issubclass(w.category, ConvergenceWarning) for w in caught)
