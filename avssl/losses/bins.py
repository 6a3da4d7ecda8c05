"""The axes of colour, a* and b*, cut into the bins that colours of a screen fall into."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from avssl.losses.lab import rgb_to_lab

__all__ = ["bins_in_gamut", "spread_over_bins"]


@lru_cache(maxsize=8)
def bins_in_gamut(spacing: float = 10.0) -> Tensor:
    """The places (Q, 2) in a and b, on a grid of `spacing`, that some sRGB colour is nearest to, in order of a, then b.

    Of a spacing of 10 these are 261. Zhang et al., ECCV 2016, arXiv:1603.08511, section 2.1, count 313 on the same
    grid, of which the others are then nearest to no 8-bit colour.

    Raises:
        ValueError: the spacing is not above 0.
    """
    if spacing <= 0:
        raise ValueError(f"spacing {spacing}: must be > 0")
    levels = torch.linspace(0, 1, 86)  # every third of 256: all 8-bit colours fall into the same bins of 10
    cube = torch.stack(torch.meshgrid(levels, levels, levels, indexing="ij")).flatten(2)
    a, b = torch.round(rgb_to_lab(cube)[1:].flatten(1) / spacing).long()
    # of pairs as single numbers, as the unique rows of a matrix would take long
    pairs: Tensor = torch.unique(a * 4096 + b + 2048)
    return torch.stack((pairs.div(4096, rounding_mode="floor"), pairs.remainder(4096) - 2048), dim=1) * spacing


def spread_over_bins(ab: Tensor, bins: Tensor, *, nearest: int = 5, sigma: float = 5.0) -> Tensor:
    """Colours (*, 2, H, W) as distributions over bins (*, Q, H, W): a Gaussian of their distance to the nearest few.

    Zhang et al., ECCV 2016, arXiv:1603.08511, section 2.2: 5 bins, σ = 5.
    """
    a, b = ab.float()[..., None].unbind(dim=-4)
    bins = bins.to(ab.device)
    # not cdist, whose products of matrices autocast would round
    squares = (a - bins[:, 0]).square() + (b - bins[:, 1]).square()
    far, which = squares.topk(min(nearest, len(bins)), dim=-1, largest=False)
    shares = torch.softmax(-far / (2 * sigma**2), dim=-1)
    return torch.zeros_like(squares).scatter_(-1, which, shares).movedim(-1, -3)
