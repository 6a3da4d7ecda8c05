"""How much faster clips come out of a pack than out of its source."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from avssl.core import Box, Sound, Span, generator
from avssl.media import FileTable, open_media

__all__ = ["Side", "Speed", "speed"]

SHARE = 7 / 8
"""Of the shorter side, that of the crop: 112 of 128 pixels."""

SOUND_SECONDS, SOUND_RATE = 1.0, 16000
"""What is read of the sound with each clip, where there is any on both sides."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """A file that clips are read from, and the instant in it, s, at which what is compared begins."""

    path: Path
    table: FileTable
    start: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Clips a second that are read from the source and from the pack, by one thread; medians over rounds.

    The first two are of processor time, the last two of the clock on the wall.
    """

    source_cpu: float
    packed_cpu: float
    source_wall: float
    packed_wall: float
    ratios: tuple[float, ...]
    """Processor time of the source over that of the pack, each round."""
    files: int
    frames: int
    step: int
    size: int
    sounds: int
    """How many of the files have sound, of which a second is read with each clip."""

    @property
    def ratio(self) -> float:
        """The median of the ratios."""
        return float(np.median(self.ratios))


def speed(
    pairs: Sequence[tuple[Side, Side]],
    *,
    frames: int = 16,
    step: int = 2,
    size: int = 112,
    rounds: int = 5,
    seed: int = 0,
) -> Speed:
    """Read the same clip of each file from the source and from its pack, by turns; each round draws other clips.

    Tables are at hand on both sides, and the files have been read once before.

    Raises:
        MediaError: a file is damaged.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    took = np.zeros((rounds + 1, 2, 2))  # round, side, processor or wall
    try:
        for r in range(rounds + 1):
            for k, pair in enumerate(pairs):
                spans = _spans(pair, frames, step, size, generator(seed, r, k).random())
                order = (0, 1) if (r + k) % 2 else (1, 0)
                for side in order:
                    began = time.process_time(), time.perf_counter()
                    with open_media(pair[side].path, pair[side].table) as media:
                        media.read([spans[side]])
                    took[r, side] += time.process_time() - began[0], time.perf_counter() - began[1]
    finally:
        torch.set_num_threads(threads)
    found = took[1:]
    clips = len(pairs) / np.median(found, 0)
    return Speed(
        source_cpu=float(clips[0, 0]),
        packed_cpu=float(clips[1, 0]),
        source_wall=float(clips[0, 1]),
        packed_wall=float(clips[1, 1]),
        ratios=tuple((found[:, 0, 0] / found[:, 1, 0]).tolist()),
        files=len(pairs),
        frames=frames,
        step=step,
        size=size,
        sounds=sum(_sounding(p) for p in pairs),
    )


def _sounding(pair: tuple[Side, Side]) -> bool:
    return all(side.table.info.has_sound for side in pair)


def _spans(pair: tuple[Side, Side], frames: int, step: int, size: int, place: float) -> tuple[Span, Span]:
    """The same clip on both sides, a square in the middle of the frames; a short file repeats its last frame."""
    info = pair[1].table.info
    gap = 1 / info.fps
    room = max(0.0, info.duration - (frames - 1) * step * gap - gap)
    # in the middle of frames, where no rounding matters
    first = (np.floor(place * room / gap) + 0.5) * gap
    times = np.minimum(first + np.arange(frames) * step * gap, info.duration - gap / 2)

    def span(side: Side) -> Span:
        height, width = side.table.info.height, side.table.info.width
        high, wide = SHARE * min(height, width) / height, SHARE * min(height, width) / width
        box = Box(top=(1 - high) / 2, left=(1 - wide) / 2, height=high, width=wide)
        instants = tuple((times + side.start).tolist())
        sound = Sound(start=instants[0], duration=SOUND_SECONDS, rate=SOUND_RATE) if _sounding(pair) else None
        return Span(times=instants, boxes=(box,), size=(size, size), sound=sound)

    return span(pair[0]), span(pair[1])
