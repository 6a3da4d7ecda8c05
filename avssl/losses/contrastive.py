"""Losses over pairs: which attract (+1), repel (−1) or are ignored (0) is said by a matrix, the policy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

__all__ = ["Criterion", "InfoNCE", "Margin", "info_nce", "margin", "products", "retrieved"]


def products(a: Tensor, b: Tensor) -> Tensor:
    """Scalar products (n, m) of rows (n, d) and (m, d), in 32 bits also under autocast: 16 know them to 0.4 % only."""
    with torch.autocast(a.device.type, enabled=False):
        return a.float() @ b.float().T


def _check(similarity: Tensor, policy: Tensor) -> None:
    if similarity.ndim != 2 or similarity.shape != policy.shape:
        raise ValueError(
            f"similarity {tuple(similarity.shape)} and policy {tuple(policy.shape)}: must be matrices of one shape"
        )


def info_nce(similarity: Tensor, policy: Tensor, *, temperature: float = 0.1) -> Tensor:
    """Mean over the anchors that have a positive of −log(Σ_pos exp(s/τ) / Σ_pos∪neg exp(s/τ)).

    `similarity` (n, m) of n anchors with m candidates, usually cosines; `policy` (n, m) in {+1, −1, 0}. With one
    positive this is van den Oord et al., 2018, arXiv:1807.03748, eq. 4; with the other view as the positive and 2N − 2
    negatives NT-Xent of Chen et al., ICML 2020, arXiv:2002.05709, eq. 1; the sum over positives inside the logarithm
    is MIL-NCE of Miech et al., CVPR 2020, arXiv:1912.06430, eq. 1. Without any positive it is 0.
    """
    _check(similarity, policy)
    # Half precision would lose the differences; a finite floor keeps gradients of empty rows finite.
    logits = similarity.float() / temperature
    floor = torch.finfo(logits.dtype).min
    positive = logits.masked_fill(policy <= 0, floor).logsumexp(dim=1)
    every = logits.masked_fill(policy == 0, floor).logsumexp(dim=1)
    anchors = (policy > 0).any(dim=1)
    return torch.where(anchors, every - positive, 0.0).sum() / anchors.sum().clamp(min=1)


def margin(similarity: Tensor, policy: Tensor, *, margin: float = 0.99) -> Tensor:
    """Mean over pairs not ignored of d² for attracting and max(0, η − d)² for repelling ones, η = `margin`.

    `similarity` (n, m) are cosines, so d² = 2 − 2·cosine is between embeddings of unit length. Korbar et al., NeurIPS
    2018, arXiv:1807.00230, eq. 1, after Hadsell et al., CVPR 2006. Without any pair it is 0.
    """
    _check(similarity, policy)
    square = (2 - 2 * similarity.float()).clamp(min=0)
    distance = (square + 1e-12).sqrt()  # the slope of the root at 0 is infinite
    terms = torch.where(policy > 0, square, (margin - distance).clamp(min=0).square())
    used = policy != 0
    return torch.where(used, terms, 0.0).sum() / used.sum().clamp(min=1)


def retrieved(similarity: Tensor, policy: Tensor) -> Tensor:
    """Share of the anchors with a positive whose most similar candidate (of those not ignored) is a positive."""
    _check(similarity, policy)
    best = similarity.masked_fill(policy == 0, -torch.inf).argmax(dim=1, keepdim=True)
    hits = policy.gather(1, best).squeeze(1) > 0
    anchors = (policy > 0).any(dim=1)
    return (hits & anchors).sum() / anchors.sum().clamp(min=1)


class Criterion(ABC):
    """A loss over pairs as a choice: a mean over `terms(policy)` terms, and a share of right answers."""

    unit: ClassVar[bool] = True
    """Whether embeddings are made of unit length first, so that similarities are cosines; else inner products."""

    @abstractmethod
    def __call__(self, similarity: Tensor, policy: Tensor, /) -> Tensor:
        """The loss, from similarities (n, m) and their policy."""

    @abstractmethod
    def terms(self, policy: Tensor) -> Tensor:
        """How many terms the loss is the mean of; ranks with more of them weigh more."""

    @abstractmethod
    def accuracy(self, similarity: Tensor, policy: Tensor) -> Tensor:
        """Share of right answers, 0…1."""


@dataclass(frozen=True)
class InfoNCE(Criterion):
    """`info_nce`; its accuracy is that of retrieving a positive first."""

    temperature: float = 0.1

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise ValueError(f"temperature {self.temperature}: must be > 0")

    def __call__(self, similarity: Tensor, policy: Tensor, /) -> Tensor:
        """The loss."""
        return info_nce(similarity, policy, temperature=self.temperature)

    def terms(self, policy: Tensor) -> Tensor:
        """Anchors that have a positive."""
        return (policy > 0).any(dim=1).sum()

    def accuracy(self, similarity: Tensor, policy: Tensor) -> Tensor:
        """Share of anchors whose most similar candidate is a positive."""
        return retrieved(similarity, policy)


@dataclass(frozen=True)
class Margin(Criterion):
    """`margin`; its accuracy is the share of pairs on the right side of d = η / 2."""

    margin: float = 0.99

    def __post_init__(self) -> None:
        if not 0 < self.margin <= 2:
            raise ValueError(f"margin {self.margin}: must be in (0, 2], as distances are")

    def __call__(self, similarity: Tensor, policy: Tensor, /) -> Tensor:
        """The loss."""
        return margin(similarity, policy, margin=self.margin)

    def terms(self, policy: Tensor) -> Tensor:
        """Pairs that are not ignored."""
        return (policy != 0).sum()

    def accuracy(self, similarity: Tensor, policy: Tensor) -> Tensor:
        """Share of pairs on the right side of d = η / 2."""
        near = 2 - 2 * similarity < (self.margin / 2) ** 2
        right = (near == (policy > 0)) & (policy != 0)
        return right.sum() / (policy != 0).sum().clamp(min=1)
