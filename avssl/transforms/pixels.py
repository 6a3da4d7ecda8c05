"""How choices reach pixels: frames of a batch, each with its own numbers."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["as_float", "change_frames", "per_frame", "random_bits"]

# On a CPU small frames are changed some at a time: few enough numbers that they stay in its cache, and that torch does
# not split a step among threads (from 2¹⁵ on), which costs far more than it gives while the loader wants the cores too.
_SMALL, _LARGE = (1 << 15) - 1, 1 << 22

_MASK = 0xFFFFFFFF


def as_float(video: Tensor) -> Tensor:
    """Video with values 0…1: uint8 becomes float32, float stays what it is."""
    return video if video.is_floating_point() else video.to(torch.float32).div_(255)


def per_frame(choice: Tensor, video: Tensor) -> Tensor:
    """A choice (B,) or (B, Tmax), shaped to meet a video (B, T, C, H, W)."""
    if choice.ndim == 1:
        return choice[:, None, None, None, None]
    return choice[:, : video.shape[1], None, None, None]


def change_frames(video: Tensor, on: Tensor, choices: tuple[Tensor, ...], change: Callable[..., Tensor]) -> Tensor:
    """Change the frames of a video (B, T, C, H, W) that are `on`, (B,) or, for each frame, (B, Tmax).

    `change` is given R frames (R, C, H, W), float, its own to write into, and the choices (R, …) of each. What is done
    to a frame never depends on the others, so that a batch of one gives what a batch of many does.
    """
    shape, alike = video.shape, on.ndim == 1

    def rows(choice: Tensor) -> Tensor:
        return (choice[:, None].expand(*shape[:2], *choice.shape[1:]) if alike else choice[:, : shape[1]]).flatten(0, 1)

    video, on, choices = video.flatten(0, 1), rows(on), tuple(rows(c) for c in choices)
    out = torch.empty(video.shape, dtype=as_float(video[:0]).dtype, device=video.device)
    size = max(1, video[0].numel())
    step = len(video) if video.is_cuda else max(1, (_SMALL if 2 * size <= _SMALL else _LARGE) // size)
    known = None if video.is_cuda else on.tolist()  # a GPU would have to be waited for
    for i in range(0, len(video), step):
        part = slice(i, i + step)
        found = as_float(video[part])
        if known is None or any(known[part]):
            changed = change(found.clone(), *(c[part] for c in choices))
            found = torch.where(on[part, None, None, None], changed, found)
        out[part] = found
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
    # mixed once more than the place, or exchanging seed and place would change nothing
    origin = _mix(_mix(seed.to(torch.int64) & _MASK) ^ 0x9E3779B9)
    return _mix(place[None] ^ origin[:, None]).reshape(len(seed), *shape)
