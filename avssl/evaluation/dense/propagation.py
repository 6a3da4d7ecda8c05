"""Label propagation: the labels of the first frame carried through a video by how alike the features are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Propagation", "joint_maps", "joints_from", "mask_maps", "masks_from", "propagate"]

Part: TypeAlias = tuple[slice, slice]
"""Rows and columns of a map."""

BLOCK = 8
"""Places along each side of what is carried at once."""

NEARER = 1e-6
"""What a square of the distance in places takes off an affinity (a cosine), so that of equal ones the nearest wins."""


@dataclass(frozen=True, kw_only=True)
class Propagation:
    """How labels are carried on, as in CRW: Jabri et al., NeurIPS 2020, arXiv:2006.14613, section 4.

    The first frame is searched as a whole, the frames just before only around the same place.
    """

    context: int = 20
    """Frames just before that labels come from, besides the first; before the beginning stands the first frame."""
    top_k: int = 10
    """Places of all those frames that a place takes its label from: those most alike."""
    radius: float = 12.0
    """How far away they may be, in places of the map; nearer than that."""
    temperature: float = 0.05
    """Of the softmax over them."""

    def __post_init__(self) -> None:
        if self.context < 0 or self.top_k < 1 or self.radius <= 0 or self.temperature <= 0:
            raise ValueError(f"{self}: context must be ≥ 0, top_k ≥ 1, radius and temperature > 0")


DEFAULT = Propagation()


@torch.inference_mode()
def propagate(features: Tensor, labels: Tensor, *, choice: Propagation = DEFAULT) -> Tensor:
    """The labels (T, K, H', W') of all frames, from features (T, D, H', W') and labels (K, H', W') of the first.

    A place takes the mean of the labels of the `top_k` places with the features most alike (cosine), weighted by a
    softmax of the affinities. Of equal ones the nearest are taken, so that constant features copy what was there.

    Raises:
        ValueError: shapes that do not belong together.
    """
    if features.ndim != 4 or labels.ndim != 3 or features.shape[2:] != labels.shape[1:]:
        raise ValueError(
            f"features of shape {tuple(features.shape)} with labels of {tuple(labels.shape)}: must be (T, D, H', W') "
            "and (K, H', W')"
        )
    x = F.normalize(features.float(), dim=1)
    found = labels.new_zeros((len(x), *labels.shape), dtype=torch.float32)
    found[0] = labels
    for t in range(1, len(x)):
        before = [max(s, 0) for s in range(t - choice.context, t)]
        found[t] = _carried(x[t], x[0], found[0], x[before], found[before], choice)
    return found


def _carried(
    query: Tensor, first: Tensor, first_labels: Tensor, near: Tensor, near_labels: Tensor, choice: Propagation
) -> Tensor:
    """The labels (K, H', W') of one frame, block by block: all affinities at once would be gigabytes for DAVIS."""
    high, wide = query.shape[1:]
    found = torch.empty_like(first_labels)
    for y, x in product(range(0, high, BLOCK), range(0, wide, BLOCK)):
        block = (slice(y, min(y + BLOCK, high)), slice(x, min(x + BLOCK, wide)))
        around = _around(block, (high, wide), choice.radius)
        parts = [_affinity(query, first[None], block, (slice(0, high), slice(0, wide)), radius=None)]
        known = [first_labels.flatten(1)]
        if len(near):
            parts.append(_affinity(query, near, block, around, radius=choice.radius))
            known.append(near_labels[:, :, *around].transpose(0, 1).flatten(1))
        affinity = torch.cat(parts, dim=1)
        best, where = affinity.topk(min(choice.top_k, affinity.shape[1]), dim=1)
        weight = torch.softmax(best / choice.temperature, dim=1)
        carried = (torch.cat(known, dim=1)[:, where] * weight).sum(dim=2)
        found[:, *block] = carried.view(-1, block[0].stop - y, block[1].stop - x)
    return found


def _around(block: Part, size: tuple[int, int], radius: float) -> Part:
    """The rows and columns of a map in which anything nearer to a block than the radius lies."""
    reach = math.ceil(radius)
    rows, columns = (slice(max(0, b.start - reach), min(n, b.stop + reach)) for b, n in zip(block, size, strict=True))
    return rows, columns


def _affinity(query: Tensor, keys: Tensor, block: Part, part: Part, *, radius: float | None) -> Tensor:
    """Cosines (Q, F · P) of the Q places of a block of a frame (D, H, W) with the P places of a part of F frames.

    −∞ for those not nearer than the radius.
    """
    (ys, xs), (vs, us) = (
        [torch.arange(s.start, s.stop, device=query.device, dtype=torch.float32) for s in region]
        for region in (block, part)
    )
    square = (ys[:, None, None, None] - vs[:, None]) ** 2 + (xs[:, None, None] - us) ** 2
    penalty = NEARER * square
    if radius is not None:
        penalty = penalty.masked_fill(square >= radius**2, torch.inf)
    cosine = query[:, *block].flatten(1).T @ keys[:, :, *part].transpose(0, 1).flatten(1)
    return cosine - penalty.view(len(ys) * len(xs), -1).repeat(1, len(keys))


def mask_maps(mask: Tensor, count: int, size: Sequence[int]) -> Tensor:
    """Masks (H, W) of numbers 0…count as shares of the places of a map, (count + 1, H', W')."""
    one_hot = F.one_hot(mask.long(), count + 1).permute(2, 0, 1).float()
    return F.interpolate(one_hot[None], size=tuple(size), mode="bilinear", antialias=True, align_corners=False)[0]


def masks_from(maps: Tensor, size: Sequence[int]) -> Tensor:
    """The most likely number 0…K-1 of every pixel, (T, H, W) uint8, from maps (T, K, H', W'); of equals, the lowest."""
    found = [F.interpolate(m[None], size=tuple(size), mode="bilinear", align_corners=False)[0].argmax(0) for m in maps]
    return torch.stack(found).to(torch.uint8)


def joint_maps(joints: Tensor, size: Sequence[int], *, spread: float = 0.5) -> Tensor:
    """Joints (J, 2), x and y in places of the map, as J Gaussians (J, H', W') of `spread` places, 1 in the middle."""
    ys, xs = (torch.arange(n, dtype=torch.float32, device=joints.device) for n in size)
    x, y = joints.float().unbind(dim=1)
    square = (ys[None, :, None] - y[:, None, None]) ** 2 + (xs[None, None, :] - x[:, None, None]) ** 2
    return torch.exp(-square / (2 * spread**2))


def joints_from(maps: Tensor, *, places: int = 3) -> Tensor:
    """Joints (T, J, 2), x and y in places, from maps (T, J, H', W'): the mean of the `places` highest, weighted.

    NaN where a map is zero everywhere.
    """
    flat = maps.flatten(2)
    value, where = flat.topk(min(places, flat.shape[2]), dim=2)
    total = value.sum(dim=2)
    x, y = where % maps.shape[3], where // maps.shape[3]
    return torch.stack([(value * x).sum(2) / total, (value * y).sum(2) / total], dim=2)
