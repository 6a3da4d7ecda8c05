"""Where the sound of a file lies, worked out once from its packets and from what their two ends decode to."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from typing import cast

import numpy as np
from av.audio.codeccontext import AudioCodecContext

from avssl.core import MediaError
from avssl.media.feed import KeptFeed, feed
from avssl.media.files import Stamp
from avssl.media.packets import FIRST, Track
from avssl.media.sound import decoded, first_row
from avssl.media.table import SoundTable

__all__ = ["placed_on", "sound_table"]

FAR = 1 << 62


def sound_table(track: Track, stamp: Stamp) -> SoundTable:
    """Where the packets lie, and which of their samples are heard; it is one that reads by the demuxer.

    Raises:
        MediaError: no sound can be decoded.
    """
    context = cast(AudioCodecContext, track.stream.codec_context)
    told = all(r.dts is not None for r in track.rows)
    table = SoundTable(
        stream=track.stream.index,
        decoder=track.decoder,
        tick=track.tick,
        size=np.array([r.size for r in track.rows]),
        position=np.array([], np.int64),
        dts=np.array([r.dts for r in track.rows] if told else [], np.int64),
        ends=_ends(track),
        rate=context.sample_rate,
        channels=context.layout.nb_channels,
        begin=-FAR,
        end=FAR,
        shift=0,
    )
    rows = np.arange(len(table.size))
    begin = next((at for at, _ in _spans(track, table, stamp, rows[:FIRST])), None)
    near_end = rows[first_row(table, int(table.ends[-1])) :] if len(table.ends) else rows
    spans = list(_spans(track, table, stamp, rows if begin is None else near_end))
    begin = spans[0][0] if begin is None and spans else begin
    end = max((end for _, end in spans), default=begin)
    if begin is None or end is None or end <= begin:
        raise MediaError(track.path, "none of its sound can be decoded", "leave the file out or encode it again")
    return replace(table, begin=begin, end=end)


def _spans(track: Track, table: SoundTable, stamp: Stamp, rows: np.ndarray) -> Iterator[tuple[int, int]]:
    """Where each frame begins and ends that some packets in a row decode to."""
    kept = all(row in track.kept for row in rows.tolist())
    with closing(KeptFeed(track) if kept else feed(track.path, table, stamp)) as source:
        for at, frame, _ in decoded(source, table, rows):
            yield at, at + frame.samples


def placed_on(table: SoundTable, zero: Fraction) -> SoundTable:
    """The same table with the 0 of the file's clock, `zero` seconds on that of the container."""
    return replace(table, shift=round(zero * table.rate))


def _ends(track: Track) -> np.ndarray:
    """Where what each packet holds ends: timestamps may be rounded to a millisecond, lengths are whole samples."""
    context = cast(AudioCodecContext, track.stream.codec_context)
    per_tick = track.tick * context.sample_rate
    samples, ticks = per_tick.numerator, per_tick.denominator
    unknown = np.array([], np.int64)
    stamps = [r.dts if r.pts is None else r.pts for r in track.rows]
    # where a duration is rounded to ticks, too, the codec's own length is the exact one
    usual = (context.frame_size or 0) * ticks
    lengths = [r.duration * samples for r in track.rows]
    lengths = [usual if usual and abs(n - usual) <= samples else n for n in lengths]
    if any(s is None for s in stamps) or any(n <= 0 or n % ticks for n in lengths[:-1]):
        return unknown
    times = np.array(stamps, np.float64) * float(per_tick)
    skip = track.rows[0].skip
    # the decoder cuts the first samples off and moves the timestamp by a whole number of ticks: so do we
    first = (cast(int, stamps[0]) + _whole(skip / per_tick)) * per_tick - skip
    ends = round(first) + np.cumsum([n // ticks for n in lengths[:-1]] + [round(Fraction(lengths[-1], ticks))])
    if np.abs(ends[:-1] - times[1:]).max(initial=0) > 1 + 1.5 * float(per_tick):
        return unknown  # gaps, or lengths that are not the true ones
    return ends


def _whole(x: Fraction) -> int:
    return math.floor(x + Fraction(1, 2))  # av_rescale_q rounds halves away from zero
