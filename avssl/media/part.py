"""A stretch of a file, to be taken out of it: which frames and samples it has, on a clock of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from avssl.media.resample import ratio
from avssl.media.table import FileTable, PictureTable

__all__ = ["Part", "part_of"]

MICRO = 1_000_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """What lies in a stretch, on a clock that starts where the stretch does.

    It is [start, end) s of the file's clock. Frames [first, first + len(ticks)) begin at `ticks`, and the last ends at
    `length`, of `tick` s each. Sound is heard in the samples [heard, silent) at `rate` Hz; sample `zero` of the file's
    clock is the 0 of this one.
    """

    first: int = 0
    ticks: np.ndarray
    length: int = 0
    tick: Fraction = Fraction(1)
    start: float = 0.0
    end: float = 0.0
    heard: int = 0
    silent: int = 0
    rate: int = 0
    zero: int = 0

    @property
    def instants(self) -> np.ndarray:
        """When the frames begin to be shown, s."""
        found: np.ndarray = self.ticks * float(self.tick)
        return found


def part_of(table: FileTable, start: float = 0.0, end: float | None = None, *, rate: int | None = None) -> Part:
    """What of a film or of sound lies in [start, end) s; of a whole file also what sounds before and after its frames.

    Sound is told at `rate` Hz; None: at its own, 0: not at all. A stretch of pictures is widened to whole frames, so
    that their rate stays.
    """
    whole = start == 0 and end is None
    origin = Fraction(start).limit_denominator(MICRO)
    last = Fraction(table.info.duration if end is None else end).limit_denominator(MICRO)
    part = Part(ticks=np.zeros(0, np.int64))
    if table.picture is not None:
        part, begin = _frames(table.picture, origin, None if whole else last)
        origin, last = begin * part.tick, (begin + part.length) * part.tick
    part = replace(part, start=float(origin), end=float(last))
    if table.sound is None or rate == 0:
        return part
    rate = rate or table.sound.rate
    old, new = ratio(table.sound.rate, rate)
    zero = round(origin * rate)
    heard, silent = (-(-(n - table.sound.shift) * new // old) - zero for n in (table.sound.begin, table.sound.end))
    if not whole:
        heard, silent = max(heard, 0), min(silent, round((last - origin) * rate))
    return replace(part, heard=heard, silent=max(heard, silent), rate=rate, zero=zero)


def _frames(picture: PictureTable, origin: Fraction, last: Fraction | None) -> tuple[Part, int]:
    """The frames shown from `origin` to `last`, and the tick of the file's clock at which the first begins."""
    ticks = picture.ticks.astype(np.int64)
    first, stop = 0, len(ticks)
    if last is not None:
        first = max(int(np.searchsorted(ticks, round(origin / picture.tick), "right")) - 1, 0)
        stop = max(first + 1, int(np.searchsorted(ticks, round(last / picture.tick), "left")))
    end = (
        int(ticks[stop])
        if stop < len(ticks)
        else max(round(Fraction(picture.duration) / picture.tick), int(ticks[-1]) + 1)
    )
    begin = int(ticks[first])
    return Part(first=first, ticks=ticks[first:stop] - begin, length=end - begin, tick=picture.tick), begin
