"""Rows of all ranks, so that a loss over pairs sees the whole batch however many ranks share it."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

__all__ = ["from_first_rank", "gathered", "is_first_rank", "mean_over_ranks", "own_rows"]


def _ranks() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def is_first_rank() -> bool:
    """Whether this process is the one that does what is done once for all."""
    return _ranks() == 1 or dist.get_rank() == 0


class _Gather(torch.autograd.Function):
    """all_gather whose gradient is the sum, over the ranks, of what each of them has for this rank's rows."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.rows = x.shape[0]
        parts = [torch.empty_like(x) for _ in range(_ranks())]
        dist.all_gather(parts, x)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous()
        dist.all_reduce(total)
        start = dist.get_rank() * ctx.rows
        return total[start : start + ctx.rows]


def gathered(x: Tensor) -> Tensor:
    """The rows (n, …) of every rank in order of rank, (ranks · n, …), with gradients; `x` itself in one process.

    Every rank must have the same n. With the mean over ranks that DDP takes of the gradients, a loss whose mean over
    ranks is the loss of the whole batch has the gradient of the whole batch.
    """
    if _ranks() == 1:
        return x
    y: Tensor = _Gather.apply(x.contiguous())
    return y


def own_rows(rows: int, *, device: torch.device | None = None) -> Tensor:
    """Where in what `gathered` gives this rank's own rows are, (rows,)."""
    return torch.arange(rows, device=device) + (dist.get_rank() * rows if _ranks() > 1 else 0)


def mean_over_ranks(x: Tensor) -> Tensor:
    """The mean of a tensor over the ranks, without gradients; `x` itself in one process."""
    if _ranks() == 1:
        return x.detach()
    total = x.detach().clone()
    dist.all_reduce(total)
    return total / _ranks()


def from_first_rank(x: Tensor) -> Tensor:
    """The first rank's tensor, on all of them; `x` itself in one process.

    For what is computed once, such as clusters, or drawn alike. On CUDA the tensor has to lie there.
    """
    if _ranks() == 1:
        return x
    y = x.detach().clone()
    dist.broadcast(y, 0)
    return y
