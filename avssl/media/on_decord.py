"""Frames by decord, for files plain enough that it counts frames as we do; all others are refused.

decord finds frames by their index in the order of timestamps, and decodes from where the container flags a key frame.
Where that is not what is shown (edit lists, open groups of pictures, AVI, streams without timestamps) it gives other
frames and does not say so. The refusals here are what is known of that.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from av.video.frame import VideoFrame
from torch import Tensor

from avssl.core import MediaError
from avssl.media.clips import Shot
from avssl.media.files import first_bytes, read_whole
from avssl.media.film import Film, numbers_of
from avssl.media.frames import decode
from avssl.media.place import placed
from avssl.media.table import FileTable, PictureTable

__all__ = ["DecordFilm"]

REMEDY = "choose backend pyav"

SLIP = 0.0011
"""Instants (s) may differ by so much: containers round them to milliseconds, decord to float32."""


class DecordFilm(Film):
    """Frames by decord on the processor; they are uploaded if a device is asked for.

    Raises:
        MediaError: decord is not installed, or cannot give the frames of this file by their numbers.
    """

    def __init__(self, path: Path, table: FileTable, device: torch.device) -> None:
        super().__init__(path, table, device)
        in_avi = first_bytes(path)[8:12] == b"AVI "
        if (why := "finds wrong frames in AVI" if in_avi else _unfit(self._picture)) is not None:
            raise self._cannot(why)
        ends = [f for _, f in decode(path, self._picture, table.stamp, {0, len(self._picture.rows) - 1})]
        if any(f.interlaced_frame for f in ends):
            raise self._cannot("counts fields as frames")
        if len({(f.height, f.width) for f in ends}) > 1:
            raise self._cannot("loses frames where their size changes")
        try:
            import decord

            decord.logging.set_level(decord.logging.QUIET)  # what it has to say comes in its errors, too
        except (ImportError, OSError) as e:
            raise MediaError(path, f"decord cannot be used ({e})", f"pip install decord, or {REMEDY}") from e
        try:
            # by its bytes: a path may be that of a member of a tar file
            self._reader: Any = decord.VideoReader(io.BytesIO(read_whole(path)), ctx=decord.cpu(0), num_threads=1)
            told: np.ndarray = self._reader.get_frame_timestamp(range(len(self._reader)))[:, 0]
            keys = {int(k) for k in self._reader.get_key_indices()}
        except (decord.DECORDError, RuntimeError, AssertionError) as e:
            raise self._cannot(f"does not open it ({_said(e)})") from e
        if (why := _differs(self._picture, told, keys)) is not None:
            raise self._cannot(why)

    def _cannot(self, what: str) -> MediaError:
        return MediaError(self.path, f"backend decord {what}", REMEDY)

    def close(self) -> None:
        """Let go of the file; it cannot be read any more. Closing twice does no harm."""
        super().close()
        self._reader = None

    def _shots(self, shots: Sequence[Shot]) -> list[Tensor]:
        numbers = numbers_of(shots)
        try:
            found: np.ndarray = self._reader.get_batch(numbers).asnumpy()
        except RuntimeError as e:  # what DECORDError is
            raise self._cannot(f"does not give frames {numbers[0]} to {numbers[-1]}") from e
        frames = (
            (n, VideoFrame.from_ndarray(np.ascontiguousarray(f), format="rgb24"))
            for n, f in zip(numbers, found, strict=True)
        )
        return placed(self.path, frames, shots, self._picture.turn, self.spent)


def _said(error: Exception) -> str:
    """What decord says, without the time and the place in its source."""
    return re.sub(r"^\[[\d:]+\] \S+ ", "", str(error).strip().partition("\n")[0])


def _unfit(table: PictureTable) -> str | None:
    """Why the frames of a file are not to be had by counting timestamps from a key frame on."""
    starts = np.unique(table.starts)
    shown_first = np.flatnonzero(table.rows.astype(np.int64) == table.starts)
    leading = np.maximum.accumulate(table.rows)[shown_first] > table.rows[shown_first]
    if not table.raw:
        return "finds wrong frames where packets are not in one piece, as in MPEG streams"
    turn = table.turn
    if turn.swap or turn.upside_down or turn.left_right:
        return "does not turn frames as the file says"
    if len(table.rows) != len(table.size) or not set(starts.tolist()) <= set(table.rows.tolist()):
        return "shows packets that the file hides"
    if bool(leading.any()):
        return "counts wrongly in open groups of pictures"
    return None


def _differs(table: PictureTable, told: np.ndarray, keys: set[int]) -> str | None:
    """What decord says of a file that differs from our table, if anything does."""
    if len(told) != len(table.rows):
        return f"counts {len(told)} frames where there are {len(table.rows)}"
    ours = table.instants(np.arange(len(table.rows)))
    worst = float(np.abs(told - told[0] - ours).max())
    if worst > SLIP:
        return f"places frames up to {worst:.3f} s from where they are shown"
    starts = set(np.flatnonzero(table.rows.astype(np.int64) == table.starts).tolist())
    if keys - starts:
        return f"takes frame {min(keys - starts)} for a key frame"
    return None
