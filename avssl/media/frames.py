"""Decoding just the frames that are wanted."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import numpy as np
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from avssl.core import MediaError
from avssl.media.feed import Feed, feed
from avssl.media.files import Stamp
from avssl.media.packets import AnyPacket
from avssl.media.table import PictureTable

__all__ = ["decode", "run", "runs", "shown_at"]

LAST_RESORT = 3000
"""Packets after which decoding from the start is not tried: of hours of video it would take minutes at every visit."""

SLACK = 1e-6
"""Instants are rounded numbers: one that falls short of a frame by less than this (s) still means this frame."""


def shown_at(table: PictureTable, times: Sequence[float], path: Path) -> np.ndarray:
    """The numbers of the frames shown at some instants (s); before the first frame that is the first.

    Raises:
        MediaError: an instant lies at or after the end.
    """
    t = np.asarray(times, np.float64) + SLACK
    if len(late := np.flatnonzero(t >= table.duration)):
        raise MediaError(
            path,
            f"no frame is shown at {times[late[0]]:g} s; the {len(table.ticks)} frames last {table.duration:g} s",
            "ask for instants in [0, duration), or scan the folder again if the file has changed",
        )
    # in the type of the column, of which numpy would else make a copy as long as the video
    ticks = np.clip(np.floor(t / float(table.tick)), 0, int(table.ticks[-1])).astype(table.ticks.dtype)
    numbers: np.ndarray = np.maximum(np.searchsorted(table.ticks, ticks, "right") - 1, 0)
    return numbers


def decode(path: Path, table: PictureTable, stamp: Stamp, wanted: Collection[int]) -> Iterator[tuple[int, VideoFrame]]:
    """Decode each wanted frame once, in one pass; they come in no particular order with their numbers.

    Raises:
        MediaError: a frame cannot be had, for the file is damaged there.
    """
    missing = set(wanted)
    # where a key frame was none, plain decoding from the start is the last resort, if that is not what was done
    again = not table.intra and any(table.starts[k] for k in missing)
    for plain in (False, True) if again else (False,):
        if plain and int(table.rows[max(missing)]) > LAST_RESORT:
            break
        with closing(feed(path, table, stamp)) as source:
            for number, frame in run(source, table, missing, plain=plain):
                missing.discard(number)
                yield number, frame
        if not missing:
            return
    number = min(missing)
    when = float(table.instants(np.array([number]))[0])
    raise MediaError(
        path, f"frame {number}, shown at {when:g} s, cannot be decoded", "leave the file out or encode it again"
    )


def runs(table: PictureTable, numbers: np.ndarray, *, plain: bool = False) -> list[np.ndarray]:
    """The rows of the packets to decode for frames of some rising numbers, run by run; decoders forget in between.

    A run begins at a key frame. Packets between two runs, and those that nobody needs, are in none. `plain`: as if the
    first packet were the only key frame, and with everything in between.
    """
    rows = table.rows[numbers].astype(np.int64)
    starts = np.zeros_like(rows) if plain else table.starts[numbers].astype(np.int64)
    found = []
    for first, last in _stretches(starts, rows + table.paired):
        run = np.arange(first, min(last + 1, len(table.size)))
        needed = table.droppable[run] == 0
        needed[rows[(rows >= first) & (rows <= run[-1])] - first] = True
        found.append(run if plain else run[needed])
    return found


def run(
    source: Feed, table: PictureTable, wanted: Collection[int], *, plain: bool = False
) -> Iterator[tuple[int, VideoFrame]]:
    """Decode those of the wanted frames that can be, with their numbers; `plain`: see `runs`."""
    numbers = np.array(sorted(wanted), np.int64)
    number = dict(zip(table.rows[numbers].tolist(), numbers.tolist(), strict=True))
    context = cast(VideoCodecContext, source.context)
    for i, rows in enumerate(runs(table, numbers, plain=plain)):
        if i:
            context.flush_buffers()
        for row, packet in source.packets(rows):
            yield from ((number[f.pts], f) for f in _fed(context, packet, row) if f.pts in number)
        yield from ((number[f.pts], f) for f in _fed(context, None) if f.pts in number)


def _stretches(starts: np.ndarray, rows: np.ndarray) -> list[tuple[int, int]]:
    """Runs of packets [first, last] that cover from every start to its row, in rising order."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(zip(starts.tolist(), rows.tolist(), strict=True)):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found


def _fed(context: VideoCodecContext, packet: AnyPacket | None, row: int = 0) -> list[VideoFrame]:
    """What the decoder gives out; a damaged packet gives nothing and does not end the decoding."""
    if packet is not None:
        packet.pts, packet.dts = row, None  # the frame comes out with the number of its packet
    try:
        return context.decode(cast(Any, packet))
    except FFmpegError:
        return []
