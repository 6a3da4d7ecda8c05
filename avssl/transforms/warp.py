"""Plane maps of whole pictures, drawn as numbers: which point of the frame is shown where."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from avssl.core import Clip, Example, MediaInfo, Plan, Rng, generator
from avssl.transforms.base import Part, repeat_spans, require
from avssl.transforms.pixels import as_float

__all__ = ["AffineWarp", "ProjectiveWarp"]

GREY = 0.5
"""What is shown where the frame has nothing."""

_DRAWS = 20_000
"""Maps over which means and deviations are taken: their own error is below 1 %."""


@dataclass(frozen=True, kw_only=True)
class _Warp(Part):
    """A map of the plane, the same for all frames of a clip, in one bilinear interpolation over grey.

    `numbers` (S, P) of a clip are the entries of a 3 × 3 matrix, row by row, those left out being those of the
    identity. It takes (x, y, 1) of a point that is shown to the point of the frame that is seen there, in coordinates
    that run from −1 to 1 over width and height.
    """

    places_labels: ClassVar[bool] = True

    beside: bool = True
    """Whether every clip is there twice (2 S clips, those of one side by side), first as it is and then warped, as AET
    wants it; else it is warped where it is."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.scope != "frame", f"{type(self).__name__} warps all frames of a clip alike: scope clip or sample")
        require(not self.beside or self.only is None, f"{type(self).__name__} with beside=True warps all: only=None")

    @abstractmethod
    def matrices(self, n: int, rng: Rng) -> np.ndarray:
        """Draw n maps, (n, 3, 3)."""

    @property
    @abstractmethod
    def count(self) -> int:
        """P, how many numbers a map has."""

    def numbers(self, n: int, rng: Rng) -> np.ndarray:
        """The numbers (n, P) of maps drawn anew."""
        drawn: np.ndarray = self.matrices(n, rng).reshape(n, 9)[:, : self.count]
        return drawn

    @cached_property
    def moments(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each of the P numbers under the law they are drawn by."""
        drawn = self.numbers(_DRAWS, generator(0))
        return tuple(drawn.mean(axis=0).tolist()), tuple(drawn.std(axis=0).tolist())

    def draw(self, plan: Plan, info: MediaInfo, rng: Rng, /) -> Plan:
        """The plan with `numbers`, (2 S, P) or (S, P); those of a clip that stays as it is are the identity's."""
        require(all(s.times for s in plan.spans), f"{type(self).__name__} of a span without frames: nothing to warp")
        numbers = self.shared(plan, lambda n: self.numbers(n[0], rng))
        identity = np.eye(3).reshape(9)[: self.count]
        if self.beside:
            plan = repeat_spans(plan, 2)
            numbers = np.repeat(numbers, 2, axis=0)
            numbers[::2] = identity
        else:
            numbers = np.where(self.mask(plan)[:, None], numbers, identity)
        return self.record(plan, numbers=numbers)

    def apply(self, batch: Example, /) -> Example:
        """The batch changed, as float.

        Raises:
            ValueError: the frames are not square.
        """

        def change(s: int, clip: Clip) -> Clip:
            assert clip.video is not None  # seen to in draw
            height, width = clip.video.shape[-2:]
            require(height == width, f"{type(self).__name__} of {height}×{width} pixels: crop squares first")
            video, numbers = as_float(clip.video), self.chosen(batch, "numbers", s).to(torch.float32)
            identity = torch.eye(3, device=numbers.device).flatten()
            moved = (numbers != identity[: self.count]).any(dim=1)
            if not video.is_cuda and not bool(moved.any()):  # a GPU would have to be waited for
                return replace(clip, video=video)
            matrix = torch.cat((numbers, identity[self.count :].expand(len(numbers), -1)), dim=1)
            shown = _warped(video, matrix.view(-1, 3, 3))
            return replace(clip, video=torch.where(moved[:, None, None, None, None], shown, video))

        return self.change_clips(batch, change)


def _warped(video: Tensor, matrix: Tensor) -> Tensor:
    """Video (B, T, C, H, W) float, seen through maps (B, 3, 3)."""
    height, width = video.shape[-2:]
    y, x = (
        (torch.arange(n, device=video.device, dtype=torch.float32) * 2 + 1) / n - 1  # the middles of the pixels
        for n in (height, width)
    )
    a, b, c = (matrix[:, :, k, None, None] for k in range(3))
    seen = (a * x + b * y[:, None] + c).movedim(1, -1)  # (B, H, W, 3); a product of matrices may differ with the batch
    # beyond the horizon of a strong map there is nothing to be seen
    depth = seen[..., 2:]
    grid = torch.where(depth > 1e-3, seen[..., :2] / depth.clamp(min=1e-3), 4.0)
    centred = video.flatten(1, 2).float() - GREY  # so that the zeros outside are grey
    shown = F.grid_sample(centred, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return (shown + GREY).clamp_(0, 1).view(video.shape).to(video.dtype)


@dataclass(frozen=True, kw_only=True)
class ProjectiveWarp(_Warp):
    """The corners of the frame are scaled, turned by a quarter any number of times, and moved one by one.

    AET: Zhang et al., CVPR 2019, arXiv:1901.04596, section 4.1; the limits are those of its code for CIFAR-10.
    """

    scale: tuple[float, float] = (0.8, 1.2)
    """Limits of the factor from the middle of the frame on."""
    shift: float = 0.125
    """Each corner is moved by up to so much of the frame's side, across and down (4 of 32 pixels)."""
    turns: bool = True
    """Whether quarter turns are among the maps."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 < self.scale[0] <= self.scale[1], f"scale {self.scale}: must be 0 < low ≤ high")
        require(0 <= self.shift < self.scale[0] / 2, f"shift {self.shift}: must be ≥ 0 and below half of the scale")

    @property
    def count(self) -> int:
        """P = 8: the last entry of the matrix is 1."""
        return 8

    def matrices(self, n: int, rng: Rng) -> np.ndarray:
        """Draw n maps, (n, 3, 3)."""
        corners = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
        scale = rng.uniform(*self.scale, size=(n, 1, 1))
        turned = rng.integers(4 if self.turns else 1, size=n)
        moved = rng.uniform(-2 * self.shift, 2 * self.shift, size=(n, 4, 2))
        shown = scale * corners[(np.arange(4) + turned[:, None]) % 4] + moved
        return _projective(shown, np.broadcast_to(corners, shown.shape))


def _projective(shown: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """The maps (n, 3, 3) that take four points (n, 4, 2) each to four others; the last entry is 1."""
    x, y = shown[..., 0], shown[..., 1]
    one, none = np.ones_like(x), np.zeros_like(x)
    rows = [
        np.stack((x, y, one, none, none, none, -seen[..., 0] * x, -seen[..., 0] * y), -1),
        np.stack((none, none, none, x, y, one, -seen[..., 1] * x, -seen[..., 1] * y), -1),
    ]
    right = np.concatenate((seen[..., 0], seen[..., 1]), axis=1)
    entries = np.linalg.solve(np.concatenate(rows, axis=1), right[..., None])[..., 0]
    return np.concatenate((entries, np.ones((len(entries), 1))), axis=1).reshape(-1, 3, 3)


@dataclass(frozen=True, kw_only=True)
class AffineWarp(_Warp):
    """The frame is sheared, scaled, turned and moved. AET: Zhang et al., CVPR 2019, arXiv:1901.04596, section 4.1."""

    degrees: float = 180.0
    """Turned by up to so much, either way."""
    move: float = 0.2
    """Moved by up to so much of the side, across and down."""
    scale: tuple[float, float] = (0.7, 1.3)
    """Limits of the factor."""
    shear: float = 30.0
    """Sheared by up to so many degrees, either way."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 < self.scale[0] <= self.scale[1], f"scale {self.scale}: must be 0 < low ≤ high")
        require(0 <= self.degrees <= 180, f"degrees {self.degrees}: must be from 0 to 180")
        require(0 <= self.shear < 90, f"shear {self.shear}: must be from 0 to below 90 degrees")
        require(self.move >= 0, f"move {self.move}: must be ≥ 0")

    @property
    def count(self) -> int:
        """P = 6: the last row of the matrix is (0, 0, 1)."""
        return 6

    def matrices(self, n: int, rng: Rng) -> np.ndarray:
        """Draw n maps, (n, 3, 3)."""
        angle = np.radians(rng.uniform(-self.degrees, self.degrees, size=n))
        slant = np.tan(np.radians(rng.uniform(-self.shear, self.shear, size=n)))
        scale = rng.uniform(*self.scale, size=n)
        move = rng.uniform(-2 * self.move, 2 * self.move, size=(n, 2))
        c, s = np.cos(angle), np.sin(angle)
        put = np.tile(np.eye(3), (n, 1, 1))  # from the frame to where it is shown
        put[:, 0, 0], put[:, 0, 1] = scale * c, scale * (c * slant - s)
        put[:, 1, 0], put[:, 1, 1] = scale * s, scale * (s * slant + c)
        put[:, :2, 2] = move
        found: np.ndarray = np.linalg.inv(put)
        return found
