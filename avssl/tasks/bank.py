"""A memory of every item, by its number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from avssl.losses import from_first_rank
from avssl.tasks.memory import Candidates, Memory, Negatives
from avssl.tasks.policies import Records

__all__ = ["Bank", "BankMemory"]


@dataclass(frozen=True)
class Bank(Negatives):
    """Candidates are what was remembered of the anchor's own item, and of others; one entry each, of each modality.

    An entry is a running mean of the item's embeddings, of unit length, that keeps a share `momentum` at each visit. Of
    the others, `negatives` are drawn at each step, the same for all anchors, or, if None, all are candidates. NPID (Wu
    et al., CVPR 2018, arXiv:1805.01978, section 3) and, with both modalities and `cross_modal`, AVID (Morgado et al.,
    CVPR 2021, arXiv:2004.12943, section 3.2), which estimate the softmax over all items by noise contrast; ours is the
    softmax over the candidates.

    `items` is how many numbers items may have: the highest `Example.index` + 1. An item has no entry before its first
    visit, which therefore has a loss of 0, as items have that are not trained on; an item drawn without one is no
    candidate.
    """

    items: int
    dim: int = 128
    momentum: float = 0.5
    negatives: int | None = 4096

    def __post_init__(self) -> None:
        if self.items < 1 or self.dim < 1 or (self.negatives is not None and self.negatives < 1):
            raise ValueError(f"items {self.items}, dim {self.dim}, negatives {self.negatives}: must be ≥ 1")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum {self.momentum}: must be in [0, 1)")

    def build(self, modalities: Sequence[int]) -> BankMemory:
        """An empty bank."""
        return BankMemory(self, modalities)


class BankMemory(Memory):
    """The entries of a `Bank`: modality by modality, item by item."""

    views: ClassVar[int] = 1

    embeddings: Tensor
    filled: Tensor

    def __init__(self, choice: Bank, modalities: Sequence[int]) -> None:
        super().__init__()
        self.choice = choice
        self.modalities = tuple(modalities)
        rows = len(self.modalities) * choice.items
        self.register_buffer("embeddings", torch.zeros(rows, choice.dim))
        self.register_buffer("filled", torch.zeros(rows, dtype=torch.bool))

    def entries(self, items: Tensor) -> Candidates:
        """What is remembered of items by their numbers (n,): modality by modality; copies, as `push` overwrites."""
        known = items < self.choice.items
        each = len(self.modalities)
        places = torch.arange(each, device=items.device).repeat_interleave(len(items)) * self.choice.items
        rows = places + items.clamp(max=self.choice.items - 1).repeat(each)
        used = self.filled[rows] & known.repeat(each)
        modalities = torch.tensor(self.modalities, device=items.device)
        about = Records(
            example=items.repeat(each),
            clip=torch.full_like(rows, -1),  # of none, so that no clip is taken for the entry itself
            modality=modalities.repeat_interleave(len(items)),
            labels={},
        )
        return Candidates(embeddings=self.embeddings[rows], about=about, own=used, others=used)

    def candidates(self, keys: Tensor, about: Records) -> Candidates:
        """The entries of the batch's own items and of others."""
        if self.choice.negatives is None:
            return self.entries(torch.arange(self.choice.items, device=keys.device))
        drawn = torch.randint(self.choice.items, (self.choice.negatives,)).to(keys.device)
        return self.entries(torch.unique(about.example)).only(own=True) + self.entries(from_first_rank(drawn)).only(
            own=False
        )

    @torch.no_grad()
    def push(self, keys: Tensor, about: Records) -> None:
        """Move the entries of items towards their embeddings (n, d); of several of one item, towards their mean.

        Raises:
            ValueError: embeddings of another size than the bank's, or items beyond it.
        """
        if keys.shape[1] != self.choice.dim:
            raise ValueError(f"embeddings of size {keys.shape[1]}: the bank has dim={self.choice.dim}; fit them")
        if (last := int(about.example.max())) >= self.choice.items:
            raise ValueError(f"item {last}: the bank has items={self.choice.items}; give the highest number + 1")
        place = torch.stack([about.modality == m for m in self.modalities]).int().argmax(dim=0)
        rows, which = torch.unique(place * self.choice.items + about.example, return_inverse=True)
        sums = keys.new_zeros(len(rows), keys.shape[1]).index_add_(0, which, keys)
        keep = torch.where(self.filled[rows], self.choice.momentum, 0.0)[:, None]
        moved = keep * self.embeddings[rows] + (1 - keep) * F.normalize(sums.float(), dim=1)
        self.embeddings[rows] = F.normalize(moved, dim=1)
        self.filled[rows] = True
