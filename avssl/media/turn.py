"""How a decoded frame is stretched, turned and mirrored before it is shown."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, cast

from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame
from torch import Tensor

__all__ = ["Turn", "turn_of"]

STRANGEST = 8
"""Pixels of a shape further from a square are taken for an error of the header, and for squares."""


@dataclass(frozen=True, kw_only=True)
class Turn:
    """From the decoded to the shown frame: first stretch the lines, then swap rows and columns, then mirror."""

    swap: bool = False
    upside_down: bool = False
    left_right: bool = False
    across: int = 1
    down: int = 1
    """The shape of a decoded pixel: its width to its height."""

    def shown_size(self, height: int, width: int) -> tuple[int, int]:
        """The size of the shown frame."""
        return self.swapped(height, max(1, round(width * self.across / self.down)))

    def swapped(self, height: int, width: int) -> tuple[int, int]:
        """A size with its sides swapped, if they are."""
        return (width, height) if self.swap else (height, width)

    def undo(self, crop: tuple[int, int, int, int], decoded: tuple[int, int]) -> tuple[int, int, int, int]:
        """Where a crop (top, left, height, width) of the shown frame lies in the decoded one of some size."""
        shown = self.shown_size(*decoded)
        top, left, height, width = crop
        if self.upside_down:
            top = shown[0] - top - height
        if self.left_right:
            left = shown[1] - left - width
        if self.swap:
            top, left, height, width = left, top, width, height
        whole, stretched = decoded[1], self.swapped(*shown)[1]
        wide = min(max(round(width * whole / stretched), 1), whole)
        return top, min(round(left * whole / stretched), whole - wide), height, wide

    def apply(self, frame: Tensor) -> Tensor:
        """Turn a decoded crop (C, H, W)."""
        if self.swap:
            frame = frame.transpose(-1, -2)
        axes = [a for a, flip in ((-2, self.upside_down), (-1, self.left_right)) if flip]
        return frame.flip(axes) if axes else frame


def turn_of(frame: VideoFrame, aspect: Fraction | None) -> Turn:
    """How a frame is to be shown; angles between quarter turns are taken for the nearest one.

    `aspect` is the width of a pixel over its height; None: nobody knows, and they are taken for squares.
    """
    usual = aspect is None or not 1 <= STRANGEST * aspect <= STRANGEST**2
    across, down = (1, 1) if usual or aspect is None else (aspect.numerator, aspect.denominator)
    try:
        matrix = struct.unpack("=9i", bytes(cast(Any, frame.side_data)[Type.DISPLAYMATRIX]))
    except (KeyError, struct.error):
        return Turn(across=across, down=down)
    a, b, c, d = matrix[0], matrix[1], matrix[3], matrix[4]  # shown x = a·x + c·y, shown y = b·x + d·y
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Turn(upside_down=d < 0, left_right=a < 0, across=across, down=down)
    return Turn(swap=True, upside_down=b < 0, left_right=c < 0, across=across, down=down)
