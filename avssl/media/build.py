"""Building the packet table of a file: one demuxing pass, and a proof that frames and sound can be decoded from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import cast

import numpy as np
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from avssl.core import MediaError, MediaInfo
from avssl.media.convert import Converter
from avssl.media.files import Stamp, refusing, stamp_of
from avssl.media.frames import decode
from avssl.media.motion import motion
from avssl.media.packets import Track, tracks
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


def build_table(path: Path) -> FileTable:
    """Look once through a file with pictures, sound or both; of one whose sound is destroyed, only the pictures count.

    Raises:
        MediaError: it cannot be read, or has neither.
    """
    with refusing(path, "reading it"):
        try:
            return _build(path)
        except (ValueError, LookupError, ArithmeticError) as e:
            # whatever a damaged header makes of the numbers in it, one file must not end the scan of all others
            what = f"it cannot be made sense of ({type(e).__name__}: {e})"
            raise MediaError(path, what, "leave it out or encode it again") from e


def _build(path: Path) -> FileTable:
    stamp = stamp_of(path)
    with opened(path) as (container, patience):
        film, noise = tracks(path, container, patience)
        if film is None and noise is None:
            raise MediaError(path, "it has neither pictures nor sound that can be decoded", "leave it out")
        try:
            sound = None if noise is None else _sound(noise, stamp)
        except MediaError:
            if film is None:
                raise
            sound = None
        picture, frame = (None, None) if film is None else _picture(film, stamp)
    if sound is not None:  # the 0 of the file's clock is its first frame, or else its first sample
        sound = placed_on(sound, picture.zero if picture else Fraction(sound.begin, sound.rate))
    return FileTable(stamp=stamp, info=_info(picture, frame, sound, film), picture=picture, sound=sound)


def _picture(track: Track, stamp: Stamp) -> tuple[PictureTable, VideoFrame]:
    """The table of the pictures, and the first frame that can be decoded.

    The bytes of the file are trusted if some frames at its beginning and at its end decode to the same from them.
    """
    table = picture_table(track)
    told, error = _some(track.path, replace(table, position=NO_BYTES) if not track.parted else table, stamp)
    if not told:
        assert error is not None
        raise error
    frame = told[min(told)]
    if table.raw and not track.parted:
        found, _ = _some(track.path, table, stamp)
        if told.keys() != found.keys() or not all(_alike(f, found[n]) for n, f in told.items()):
            table = replace(table, position=NO_BYTES)
    return replace(table, turn=turn_of(frame, _aspect(track))), frame


def _some(path: Path, table: PictureTable, stamp: Stamp) -> tuple[dict[int, VideoFrame], MediaError | None]:
    """Frames at the beginning and at the end, as far as they can be decoded, and why others cannot."""
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
    return found, why


def _aspect(track: Track) -> Fraction | None:
    """The shape of a pixel; the container, where it tells one, knows better than the stream."""
    return cast(VideoStream, track.stream).sample_aspect_ratio


def _alike(a: VideoFrame, b: VideoFrame) -> bool:
    """Whether two frames are the same to look at, in every bit."""
    if (a.format.name, a.height, a.width) != (b.format.name, b.height, b.width):
        return False
    shown = np.empty((2, 3, a.height, a.width), np.uint8)
    converter = Converter()
    try:
        for frame, out in zip((a, b), shown, strict=True):
            converter(frame, (0, 0, a.height, a.width), out)
    finally:
        converter.close()
    return np.array_equal(shown[0], shown[1])


def _sound(track: Track, stamp: Stamp) -> SoundTable:
    """The table of the sound; the bytes of the file are trusted if both ends of it decode to the same from them."""
    demuxed = sound_table(track, stamp)
    if not track.raw or not len(demuxed.ends):
        return demuxed
    raw = replace(demuxed, position=np.array([r.position for r in track.rows], np.int64), dts=NO_BYTES)
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
