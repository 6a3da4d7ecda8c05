"""Losses over numbers that are known by construction: how far the answer is off, or into which bin each falls."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["Bins", "Regression", "Standardised"]


class Regression(ABC):
    """A loss over A numbers of each example as a choice."""

    @property
    @abstractmethod
    def outputs(self) -> int:
        """How many numbers a head answers for an example."""

    @abstractmethod
    def __call__(self, answer: Tensor, target: Tensor, /) -> Tensor:
        """The loss, from answers (B, outputs) and numbers (B, A)."""

    @abstractmethod
    def scores(self, answer: Tensor, target: Tensor) -> Mapping[str, Tensor]:
        """What can be said of each of the A numbers by itself, (A,) by name."""


@dataclass(frozen=True)
class Standardised(Regression):
    """Mean squared error of numbers brought to zero mean and unit variance: the mean of all guessed for all gives 1."""

    mean: tuple[float, ...]
    """Of each of the A numbers."""
    std: tuple[float, ...]
    """Standard deviation of each."""

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std) or not self.mean:
            raise ValueError(f"{len(self.mean)} means and {len(self.std)} deviations: give one of each for each number")
        if min(self.std) <= 0:
            raise ValueError(f"std {self.std}: must be > 0; a number that never varies has nothing to be learned")

    @property
    def outputs(self) -> int:
        """A, one for each number."""
        return len(self.mean)

    def _errors(self, answer: Tensor, target: Tensor) -> Tensor:
        _check(answer, target, self.outputs, len(self.mean))
        mean, std = (torch.tensor(x, device=answer.device) for x in (self.mean, self.std))
        return (answer.float() - (target.float() - mean) / std).square()

    def __call__(self, answer: Tensor, target: Tensor, /) -> Tensor:
        """The loss."""
        return self._errors(answer, target).mean()

    def scores(self, answer: Tensor, target: Tensor) -> Mapping[str, Tensor]:
        """`explained` share of the variance: 0 for who guesses the mean, 1 for who is always right."""
        return {"explained": 1 - self._errors(answer, target).mean(dim=0)}


@dataclass(frozen=True)
class Bins(Regression):
    """Each number is told as one of K bins, by a softmax of its own; the loss is the sum of their cross-entropies.

    As in Agrawal, Carreira and Malik, ICCV 2015, arXiv:1505.01596, section 4.
    """

    edges: tuple[tuple[float, ...], ...]
    """The K − 1 edges between the bins, rising, of each of the A numbers; a number on an edge is in the upper bin."""

    def __post_init__(self) -> None:
        if not self.edges or len({len(e) for e in self.edges}) != 1 or not self.edges[0]:
            raise ValueError(
                f"bins with {[len(e) for e in self.edges]} edges: give one or more, as many for each number"
            )
        for edges in self.edges:
            if list(edges) != sorted(edges):
                raise ValueError(f"edges {edges}: must rise")

    @classmethod
    def balanced(cls, numbers: Any, count: int) -> Bins:
        """The K = `count` bins of each number in which equally many of the examples (n, A) lie.

        So no guess is right more often than 1 / K, where bins of one width would have most examples in the middle.

        Raises:
            ValueError: `count` is below 2, there are fewer examples than bins, or a number never varies.
        """
        columns = torch.as_tensor(numbers, dtype=torch.float64)
        if count < 2 or columns.ndim != 2 or len(columns) < count:
            raise ValueError(
                f"{count} bins of examples {tuple(columns.shape)}: give 2 or more bins and (n, A), n ≥ bins"
            )
        shares = torch.arange(1, count, dtype=torch.float64) / count
        edges = torch.quantile(columns, shares, dim=0).T
        if still := [k for k, column in enumerate(columns.T) if column.min() == column.max()]:
            raise ValueError(f"numbers {still} are the same in all {len(columns)} examples: leave those axes out")
        return cls(tuple(tuple(row) for row in edges.tolist()))

    @property
    def count(self) -> int:
        """K, the bins of each number."""
        return len(self.edges[0]) + 1

    @property
    def outputs(self) -> int:
        """A · K logits."""
        return len(self.edges) * self.count

    def classes(self, target: Tensor) -> Tensor:
        """The bins (B, A) that numbers (B, A) lie in."""
        edges = torch.tensor(self.edges, device=target.device)
        return (target.float()[..., None] >= edges).sum(dim=-1)

    def _logits(self, answer: Tensor, target: Tensor) -> Tensor:
        _check(answer, target, self.outputs, len(self.edges))
        return torch.unflatten(answer.float(), 1, (len(self.edges), self.count))

    def __call__(self, answer: Tensor, target: Tensor, /) -> Tensor:
        """The loss; A · ln K for who knows nothing."""
        logits = self._logits(answer, target)
        return F.cross_entropy(logits.flatten(0, 1), self.classes(target).flatten()) * len(self.edges)

    def scores(self, answer: Tensor, target: Tensor) -> Mapping[str, Tensor]:
        """`accuracy`, the share of examples whose bin is told."""
        told = self._logits(answer, target).argmax(dim=-1)
        return {"accuracy": (told == self.classes(target)).float().mean(dim=0)}


def _check(answer: Tensor, target: Tensor, outputs: int, numbers: int) -> None:
    if answer.ndim != 2 or answer.shape[1] != outputs or target.shape != (len(answer), numbers):
        raise ValueError(
            f"answer {tuple(answer.shape)} and numbers {tuple(target.shape)}: must be (B, {outputs}) and "
            f"(B, {numbers}); fit the head and the target to the criterion"
        )
