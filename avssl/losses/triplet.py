"""Losses over triplets and tuples of an anchor, what attracts it and what repels it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from avssl.losses.contrastive import Criterion, retrieved

__all__ = ["NPairs", "Triplet", "n_pairs", "semi_hard"]


def semi_hard(similarity: Tensor, policy: Tensor, *, margin: float = 0.2) -> Tensor:
    """Mean over attracting pairs of max(0, d(a, p) − d(a, n) + `margin`), d the squared distance, 2 − 2 · cosine.

    n is the nearest of those that repel the anchor and lie farther than p, or, where none lies farther, the farthest
    of them. Schroff et al., CVPR 2015, arXiv:1503.03832, section 3.2, as TCN has it (Sermanet et al., ICRA 2018,
    arXiv:1704.06888). Pairs whose anchor nothing repels do not count; without any pair it is 0.
    """
    anchors, positives = _pairs(policy)
    distance = 2 - 2 * similarity.float()
    near, rows, repels = distance[anchors, positives], distance[anchors], policy[anchors] < 0
    farther = rows.masked_fill(~repels | (rows <= near[:, None]), torch.inf).amin(dim=1)
    farthest = rows.masked_fill(~repels, -torch.inf).amax(dim=1)
    negative = torch.where(farther.isfinite(), farther, farthest)
    return (near - negative + margin).clamp(min=0).sum() / max(1, len(near))


def n_pairs(similarity: Tensor, policy: Tensor) -> Tensor:
    """Mean over attracting pairs of log(1 + Σ exp(s(a, n) − s(a, p))), over all n that repel the anchor.

    s are inner products. Sohn, NIPS 2016, eq. 3, without its penalty on their length. Pairs whose anchor nothing repels
    do not count; without any pair it is 0.
    """
    anchors, positives = _pairs(policy)
    inner = similarity.float()
    others = inner[anchors].masked_fill(policy[anchors] >= 0, -torch.inf).logsumexp(dim=1)
    return torch.nn.functional.softplus(others - inner[anchors, positives]).sum() / max(1, len(anchors))


def _pairs(policy: Tensor) -> tuple[Tensor, Tensor]:
    """The attracting pairs whose anchor something repels: rows and columns."""
    anchors, positives = ((policy > 0) & (policy < 0).any(dim=1, keepdim=True)).nonzero(as_tuple=True)
    return anchors, positives


@dataclass(frozen=True)
class _OverPairs(Criterion):
    def terms(self, policy: Tensor) -> Tensor:
        """Attracting pairs whose anchor something repels."""
        return ((policy > 0) & (policy < 0).any(dim=1, keepdim=True)).sum()

    def accuracy(self, similarity: Tensor, policy: Tensor) -> Tensor:
        """Share of anchors whose most similar candidate is a positive."""
        return retrieved(similarity, policy)


@dataclass(frozen=True)
class Triplet(_OverPairs):
    """`semi_hard`; its accuracy is that of retrieving a positive first."""

    margin: float = 0.2

    def __post_init__(self) -> None:
        if not 0 < self.margin <= 4:
            raise ValueError(f"margin {self.margin}: must be in (0, 4], as squared distances are")

    def __call__(self, similarity: Tensor, policy: Tensor, /) -> Tensor:
        """The loss."""
        return semi_hard(similarity, policy, margin=self.margin)


@dataclass(frozen=True)
class NPairs(_OverPairs):
    """`n_pairs`, of embeddings as long as they come; its accuracy is that of retrieving a positive first."""

    unit: ClassVar[bool] = False

    def __call__(self, similarity: Tensor, policy: Tensor, /) -> Tensor:
        """The loss."""
        return n_pairs(similarity, policy)
