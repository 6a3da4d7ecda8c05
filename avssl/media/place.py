"""Putting decoded frames, as FFmpeg's libraries hand them out, into clips."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from av.video.frame import VideoFrame
from torch import Tensor

from avssl.core import MediaError
from avssl.media.clips import Crop, Shot
from avssl.media.convert import Converter
from avssl.media.spent import Spent
from avssl.media.turn import Turn

__all__ = ["placed"]

CPU = torch.device("cpu")


def placed(
    path: Path, frames: Iterable[tuple[int, VideoFrame]], shots: Sequence[Shot], turn: Turn, spent: Spent
) -> list[Tensor]:
    """The clips of some shots; each frame is converted straight into its places as it comes, with its number.

    Raises:
        MediaError: the frames of a clip differ in size, and its shot gives none; or they cannot be scaled so.
    """
    films = [_Film(path, shot, turn) for shot in shots]
    uses: dict[int, list[tuple[_Film, int]]] = {}
    for film, shot in zip(films, shots, strict=True):
        for t, number in enumerate(shot.numbers):
            uses.setdefault(number, []).append((film, t))
    with closing(Converter()) as converter:
        for number, frame in frames:
            since = time.perf_counter()
            for film, t in uses[number]:
                try:
                    film.put(t, frame, converter)
                except ValueError as e:
                    what = f"frame {number} cannot be scaled ({e})"
                    raise MediaError(path, what, "leave the file out or ask for another size") from e
            spent.convert += time.perf_counter() - since
    return [film.clip for film in films]


class _Film:
    """The clip of a shot as it fills; what holds for all its frames is worked out with the first."""

    clip: Tensor

    def __init__(self, path: Path, shot: Shot, turn: Turn) -> None:
        self._path, self._shot, self._turn = path, shot, turn
        self._turned = turn.swap or turn.upside_down or turn.left_right
        self._size = (0, 0)
        self._crops: list[Crop] = []
        self._pixels: np.ndarray | None = None

    def put(self, t: int, frame: VideoFrame, converter: Converter) -> None:
        """Convert a frame into its place."""
        if (frame.height, frame.width) != self._size or self._pixels is None:
            self._pixels = self._begin(frame.height, frame.width)
        crop = self._crops[t if len(self._crops) > 1 else 0]
        if self._turned:
            decoded = torch.empty((3, *self._turn.swapped(*self.clip.shape[2:])), dtype=torch.uint8)
            converter(frame, crop, decoded.numpy())
            self.clip[t] = self._turn.apply(decoded)
        else:
            converter(frame, crop, self._pixels[t])

    def _begin(self, height: int, width: int) -> np.ndarray:
        """The pixels to fill, from a frame of this size on: of the first, or of one that differs from those before."""
        shown = self._turn.shown_size(height, width)
        crops = [self._shot.crop(k, *shown) for k in range(max(1, len(self._shot.boxes)))]
        film = None if self._pixels is None else self.clip
        for crop in crops if self._shot.size is None else crops[:1]:
            film = self._shot.film(self._path, film, crop, CPU)
        assert film is not None  # there is at least one crop
        self.clip = film
        self._crops = crops if self._turn == Turn() else [self._turn.undo(c, (height, width)) for c in crops]
        self._size = height, width
        return self.clip.numpy()
