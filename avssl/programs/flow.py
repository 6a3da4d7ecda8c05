"""Dense optical flow without weights and without labels: where each pixel goes from one frame to another."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["motion_codes", "nearest_code", "optical_flow", "warped"]

_COARSEST = 24
"""Pixels; a frame whose shorter side has fewer is not halved again."""

# that bring the median of nine to their middle: Smith, Xilinx XCell 23, 1996
_EXCHANGES = (
    *((1, 2), (4, 5), (7, 8), (0, 1), (3, 4), (6, 7), (1, 2), (4, 5), (7, 8)),
    *((0, 3), (5, 8), (4, 7), (3, 6), (1, 4), (2, 5), (4, 7), (4, 2), (6, 4), (4, 2)),
)


@torch.no_grad()
def optical_flow(first: Tensor, second: Tensor, *, rounds: int = 3, window: int = 5) -> Tensor:
    """Flow (R, 2, H, W) between frames (R, C, H, W) of values 0…1: what is at x in the first is at x + flow in second.

    Pixels to the right, then down. Lucas and Kanade, IJCAI 1981, solved in a `window` around every pixel, `rounds`
    times at each level of a pyramid that halves the frames as long as they have 24 pixels, each time with the median
    of the neighbours (Sun et al., CVPR 2010), which keeps the edges of things.
    """
    pairs = [(first.float(), second.float())]
    while min(pairs[-1][0].shape[-2:]) >= _COARSEST:
        pairs.append((_halved(pairs[-1][0]), _halved(pairs[-1][1])))
    coarsest = pairs[-1][0]
    flow = coarsest.new_zeros(len(coarsest), 2, *coarsest.shape[-2:])
    for a, b in reversed(pairs):
        size, before = a.shape[-2:], flow.shape[-2:]
        if size != before:
            scale = a.new_tensor([size[1] / before[1], size[0] / before[0]])[:, None, None]
            flow = F.interpolate(flow, size=size, mode="bilinear", align_corners=False) * scale
        for _ in range(rounds):
            flow = _median(flow + _step(a, warped(b, flow), window))
    return flow


def warped(frames: Tensor, flow: Tensor) -> Tensor:
    """Frames (R, C, H, W) fetched back along a flow (R, 2, H, W), whose edges go on beyond them."""
    height, width = frames.shape[-2:]
    x = torch.arange(width, device=flow.device) + flow[:, 0]
    y = torch.arange(height, device=flow.device)[:, None] + flow[:, 1]
    places = torch.stack((2 * x / max(1, width - 1) - 1, 2 * y / max(1, height - 1) - 1), dim=-1)
    return F.grid_sample(frames, places, mode="bilinear", padding_mode="border", align_corners=True)


def motion_codes(side: int, *, directions: int = 8, speeds: tuple[float, ...] = (0.02, 0.08)) -> Tensor:
    """Motions (K, 2) to tell apart, pixels of frames of that side: none, then each speed (sides a step) each way."""
    ways = torch.arange(directions) * (2 * math.pi / directions)
    circle = torch.stack((ways.cos(), ways.sin()), dim=1)
    return torch.cat([torch.zeros(1, 2), *(circle * (speed * side) for speed in speeds)])


def nearest_code(flow: Tensor, codes: Tensor) -> Tensor:
    """The code (R, H, W) that is nearest to each flow (R, 2, H, W)."""
    away = flow[:, None] - codes.to(flow.device)[:, :, None, None]
    return away.square().sum(dim=2).argmin(dim=1)


def _halved(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False)


def _around(x: Tensor, window: int) -> Tensor:
    rows = F.avg_pool2d(x, (window, 1), 1, (window // 2, 0), count_include_pad=False)
    return F.avg_pool2d(rows, (1, window), 1, (0, window // 2), count_include_pad=False)


def _step(a: Tensor, b: Tensor, window: int) -> Tensor:
    """What the flow lacks, where b is the second frame fetched back along it."""
    p = F.pad((a + b) / 2, (1, 1, 1, 1), mode="replicate")
    across, down = (p[..., 1:-1, 2:] - p[..., 1:-1, :-2]) / 2, (p[..., 2:, 1:-1] - p[..., :-2, 1:-1]) / 2
    change = b - a
    products = (across * across, across * down, down * down, across * change, down * change)
    sums = _around(torch.stack([x.sum(dim=1) for x in products], dim=1), window)
    xx, xy, yy, xt, yt = sums.unbind(dim=1)
    flat = 1e-4  # where nothing is to be seen, nothing moves
    xx, yy = xx + flat, yy + flat
    found = torch.stack((xy * yt - yy * xt, xy * xt - xx * yt), dim=1) / (xx * yy - xy * xy)[:, None]
    return found.clamp(-1.5, 1.5)  # further than this the frames do not look linear


def _median(flow: Tensor) -> Tensor:
    """The median of the 3 × 3 values around each pixel; sorting all of them would take ten times as long."""
    height, width = flow.shape[-2:]
    p = F.pad(flow, (1, 1, 1, 1), mode="replicate")
    v = [p[..., y : y + height, x : x + width] for y in range(3) for x in range(3)]
    for i, j in _EXCHANGES:
        v[i], v[j] = torch.minimum(v[i], v[j]), torch.maximum(v[i], v[j])
    return v[4]
