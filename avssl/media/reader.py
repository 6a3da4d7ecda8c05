"""Opening and probing files of every kind with FFmpeg (by PyAV) and Pillow."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from torch import Tensor

from avssl.core import MediaError, MediaInfo, Sound, Span
from avssl.media.clips import Media
from avssl.media.files import first_bytes, open_container, refusing
from avssl.media.frames import FrameTable, decode, frame_table
from avssl.media.kinds import VIDEO_SUFFIXES, looks_like_picture
from avssl.media.motion import motion
from avssl.media.packets import tracks
from avssl.media.picture import load_picture
from avssl.media.sound import SoundTable, cut, extent, onset, sound_table
from avssl.media.turn import Turn, turn_of

__all__ = ["open_media", "probe"]


def open_media(path: str | os.PathLike[str]) -> Media:
    """Open a video, a picture or a sound file, whatever its name says.

    Raises:
        MediaError: it cannot be read.
    """
    file = Path(path)
    if looks_like_picture(first_bytes(file)) and file.suffix.lower() not in VIDEO_SUFFIXES - {".gif"}:
        frame = load_picture(file)
        if frame is not None:
            return _Picture(file, frame)
    return _Film(file)


def probe(path: str | os.PathLike[str]) -> MediaInfo:
    """What a file holds, with its first frame and its first sound decoded as a proof that it can be read.

    Raises:
        MediaError: it cannot be read.
    """
    with open_media(path) as media:
        info = media.info
        sound = (
            Sound(start=info.sound_start, duration=1 / info.sample_rate, rate=info.sample_rate)
            if info.channels
            else None
        )
        media.read([Span(times=(0.0,) if info.frames else (), sound=sound, size=(8, 8))])
    return info


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

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._container: InputContainer = open_container(path)
        with refusing(path, "reading it"):
            self._picture, self._sound = tracks(path, self._container)
        if self._picture is None and self._sound is None:
            self._container.close()
            raise MediaError(path, "it has neither pictures nor sound that can be decoded", "leave it out")

    def close(self) -> None:
        if self._open and os.getpid() == self._process:
            self._container.close()
        super().close()

    @cached_property
    def _table(self) -> FrameTable:
        if self._picture is None:
            raise MediaError(self.path, "there are no pictures in it", "ask for sound only or leave the file out")
        return frame_table(self._picture)

    @cached_property
    def _sound_table(self) -> SoundTable:
        assert self._sound is not None  # read() has asked _has_sound
        return sound_table(self._sound)

    @cached_property
    def _zero(self) -> Fraction:
        """The 0 of the file's clock on that of the container: the first frame, or else the first sample."""
        if self._picture is not None:
            return self._table.zero
        assert self._sound is not None
        return onset(self._sound, self._sound_table)

    @cached_property
    def _info(self) -> MediaInfo:
        info = MediaInfo(duration=0.0)
        if self._sound is not None:
            start, end = extent(self._sound, self._sound_table)
            info = MediaInfo(
                duration=float(end - start),
                sample_rate=self._sound_table.rate,
                channels=self._sound_table.channels,
                sound_start=float(start - self._zero),
                sound_duration=float(end - start),
            )
        if self._picture is None:
            return info
        table = self._table
        frame, turn = next((f, t) for n, f, t in self._frames([0]))
        height, width = turn.shown_size(frame.height, frame.width)
        return replace(
            info,
            duration=table.duration,
            fps=table.fps,
            frames=len(table.times),
            height=height,
            width=width,
            motion=motion(self._picture, table),
        )

    @property
    def _has_sound(self) -> bool:
        return self._sound is not None

    def _times(self, times: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
        numbers = self._table.at(times, self.path)
        return numbers, self._table.times[numbers]

    def _frames(self, numbers: Collection[int]) -> Iterator[tuple[int, VideoFrame, Turn]]:
        assert self._picture is not None  # _times has found the frames
        for number, frame in decode(self._picture, self._table, numbers):
            yield number, frame, turn_of(frame)

    def _sounds(self, wanted: Sequence[Sound]) -> list[tuple[Tensor, int]]:
        assert self._sound is not None
        return cut(self._sound, self._sound_table, self._zero, wanted)
