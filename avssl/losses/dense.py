"""Losses over many places of an example (pixels, patches, instants), some of which count more than others."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from avssl.losses.gather import mean_over_ranks

__all__ = ["absolute_error", "cross_entropy", "squared_error", "weighted_mean"]


def weighted_mean(values: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean of values (*), each counting as its weight says, which has or broadcasts to their shape; None: all alike.

    Over several ranks the mean of what each of them answers is the weighted mean of all their values, however the
    weights are spread over them. Without any weight it is 0.
    """
    if weight is None:
        return values.float().mean()
    weight = weight.to(torch.float32).expand(values.shape)
    total = mean_over_ranks(weight.sum())
    return (values.float() * weight).sum() / total.clamp(min=torch.finfo(torch.float32).tiny)


def squared_error(answer: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Weighted mean of (answer − target)² over all numbers of two tensors of one shape."""
    _check(answer, target)
    return weighted_mean((answer.float() - target.float()).square(), weight)


def absolute_error(answer: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Weighted mean of |answer − target| over all numbers of two tensors of one shape."""
    _check(answer, target)
    return weighted_mean((answer.float() - target.float()).abs(), weight)


def cross_entropy(answer: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Weighted mean over places of the cross-entropy of logits (B, K, *).

    `target` is a class for each place, (B, *), or a distribution over classes, (B, K, *); `weight` is (B, *).
    """
    return weighted_mean(F.cross_entropy(answer.float(), target, reduction="none"), weight)


def _check(answer: Tensor, target: Tensor) -> None:
    if answer.shape != target.shape:
        raise ValueError(f"answer {tuple(answer.shape)} and target {tuple(target.shape)}: must be of one shape")
