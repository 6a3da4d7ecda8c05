"""Training proxies: a file, or a stretch of one, encoded again so that clips come out of it fast.

Frame k of the proxy begins to be shown when frame k of the source does, and its sound lies at the same samples. Frames
are upright, have square pixels, and are never enlarged.
"""

from __future__ import annotations

import heapq
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
from av.video.frame import VideoFrame
from PIL import Image

from avssl.core import Box, MediaError, Sound
from avssl.media.clips import Shot
from avssl.media.convert import Converter
from avssl.media.files import read_whole, refusing
from avssl.media.frames import decode
from avssl.media.muxing import USUAL_RATE, FilmTrack, SoundTrack, Writer
from avssl.media.part import Part, part_of
from avssl.media.picture import load_picture
from avssl.media.place import placed
from avssl.media.reader import look
from avssl.media.sound import cut
from avssl.media.spent import Spent
from avssl.media.table import FileTable, PictureTable, SoundTable

__all__ = ["Encoded", "Encoding", "Proxy", "encode"]

SOME = 4096
"""Frames that are decoded in one go, at least: where the file is damaged, so many may come out of order."""

MOST_WAITING = 256
"""Decoded frames that wait for one before them, at most; it is then taken for lost."""

AT_ONCE = 16
"""Frames that are scaled in one go."""

WINDOW, UNKNOWN_WINDOW = 30.0, 600.0
"""Seconds of sound that are decoded in one go; the second where each go has to start at the beginning of the file."""

LARGEST_TIMESCALE = (1 << 31) - 1
FINER = 16
"""Ticks are divided by this where several frames have the same, as a container must tell them apart."""

FRAME_BYTES = 24
"""What an mp4 takes for a frame, besides it."""

JPEG_QUALITY = 92

AAC_PRIMING = 1024
"""Samples."""


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """What is chosen about media that are encoded again, whatever the codec."""

    short_side: int = 128
    """Pixels of the shorter side of frames and pictures; smaller ones keep their size."""
    gop: int = 16
    """Frames from one key frame to the next, at most."""
    quality: int | None = None
    """The codec's own scale, smaller is better: 1…31 of mpeg4 (None: 3), 0…51 of h264-fastdecode (None: 21)."""
    share: float = 1.0
    """Bytes of the frames over those of the source, about, at most: where they would be more, the quality falls, but
    not below 8 of mpeg4, or 8 more than asked of h264-fastdecode. 0: whatever the quality takes."""
    sound: Literal["flac", "aac", "none"] = "flac"
    """flac keeps 16 bits of every sample; aac takes a fifth of that, and is not exact."""
    sample_rate: int | None = None
    """Hz of the sound; None: that of the source."""
    mono: bool = False
    """Average the channels of the sound."""


@dataclass(frozen=True, kw_only=True)
class Proxy(Encoding):
    """How media are encoded again."""

    codec: Literal["mpeg4", "h264-fastdecode"] = "mpeg4"
    """mpeg4 is decoded fastest; h264-fastdecode is smaller at the same quality."""

    def __post_init__(self) -> None:
        lowest, highest = (1, 31) if self.codec == "mpeg4" else (0, 51)
        if self.short_side < 2 or self.gop < 1 or (self.sample_rate is not None and self.sample_rate < 1):
            raise ValueError(f"{self}: short_side ≥ 2, gop ≥ 1, sample_rate > 0")
        if not 0 <= self.share < math.inf:
            raise ValueError(f"share {self.share}: must be ≥ 0")
        if self.quality is not None and not lowest <= self.quality <= highest:
            raise ValueError(f"quality {self.quality}: {self.codec} has {lowest} to {highest}")

    @property
    def level(self) -> int:
        """The quality that is meant, on the codec's own scale."""
        return self.quality if self.quality is not None else {"mpeg4": 3, "h264-fastdecode": 21}[self.codec]


@dataclass(frozen=True, kw_only=True, eq=False)
class Encoded:
    """What was written: the suffix that fits it, and some of its frames (3, H, W) as they were before encoding.

    It holds [start, end) s of the file.
    """

    suffix: str
    start: float = 0.0
    end: float = 0.0
    frames: int = 0
    instants: tuple[float, ...] = ()
    pictures: tuple[np.ndarray, ...] = ()


def encode(
    path: Path,
    out: Path,
    choice: Proxy,
    *,
    table: FileTable,
    start: float = 0.0,
    end: float | None = None,
    kept: int = 0,
) -> Encoded:
    """Write the proxy of a file, or of its stretch [start, end) s, and prove that it tells the same times.

    `kept` frames, evenly spread, are given back as they were before they were encoded.

    Raises:
        MediaError: the source is damaged, or cannot be encoded so.
        OSError: the proxy cannot be written.
    """
    if table.info.is_picture:
        return _picture(path, out, choice)
    if table.picture is None and table.info.has_video:
        return _animation(path, out, table, whole=start == 0 and end is None)
    part = part_of(table, start, end, rate=0 if choice.sound == "none" else choice.sample_rate)
    if not len(part.ticks) and part.heard >= part.silent:
        raise MediaError(path, f"there is nothing in it from {start:g} s on", "correct the manifest or keep its sound")
    encoded = _film(path, out, choice, table, part, kept)
    _prove(path, out, part, choice)
    return encoded


def _film(path: Path, out: Path, choice: Proxy, table: FileTable, part: Part, kept: int) -> Encoded:
    count = len(part.ticks)
    spread = part.ticks[[(2 * i + 1) * count // (2 * kept) for i in range(kept)]] if count else ()
    # of several frames at one instant, the last is the one that is shown
    numbers = tuple(sorted({int(n) - 1 for n in np.searchsorted(part.ticks, spread, "right")}))
    pictures: dict[int, np.ndarray] = {}
    film: FilmTrack | None = None
    scaled: Iterator[np.ndarray] = iter(())
    if table.picture is not None:
        height, width = _size(table, choice.short_side)
        film = _timed(part, height, width, choice, _bits(table.picture, part, choice))
        scaled = _scaled(path, table, part, (height, width))
    noise = _noise(table.sound, part, choice) if table.sound is not None and part.heard < part.silent else None
    seconds = max(part.length * float(part.tick), part.silent / part.rate if part.rate else 0.0)
    done = 0
    with Writer(path, out, film, noise) as writer:
        for until, sound in _windows(path, table, part, choice, seconds):
            stop = int(np.searchsorted(part.ticks, math.ceil(until / part.tick), "left"))
            for k in range(done, stop):
                pixel = next(scaled)
                if k in numbers:
                    pictures[k] = pixel
                writer.frame(k, pixel)
            done = max(done, stop)
            writer.sound(sound)
    return Encoded(
        suffix=".mp4" if count else ".m4a" if choice.sound == "aac" else ".flac",
        start=part.start,
        end=part.end,
        frames=count,
        instants=tuple(part.instants[list(numbers)].tolist()),
        pictures=tuple(pictures[k] for k in numbers),
    )


def _timed(part: Part, height: int, width: int, choice: Proxy, bits: int) -> FilmTrack:
    """The times of the frames in whole units that an mp4 can tell, moved so that nothing lies before 0."""
    numerator, timescale = part.tick.numerator, part.tick.denominator
    finer = FINER if (np.diff(part.ticks) <= 0).any() and timescale * FINER <= LARGEST_TIMESCALE else 1
    if part.heard < 0 and (common := math.lcm(timescale, part.rate)) * finer <= LARGEST_TIMESCALE:
        finer *= common // timescale
    if timescale > LARGEST_TIMESCALE:
        times = np.round(part.ticks * float(part.tick) * 1e6).astype(np.int64)
        timescale, numerator, finer = 1_000_000, 1, 1
        end = round(part.length * part.tick * timescale)
    else:
        times, end = part.ticks * numerator * finer, part.length * numerator * finer
        timescale *= finer
    # of equal ones the last is the one that is shown: those before it begin by the smallest unit earlier
    for k in range(len(times) - 2, 0, -1):
        times[k] = min(times[k], times[k + 1] - 1)
    for k in range(1, len(times)):
        times[k] = max(times[k], times[k - 1] + 1)
    before = round(Fraction(max(0, -part.heard), part.rate or 1) * timescale)
    return FilmTrack(
        height=height,
        width=width,
        codec=choice.codec,
        level=choice.level,
        bits=bits,
        gop=choice.gop,
        times=times + before,
        end=max(end, int(times[-1]) + 1) + before,
        timescale=timescale,
    )


def _bits(picture: PictureTable, part: Part, choice: Proxy) -> int:
    """Bits for `USUAL_RATE` frames, so that all frames take no more than their share of those of the source."""
    rows = picture.rows[part.first : part.first + len(part.ticks)]
    # packets that are not shown themselves belong to the frames around them
    hidden = int(picture.size.sum()) - int(picture.size[picture.rows].sum())
    there = int(picture.size[rows].sum()) + hidden * len(rows) // len(picture.rows)
    each = choice.share * there / len(rows) - FRAME_BYTES
    return max(1, round(8 * each * USUAL_RATE)) if choice.share else 0


def _noise(table: SoundTable, part: Part, choice: Proxy) -> SoundTrack:
    return SoundTrack(
        channels=1 if choice.mono else table.channels,
        rate=part.rate,
        codec="aac" if choice.sound == "aac" else "flac",
        begin=max(0, part.heard) if len(part.ticks) else 0,
    )


def _prove(path: Path, out: Path, part: Part, choice: Proxy) -> None:
    """Refuse a proxy whose frames do not begin, or whose sound does not lie, where those of the source do."""
    told = look(out)
    frames = told.picture.instants(np.arange(len(told.picture.ticks))) if told.picture else np.zeros(0)
    right = len(frames) == len(part.ticks)
    right = right and bool((np.abs(frames - part.instants) <= float(part.tick) / 2).all())
    sounds = part.heard < part.silent
    heard = part.heard if len(part.ticks) else 0
    if told.sound is None or not sounds:
        right = right and sounds == (told.sound is not None)
    else:  # what AAC has before its first sample may be heard, as silence
        early = heard - (told.sound.begin - told.sound.shift)
        right = right and told.sound.rate == part.rate and 0 <= early <= (AAC_PRIMING if choice.sound == "aac" else 0)
    if not right:
        raise MediaError(
            path, "its proxy does not tell the same times as it does", "pack it with --codec copy, and tell us"
        )


# ------------------------------------------------------------------------------------------------ the frames


def _size(table: FileTable, short_side: int) -> tuple[int, int]:
    """Height and width of the proxy: those of the frames as they are shown, scaled, and even."""
    high, wide = table.info.height, table.info.width
    share = Fraction(short_side, min(high, wide))
    if share >= 1:  # what is not scaled loses a line rather than that one is made up
        return max(2, high // 2 * 2), max(2, wide // 2 * 2)
    return max(2, 2 * round(high * share / 2)), max(2, 2 * round(wide * share / 2))


def _scaled(path: Path, table: FileTable, part: Part, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """The frames of the stretch in order, upright, as (3, H, W) uint8 of one size."""
    picture = table.picture
    assert picture is not None
    shown = table.info.height, table.info.width
    high, wide = (min(1.0, n / s) if s - n == 1 else 1.0 for s, n in zip(shown, size, strict=True))
    with refusing(path, "reading it"):
        frames = enumerate(_in_order(path, picture, table, part))
        while some := list(islice(frames, AT_ONCE)):
            shot = Shot(numbers=tuple(k for k, _ in some), boxes=(Box(height=high, width=wide),), size=size)
            yield from placed(path, some, [shot], picture.turn, Spent())[0].numpy()


def _in_order(path: Path, picture: PictureTable, table: FileTable, part: Part) -> Iterator[VideoFrame]:
    stop = part.first + len(part.ticks)
    # parts begin at key frames, so that nothing is decoded twice
    keys = np.flatnonzero(np.diff(picture.starts.astype(np.int64), prepend=-1))
    at = part.first
    while at < stop:
        later = keys[keys >= at + SOME]
        until = min(stop, int(later[0]) if len(later) else stop)
        waiting: list[tuple[int, VideoFrame]] = []
        for number, frame in decode(path, picture, table.stamp, range(at, until)):
            heapq.heappush(waiting, (number, frame))
            while waiting and waiting[0][0] == at:
                yield heapq.heappop(waiting)[1]
                at += 1


# ------------------------------------------------------------------------------------------------- the sound


def _windows(
    path: Path, table: FileTable, part: Part, choice: Proxy, seconds: float
) -> Iterator[tuple[Fraction, np.ndarray]]:
    """Stretches of time that cover the proxy: where each ends, s, and its sound (A, N), which may be none."""
    sound = table.sound if part.rate else None
    window = Fraction(WINDOW if sound is None or len(sound.ends) else UNKNOWN_WINDOW)
    at = Fraction(min(0, part.heard), part.rate or 1)
    while at < seconds:
        until = at + window
        begin, end = (max(part.heard, math.ceil(at * part.rate)), min(part.silent, math.ceil(until * part.rate)))
        found = np.zeros((0, 0), np.float32)
        if sound is not None and begin < end:
            wanted = Sound(
                start=(begin + part.zero) / part.rate,
                duration=(end - begin) / part.rate,
                rate=part.rate,
                mono=choice.mono,
            )
            with refusing(path, "reading it"):  # and nothing else: what cannot be written is no fault of the file
                found = cut(path, sound, table.stamp, [wanted])[0][0].numpy()
        yield until, found
        at = until


# ---------------------------------------------------------------------------------------------- the pictures


def _animation(path: Path, out: Path, table: FileTable, *, whole: bool) -> Encoded:
    """What is no film, but moves, is copied."""
    if not whole:
        raise MediaError(path, "a stretch of an animation cannot be cut out", "leave out start and end in the manifest")
    out.write_bytes(read_whole(path, table.stamp))
    return Encoded(suffix=path.suffix.lower(), end=table.info.duration, frames=table.info.frames)


def _picture(path: Path, out: Path, choice: Proxy) -> Encoded:
    """A picture that is large is scaled and becomes a JPEG, another is copied."""
    frame = load_picture(path)
    assert frame is not None  # or it would be no picture
    shorter = min(frame.height, frame.width)
    if shorter <= choice.short_side:
        out.write_bytes(read_whole(path))
        return Encoded(suffix=path.suffix.lower(), frames=1)
    share = Fraction(choice.short_side, shorter)
    size = (max(1, round(frame.height * share)), max(1, round(frame.width * share)))
    converter = Converter()
    shown = np.empty((3, *size), np.uint8)
    try:
        converter(frame, (0, 0, frame.height, frame.width), shown)
    finally:
        converter.close()
    content = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(shown.transpose(1, 2, 0))).save(
        content, "JPEG", quality=JPEG_QUALITY, subsampling=0
    )
    out.write_bytes(content.getvalue())
    return Encoded(suffix=".jpg", frames=1, instants=(0.0,), pictures=(shown,))
