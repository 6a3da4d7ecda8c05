"""The display matrix of a video: how a decoded frame is turned and mirrored before it is shown."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, cast

from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame
from torch import Tensor

__all__ = ["Turn", "turn_of"]


@dataclass(frozen=True, kw_only=True)
class Turn:
    """From the decoded to the shown frame: first swap rows and columns, then mirror."""

    swap: bool = False
    upside_down: bool = False
    left_right: bool = False

    def shown_size(self, height: int, width: int) -> tuple[int, int]:
        """The size of the shown frame."""
        return (width, height) if self.swap else (height, width)

    def undo(self, crop: tuple[int, int, int, int], shown: tuple[int, int]) -> tuple[int, int, int, int]:
        """Where a crop (top, left, height, width) of the shown frame lies in the decoded one."""
        top, left, height, width = crop
        if self.upside_down:
            top = shown[0] - top - height
        if self.left_right:
            left = shown[1] - left - width
        return (left, top, width, height) if self.swap else (top, left, height, width)

    def apply(self, frame: Tensor) -> Tensor:
        """Turn a decoded crop (C, H, W)."""
        if self.swap:
            frame = frame.transpose(-1, -2)
        axes = [a for a, flip in ((-2, self.upside_down), (-1, self.left_right)) if flip]
        return frame.flip(axes) if axes else frame


def turn_of(frame: VideoFrame) -> Turn:
    """How a frame is to be turned; angles between quarter turns are taken for the nearest one."""
    try:
        matrix = struct.unpack("=9i", bytes(cast(Any, frame.side_data)[Type.DISPLAYMATRIX]))
    except (KeyError, struct.error):
        return Turn()
    a, b, c, d = matrix[0], matrix[1], matrix[3], matrix[4]  # shown x = a·x + c·y, shown y = b·x + d·y
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Turn(upside_down=d < 0, left_right=a < 0)
    return Turn(swap=True, upside_down=b < 0, left_right=c < 0)
