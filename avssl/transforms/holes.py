"""Rectangles of a picture to hide: only numbers, as what is hidden is also what is asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from avssl.core import Example, MediaInfo, Plan, Rng
from avssl.transforms.base import Part, require

__all__ = ["Holes"]


@dataclass(frozen=True, kw_only=True)
class Holes(Part):
    """Where the holes are: `boxes` (S, n, 4), relative top, left, height and width; the pixels stay.

    Of "centre" there is one, square in a square picture; of "blocks" several anywhere, which may overlap. All frames of
    a clip have the same. Pathak et al., CVPR 2016, arXiv:1604.07379, section 3.3.
    """

    place: Literal["centre", "blocks"] = "centre"
    share: float = 0.25
    """Of the picture's area that is hidden; of "blocks" at most."""
    blocks: int = 4
    """How many of "blocks" there are."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.place in {"centre", "blocks"}, f"place {self.place!r}: must be 'centre' or 'blocks'")
        require(0 < self.share < 1, f"share {self.share}: must be above 0 and below 1")
        require(self.blocks >= 1, f"blocks {self.blocks}: must be ≥ 1")
        require(self.scope != "frame" and self.only is None, "Holes are of whole clips, and of all")

    def draw(self, plan: Plan, info: MediaInfo, rng: Rng, /) -> Plan:
        """The plan with `boxes`."""
        boxes = self.shared(plan, lambda n: np.stack([self._drawn(rng) for _ in range(n[0])]))
        return self.record(plan, boxes=boxes.astype(np.float32))

    def apply(self, batch: Example, /) -> Example:
        """The batch as it is."""
        return batch

    def _drawn(self, rng: Rng) -> np.ndarray:
        if self.place == "centre":
            side = math.sqrt(self.share)
            return np.array([[(1 - side) / 2, (1 - side) / 2, side, side]])
        # sides so that even blocks that lie apart cover no more than the share
        sides = rng.uniform(0.5, 1.0, (self.blocks, 2)) * math.sqrt(self.share / self.blocks)
        corners = rng.random((self.blocks, 2)) * (1 - sides)
        return np.concatenate((corners, sides), axis=1)
