"""Building the packet table of a file: one demuxing pass, and a proof that frames and sound can be decoded from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import numpy as np
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from avssl.core import MediaError, MediaInfo
from avssl.media.convert import line_bytes
from avssl.media.feed import KeptFeed, RawFeed
from avssl.media.files import Stamp, refusing, stamp_of
from avssl.media.frames import decode, run, runs
from avssl.media.motion import motion
from avssl.media.packets import Coding, Track, tracks
from avssl.media.patience import opened
from avssl.media.sound import Piece, pieces
from avssl.media.soundtrack import placed_on, sound_table
from avssl.media.table import FileTable, PictureTable, SoundTable
from avssl.media.timeline import picture_table
from avssl.media.turn import turn_of

__all__ = ["build_table"]

SHOWN = 6
"""Frames at the beginning that are compared before the bytes of the file are trusted."""

PROVED = 4
"""Packets of sound at either end that are compared before the bytes of the file are trusted."""

MISSED = 2048
"""Samples after a late start that a bare decoder may not give: the first packet of some codecs only prepares it."""

NO_BYTES = np.array([], np.int64)


def build_table(path: Path, proven: set[Coding] | None = None) -> FileTable:
    """Look once through a file with pictures, sound or both; of one whose sound is destroyed, only the pictures count.

    `proven` are kinds of streams of which one was found to decode to the same from the bytes of its file alone, which
    holds for all: it is not tried again for them, and others that pass are added.

    Raises:
        MediaError: it cannot be read, or has neither.
    """
    with refusing(path, "reading it"):
        try:
            return _build(path, set() if proven is None else proven)
        except (ValueError, LookupError, ArithmeticError) as e:
            # whatever a damaged header makes of the numbers in it, one file must not end the scan of all others
            what = f"it cannot be made sense of ({type(e).__name__}: {e})"
            raise MediaError(path, what, "leave it out or encode it again") from e


def _build(path: Path, proven: set[Coding]) -> FileTable:
    stamp = stamp_of(path)
    with opened(path) as (container, patience):
        film, noise = tracks(path, container, patience)
        if film is None and noise is None:
            raise MediaError(path, "it has neither pictures nor sound that can be decoded", "leave it out")
        try:
            sound = None if noise is None else _sound(noise, stamp, proven)
        except MediaError:
            if film is None:
                raise
            sound = None
        picture, frame = (None, None) if film is None else _picture(film, stamp, proven)
    if sound is not None:  # the 0 of the file's clock is its first frame, or else its first sample
        sound = placed_on(sound, picture.zero if picture else Fraction(sound.begin, sound.rate))
    return FileTable(stamp=stamp, info=_info(picture, frame, sound, film), picture=picture, sound=sound)


def _picture(track: Track, stamp: Stamp, proven: set[Coding]) -> tuple[PictureTable, VideoFrame]:
    """The table of the pictures, and the first frame that can be decoded.

    The bytes of the file are those of its packets, of which the demuxer has told. What is to be proved is that a
    decoder that knows no container makes the same of them.
    """
    table = picture_table(track)
    doubted = table.raw and not track.parted and track.coding not in proven
    told = _beginning(track, table, SHOWN if doubted else 1)
    if told and doubted:
        if _same(told, track, table, stamp):
            proven.add(track.coding)
        else:
            table = replace(table, position=NO_BYTES)
    if not told:
        told = _some(track.path, table if track.parted else replace(table, position=NO_BYTES), stamp)
        if doubted and not _same(told, track, table, stamp):
            table = replace(table, position=NO_BYTES)
    frame = told[min(told)]
    return replace(table, turn=turn_of(frame, _aspect(track))), frame


def _beginning(track: Track, table: PictureTable, count: int) -> dict[int, VideoFrame]:
    """Some of the first frames, as far as they can be decoded from packets that are kept in memory."""
    wanted = np.arange(min(count, len(table.rows)))
    if track.parted or not all(row in track.kept for rows in runs(table, wanted) for row in rows.tolist()):
        return {}
    return dict(run(KeptFeed(track), table, wanted.tolist()))


def _some(path: Path, table: PictureTable, stamp: Stamp) -> dict[int, VideoFrame]:
    """Frames at the beginning and at the end, as far as they can be decoded.

    Raises:
        MediaError: there are none.
    """
    count = len(table.rows)
    found: dict[int, VideoFrame] = {}
    why: MediaError | None = None
    for numbers in (range(min(SHOWN, count)), range(max(SHOWN, count - 2), count)):
        try:
            found |= dict(decode(path, table, stamp, numbers)) if numbers else {}
        except MediaError as e:
            why = e
        except (FFmpegError, ValueError) as e:  # a decoder that cannot be made or used without its container
            why = MediaError(path, f"its pictures cannot be decoded ({e})", "leave the file out or encode it again")
    if not found:
        assert why is not None  # there is at least one frame, which failed
        raise why
    return found


def _same(told: Mapping[int, VideoFrame], track: Track, table: PictureTable, stamp: Stamp) -> bool:
    """Whether the same frames come out of the bytes of the file, in every bit."""
    try:
        with closing(RawFeed(track.path, table, stamp)) as source:
            found = dict(run(source, table, told))
    except (FFmpegError, ValueError):  # a decoder that cannot be made or used without its container
        return False
    return told.keys() == found.keys() and all(_alike(frame, found[n]) for n, frame in told.items())


def _aspect(track: Track) -> Fraction | None:
    """The shape of a pixel; the container, where it tells one, knows better than the stream."""
    return cast(VideoStream, track.stream).sample_aspect_ratio


def _alike(a: VideoFrame, b: VideoFrame) -> bool:
    """Whether two frames have the same pixels."""
    if (a.format.name, a.height, a.width) != (b.format.name, b.height, b.width):
        return False
    return all(np.array_equal(p, q) for p, q in zip(_pixels(a), _pixels(b), strict=True))


def _pixels(frame: VideoFrame) -> Iterator[np.ndarray]:
    """The bytes of each plane, without what lies behind the ends of its lines."""
    for i, plane in enumerate(frame.planes):
        lines = np.frombuffer(memoryview(cast(Any, plane)), np.uint8).reshape(-1, abs(plane.line_size))
        yield lines[:, : line_bytes(frame.format.name, frame.width, i)]


def _sound(track: Track, stamp: Stamp, proven: set[Coding]) -> SoundTable:
    """The table of the sound; the bytes of the file are trusted if both ends of it decode to the same from them."""
    demuxed = sound_table(track, stamp)
    if not track.raw or not len(demuxed.ends):
        return demuxed
    raw = replace(demuxed, position=np.array([r.position for r in track.rows], np.int64), dts=NO_BYTES)
    if track.coding in proven:
        return raw
    last = len(demuxed.ends) - 1
    near, far = int(demuxed.ends[min(PROVED, last)]), int(demuxed.ends[max(0, last - PROVED)])
    for start, stop in ((demuxed.begin, near), (far, demuxed.end)):
        try:
            told = pieces(track.path, demuxed, stamp, start, stop)
            found = pieces(track.path, raw, stamp, start, stop)
        except (MediaError, FFmpegError, ValueError):
            return demuxed
        if not _overlapping(told, found):
            return demuxed
    proven.add(track.coding)
    return raw


def _overlapping(a: Sequence[Piece], b: Sequence[Piece]) -> bool:
    """Whether two decodings are one piece each, as long but for a few samples, and agree where both have some."""
    if len(a) != 1 or len(b) != 1:
        return not a and not b
    if b[0].end != a[0].end or b[0].start > a[0].start + MISSED:
        return False
    first, last = max(a[0].start, b[0].start), min(a[0].end, b[0].end)
    parts = [p.samples[:, first - p.start : last - p.start] for p in (a[0], b[0])]
    return last > first and np.array_equal(parts[0], parts[1])


def _info(
    picture: PictureTable | None, frame: VideoFrame | None, sound: SoundTable | None, film: Track | None
) -> MediaInfo:
    info = MediaInfo(duration=0.0)
    if sound is not None:
        lasting = (sound.end - sound.begin) / sound.rate
        info = MediaInfo(
            duration=lasting,
            sample_rate=sound.rate,
            channels=sound.channels,
            sound_start=(sound.begin - sound.shift) / sound.rate,
            sound_duration=lasting,
        )
    if picture is None or frame is None or film is None:
        return info
    height, width = picture.turn.shown_size(frame.height, frame.width)
    return replace(
        info,
        duration=picture.duration,
        fps=picture.fps,
        frames=len(picture.ticks),
        height=height,
        width=width,
        motion=motion(picture, np.array([r.key for r in film.rows])),
    )
