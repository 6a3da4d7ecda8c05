"""How choices reach pixels: rows of a batch, each with its own numbers."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["as_float", "change_rows", "per_frame", "random_bits"]

_ROWS_AT_ONCE = 1 << 18  # numbers: on a CPU, what stays in its cache from one step to the next

_MASK = 0xFFFFFFFF


def as_float(video: Tensor) -> Tensor:
    """Video with values 0…1: uint8 becomes float32, float stays what it is."""
    return video if video.is_floating_point() else video.to(torch.float32).div_(255)


def per_frame(choice: Tensor, video: Tensor) -> Tensor:
    """A choice (B,) or (B, Tmax), shaped to meet a video (B, T, C, H, W)."""
    if choice.ndim == 1:
        return choice[:, None, None, None, None]
    return choice[:, : video.shape[1], None, None, None]


def change_rows(
    video: Tensor, on: Tensor, choices: tuple[Tensor, ...], change: Callable[..., Tensor], *, per_frame: bool
) -> Tensor:
    """Change the rows of a video (B, T, C, H, W) that are `on`, (B,); with `per_frame` rows are frames, `on` (B, Tmax).

    `change` is given rows (R, T or 1, C, H, W), float, its own to write into, and each choice (R, …). What is done to
    a row never depends on the others, so that a batch of one gives what a batch of many does.
    """
    shape = video.shape
    if per_frame:
        frames = shape[1]
        video = video.flatten(0, 1)[:, None]
        on, choices = on[:, :frames].flatten(), tuple(c[:, :frames].flatten(0, 1) for c in choices)
    dtype = video.dtype if video.is_floating_point() else torch.float32
    out = torch.empty(video.shape, dtype=dtype, device=video.device)
    size = max(1, video[0].numel())
    rows = len(video) if video.is_cuda else max(1, _ROWS_AT_ONCE // size)
    for i in range(0, len(video), rows):
        part = slice(i, i + rows)
        chosen = on[part].nonzero()[:, 0]
        out[part] = as_float(video[part])
        if len(chosen):
            out[part][chosen] = change(as_float(video[part][chosen]), *(c[part][chosen] for c in choices))
    return out.reshape(shape)


def _mix(x: Tensor) -> Tensor:
    """A one-to-one scrambling of 32 bits held in int64; the shifts and factors are C. Wellons' `lowbias32` (2018)."""
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & _MASK
    x = ((x ^ (x >> 15)) * 0x846CA68B) & _MASK
    return x ^ (x >> 16)


def random_bits(seed: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Random whole numbers below 2³² from seeds (B,): (B, *shape) int64, the same on any device and in any batch."""
    count = 1
    for n in shape:
        count *= n
    place = _mix(torch.arange(1, count + 1, device=seed.device))
    return _mix(place[None] ^ _mix(seed.to(torch.int64) + 1)[:, None]).reshape(len(seed), *shape)
