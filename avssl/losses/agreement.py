"""Losses between embeddings that are to agree, without any that are to differ."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["Agreement", "negative_cosine", "spread", "unit_distance"]

Agreement: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""From answers (n, d) and what they are to agree with, (n, d), to a scalar; neither need be of unit length."""


def negative_cosine(answer: Tensor, target: Tensor) -> Tensor:
    """Mean of −cos(answer, target), −1…1: about 0 of unrelated embeddings, −1 where all agree.

    Chen and He, CVPR 2021, arXiv:2011.10566, eq. 1.
    """
    return -F.cosine_similarity(answer.float(), target.float(), dim=-1).mean()


def unit_distance(answer: Tensor, target: Tensor) -> Tensor:
    """Mean of ‖a/‖a‖ − t/‖t‖‖², 0…4: about 2 of unrelated embeddings, 0 where all agree.

    Grill et al., NeurIPS 2020, arXiv:2006.07733, eq. 2; it is 2 + 2 · `negative_cosine`.
    """
    return 2 + 2 * negative_cosine(answer, target)


@torch.no_grad()
def spread(embeddings: Tensor) -> Tensor:
    """The root of the summed variances of embeddings (n, d), made of unit length: 1 if they fill the sphere, else less.

    It is 0 if all are one point. Chen and He, CVPR 2021, arXiv:2011.10566, figure 2, show it divided by √d.
    """
    return F.normalize(embeddings.float(), dim=-1).var(dim=0, correction=0).sum().sqrt()
