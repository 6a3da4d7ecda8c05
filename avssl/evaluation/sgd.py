"""The linear probe as the papers of contrastive learning train it: by SGD, here on fixed features."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from avssl.evaluation.answers import Answers, Labelled, two_classes
from avssl.evaluation.head import Card, LinearHead, standardisation, tested, unit_rows
from avssl.evaluation.hold_out import grouped, hold_out

__all__ = ["SGDProbe", "sgd_probe"]


@dataclass(frozen=True, kw_only=True)
class SGDProbe:
    """Features of length 1, standardised (as a batch normalisation without weights does), a linear layer, SGD with
    momentum 0.9 and steps of the rate: Han et al., NeurIPS 2020 (CoCLR), arXiv:2010.09709, on features that are fixed.

    The papers see random crops anew in each epoch; these features are those of the evaluation's clips. Where the two
    must agree, say so.
    """

    rates: tuple[float, ...] = (0.1, 0.3, 1.0)
    """Candidates for the learning rate; that of the highest accuracy on the held-out part is taken."""
    decays: tuple[float, ...] = (1e-4, 1e-3, 1e-2)
    """Candidates for the weight decay."""
    epochs: int = 100
    steps: tuple[float, ...] = (0.6, 0.8)
    """Shares of the epochs after which the rate is divided by 10."""
    batch: int = 256
    unit: bool = True
    """Whether features are brought to length 1 first."""
    held_out: float = 0.25
    """Share of the training part (of its groups, if it has any) on which rate and decay are chosen."""
    tops: tuple[int, ...] = (1,)
    """The k of top-k."""

    def __post_init__(self) -> None:
        if not self.rates or not self.decays or min(self.rates) <= 0 or min(self.decays) < 0:
            raise ValueError("give at least one rate > 0 and one decay ≥ 0")
        if self.epochs < 1 or self.batch < 1 or not 0 < self.held_out < 1 or not self.tops:
            raise ValueError("epochs and batch must be ≥ 1, held_out in (0, 1), and tops at least one")


DEFAULT = SGDProbe()


def sgd_probe(train: Labelled, test: Labelled, *, choice: SGDProbe = DEFAULT, seed: int = 0) -> Answers:
    """Fit on `train`, answer for `test`; rate and decay are chosen on a part held out of `train`, by groups.

    Ties go to the smaller rate, then to the larger decay. The order of the items is drawn from `seed` alone.

    Raises:
        ValueError: fewer than 2 classes in `train`.
    """
    two_classes(train, test)
    rate, decay, how = _choose(train, choice, seed)
    head = _fit(train, choice, seed, rate=rate, decay=decay)
    return tested(
        head,
        train,
        test,
        tops=choice.tops,
        settings={
            "regression": f"SGD, {choice.epochs} epochs",
            "features": ("length 1, " if choice.unit else "") + "standardised on train",
            "rates": [*choice.rates],
            "decays": [*choice.decays],
        },
        found={"rate": rate, "decay": decay, "chosen": how},
    )


def _choose(train: Labelled, choice: SGDProbe, seed: int) -> tuple[float, float, str]:
    pairs = [(r, d) for r in sorted(choice.rates) for d in sorted(choice.decays, reverse=True)]
    if len(pairs) == 1:
        return *pairs[0], "given"
    parts = hold_out(train, choice.held_out, np.random.default_rng(np.random.SeedSequence((seed, 6))))
    if parts is None:
        return *pairs[len(pairs) // 2], "middle of the sweep: the classes are too small"
    fit, held = train.where(parts[0]), train.where(parts[1])
    right = []
    for rate, decay in pairs:
        head = _fit(fit, choice, seed, rate=rate, decay=decay)
        said = np.array(head.card.numbers)[np.argmax(head.scores(held.values), axis=1)]
        right.append(int((said == held.labels).sum()))
    how = f"on {choice.held_out:.0%} of the training {'groups' if grouped(train) else 'items'}"
    return *pairs[int(np.argmax(right))], how


def _fit(train: Labelled, choice: SGDProbe, seed: int, *, rate: float, decay: float) -> LinearHead:
    values = unit_rows(train.values) if choice.unit else train.values.astype(np.float64)
    mean, scale = standardisation(values)
    x = torch.from_numpy(((values - mean) * scale).astype(np.float32))
    numbers = np.unique(train.labels)
    y = torch.from_numpy(np.searchsorted(numbers, train.labels))
    weight = torch.zeros(len(numbers), x.shape[1], requires_grad=True)
    bias = torch.zeros(len(numbers), requires_grad=True)
    solver = torch.optim.SGD([weight, bias], lr=rate, momentum=0.9, weight_decay=decay)
    milestones = [max(1, round(s * choice.epochs)) for s in choice.steps]
    schedule = torch.optim.lr_scheduler.MultiStepLR(solver, milestones=milestones)
    rng = torch.Generator().manual_seed(seed)
    for _ in range(choice.epochs):
        for rows in torch.randperm(len(x), generator=rng).chunk(math.ceil(len(x) / choice.batch)):
            solver.zero_grad()
            F.cross_entropy(x[rows] @ weight.T + bias, y[rows]).backward()  # type: ignore[no-untyped-call]
            solver.step()
        schedule.step()
    names = tuple(int(n) for n in numbers)
    return LinearHead(
        card=Card(classes=tuple(str(n) for n in names), numbers=names),
        mean=mean,
        scale=scale,
        weight=weight.detach().double().numpy(),
        bias=bias.detach().double().numpy(),
        unit=choice.unit,
    )
