"""`Media`, what every other room sees of a file: how spans become clips, whatever decodes the frames and the sound."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
import torch
from av.video.frame import VideoFrame
from torch import Tensor

from avssl.core import Box, Clip, MediaError, MediaInfo, Sound, Span
from avssl.media.convert import Converter
from avssl.media.files import refusing
from avssl.media.turn import Turn

__all__ = ["Media", "pixels"]

WHOLE = Box()


class Media(ABC):
    """An open file. Two threads may read two of them at once, but not the same one; none survives a fork."""

    def __init__(self, path: Path) -> None:
        self.path = path
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
    def _frames(self, numbers: Collection[int]) -> Iterator[tuple[int, VideoFrame, Turn]]:
        """Decode the frames of some numbers, each once, in any order."""

    @abstractmethod
    def _sounds(self, wanted: Sequence[Sound]) -> list[tuple[Tensor, int]]:
        """Cut stretches of sound, (A, N) float32 each, with the number of real samples."""

    def read(self, spans: Sequence[Span]) -> list[Clip]:
        """Cut clips out of this file in one decoding pass for all; `Span.file` is not looked at.

        Frames are uint8 RGB (T, 3, H, W), sound float32 (A, N).

        Raises:
            MediaError: the file does not have what is asked for, or is damaged there.
        """
        self._guard()
        for span in spans:  # what cannot be had is refused before anything is decoded
            if span.sound is not None and not self._has_sound:
                raise MediaError(self.path, "there is no sound in it", "ask for frames only or leave the file out")
        with refusing(self.path, "reading it"):
            films = self._films(spans)
            stretches = [s.sound for s in spans if s.sound is not None]
            sounds = iter(self._sounds(stretches) if stretches else [])
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
        uses: dict[int, list[tuple[int, int]]] = {}
        begins: list[Tensor] = []
        for s, span in enumerate(spans):
            numbers, times = self._times(span.times) if span.times else (np.empty(0, np.int64), np.empty(0))
            begins.append(torch.from_numpy(times))
            for t, number in enumerate(numbers.tolist()):
                uses.setdefault(number, []).append((s, t))
        films: dict[int, Tensor] = {}
        converter = Converter()
        try:
            for number, frame, turn in self._frames(uses.keys()) if uses else ():
                for s, t in uses[number]:
                    self._place(films, s, spans[s], t, frame, turn, converter)
        finally:
            converter.close()
        return [(films[s], begins[s]) if span.times else None for s, span in enumerate(spans)]

    def _place(
        self, films: dict[int, Tensor], s: int, span: Span, t: int, frame: VideoFrame, turn: Turn, converter: Converter
    ) -> None:
        """Convert one frame into its place in the clip, which is made when its first frame comes."""
        shown = turn.shown_size(frame.height, frame.width)
        crop = pixels(span.boxes[t if len(span.boxes) > 1 else 0] if span.boxes else WHOLE, *shown)
        size = span.size or crop[2:]
        film = films.get(s)
        if film is None:
            film = films[s] = torch.empty((len(span.times), 3, *size), dtype=torch.uint8)
        if film.shape[2:] != size:
            raise MediaError(
                self.path,
                f"frames of {film.shape[2]}×{film.shape[3]} and of {size[0]}×{size[1]} pixels in one clip",
                "give the span a size",
            )
        if turn == Turn():
            converter(frame, crop, film[t].numpy())
        else:
            decoded = torch.empty((3, *turn.shown_size(*size)), dtype=torch.uint8)
            converter(frame, turn.undo(crop, shown), decoded.numpy())
            film[t] = turn.apply(decoded)

    def __enter__(self) -> Media:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def pixels(box: Box, height: int, width: int) -> tuple[int, int, int, int]:
    """A crop in whole pixels (top, left, height, width): rounded, at least one each way, inside the frame.

    The size depends on the size of the box alone, so that a box that wanders keeps it.
    """
    high = min(max(round(box.height * height), 1), height)
    wide = min(max(round(box.width * width), 1), width)
    return min(round(box.top * height), height - high), min(round(box.left * width), width - wide), high, wide
