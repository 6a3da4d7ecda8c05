"""Opening and probing files of every kind with FFmpeg (by PyAV) and Pillow."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame
from torch import Tensor

from avssl.core import MediaError, MediaInfo, Sound
from avssl.media.build import build_table
from avssl.media.clips import Media
from avssl.media.files import first_bytes, refusing, stamp_of
from avssl.media.frames import decode, shown_at
from avssl.media.kinds import VIDEO_SUFFIXES, looks_like_picture
from avssl.media.picture import load_picture
from avssl.media.sound import cut
from avssl.media.table import FileTable, PictureTable
from avssl.media.turn import Turn

__all__ = ["look", "open_media", "probe"]


def open_media(path: str | os.PathLike[str], table: FileTable | None = None) -> Media:
    """Open a video, a picture or a sound file, whatever its name says.

    With the `table` that `look` gave, a film is neither opened nor demuxed again: its packets are read where they lie.

    Raises:
        MediaError: it cannot be read, or has changed since the table was made.
    """
    file = Path(path)
    if table is not None and not table.info.is_picture:
        return _Film(file, table)
    if _is_picture(file) and (frame := load_picture(file)) is not None:
        return _Picture(file, frame)
    return _Film(file, build_table(file))


def look(path: str | os.PathLike[str]) -> FileTable:
    """Look once through a file: what it holds and where, with its first frame and sound decoded as a proof.

    Raises:
        MediaError: it cannot be read.
    """
    file = Path(path)
    if _is_picture(file) and (frame := load_picture(file)) is not None:
        with refusing(file, "reading it"):
            return FileTable(stamp=stamp_of(file), info=_Picture(file, frame).info)
    return build_table(file)


def probe(path: str | os.PathLike[str]) -> MediaInfo:
    """What a file holds; see `look`.

    Raises:
        MediaError: it cannot be read.
    """
    return look(path).info


def _is_picture(path: Path) -> bool:
    return looks_like_picture(first_bytes(path)) and path.suffix.lower() not in VIDEO_SUFFIXES - {".gif"}


class _Picture(Media):
    """A still picture: a clip with T = 1."""

    def __init__(self, path: Path, frame: VideoFrame) -> None:
        super().__init__(path)
        self._frame = frame

    @property
    def _info(self) -> MediaInfo:
        return MediaInfo(duration=0.0, frames=1, height=self._frame.height, width=self._frame.width)

    @property
    def _has_sound(self) -> bool:
        return False

    def _times(self, times: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
        wrong = [t for t in times if abs(t) > 1e-6]
        if wrong:
            raise MediaError(self.path, f"a picture is shown at 0 s only, not at {wrong[0]:g} s", "ask for instant 0")
        return np.zeros(len(times), np.int64), np.zeros(len(times))

    def _frames(self, numbers: Collection[int]) -> Iterator[tuple[int, VideoFrame, Turn]]:
        yield 0, self._frame, Turn()

    def _sounds(self, wanted: Sequence[Sound]) -> list[tuple[Tensor, int]]:
        return []


class _Film(Media):
    """A file with moving pictures, with sound, or with both."""

    def __init__(self, path: Path, table: FileTable) -> None:
        super().__init__(path)
        self._table = table

    @property
    def _info(self) -> MediaInfo:
        return self._table.info

    @property
    def _has_sound(self) -> bool:
        return self._table.sound is not None

    @property
    def _picture(self) -> PictureTable:
        if self._table.picture is None:
            raise MediaError(self.path, "there are no pictures in it", "ask for sound only or leave the file out")
        return self._table.picture

    def _times(self, times: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
        numbers = shown_at(self._picture, times, self.path)
        return numbers, self._picture.instants(numbers)

    def _frames(self, numbers: Collection[int]) -> Iterator[tuple[int, VideoFrame, Turn]]:
        for number, frame in decode(self.path, self._picture, self._table.stamp, numbers):
            yield number, frame, self._picture.turn

    def _sounds(self, wanted: Sequence[Sound]) -> list[tuple[Tensor, int]]:
        assert self._table.sound is not None  # read() has asked _has_sound
        return cut(self.path, self._table.sound, self._table.stamp, wanted)
