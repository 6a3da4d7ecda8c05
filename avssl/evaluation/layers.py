"""The features of any layer: maps pooled to vectors, and tokens, for the protocols that ask for them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avssl.encoders import Encoder, fingerprint
from avssl.evaluation.features import evaluating

__all__ = ["Layers", "Pool", "Pooled", "Pooling", "Tokens", "grid_within", "pooled_to"]


Pool: TypeAlias = Literal["mean", "max"]

MOST = 9000
"""Numbers to which the map of a layer is pooled in Zhang et al., ECCV 2016, arXiv:1603.08511, at most."""


@dataclass(frozen=True, kw_only=True)
class Pooling:
    """How the map of a layer becomes the vector of a clip."""

    tap: str = ""
    """The layer, one of the encoder's `taps`; '': the last."""
    window: tuple[int, int, int] | None = None
    """Places that are pooled into one, in (time, height, width), as far as the map reaches; what is left is flattened.
    Of sound the last two, in (time, frequency). None: all places."""
    kind: Pool = "mean"
    unit: bool = False
    """Whether the vector of each clip is brought to length 1."""

    def __post_init__(self) -> None:
        if self.window is not None and min(self.window) < 1:
            raise ValueError(f"window {self.window}: must be ≥ 1 everywhere")

    def __call__(self, y: Tensor) -> Tensor:
        """(B, D', T', H', W') or (B, D', L, F) → (B, D)."""
        if self.window is None:
            y = y.flatten(2)
            y = y.mean(dim=2) if self.kind == "mean" else y.amax(dim=2)
        else:
            places = y.shape[2:]
            window = [min(w, n) for w, n in zip(self.window[-len(places) :], places, strict=True)]
            flat = F.max_pool3d if self.kind == "max" else F.avg_pool3d
            if len(places) == 2:
                flat = F.max_pool2d if self.kind == "max" else F.avg_pool2d
            y = flat(y, window).flatten(1)
        return F.normalize(y, dim=1) if self.unit else y


class Pooled(nn.Module):
    """A feature function of one layer of an encoder."""

    def __init__(self, encoder: Encoder, pooling: Pooling) -> None:
        super().__init__()
        self.encoder, self.pooling = encoder, pooling

    @property
    def identity(self) -> str:
        """All that its features depend on."""
        return f"{fingerprint(self.encoder)} {self.pooling}"

    def forward(self, x: Tensor) -> Tensor:
        """Clips → (B, D)."""
        tap = self.pooling.tap or self.encoder.taps[-1]
        return self.pooling(self.encoder.features(x, (tap,))[tap])


class Layers(nn.Module):
    """A feature function of all layers at once, each pooled to at most `most` numbers, in one pass of the encoder.

    Its features (B, D₁ + … + Dₙ) are those of the layers one after another; `parted` takes them apart again.
    """

    def __init__(
        self, encoder: Encoder, blank: Tensor, *, most: int = MOST, kind: Pool = "mean", taps: Sequence[str] = ()
    ) -> None:
        """`blank` is a batch of clips of the size of all others, whatever they show: it tells the sizes of the maps."""
        super().__init__()
        self.encoder, self.most, self.kind = encoder, most, kind
        self.taps = tuple(taps) or encoder.taps
        with evaluating(encoder), torch.inference_mode():
            self.sizes = {tap: part.shape[1] for tap, part in zip(self.taps, self._parts(blank), strict=True)}

    @property
    def identity(self) -> str:
        """All that its features depend on."""
        return f"{fingerprint(self.encoder)} {self.most} {self.kind} {self.taps}"

    def _parts(self, x: Tensor) -> list[Tensor]:
        maps = self.encoder.features(x, self.taps)
        return [pooled_to(maps[tap], self.most, kind=self.kind) for tap in self.taps]

    def forward(self, x: Tensor) -> Tensor:
        """Clips → (B, D₁ + … + Dₙ)."""
        return torch.cat(self._parts(x), dim=1)

    def parted(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """The features (M, Dᵢ) of each layer.

        Raises:
            ValueError: features of another size.
        """
        if values.shape[1] != sum(self.sizes.values()):
            raise ValueError(f"features of size {values.shape[1]} for layers of sizes {self.sizes}")
        ends = np.cumsum([*self.sizes.values()])[:-1]
        return dict(zip(self.sizes, np.split(values, ends, axis=1), strict=True))


class Tokens(nn.Module):
    """A feature function of the places of the last map as tokens, flattened to (B, L · D); see `parted`.

    Places are pooled by the mean to at most `most` of them, time first kept.
    """

    def __init__(self, encoder: Encoder, *, most: int = 64) -> None:
        super().__init__()
        self.encoder, self.most = encoder, most
        self.dim = encoder.dim

    @property
    def identity(self) -> str:
        """All that its features depend on."""
        return f"{fingerprint(self.encoder)} {self.most}"

    def forward(self, x: Tensor) -> Tensor:
        """Clips → (B, L · D)."""
        y = self.encoder.last(x)
        count = math.prod(y.shape[2:])
        if count > self.most:
            grid = grid_within(tuple(y.shape[2:]), self.most)
            pool = F.adaptive_avg_pool3d if len(grid) == 3 else F.adaptive_avg_pool2d
            y = pool(y, list(grid))  # type: ignore[arg-type]
        return y.flatten(2).transpose(1, 2).flatten(1)

    def parted(self, values: np.ndarray) -> np.ndarray:
        """(M, L · D) → (M, L, D)."""
        return values.reshape(len(values), -1, self.dim)


def pooled_to(y: Tensor, most: int = MOST, *, kind: Pool = "mean") -> Tensor:
    """A map (B, D', T', H', W') or (B, D', L, F) pooled to at most `most` numbers (B, D).

    Time is pooled to one place first, then space as little as needed (of sound: time and frequency alike). A map whose
    channels alone are more is pooled to one place and stays longer than `most`.
    """
    if y.ndim == 5:
        y = y.mean(dim=2) if kind == "mean" else y.amax(dim=2)
    grid = grid_within((y.shape[2], y.shape[3]), max(1, most // y.shape[1]))
    pool = F.adaptive_avg_pool2d if kind == "mean" else F.adaptive_max_pool2d
    return pool(y, (grid[0], grid[1])).flatten(1)


def grid_within(size: tuple[int, ...], most: int) -> tuple[int, ...]:
    """The finest grid of at most `most` places, of about the proportions of a map of this `size`.

    One side after another is made shorter by one, that which then still is longest against its size.
    """
    grid = list(size)
    while math.prod(grid) > most:
        n = max(range(len(grid)), key=lambda i: ((grid[i] - 1) / size[i], size[i]))
        grid[n] -= 1
    return tuple(grid)
