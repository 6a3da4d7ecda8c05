"""Which frame is shown when, worked out once from the packets of a file."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from itertools import chain, pairwise
from statistics import median
from typing import Any, NamedTuple, cast

import numpy as np
from av.codec.context import ThreadType
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext

from avssl.core import MediaError
from avssl.media.files import open_container
from avssl.media.packets import AnyPacket, Row, Track, demux
from avssl.media.table import PictureTable
from avssl.media.turn import Turn
from avssl.media.units import B_VOP, KEPT, TOLD

__all__ = ["picture_table"]

MOSTLY = 0.9
"""Timestamps are trusted if at least this share of them differ."""

USUAL_RATE = Fraction(25)
"""The frame rate, Hz, of a stream that does not say any (raw streams): what FFmpeg assumes, too."""


def picture_table(track: Track) -> PictureTable:
    """Work out when each frame is shown; its `turn` is still that of a frame which is not turned.

    Raises:
        MediaError: no packet can be shown.
    """
    rows, intra = track.rows, _intra(track)
    keys = [i for i, r in enumerate(rows) if r.key] or [0]
    pts = _times(track, intra=intra)
    if track.parted and not track.raw:
        raise MediaError(track.path, "its packets hold several pictures and are not in one piece", "encode it again")
    doubtful = not intra and track.codec not in TOLD and len(keys) == len(rows) > 1
    decoded = _by_decoding(track) if doubtful or (pts is None and rows[0].vop < 0) else None
    if decoded is not None and doubtful:  # where all packets are flagged as key frames, the decoder knows better
        keys = [i for i in keys if i in decoded.keys] or [0]
    if pts is None:
        order = _by_kind(rows) if decoded is None else decoded.order
        place = np.searchsorted(np.sort(order), np.arange(len(rows)))  # what gives no frame is placed as it is decoded
        place[order] = np.arange(len(order))
        ticks, zero, tick = _ticks(track, len(order))
    else:
        begin = pts[keys[0]]  # what is shown before the first key frame cannot be decoded
        shown = [i for i in range(len(rows)) if rows[i].shown and i >= keys[0] and pts[i] >= begin]
        order = np.array(sorted(shown, key=lambda i: int(pts[i])), np.int64)  # equal ones as they are decoded
        place = pts
        if len(order):
            ticks, zero, tick = pts[order] - pts[order[0]], int(pts[order[0]]) * track.tick, track.tick
    if not len(order):
        raise MediaError(track.path, "none of its frames is ever shown", "leave it out or encode it again")
    fps, last = _rate(track, ticks, tick, rows[order[-1]].duration)
    duration = float(ticks[-1] * tick) + last
    coded = np.array([rows[i].coded for i in order])
    if coded.any() and not coded.all():
        order, ticks = order[coded], ticks[coded]
        duration -= float(ticks[0] * tick)
        zero, ticks = zero + int(ticks[0]) * tick, ticks - ticks[0]
    return PictureTable(
        stream=track.stream.index,
        decoder=track.decoder,
        tick=tick,
        size=np.array([r.size for r in rows]),
        position=np.array([r.position for r in rows] if track.raw else [], np.int64),
        dts=_seekable(track),
        ticks=ticks,
        rows=order,
        starts=_starts(order, keys, place),
        droppable=np.zeros(len(rows), bool) if _paired(rows, order, pts) else _unneeded(rows),
        keys=_marked(len(rows), range(len(rows)) if intra else keys),
        intra=intra,
        paired=int(_paired(rows, order, pts)),
        zero=zero,
        duration=duration,
        fps=fps,
        turn=Turn(),
    )


def _intra(track: Track) -> bool:
    return bool(cast(VideoCodecContext, track.stream.codec_context).codec.intra_only)


def _marked(count: int, which: Iterable[int]) -> np.ndarray:
    marks = np.zeros(count, bool)
    marks[list(which)] = True
    return marks


def _seekable(track: Track) -> np.ndarray:
    """The decoding times to seek by, where packets come from the demuxer and do not need what others brought."""
    told = [r.dts for r in track.rows]
    usable = not track.raw and track.steady and all(t is not None for t in told)
    return np.array(told if usable else [], np.int64)


def _paired(rows: list[Row], order: np.ndarray, pts: np.ndarray | None) -> bool:
    """Whether packets hold single fields: then about half of them give no frame of their own."""
    return pts is None and len(order) < 0.6 * len(rows)


def _times(track: Track, *, intra: bool) -> np.ndarray | None:
    """When each packet is shown (ticks), if the container can be trusted to know."""
    # AVI numbers its packets in decoding order, which is that of showing only where each is coded alone
    told = [(r.dts if intra else None) if track.in_avi else r.pts for r in track.rows]
    shown = [t for t, r in zip(told, track.rows, strict=True) if r.shown]
    falls = any(b < a for a, b in pairwise(d for d in (r.dts for r in track.rows) if d is not None))
    # a few frames at one instant are a slip, many are no times at all
    if any(t is None for t in told) or falls or len(set(shown)) < MOSTLY * len(shown):
        return None
    return np.array(told, np.int64)


def _by_kind(rows: list[Row]) -> np.ndarray:
    """The order in which MPEG-4 pictures are shown: B pictures at once, all others when the next of them comes."""
    order: list[int] = []
    held: int | None = None
    for i, row in enumerate(rows):
        if row.vop == B_VOP or row.vop > 3:  # of a damaged packet nothing is known: it is taken for a P picture
            order.append(i)
            continue
        order += [] if held is None else [held]
        held = i
    return np.array([*order, *([] if held is None else [held])], np.int64)


class _Decoded(NamedTuple):
    """What decoding it all has shown: the packets in order of showing, and those that are key frames."""

    order: np.ndarray
    keys: frozenset[int]


def _by_decoding(track: Track) -> _Decoded:
    """The order in which all packets come out of the decoder; one that fails keeps its place behind the one before."""
    found: list[int] = []
    failed: list[int] = []
    keys: set[int] = set()
    with open_container(track.path) as container:
        stream = container.streams[track.stream.index]
        context: Any = stream.codec_context
        context.thread_type, context.thread_count = ThreadType.NONE, 1
        ends: list[AnyPacket | None] = [None]
        for row, packet in enumerate(chain(demux(container, [stream]), ends)):  # one by one: all may be gigabytes
            if packet is not None:
                packet.pts, packet.dts = row, None
            try:
                frames = [f for f in context.decode(packet) if f.pts is not None]
            except FFmpegError:
                failed.append(row)
                continue
            found += [f.pts for f in frames]
            keys |= {f.pts for f in frames if f.key_frame}
    order = list(dict.fromkeys(found))
    lost = sorted({row for row in failed if row < len(track.rows)} - set(order))
    # the last frame of all those decoded before, in order of showing, is the one that it follows
    latest = np.maximum.accumulate(np.array(order, np.int64)) if order else np.zeros(0, np.int64)
    places = np.searchsorted(latest, lost)
    return _Decoded(np.insert(np.array(order, np.int64), places, lost), frozenset(keys))


def _ticks(track: Track, frames: int) -> tuple[np.ndarray, Fraction, Fraction]:
    """The k-th frame is shown at the k-th decoding time; without any, all last equally long. Ticks, their 0, length."""
    dts = sorted(set(track.dts))
    if len(dts) == frames == len(track.dts):
        return np.array(dts, np.int64) - dts[0], dts[0] * track.tick, track.tick
    rate = track.stream.average_rate or USUAL_RATE
    return np.arange(frames), Fraction(0), 1 / Fraction(rate)


def _starts(order: np.ndarray, keys: list[int], place: np.ndarray) -> np.ndarray:
    """Where decoding has to start for each frame.

    That is, of the key frames shown no later, the last one to be decoded that does not come after the frame itself.
    """
    by_time = np.array(sorted(keys, key=lambda i: int(place[i])), np.int64)
    latest = np.maximum(np.searchsorted(place[by_time], place[order], "right") - 1, 0)
    starts = by_time[latest]
    return np.where(starts <= order, starts, keys[0]).astype(np.int64)


def _unneeded(rows: list[Row]) -> np.ndarray:
    """Which packets no other needs: those of the highest temporal layer to which nobody refers."""
    told = np.array([r.layer for r in rows])
    layers = np.where(told < 0, KEPT - told, told)
    unneeded: np.ndarray = (told >= 0) & (layers == layers.max(initial=0))
    return unneeded


def _rate(track: Track, ticks: np.ndarray, length: Fraction, last: int) -> tuple[float, float]:
    """Frames per second, and how long the last frame is shown (s)."""
    said = track.stream.average_rate
    tick = float(length)
    gaps = [int(b - a) for a, b in pairwise(ticks)]
    if last > 0 and length == track.tick and not (gaps and last > 10 * max(gaps)):
        end = last * tick
    elif gaps:
        end = median(gaps) * tick
    else:
        end = float(1 / (said or USUAL_RATE))
    measured = len(ticks) / (float(ticks[-1]) * tick + end)
    # times may be rounded to a millisecond, so that what the container says is better if it can be true
    return (float(said) if said and abs(float(said) / measured - 1) < 0.02 else measured), end
