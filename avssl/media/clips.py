"""`Media`, what every other room sees of a file: how spans become clips, whatever decodes the frames and the sound.

A backend is a subclass: it turns shots – numbers of frames, crops and a size – into pixels, and nothing else.
"""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import torch
from torch import Tensor

from avssl.core import Box, Clip, MediaError, MediaInfo, Sound, Span
from avssl.media.files import refusing
from avssl.media.spent import Spent

__all__ = ["Crop", "Media", "Shot", "pixels"]

WHOLE = Box()

Crop = tuple[int, int, int, int]
"""Pixels of a frame: top, left, height, width."""


@dataclass(frozen=True, kw_only=True)
class Shot:
    """The frames of one clip: their numbers, in the order of the clip, how they are cropped, and the size they get.

    `boxes` are none (whole frames), one, or one for each frame; without a `size` (H, W) frames keep that of their crop.
    """

    numbers: tuple[int, ...]
    boxes: tuple[Box, ...] = ()
    size: tuple[int, int] | None = None

    def crop(self, t: int, height: int, width: int) -> Crop:
        """What is cut of frame t of the clip, whose size as it is shown is given."""
        return pixels(self.boxes[t if len(self.boxes) > 1 else 0] if self.boxes else WHOLE, height, width)

    def film(self, path: Path, film: Tensor | None, crop: Crop, device: torch.device) -> Tensor:
        """The clip (T, 3, H, W) that a frame cropped so is to be put into; it is made for the first of them.

        Raises:
            MediaError: the frames of the clip would differ in size.
        """
        size = self.size or crop[2:]
        if film is None:
            return torch.empty((len(self.numbers), 3, *size), dtype=torch.uint8, device=device)
        if film.shape[2:] != size:
            raise MediaError(
                path,
                f"frames of {film.shape[2]}×{film.shape[3]} and of {size[0]}×{size[1]} pixels in one clip",
                "give the span a size",
            )
        return film


class Media(ABC):
    """An open file. Two threads may read two of them at once, but not the same one; none survives a fork.

    Frames come on `device`, wherever they are decoded; sound, and all else, in the memory of the processor.
    """

    def __init__(self, path: Path, device: torch.device) -> None:
        self.path = path
        self.device = device
        self.spent = Spent()
        """How long reading has taken, summed over the reads of this file; backends tell what of it is conversion."""
        self._process = os.getpid()
        self._open = True

    @property
    def info(self) -> MediaInfo:
        """What the file holds."""
        self._guard()
        with refusing(self.path, "reading it"):
            return self._info

    def close(self) -> None:
        """Let go of the file; it cannot be read any more. Closing twice does no harm."""
        self._open = False

    @property
    @abstractmethod
    def _info(self) -> MediaInfo: ...

    @property
    @abstractmethod
    def _has_sound(self) -> bool: ...

    @abstractmethod
    def _times(self, times: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of the frames shown at some instants, and when they begin to be shown (s)."""

    @abstractmethod
    def _shots(self, shots: Sequence[Shot]) -> list[Tensor]:
        """The clips of some shots, (T, 3, H, W) uint8 each, out of one decoding pass for all; on any device."""

    @abstractmethod
    def _sounds(self, wanted: Sequence[Sound]) -> list[tuple[Tensor, int]]:
        """Cut stretches of sound, (A, N) float32 each, with the number of real samples."""

    def read(self, spans: Sequence[Span]) -> list[Clip]:
        """Cut clips out of this file in one decoding pass for all; `Span.file` is not looked at.

        Frames are uint8 RGB (T, 3, H, W) on `device`, sound float32 (A, N).

        Raises:
            MediaError: the file does not have what is asked for, or is damaged there.
        """
        self._guard()
        for span in spans:  # what cannot be had is refused before anything is decoded
            if span.sound is not None and not self._has_sound:
                raise MediaError(self.path, "there is no sound in it", "ask for frames only or leave the file out")
        with refusing(self.path, "reading it"):
            since, before = time.perf_counter(), self.spent.convert
            films = self._films(spans)
            told = time.perf_counter()
            self.spent.decode += told - since - (self.spent.convert - before)
            stretches = [s.sound for s in spans if s.sound is not None]
            sounds = iter(self._sounds(stretches) if stretches else [])
            self.spent.sound += time.perf_counter() - told
        clips = []
        for film, span in zip(films, spans, strict=True):
            video, times = film if film is not None else (None, None)
            audio, valid = next(sounds) if span.sound is not None else (None, None)
            real = None if valid is None else torch.tensor(valid, dtype=torch.int64)
            clips.append(Clip(video=video, audio=audio, times=times, valid=real))
        return clips

    def _guard(self) -> None:
        if os.getpid() != self._process:
            raise MediaError(
                self.path, "it was opened in another process, before a fork", "open it in the process that reads it"
            )
        if not self._open:
            raise MediaError(self.path, "it was closed before", "open it again")

    def _films(self, spans: Sequence[Span]) -> list[tuple[Tensor, Tensor] | None]:
        """The frames of each span, and when they begin to be shown; None where a span asks for none."""
        shots: list[Shot] = []
        begins: list[Tensor] = []
        for span in spans:
            if span.times:
                numbers, times = self._times(span.times)
                shots.append(Shot(numbers=tuple(numbers.tolist()), boxes=span.boxes, size=span.size))
                begins.append(torch.from_numpy(times))
        films = self._shots(shots) if shots else []
        told = iter([(f.to(self.device), b) for f, b in zip(films, begins, strict=True)])
        return [next(told) if span.times else None for span in spans]

    def __enter__(self) -> Media:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def pixels(box: Box, height: int, width: int) -> Crop:
    """A crop in whole pixels (top, left, height, width): rounded, at least one each way, inside the frame.

    The size depends on the size of the box alone, so that a box that wanders keeps it.
    """
    high = min(max(round(box.height * height), 1), height)
    wide = min(max(round(box.width * width), 1), width)
    return min(round(box.top * height), height - high), min(round(box.left * width), width - wide), high, wide
