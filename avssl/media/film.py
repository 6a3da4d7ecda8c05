"""Films: files of which a packet table tells what is shown when. What gives the pixels is a backend."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from avssl.core import MediaError, MediaInfo, Sound
from avssl.media.clips import Media, Shot
from avssl.media.frames import decode, shown_at
from avssl.media.place import placed
from avssl.media.sound import cut
from avssl.media.table import FileTable, PictureTable

__all__ = ["Film", "PyavFilm", "numbers_of"]


class Film(Media):
    """A file with moving pictures, with sound, or with both: all but the pixels is told by its table."""

    def __init__(self, path: Path, table: FileTable, device: torch.device) -> None:
        super().__init__(path, device)
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

    def _sounds(self, wanted: Sequence[Sound]) -> list[tuple[Tensor, int]]:
        assert self._table.sound is not None  # read() has asked _has_sound
        return cut(self.path, self._table.sound, self._table.stamp, wanted)


class PyavFilm(Film):
    """Frames by the FFmpeg that PyAV brings: the default, on the processor, right wherever FFmpeg is."""

    def _shots(self, shots: Sequence[Shot]) -> list[Tensor]:
        frames = decode(self.path, self._picture, self._table.stamp, numbers_of(shots))
        return placed(self.path, frames, shots, self._picture.turn, self.spent)


def numbers_of(shots: Sequence[Shot]) -> list[int]:
    """The numbers of all frames of some shots, each once, rising."""
    return sorted({number for shot in shots for number in shot.numbers})
