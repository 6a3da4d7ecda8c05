"""Putting decoded frames, as FFmpeg's libraries hand them out, into clips."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from av.video.frame import VideoFrame
from torch import Tensor

from avssl.media.clips import Shot
from avssl.media.convert import Converter
from avssl.media.turn import Turn

__all__ = ["placed"]

CPU = torch.device("cpu")


def placed(path: Path, frames: Iterable[tuple[int, VideoFrame]], shots: Sequence[Shot], turn: Turn) -> list[Tensor]:
    """The clips of some shots; each frame is converted straight into its places as it comes, with its number.

    Raises:
        MediaError: the frames of a clip differ in size, and its shot gives none.
    """
    uses: dict[int, list[tuple[int, int]]] = {}
    for s, shot in enumerate(shots):
        for t, number in enumerate(shot.numbers):
            uses.setdefault(number, []).append((s, t))
    films: dict[int, Tensor] = {}
    converter = Converter()
    try:
        for number, frame in frames:
            shown = turn.shown_size(frame.height, frame.width)
            for s, t in uses[number]:
                crop = shots[s].crop(t, *shown)
                film = films[s] = shots[s].film(path, films.get(s), crop, CPU)
                if turn == Turn():
                    converter(frame, crop, film[t].numpy())
                else:
                    decoded = torch.empty((3, *turn.shown_size(*film.shape[2:])), dtype=torch.uint8)
                    converter(frame, turn.undo(crop, shown), decoded.numpy())
                    film[t] = turn.apply(decoded)
    finally:
        converter.close()
    return [films[s] for s in range(len(shots))]
