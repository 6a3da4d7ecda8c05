"""Building the packet table of a file: one demuxing pass, and a proof that frames and sound can be decoded from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from av.error import FFmpegError
from av.video.frame import VideoFrame

from avssl.core import MediaError, MediaInfo
from avssl.media.convert import Converter
from avssl.media.feed import stamp_of
from avssl.media.files import open_container, refusing
from avssl.media.frames import decode
from avssl.media.motion import motion
from avssl.media.packets import Track, tracks
from avssl.media.sound import Piece, pieces
from avssl.media.soundtrack import placed_on, sound_table
from avssl.media.table import FileTable, PictureTable, SoundTable, Stamp
from avssl.media.timeline import picture_table
from avssl.media.turn import turn_of
from avssl.media.units import B_VOP

__all__ = ["build_table"]

PROVED = 4
"""Packets of sound at either end that are compared before the bytes of the file are trusted."""

NO_BYTES = np.array([], np.int64)


def build_table(path: Path) -> FileTable:
    """Look once through a file with pictures, sound or both.

    Raises:
        MediaError: it cannot be read, or has neither.
    """
    with refusing(path, "reading it"):
        stamp = stamp_of(path.stat())
    with open_container(path) as container, refusing(path, "reading it"):
        film, noise = tracks(path, container)
        if film is None and noise is None:
            raise MediaError(path, "it has neither pictures nor sound that can be decoded", "leave it out")
        sound = None if noise is None else _sound(noise, stamp)
        picture, frame = (None, None) if film is None else _picture(film, stamp)
    if sound is not None:  # the 0 of the file's clock is its first frame, or else its first sample
        sound = placed_on(sound, picture.zero if picture else Fraction(sound.begin, sound.rate))
    return FileTable(stamp=stamp, info=_info(picture, frame, sound, film), picture=picture, sound=sound)


def _picture(track: Track, stamp: Stamp) -> tuple[PictureTable, VideoFrame]:
    """The table of the pictures, and the first frame."""
    table = picture_table(track)
    demuxed = replace(table, position=NO_BYTES)
    if any(r.vop > B_VOP for r in track.rows):  # the demuxer does not part what was packed together
        demuxed = table
    frame = _first(track.path, demuxed, stamp)
    trusted = not table.raw or demuxed is table or _alike(frame, _first_or_none(track.path, table, stamp))
    return replace(table if trusted else demuxed, turn=turn_of(frame)), frame


def _first(path: Path, table: PictureTable, stamp: Stamp) -> VideoFrame:
    return next(frame for _, frame in decode(path, table, stamp, [0]))


def _first_or_none(path: Path, table: PictureTable, stamp: Stamp) -> VideoFrame | None:
    try:
        return _first(path, table, stamp)
    except (MediaError, FFmpegError, ValueError):  # a decoder that cannot be made or used without its container
        return None


def _alike(a: VideoFrame, b: VideoFrame | None) -> bool:
    """Whether two frames are the same to look at, in every bit."""
    if b is None or (a.format.name, a.height, a.width) != (b.format.name, b.height, b.width):
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
    """Whether two decodings are one piece each and agree where both have samples."""
    if len(a) != 1 or len(b) != 1:
        return not a and not b
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
