"""Frames as planes of tensors, cropped, scaled and converted to RGB in batches, on whatever device they lie.

The arithmetic is that of `Converter`: shrinking averages over areas, enlarging is bilinear, and chroma is scaled from
its own grid straight to the size that is wanted. Scaling along an axis is a product with a matrix of few non-zeros,
which a GPU does faster than anything written for the purpose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from avssl.media.clips import Crop

__all__ = ["Planes", "rgb"]

LUMA = {
    "bt709": (0.2126, 0.0722),
    "fcc": (0.30, 0.11),
    "smpte240m": (0.212, 0.087),
    "bt2020nc": (0.2627, 0.0593),
    "bt2020c": (0.2627, 0.0593),
}
"""Shares of red and of blue in the luma, by what FFmpeg calls a matrix (ITU-T H.273, table 4)."""

BT601 = (0.299, 0.114)


@dataclass(frozen=True, kw_only=True)
class Planes:
    """A decoded frame: Y, U, V or R, G, B or Y alone, (H, W) each, uint8 or uint16; U and V may be smaller.

    `bits` are those of its numbers that count, from the lowest on. `matrix` is what FFmpeg calls it; one that is not
    known is taken for BT.601. `full`: the whole range of numbers is used, not that of television.
    """

    planes: tuple[Tensor, ...]
    bits: int = 8
    matrix: str = ""
    full: bool = False
    coloured: bool = False
    """Whether the planes are R, G, B."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, as it is decoded."""
        return self.planes[0].shape[0], self.planes[0].shape[1]

    @property
    def _kind(self) -> tuple[object, ...]:
        shapes = tuple(tuple(p.shape) for p in self.planes)
        return shapes, self.bits, self.matrix, self.full, self.coloured


def rgb(frames: Sequence[Planes], crops: Sequence[Crop], size: tuple[int, int]) -> Tensor:
    """Frames, each cropped (top, left, height, width), as (T, 3, H, W) uint8 of a size."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for t, (frame, crop) in enumerate(zip(frames, crops, strict=True)):
        groups.setdefault((frame._kind, crop[2:], *(_phase(crop, p, frame) for p in frame.planes)), []).append(t)
    parts = [(ts, _alike([frames[t] for t in ts], [crops[t] for t in ts], size)) for ts in groups.values()]
    if len(parts) == 1:
        return parts[0][1]
    found = parts[0][1].new_empty((len(frames), 3, *size))
    for ts, part in parts:
        found[ts] = part
    return found


def _phase(crop: Crop, plane: Tensor, frame: Planes) -> tuple[float, float]:
    """Where the corner of a crop lies between two pixels of a plane: frames with equal ones share their matrices."""
    down, across = _shrunk(plane, frame)
    return crop[0] / down % 1, crop[1] / across % 1


def _shrunk(plane: Tensor, frame: Planes) -> tuple[int, int]:
    """By what a plane is subsampled down and across; odd sizes were rounded up."""
    height, width = frame.size
    return -(-height // plane.shape[0]), -(-width // plane.shape[1])


def _alike(frames: Sequence[Planes], crops: Sequence[Crop], size: tuple[int, int]) -> Tensor:
    area = size[0] <= crops[0][2] and size[1] <= crops[0][3]
    scaled = [_scaled(frames, crops, i, size, area=area) for i in range(len(frames[0].planes))]
    first = frames[0]
    top = float((1 << first.bits) - 1)
    picture = torch.stack(scaled, 1) * (255 / top) if first.coloured else _converted(scaled, first)
    return picture.round_().clamp_(0, 255).to(torch.uint8)


def _scaled(frames: Sequence[Planes], crops: Sequence[Crop], i: int, size: tuple[int, int], *, area: bool) -> Tensor:
    """Plane i of some frames, cropped and scaled: (T, H, W) float32."""
    down, across = _shrunk(frames[0].planes[i], frames[0])
    device = frames[0].planes[i].device
    parts, ways = [], []
    for frame, (top, left, height, width) in zip(frames, crops, strict=True):
        lines, columns = (
            slice(top // down, -(-(top + height) // down)),
            slice(left // across, -(-(left + width) // across)),
        )
        parts.append(frame.planes[i][lines, columns].to(torch.float32))
    top, left, height, width = crops[0]
    x = torch.stack(parts)
    ways = [
        _weights(top % down / down, height / down, x.shape[1], size[0], device, area=area),
        _weights(left % across / across, width / across, x.shape[2], size[1], device, area=area),
    ]
    if ways[0] is not None:
        x = ways[0] @ x
    return x if ways[1] is None else x @ ways[1].T


def _weights(begin: float, length: float, count: int, out: int, device: torch.device, *, area: bool) -> Tensor | None:
    """How much each of `count` pixels counts (out, count) in each that [begin, begin + length) is scaled to.

    None: nothing is to be done. With `area`, shrinking averages over what a pixel covers; else, and when enlarging, the
    weights fall linearly with the distance, over as many pixels as are shrunk to one.
    """
    if length == out == count:
        return None
    ratio = length / out
    at = torch.arange(count, device=device, dtype=torch.float64)
    edges = begin + ratio * torch.arange(out + 1, device=device, dtype=torch.float64)
    low, high = edges[:-1, None], edges[1:, None]
    if area and ratio >= 1:
        weights = (torch.minimum(high, at + 1) - torch.maximum(low, at)).clamp_(min=0)
    else:
        weights = (1 - (at + 0.5 - (low + high) / 2).abs() / max(1.0, ratio)).clamp_(min=0)
    return (weights / weights.sum(1, keepdim=True)).to(torch.float32)


def _converted(scaled: Sequence[Tensor], frame: Planes) -> Tensor:
    """Y, U, V (T, H, W) as R, G, B (T, 3, H, W) of 0 to 255 (ITU-T H.273, equations 34 to 46)."""
    unit = float(1 << (frame.bits - 8))
    top = float((1 << frame.bits) - 1)
    zero, gain, swing = (
        (0.0, 255 / top, 255 / top) if frame.full else (16 * unit, 255 / (219 * unit), 255 / (224 * unit))
    )
    y = (scaled[0] - zero) * gain
    if len(scaled) < 3:
        return y.unsqueeze(1).repeat(1, 3, 1, 1)
    u, v = ((c - 128 * unit) * swing for c in scaled[1:3])
    red, blue = LUMA.get(frame.matrix, BT601)
    green = 1 - red - blue
    r, b = y + 2 * (1 - red) * v, y + 2 * (1 - blue) * u
    g = y - (2 * red * (1 - red) / green) * v - (2 * blue * (1 - blue) / green) * u
    return torch.stack((r, g, b), 1)
