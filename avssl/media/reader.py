"""Opening and probing files of every kind; which backend decodes the films among them is chosen here."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from av.video.frame import VideoFrame
from torch import Tensor

from avssl.core import MediaError, MediaInfo, Sound
from avssl.media.animation import Animation, animation_table
from avssl.media.build import build_table
from avssl.media.clips import Media, Shot
from avssl.media.decoding import Backend, device_of
from avssl.media.files import first_bytes, refusing, stamp_of
from avssl.media.film import PyavFilm
from avssl.media.kinds import VIDEO_SUFFIXES, looks_like_picture
from avssl.media.on_decord import DecordFilm
from avssl.media.on_torchcodec import TorchcodecFilm
from avssl.media.packets import Coding
from avssl.media.picture import load_picture
from avssl.media.place import placed
from avssl.media.table import FileTable
from avssl.media.turn import Turn

__all__ = ["look", "open_media", "probe"]

CPU = torch.device("cpu")


def open_media(
    path: str | os.PathLike[str],
    table: FileTable | None = None,
    *,
    backend: Backend = "pyav",
    device: str | torch.device = "cpu",
) -> Media:
    """Open a video, a picture or a sound file, whatever its name says.

    With the `table` that `look` gave, a film is neither opened nor demuxed again: its packets are read where they lie.
    Frames come on the `device`; "auto" is CUDA where there is any. Only torchcodec decodes there, others are uploaded
    from. Backend "auto" is "pyav", unless what was measured is given (see `measure`). Pictures have one backend only.

    Raises:
        MediaError: it cannot be read, has changed since the table was made, or is beyond the backend.
        ValueError: there is no such device.
    """
    file, on = Path(path), device_of(device)
    if table is None or table.info.is_picture:
        stamp = None if table is None else table.stamp
        if (stamp or _is_picture(file)) and (frame := load_picture(file, stamp)) is not None:
            return _Picture(file, frame, on)
        table = animation_table(file) or build_table(file)
    return _film(file, table, backend, on)


def _film(path: Path, table: FileTable, backend: Backend, device: torch.device) -> Media:
    if table.picture is None and table.info.has_video:
        return Animation(path, table, device)
    if table.picture is None:  # of sound there is one backend only
        return PyavFilm(path, table, device)
    match backend:
        case "torchcodec":
            return TorchcodecFilm(path, table, device)
        case "decord":
            return DecordFilm(path, table, device)
        case "pyav" | "auto":
            return PyavFilm(path, table, device)


def look(path: str | os.PathLike[str], proven: set[Coding] | None = None) -> FileTable:
    """Look once through a file: what it holds and where, with its first frame and sound decoded as a proof.

    Who looks into many files gives the same set of what is `proven` (see `build_table`), empty at first, for each.

    Raises:
        MediaError: it cannot be read.
    """
    file = Path(path)
    if _is_picture(file) and (frame := load_picture(file)) is not None:
        with refusing(file, "reading it"):
            return FileTable(stamp=stamp_of(file), info=_Picture(file, frame, CPU).info)
    return animation_table(file) or build_table(file, proven)


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

    def __init__(self, path: Path, frame: VideoFrame, device: torch.device) -> None:
        super().__init__(path, device)
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

    def _shots(self, shots: Sequence[Shot]) -> list[Tensor]:
        return placed(self.path, [(0, self._frame)], shots, Turn(), self.spent)

    def _sounds(self, wanted: Sequence[Sound]) -> list[tuple[Tensor, int]]:
        return []
