"""Contexts: what can be known, at each step of a sequence of maps, from that step and those before it."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Context", "ConvGRU", "MaskedRows"]


class Context(nn.Module, ABC):
    """Maps (B, L, D, H, W) → (B, L, E, H, W), of which step l depends on steps up to l alone.

    Attributes:
        dim: D, of the maps.
        out: E, of the context.
    """

    def __init__(self, dim: int, out: int) -> None:
        super().__init__()
        self.dim = dim
        self.out = out

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """The context at each step."""


class ConvGRU(Context):
    """A GRU whose products are convolutions; with `kernel` 1 it is torch's GRU at each place, with shared weights.

    Ballas et al., ICLR 2016, arXiv:1511.06432, section 3.1. DPC takes 1 × 1 convolutions: Han et al., ICCV workshop
    2019, arXiv:1909.04656, section 4.1.

    Raises:
        ValueError: `kernel` is even.
    """

    def __init__(self, dim: int, out: int | None = None, *, kernel: int = 1) -> None:
        out = dim if out is None else out
        super().__init__(dim, out)
        if kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"kernel {kernel}: must be odd")
        self.seen = nn.Conv2d(dim, 3 * out, kernel, padding=kernel // 2)
        self.kept = nn.Conv2d(out, 3 * out, kernel, padding=kernel // 2)
        for name, weight in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(weight)
            else:
                nn.init.orthogonal_(weight)

    def step(self, x: Tensor, state: Tensor) -> Tensor:
        """The state (B, E, H, W) after a map (B, D, H, W) has been seen."""
        return self._after(self.seen(x), state)

    def _after(self, seen: Tensor, state: Tensor) -> Tensor:
        (reset, update, new), kept = seen.chunk(3, dim=1), self.kept(state).chunk(3, dim=1)
        z = torch.sigmoid(update + kept[1])
        fresh = torch.tanh(new + torch.sigmoid(reset + kept[0]) * kept[2])
        return z * state + (1 - z) * fresh

    def forward(self, x: Tensor) -> Tensor:
        """The states after each step, from zeros on."""
        seen = torch.unflatten(self.seen(x.flatten(0, 1)), 0, x.shape[:2])
        state = x.new_zeros(x.shape[0], self.out, *x.shape[3:])
        states = []
        for step in seen.unbind(dim=1):
            state = self._after(step, state)
            states.append(state)
        return torch.stack(states, dim=1)


class _Rows(nn.Module):
    """A residual block over (B, D, rows, columns) in which a row sees itself and the row above."""

    def __init__(self, dim: int, wide: int) -> None:
        super().__init__()
        self.before = nn.Conv2d(dim, wide, 1)
        self.beside = nn.Conv2d(wide, wide, (1, 3), padding=(0, 1))
        self.above = nn.Conv2d(wide, wide, (2, 1))
        self.after = nn.Conv2d(wide, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.beside(F.relu(self.before(x)))
        y = self.after(F.relu(self.above(F.pad(y, (0, 0, 1, 0)))))
        return x.add(y)


class MaskedRows(Context):
    """Residual convolutions over the rows of a grid of patches that never look below; maps are rows, H = 1, E = D.

    In the manner of PixelCNN, as CPC takes it: van den Oord et al., 2018, arXiv:1807.03748, section 3.3; Hénaff et al.,
    ICML 2020, arXiv:1905.09272, appendix A. Each of the `blocks` reaches a row further up, and a place to either side.

    Raises:
        ValueError: maps that are not rows.
    """

    def __init__(self, dim: int, *, blocks: int = 5, wide: int | None = None) -> None:
        super().__init__(dim, dim)
        self.layers = nn.Sequential(*(_Rows(dim, wide or dim) for _ in range(blocks)))

    def forward(self, x: Tensor) -> Tensor:
        """The context at each place of each row."""
        if x.shape[3] != 1:
            raise ValueError(f"maps of shape {tuple(x.shape)}: must be rows (B, L, D, 1, W)")
        y: Tensor = self.layers(x.squeeze(3).transpose(1, 2))
        return F.relu(y).transpose(1, 2).unsqueeze(3)
