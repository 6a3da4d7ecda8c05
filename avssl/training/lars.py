"""LARS: SGD whose steps are scaled to each weight tensor, for batches of thousands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, overload

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

__all__ = ["LARS"]


class LARS(torch.optim.Optimizer):
    """SGD with momentum whose steps are scaled to the size of each weight tensor: You et al., 2017, arXiv:1708.03888.

    v ← m · v + lr · λ · (g + β · w) and w ← w − v (algorithm 1), where λ = η · ‖w‖ / (‖g‖ + β · ‖w‖) (eq. 6), m is
    `momentum`, β `weight_decay` and η `trust`. As in SimCLR (Chen et al., ICML 2020, arXiv:2002.05709), tensors of one
    dimension, that is biases and scales of normalisations, have λ = 1 and β = 0. Where ‖w‖ or ‖g‖ is 0, λ = 1.

    Raises:
        ValueError: a number outside its range.
    """

    def __init__(
        self,
        params: ParamsT,
        *,
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust: float = 1e-3,
    ) -> None:
        if lr < 0 or not 0 <= momentum < 1 or weight_decay < 0 or trust <= 0:
            raise ValueError(
                f"lr {lr}, momentum {momentum}, weight_decay {weight_decay}, trust {trust}: must be ≥ 0, in [0, 1), "
                "≥ 0 and > 0"
            )
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "trust": trust})

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Move all weights that have a gradient; gives what `closure` gives, which is called first."""
        with torch.enable_grad():
            loss = None if closure is None else closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._move(weight, weight.grad, group)
        return loss

    def _move(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        rate, decay = group["lr"], group["weight_decay"]
        if weight.ndim > 1:
            size, slope = weight.norm(), gradient.norm()
            scale = group["trust"] * size / (slope + decay * size)
            # chosen on the device, which need not be waited for
            rate = rate * torch.where((size > 0) & (slope > 0), scale, 1.0)
            gradient = gradient.add(weight, alpha=decay)
        state = self.state[weight]
        if not state:
            state["velocity"] = torch.zeros_like(weight)
        weight.sub_(state["velocity"].mul_(group["momentum"]).add_(rate * gradient))
