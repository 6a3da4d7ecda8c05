"""Which frame is shown when, and how to decode just the frames that are wanted."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from statistics import median
from typing import Any, cast

import numpy as np
from av.codec.context import ThreadType
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from avssl.core import MediaError
from avssl.media.packets import AnyPacket, Row, Track

__all__ = ["FrameTable", "decode", "frame_table"]

USUAL_RATE = Fraction(25)
"""The frame rate, Hz, of a stream that does not say any (raw streams): what FFmpeg assumes, too."""

SLACK = 1e-6
"""Instants are rounded numbers: one that falls short of a frame by less than this (s) still means this frame."""


@dataclass(frozen=True, kw_only=True)
class FrameTable:
    """The frames of a file in the order in which they are shown.

    `times` (n,) are the instants (s) at which they begin to be shown, the first of them 0; `rows` (n,) the packets
    they come from and `starts` (n,) the packets at which decoding has to start for them. Without trustworthy
    timestamps `rows` is None: the k-th frame is then the k-th that comes out when all is decoded from the start.
    """

    times: np.ndarray
    duration: float
    fps: float
    zero: Fraction
    """The instant of the first shown frame on the clock of the container, s."""
    rows: np.ndarray | None
    starts: np.ndarray | None

    def at(self, times: Sequence[float], path: object) -> np.ndarray:
        """The numbers of the frames shown at some instants (s); before the first frame that is the first.

        Raises:
            MediaError: an instant lies at or after the end.
        """
        t = np.asarray(times, np.float64) + SLACK
        if len(late := np.flatnonzero(t >= self.duration)):
            raise MediaError(
                path,
                f"no frame is shown at {times[late[0]]:g} s; the {len(self.times)} frames last {self.duration:g} s",
                "ask for instants in [0, duration), or scan the folder again if the file has changed",
            )
        return np.maximum(np.searchsorted(self.times, t, "right") - 1, 0)


def frame_table(track: Track) -> FrameTable:
    """Work out when each frame is shown from the packets alone.

    Raises:
        MediaError: no packet can be shown.
    """
    rows = _own_times(track)
    keys = [i for i, r in enumerate(rows) if r.key] or [0]
    # AVI numbers its packets in decoding order, and raw streams have no times at all
    timed = all(r.pts is not None for r in rows) and len({r.pts for r in rows}) == len(rows)
    if not timed:
        return _untimed_table(track, rows)
    pts = np.array([r.pts for r in rows], np.int64)
    # a stream that begins inside a group of pictures shows nothing before its first key frame
    begin = pts[keys[0]]
    order = [int(i) for i in np.argsort(pts, kind="stable") if rows[i].shown and i >= keys[0] and pts[i] >= begin]
    if not order:
        raise MediaError(track.path, "none of its frames is ever shown", "leave it out or encode it again")
    ticks = pts[order] - pts[order[0]]
    fps, last = _rate(track, ticks, rows[order[-1]].duration)
    by_time = sorted(keys, key=lambda i: int(pts[i]))
    at = np.searchsorted(pts[by_time], pts[order], "right") - 1
    # of the key frames shown no later, the last one to be decoded that does not come after the frame itself
    starts = [max(k for k in (by_time[a], keys[0]) if k <= row) for a, row in zip(at, order, strict=True)]
    return FrameTable(
        times=ticks * float(track.tick),
        duration=float(ticks[-1] * track.tick) + last,
        fps=fps,
        zero=int(pts[order[0]]) * track.tick,
        rows=np.array(order),
        starts=np.array(starts),
    )


def _own_times(track: Track) -> list[Row]:
    """The rows, with the decoding time for the time at which a frame is shown where the two are the same."""
    context = cast(VideoCodecContext, track.stream.codec_context)
    if "avi" not in track.format:
        return track.rows
    intra = bool(context.codec.intra_only)
    return [
        Row(
            pts=row.dts if intra else None,
            dts=row.dts,
            duration=row.duration,
            size=row.size,
            key=row.key,
            shown=row.shown,
            skip=0,
        )
        for row in track.rows
    ]


def _untimed_table(track: Track, rows: list[Row]) -> FrameTable:
    """The k-th frame that comes out is shown at the k-th decoding time; without any, all last equally long."""
    dts = sorted(r.dts for r in rows if r.dts is not None)
    rate = track.stream.average_rate or USUAL_RATE
    if len(set(dts)) == len(rows):
        ticks, zero = np.array(dts, np.int64) - dts[0], dts[0] * track.tick
        fps, last = _rate(track, ticks, rows[-1].duration)
        times, duration = ticks * float(track.tick), float(ticks[-1] * track.tick) + last
    else:
        zero, fps, duration = Fraction(0), float(rate), float(len(rows) / rate)
        times = np.arange(len(rows)) / float(rate)
    return FrameTable(times=times, duration=duration, fps=fps, zero=zero, rows=None, starts=None)


def _rate(track: Track, ticks: np.ndarray, last: int) -> tuple[float, float]:
    """Frames per second, and how long the last frame is shown (s)."""
    said = track.stream.average_rate
    tick = float(track.tick)
    gaps = [int(b - a) for a, b in pairwise(ticks)]
    if last > 0 and not (gaps and last * tick > 10 * max(gaps) * tick):
        end = last * tick
    elif gaps:
        end = median(gaps) * tick
    else:
        end = float(1 / (said or USUAL_RATE))
    measured = len(ticks) / (float(ticks[-1]) * tick + end)
    # times may be rounded to a millisecond, so that what the container says is better if it can be true
    return (float(said) if said and abs(float(said) / measured - 1) < 0.02 else measured), end


def decode(track: Track, table: FrameTable, wanted: Collection[int]) -> Iterator[tuple[int, VideoFrame]]:
    """Decode each wanted frame once, in one pass; they come in no particular order with their numbers.

    Raises:
        MediaError: a frame cannot be had, for the file is damaged there.
    """
    missing = set(wanted)
    if table.rows is None or table.starts is None:
        passes = iter([_in_order(track, missing)])
    else:
        # where a key frame was none (a recovery point, a damaged one), decoding from the start is the last resort
        passes = (_run(track, table, missing, table.starts if i == 0 else np.zeros_like(table.rows)) for i in range(2))
    for frames in passes:
        for number, frame in frames:
            missing.discard(number)
            yield number, frame
        if not missing:
            return
    number = min(missing)
    when = f"frame {number}, shown at {table.times[number]:g} s," if number < len(table.times) else f"frame {number}"
    raise MediaError(track.path, f"{when} cannot be decoded", "leave the file out or encode it again")


def _context(track: Track) -> VideoCodecContext:
    context = cast(VideoCodecContext, track.stream.codec_context)
    if context.is_open:
        context.flush_buffers()
    else:  # frame threads hang when reading stops before the end, and files are what is worked on in parallel
        context.thread_type = ThreadType.NONE
        context.thread_count = 1
    return context


def _fed(context: VideoCodecContext, packet: AnyPacket | None, row: int = 0) -> list[VideoFrame]:
    """What the decoder gives out; a damaged packet gives nothing and does not end the decoding."""
    if packet is not None:
        packet.pts, packet.dts = row, None  # the frame comes out with the number of its packet
    try:
        return context.decode(cast(Any, packet))
    except FFmpegError:
        return []


def _run(
    track: Track, table: FrameTable, wanted: Collection[int], starts: np.ndarray
) -> Iterator[tuple[int, VideoFrame]]:
    """Decode from the key frames on; packets between two stretches are passed over."""
    rows = cast(np.ndarray, table.rows)
    number = {int(rows[k]): k for k in wanted}
    stretches: list[list[int]] = []
    for first, last in sorted((int(starts[k]), int(rows[k])) for k in list(wanted)):
        if stretches and first <= stretches[-1][1] + 1:
            stretches[-1][1] = max(stretches[-1][1], last)
        else:
            stretches.append([first, last])
    context = _context(track)
    packets = track.packets(stretches[0][0])
    for i, (first, last) in enumerate(stretches):
        if i:
            context.flush_buffers()
        for row, packet in packets:
            if row >= first:
                yield from ((number[f.pts], f) for f in _fed(context, packet, row) if f.pts in number)
            if row >= last:
                break
        yield from ((number[f.pts], f) for f in _fed(context, None) if f.pts in number)


def _in_order(track: Track, wanted: Collection[int]) -> Iterator[tuple[int, VideoFrame]]:
    """Decode from the start and count; a packet that fails keeps its place in the count."""
    context = _context(track)
    number, last = 0, max(wanted)
    ends: list[tuple[int, AnyPacket | None]] = [(-1, None)]
    for stretch in (track.packets(), iter(ends)):
        for row, packet in stretch:
            try:
                if packet is not None:
                    packet.pts, packet.dts = row, None
                frames = context.decode(cast(Any, packet))
            except FFmpegError:
                number += 1
                continue
            for frame in frames:
                if number in wanted:
                    yield number, frame
                number += 1
            if number > last:
                return
