"""Colours as lightness and two axes of colour (CIE 1976 L*a*b*), and the axes cut into the bins that a screen shows."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

__all__ = ["bins_in_gamut", "lab", "rgb", "spread_over_bins"]

# of sRGB (IEC 61966-2-1) and of its white, D65
_TO_XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
_WHITE = (0.95047, 1.0, 1.08883)
_KNEE = 6 / 29


def lab(colours: Tensor) -> Tensor:
    """L 0…100, a and b, (*, 3, H, W) float32, of sRGB colours (*, 3, H, W): uint8 0…255 or float 0…1."""
    x = colours.float() / (1 if colours.is_floating_point() else 255)
    light = torch.where(x <= 0.04045, x / 12.92, ((x.clamp(min=0) + 0.055) / 1.055) ** 2.4)
    xyz = _mixed(light, _TO_XYZ) / _column(_WHITE, x)
    f = torch.where(xyz > _KNEE**3, xyz.clamp(min=1e-8) ** (1 / 3), xyz / (3 * _KNEE**2) + 4 / 29)
    fx, fy, fz = f.unbind(-3)
    return torch.stack((116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)), dim=-3)


def rgb(colours: Tensor) -> Tensor:
    """sRGB (*, 3, H, W) of L, a and b (*, 3, H, W); outside 0…1 where no screen shows the colour."""
    lightness, a, b = colours.float().unbind(-3)
    fy = (lightness + 16) / 116
    f = torch.stack((fy + a / 500, fy, fy - b / 200), dim=-3)
    xyz = torch.where(f > _KNEE, f**3, 3 * _KNEE**2 * (f - 4 / 29)) * _column(_WHITE, f)
    inverse = torch.linalg.inv(torch.tensor(_TO_XYZ, dtype=torch.float64)).tolist()
    light = _mixed(xyz, inverse)
    return torch.where(light <= 0.0031308, 12.92 * light, 1.055 * light.clamp(min=1e-8) ** (1 / 2.4) - 0.055)


def _mixed(x: Tensor, matrix: tuple[tuple[float, ...], ...] | list[list[float]]) -> Tensor:
    # sums and not a product of matrices, which autocast would round to 8 bits
    channels = x.unbind(-3)
    return torch.stack([sum((w * c for w, c in zip(row, channels, strict=True)), x.new_zeros(())) for row in matrix], -3)


def _column(values: tuple[float, ...], like: Tensor) -> Tensor:
    return torch.tensor(values, device=like.device)[:, None, None]


@lru_cache(maxsize=8)
def bins_in_gamut(step: float = 10.0) -> Tensor:
    """The places (Q, 2) in a and b, on a grid of `step`, that some sRGB colour is nearest to, in order of a, then b.

    Of a step of 10 these are 261. Zhang et al., ECCV 2016, arXiv:1603.08511, section 2.1, count 313 on the same grid,
    in a gamut that they took wider than that of the 8-bit colours.

    Raises:
        ValueError: the step is not above 0.
    """
    if step <= 0:
        raise ValueError(f"step {step}: must be > 0")
    levels = torch.linspace(0, 1, 86)  # every third of 256: all 8-bit colours fall into the same bins of 10
    cube = torch.stack(torch.meshgrid(levels, levels, levels, indexing="ij")).flatten(2)
    nearest = torch.round(lab(cube)[1:].flatten(1).T / step)
    return torch.unique(nearest, dim=0) * step


def spread_over_bins(ab: Tensor, bins: Tensor, *, nearest: int = 5, sigma: float = 5.0) -> Tensor:
    """Colours (*, 2, H, W) as distributions over bins (*, Q, H, W): a Gaussian of their distance to the nearest few.

    Zhang et al., ECCV 2016, arXiv:1603.08511, section 2.2: 5 bins, σ = 5.
    """
    places = ab.float().movedim(-3, -1)
    bins = bins.to(ab.device)
    # not cdist, whose products of matrices autocast would round
    squares = (places[..., None, :] - bins).square().sum(dim=-1)
    far, which = squares.topk(min(nearest, len(bins)), dim=-1, largest=False)
    shares = torch.softmax(-far / (2 * sigma**2), dim=-1)
    return torch.zeros_like(squares).scatter_(-1, which, shares).movedim(-1, -3)
