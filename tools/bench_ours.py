"""Ours, and the limit of what can be reached: decoding the packets that are needed, and nothing else."""

# ruff: noqa: D102 – what the methods do is said in `Contender`
from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import av
import numpy as np
from bench_jobs import SOUND_RATE, SOUND_SECONDS, Contender, Cutting, Visit

from avssl.core import Box, Sound, Span
from avssl.media import Coding, FileTable, look, open_media, packed, unpacked


class Ours(Contender):
    """`avssl.media` with the packet table that a scan of the folder has made, or in the first epoch makes."""

    sound = True

    def __init__(self) -> None:
        self._tables: dict[str, bytes] = {}
        self._proven: set[Coding] = set()

    def prepare(self, paths: Sequence[str]) -> None:
        self._tables |= {p: packed(look(p)) for p in paths}

    def read(self, visit: Visit) -> list[Cutting]:
        return _cut(visit, self._tables[visit.path])

    def first(self, visit: Visit) -> list[Cutting]:
        return _cut(visit, packed(look(visit.path, self._proven)))  # as a scan of the folder does


def spans(visit: Visit) -> list[Span]:
    """What avssl is asked for in a visit."""
    high, wide = visit.scaled
    found = []
    for cut in visit.cuts:
        box = Box(top=cut.top / high, left=cut.left / wide, height=visit.crop / high, width=visit.crop / wide)
        sound = None if cut.sound is None else Sound(start=cut.sound, duration=SOUND_SECONDS, rate=SOUND_RATE)
        found.append(Span(times=cut.times, boxes=(box,), size=(visit.crop, visit.crop), sound=sound))
    return found


def _cut(visit: Visit, table: bytes) -> list[Cutting]:
    with open_media(visit.path, unpacked(table)) as media:
        return [(c.video, c.audio) for c in media.read(spans(visit))]


class Limit(Contender):
    """The packets that the wanted frames need are read and decoded; nothing is done with the frames."""

    def __init__(self) -> None:
        self._tables: dict[str, FileTable] = {}

    def prepare(self, paths: Sequence[str]) -> None:
        self._tables |= {p: look(p) for p in paths}

    def read(self, visit: Visit) -> list[Cutting]:
        table = self._tables[visit.path].picture
        if table is None or not table.raw:
            raise ValueError(f"{visit.path}: its packets do not lie in one piece, so that there is no limit to measure")
        numbers = np.array(visit.numbers)
        rows, starts = table.rows[numbers].astype(int), table.starts[numbers].astype(int)
        needed = np.zeros(len(table.size), bool)
        for first, last in zip(starts, rows, strict=True):
            needed[first : last + 1] = True
        needed &= table.droppable == 0
        needed[rows] = True
        context: Any = table.decoder.context()
        file = os.open(visit.path, os.O_RDONLY)
        try:
            for row in np.flatnonzero(needed):
                context.decode(av.Packet(os.pread(file, int(table.size[row]), int(table.position[row]))))
            context.decode(None)
        finally:
            os.close(file)
        return [(None, None) for _ in visit.cuts]
