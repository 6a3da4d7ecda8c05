"""Animated WebP, which FFmpeg cannot decode: its chunks tell the times of its frames, and Pillow decodes them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import torch
from av.video.frame import VideoFrame
from PIL import Image
from torch import Tensor

from avssl.core import MediaError, MediaInfo, Sound
from avssl.media.clips import Media, Shot
from avssl.media.files import changed, first_bytes, refusing, stamp_of
from avssl.media.picture import picture_bytes
from avssl.media.place import placed
from avssl.media.table import FileTable
from avssl.media.turn import Turn

__all__ = ["Animation", "animation_table"]

USUAL = 100
"""Milliseconds for which a frame is shown that is told to last none, as browsers have it."""


def animation_table(path: Path) -> FileTable | None:
    """What an animated WebP holds; None if the file is something else.

    Raises:
        MediaError: its first frame cannot be decoded.
    """
    head = first_bytes(path)
    if head[:4] != b"RIFF" or head[8:12] != b"WEBP":
        return None
    with refusing(path, "reading it"):
        stamp, data = stamp_of(path), picture_bytes(path)
    lasting = _durations(data)
    if not lasting:
        return None
    _, first = next(_decoded(path, data, {0}))
    duration = sum(lasting) / 1000
    info = MediaInfo(
        duration=duration,
        fps=len(lasting) / duration,
        frames=len(lasting),
        height=first.height,
        width=first.width,
    )
    return FileTable(stamp=stamp, info=info)


class Animation(Media):
    """An animated WebP: a film without sound."""

    def __init__(self, path: Path, table: FileTable, device: torch.device) -> None:
        super().__init__(path, device)
        self._told = table.info
        with refusing(path, "reading it"):
            if stamp_of(path) != table.stamp:
                raise changed(path)
            self._data = picture_bytes(path)
        self._begins = np.concatenate([[0], np.cumsum(_durations(self._data))[:-1]])

    @property
    def _info(self) -> MediaInfo:
        return self._told

    @property
    def _has_sound(self) -> bool:
        return False

    def _times(self, times: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
        late = [t for t in times if t >= self._told.duration]
        if late:
            what = f"no frame is shown at {late[0]:g} s; its {self._told.frames} frames last {self._told.duration:g} s"
            raise MediaError(self.path, what, "ask for instants in [0, duration)")
        after = np.searchsorted(self._begins, np.asarray(times) * 1000 + 1e-3, "right")
        numbers = np.maximum(after - 1, 0)
        return numbers, self._begins[numbers] / 1000

    def _shots(self, shots: Sequence[Shot]) -> list[Tensor]:
        wanted = {number for shot in shots for number in shot.numbers}
        return placed(self.path, _decoded(self.path, self._data, wanted), shots, Turn(), self.spent)

    def _sounds(self, wanted: Sequence[Sound]) -> list[tuple[Tensor, int]]:
        return []


def _durations(data: bytes) -> list[int]:
    """How long each frame is shown (ms), by the chunks of animation frames (RFC 9649, section 2.7.1.1)."""
    found, at = [], 12
    while at + 8 <= len(data):
        kind, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if kind == b"ANMF" and at + 8 + size <= len(data):
            found.append(int.from_bytes(data[at + 20 : at + 23], "little") or USUAL)
        at += 8 + size + size % 2
    return found


def _decoded(path: Path, data: bytes, wanted: Collection[int]) -> Iterator[tuple[int, VideoFrame]]:
    """Frames in RGB with their numbers; each is drawn over the ones before."""
    try:
        with Image.open(BytesIO(data), formats=["WEBP"]) as image:
            for number in sorted(wanted):
                image.seek(number)
                rgb = np.ascontiguousarray(image.convert("RGB"))
                yield number, av.VideoFrame.from_ndarray(rgb, format="rgb24")
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as e:
        raise MediaError(path, f"a frame of it cannot be decoded ({e})", "leave it out or fetch it again") from e
