"""Colour as a target: CIE L*a*b*, in which lightness lies apart from colour and distances are about as they are seen.

CIE 15:2004, section 8.2.1, of sRGB (IEC 61966-2-1) seen in its own white, D65.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["lab_to_rgb", "nearest", "rgb_to_lab"]

XYZ_OF_RGB = ((0.412391, 0.357584, 0.180481), (0.212639, 0.715169, 0.072192), (0.019331, 0.119195, 0.950532))
"""Linear light of the primaries of sRGB."""
WHITE = (0.950456, 1.0, 1.089058)
"""The sums of the rows: what equal parts of the primaries are."""
KNEE = 6 / 29
"""The cube root below which CIE's curve is a straight line."""


def rgb_to_lab(rgb: Tensor) -> Tensor:
    """L* (0…100), a* and b* (about −110…110) of colours (*, 3, H, W), uint8 0…255 or float 0…1; float32.

    Raises:
        ValueError: the colours are not of three channels.
    """
    x = _three(rgb).float()
    x = x if rgb.is_floating_point() else x / 255
    linear = torch.where(x <= 0.04045, x / 12.92, ((x.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4)
    light = _mixed(linear, torch.tensor(XYZ_OF_RGB))
    ratio = light / x.new_tensor(WHITE)[:, None, None]
    root = torch.where(ratio > KNEE**3, ratio.clamp(min=KNEE**3) ** (1 / 3), ratio / (3 * KNEE**2) + 4 / 29)
    fx, fy, fz = root.unbind(-3)
    return torch.stack((116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)), dim=-3)


def lab_to_rgb(lab: Tensor) -> Tensor:
    """Colours (*, 3, H, W), float32 0…1, of L*, a* and b*; those that sRGB does not have are cut to it.

    Raises:
        ValueError: the colours are not of three channels.
    """
    lightness, a, b = _three(lab).float().unbind(-3)
    fy = (lightness + 16) / 116
    root = torch.stack((fy + a / 500, fy, fy - b / 200), dim=-3)
    ratio = torch.where(root > KNEE, root**3, 3 * KNEE**2 * (root - 4 / 29))
    light = ratio * lab.new_tensor(WHITE, dtype=torch.float32)[:, None, None]
    linear = _mixed(light, torch.linalg.inv(torch.tensor(XYZ_OF_RGB, dtype=torch.float64)))
    bent = torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear.clamp(min=0.0031308) ** (1 / 2.4) - 0.055)
    return bent.clamp(0, 1)


def nearest(ab: Tensor, centres: Tensor) -> Tensor:
    """The number 0…K-1 of the centre (K, 2) nearest to each colour (*, 2, H, W): (*, H, W); of equals, the lowest."""
    flat = ab.movedim(-3, -1)
    rows = flat.reshape(-1, centres.shape[1]).float()
    distance = torch.cdist(rows, centres.float(), compute_mode="donot_use_mm_for_euclid_dist")
    return distance.argmin(dim=1).view(flat.shape[:-1])


def _mixed(x: Tensor, shares: Tensor) -> Tensor:
    """Sums (*, 3, H, W) of channels by rows of shares; no matrix product, which autocast would do in 16 bits."""
    channels = x.unbind(-3)
    sums = [sum(share * c for share, c in zip(row, channels, strict=True)) for row in shares.tolist()]
    return torch.stack(sums, dim=-3)


def _three(x: Tensor) -> Tensor:
    if x.ndim < 3 or x.shape[-3] != 3:
        raise ValueError(f"colours of shape {tuple(x.shape)}: must be (*, 3, H, W); a grey picture has none")
    return x
