"""Which samples of a sound track are lost to damage, where others were never there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from avssl.core import MediaError
from avssl.media.files import Stamp, read_whole
from avssl.media.table import SoundTable

__all__ = ["Heard", "Stretch", "ahead", "lost", "refuse", "warm_up"]

MEMORY = 0.2
"""So long (s) a lossy codec that lost packets decodes what follows wrongly: MP3 of 32 kb/s 0.18, AAC and Opus 0.05."""

WARM_UPS = {"aac": 4096, "opus": 12000, "ac3": 3072, "eac3": 3072, "mp2": 2304}
"""Samples after which codecs are as if they had not started just before: four packets of AAC or two with SBR, 0.25 s of
Opus (RFC 7845, section 4.6, asks for 0.08, after which noise is still 1 % off), two packets of others; of all other
lossy ones, `MEMORY`. The noise that AAC makes up for what it calls noise depends on where decoding started."""

PAGES = {b"OggS": 1.0, b"fLaC": 0.0}
"""First bytes of formats that number their samples and cannot pause: what is missing between two packets is lost. So
long (s) before the gap sound may be out of place, as FFmpeg counts a page of Ogg on from the last that it has seen."""

SAMPLE = 1024
"""Packets, about, whose lengths tell the usual one of a track."""

Stretch = tuple[int, int]
"""Samples [start, stop) of the clock of a track."""

Heard = tuple[int, int, bool]
"""Where a decoded frame begins and ends (samples), and whether packets failed since the one before."""


def ahead(path: Path, table: SoundTable, stamp: Stamp) -> int | None:
    """How many samples behind a stretch a gap may show that it is out of place; None: gaps do not show that."""
    page = None if len(table.ends) else PAGES.get(read_whole(path, stamp, most=4))
    return None if page is None else round(page * table.rate)


def warm_up(table: SoundTable, *, lossy: bool) -> int:
    """For so many samples after its start, a decoder's output is not what it would be if it had started before."""
    return WARM_UPS.get(table.decoder.codec.removeprefix("lib"), round(MEMORY * table.rate)) if lossy else 0


def lost(table: SoundTable, begin: int, heard: Sequence[Heard], *, lossy: bool, page: int | None) -> Iterator[Stretch]:
    """The samples from `begin` on that the track has by its packets, but that cannot be decoded as they were.

    A gap in what was heard is lost where a packet failed or no pause can be (`page` is what `ahead` says), and else as
    far as its packets reach: where there are none the sound pauses.
    """
    memory = round(MEMORY * table.rate) if lossy else 0
    slack = 2 + 1.5 * float(table.tick * table.rate)
    end, hurt = begin, begin - 1
    for start, stop, broken in heard:
        if broken:  # a decoder may give a packet out with the next, so that the gap comes a little later
            hurt = max(hurt, end + memory)
        if start - end > slack:
            gap = [(end, start)] if end <= hurt or page is not None else _unheard(table, end, start)
            for a, b in gap:
                if b - a > slack:
                    # some codecs give nothing out for the first packet of all, as if it had been lost
                    hurt = b + (warm_up(table, lossy=lossy) if end == begin and not broken else memory)
                    yield a - (page or 0), hurt
        end = max(end, stop)


def _unheard(table: SoundTable, begin: int, end: int) -> list[Stretch]:
    """What packets hold of samples [begin, end). None holds more than is usual: one may be told to last for a pause."""
    if not len(table.ends):
        return []
    # only what lies there is looked at, and a sample of the rest: a track of two hours has half a million packets
    some = np.arange(1, len(table.ends), max(1, len(table.ends) // SAMPLE))
    usual = int(np.median(table.ends[some].astype(np.int64) - table.ends[some - 1])) if len(some) else 0
    first, last = int(np.searchsorted(table.ends, begin, "right")), int(np.searchsorted(table.ends, end))
    stops = table.ends[first : last + 1].astype(np.int64)
    starts = table.ends[np.maximum(np.arange(first, first + len(stops)) - 1, 0)].astype(np.int64)
    stops = np.minimum(stops, starts + usual)
    return [(max(int(a), begin), min(int(b), end)) for a, b in zip(starts, stops, strict=True) if a < end and b > begin]


def refuse(path: Path, table: SoundTable, holes: Sequence[Stretch], wanted: Sequence[Stretch]) -> None:
    """Raise `MediaError` if one of the wanted stretches depends on samples that are lost."""
    for a, b in holes:
        if any(a < stop and b > start for start, stop in wanted):
            since, until = ((n - table.shift) / table.rate for n in (a, b))
            raise MediaError(
                path,
                f"its sound from {since:.3f} s to {until:.3f} s cannot be decoded as it was",
                "leave the file out or encode it again",
            )
