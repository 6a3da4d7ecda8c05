"""Slow copies: networks that follow the trained ones and give the targets."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

__all__ = ["Momentum", "SlowCopy"]


@dataclass(frozen=True)
class Momentum:
    """A copy of the networks that follows them gives the targets: θ' ← decay · θ' + (1 − decay) · θ.

    He et al., CVPR 2020, arXiv:1911.05722, eq. 2. `final` is the decay at the end of training, approached along a
    cosine as in BYOL (Grill et al., NeurIPS 2020, arXiv:2006.07733, section 3.2); None keeps it constant.

    The copy's batch normalisation sees the batch of its own process; over several CUDA devices, where training
    synchronises it, that of all of them. Either way the positives and their anchors come from one batch and a queue's
    negatives from others, so that statistics alone could tell them apart, which is MoCo's reason to shuffle among
    ranks. With a `Queue` take encoders with group normalisation, and projectors with none.
    """

    decay: float = 0.99
    final: float | None = None

    def __post_init__(self) -> None:
        if not all(0 <= d <= 1 for d in (self.decay, self.decay if self.final is None else self.final)):
            raise ValueError(f"decay {self.decay}, final {self.final}: must be in [0, 1]")

    def at(self, progress: float) -> float:
        """The decay when a share `progress` of training is done."""
        if self.final is None:
            return self.decay
        return self.final - (self.final - self.decay) * (1 + math.cos(math.pi * progress)) / 2


class SlowCopy(nn.Module):
    """The copy of a module that follows it; called like the module itself, it answers without gradients.

    The module is handed to each method and not kept, as it is trained, saved and counted where it belongs. Batch
    statistics of the copy are its own.
    """

    def __init__(self, fast: nn.Module, momentum: Momentum) -> None:
        super().__init__()
        self.momentum = momentum
        self.copy = copy.deepcopy(fast).requires_grad_(False)

    @torch.no_grad()
    def forward(self, *args: Any) -> Any:
        """What the copy answers."""
        return self.copy(*args)

    def begin(self, fast: nn.Module) -> None:
        """Be as the module is."""
        self.copy.load_state_dict(fast.state_dict())

    @torch.no_grad()
    def follow(self, fast: nn.Module, progress: float) -> None:
        """Go one step towards the module, when a share `progress` of training is done."""
        share = 1 - self.momentum.at(progress)
        for slow, new in zip(self.copy.parameters(), fast.parameters(), strict=True):
            slow.lerp_(new, share)
