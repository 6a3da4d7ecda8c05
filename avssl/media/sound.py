"""Cutting sound to the sample: where each decoded sample lies, and resampling that does not show the cut."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import cast

import numpy as np
import torch
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.error import FFmpegError
from torch import Tensor

from avssl.core import MediaError, Sound
from avssl.media.feed import AnyPacket, Feed, feed
from avssl.media.table import SoundTable, Stamp

__all__ = ["Piece", "cut", "decoded", "first_row", "pieces"]

PREROLL = 0.5
"""Sound before a stretch that is decoded with it (s): the decoder's memory (MP3's reservoir is the longest)."""

WORTHWHILE = 2.0
"""A start is skipped if it is at least this long (s); shorter ones are decoded, which repeats the noise that AAC makes
up from its generator, too."""

BEHIND = 2
"""Packets fed after the one that holds the last sample, as some decoders give a packet out with the next."""

ZEROS = 6
"""Zero crossings of the resampling filter on either side: torchaudio's default."""

LARGEST_FILTER = 20_000_000
"""The filter between two rates has about their product, both divided by their common measure, numbers."""


@dataclass(frozen=True)
class Piece:
    """Decoded sound (A, N) and the sample of the track's clock at which it begins."""

    start: int
    samples: np.ndarray

    @property
    def end(self) -> int:
        """The sample after the last one."""
        return self.start + int(self.samples.shape[1])


def pieces(path: Path, table: SoundTable, stamp: Stamp, start: int, stop: int) -> list[Piece]:
    """Decode the samples [start, stop) of the track's clock, and some around them, as contiguous pieces.

    Raises:
        MediaError: some of these samples cannot be decoded, for the file is damaged there; or the sample rate or the
            number of channels changes on the way.
    """
    first, count = first_row(table, start), len(table.size)
    last = min(int(np.searchsorted(table.ends, stop)) + BEHIND, count - 1) if len(table.ends) else count - 1
    found: list[tuple[int, list[np.ndarray]]] = []
    end = int(table.ends[first - 1]) if first else table.begin
    with closing(feed(path, table, stamp)) as source:
        for at, frame, broken in decoded(source, table, np.arange(first, max(first, last) + 1)):
            if frame.sample_rate != table.rate or frame.layout.nb_channels != table.channels:
                raise _changes(path, table, frame)
            if broken and at > end:
                _refuse_lost(path, table, max(end, start), min(at, stop))
            if not found or at != end:
                found.append((at, []))
            found[-1][1].append(frame.to_ndarray())
            end = at + frame.samples
            if end >= stop:
                break
        else:
            if source.broken:
                _refuse_lost(path, table, max(end, start), min(table.end, stop))
    packed = [Piece(at, _float(np.concatenate(parts, 1), table.channels)) for at, parts in found]
    heard = [_within(p, table.begin, table.end) for p in packed]
    return [p for p in heard if p.samples.shape[1]]


def first_row(table: SoundTable, start: int) -> int:
    """The packet at which decoding has to start for a sample of the track's clock."""
    if not len(table.ends) or start - WORTHWHILE * table.rate <= table.ends[0]:
        return 0
    return min(int(np.searchsorted(table.ends, start - PREROLL * table.rate)), len(table.size) - 1)


def decoded(source: Feed, table: SoundTable, rows: np.ndarray) -> Iterator[tuple[int, AudioFrame, bool]]:
    """Decoded frames with the sample at which each begins, and whether packets failed since the one before."""
    context = cast(AudioCodecContext, source.context)
    after: int | None = None
    ends: list[tuple[int, AnyPacket | None]] = [(-1, None)]
    for row, packet in chain(source.packets(rows), ends):
        if packet is not None and table.raw:
            packet.pts, packet.dts = row, None  # the frame comes out with the number of its packet
        try:
            frames = [f for f in context.decode(packet) if f.samples]
        except FFmpegError:
            source.broken = True
            continue
        for at, frame in _placed(frames, table, after):
            broken, source.broken = source.broken, False
            yield at, frame, broken
            after = at + frame.samples


def _placed(frames: Sequence[AudioFrame], table: SoundTable, after: int | None) -> Iterator[tuple[int, AudioFrame]]:
    """The sample at which each frame begins that came out together."""
    if not table.raw:
        for frame in frames:
            at = _by_time(frame, table, after)
            yield at, frame
            after = at + frame.samples
        return
    row, at = -1, 0
    for frame in frames:
        if frame.pts is not None and frame.pts != row:
            row = frame.pts
            at = _packet_start(table, row, sum(f.samples for f in frames if f.pts in {row, None}))
        yield at, frame
        at += frame.samples


def _packet_start(table: SoundTable, row: int, samples: int) -> int:
    """Where the decoded samples of a packet begin: they end where it does, as a decoder may cut off the first ones.

    The last packet may hold more than is told of it; it begins where the one before ends.
    """
    last = row == len(table.ends) - 1 and row > 0
    return int(table.ends[row - 1]) if last else int(table.ends[row]) - samples


def _by_time(frame: AudioFrame, table: SoundTable, after: int | None) -> int:
    """The sample at which a frame begins: right after the one before if that can be, else by the packets' lengths."""
    if frame.pts is None:
        return after or 0
    per_tick = float(table.tick * table.rate)
    said = frame.pts * per_tick
    if after is not None and abs(said - after) <= 1 + 1.5 * per_tick:
        return after
    if len(table.ends):
        end = said + frame.samples
        k = int(np.searchsorted(table.ends, end))
        near = min(table.ends[max(k - 1, 0) : k + 1], key=lambda e: abs(float(e) - end))
        if abs(float(near) - end) <= 2 + 1.5 * per_tick:
            return int(near) - frame.samples
    return round(said)


def _within(piece: Piece, begin: int, end: int) -> Piece:
    """What of a piece is heard: not the samples at either end that are there for the decoder only."""
    cut_off = max(0, begin - piece.start)
    return Piece(piece.start + cut_off, piece.samples[:, cut_off : max(cut_off, end - piece.start)])


def _changes(path: Path, table: SoundTable, frame: AudioFrame) -> MediaError:
    return MediaError(
        path,
        f"its sound changes from {table.rate} Hz × {table.channels} to {frame.sample_rate} Hz × "
        f"{frame.layout.nb_channels} channels on the way",
        "encode it again",
    )


def _refuse_lost(path: Path, table: SoundTable, first: int, stop: int) -> None:
    """Raise if samples [first, stop) that are asked for were lost."""
    if first < stop:
        a, b = ((n - table.shift) / table.rate for n in (first, stop))
        raise MediaError(
            path, f"its sound from {a:.3f} s to {b:.3f} s cannot be decoded", "leave the file out or encode it again"
        )


def _float(samples: np.ndarray, channels: int) -> np.ndarray:
    """Samples of any format, packed or planar, as (A, N) float32 in −1…1."""
    if samples.shape[0] != channels:  # packed: one line in which the channels take turns
        samples = samples.reshape(-1, channels).T
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - 128) / 128
    if samples.dtype.kind == "i":
        return samples.astype(np.float32) / np.float32(1 << (8 * samples.dtype.itemsize - 1))
    return samples.astype(np.float32)


def cut(path: Path, table: SoundTable, stamp: Stamp, wanted: Sequence[Sound]) -> list[tuple[Tensor, int]]:
    """Cut stretches out of the sound: (A, N) float32 each, and how many of the N samples the file really has.

    Sample k of a stretch is sample k of the wholly resampled track, whose samples lie at whole multiples of 1/rate of
    the file's clock.

    Raises:
        MediaError: some of it cannot be decoded, or the sound changes its format on the way.
    """
    for rate in {s.rate for s in wanted}:
        if math.prod(_ratio(rate, table.rate)) > LARGEST_FILTER:
            raise MediaError(
                path,
                f"its sound of {table.rate} Hz cannot well be resampled to {rate} Hz: hardly a common measure",
                f"ask for {table.rate} Hz, or encode the sound at a usual rate",
            )
    windows = [_window(s, table.rate) for s in wanted]
    start, stop = min(w[0] for w in windows) + table.shift, max(w[1] for w in windows) + table.shift
    found = [Piece(p.start - table.shift, p.samples) for p in pieces(path, table, stamp, start, stop)]
    return [_one(found, s, table, *w) for s, w in zip(wanted, windows, strict=True)]


@lru_cache(maxsize=8)  # computing the filter costs more than applying it to a second of sound
def _resampler(old: int, new: int) -> Callable[[Tensor], Tensor]:
    from torchaudio.transforms import Resample

    return cast(Callable[[Tensor], Tensor], Resample(old, new, lowpass_filter_width=ZEROS))


def _resampled(audio: Tensor, old: int, new: int) -> Tensor:
    """Resampled by one thread: with more of them a convolution adds in another order, and other bits come out."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _resampler(old, new)(audio)
    finally:
        torch.set_num_threads(threads)


def _ratio(wanted: int, rate: int) -> tuple[int, int]:
    common = math.gcd(wanted, rate)
    return rate // common, wanted // common


def _window(sound: Sound, rate: int) -> tuple[int, int]:
    """The source samples [first, stop) that a stretch needs, with the reach of the filter; `first` keeps the phase."""
    old, new = _ratio(sound.rate, rate)
    begin = round(sound.start * sound.rate)
    if old == new:
        return begin, begin + sound.samples
    reach = math.ceil(ZEROS * old / (0.99 * min(old, new))) + 1
    first = ((begin * old) // new - reach) // old * old
    return first, -(-(begin + sound.samples) * old // new) + reach


def _one(found: Sequence[Piece], sound: Sound, table: SoundTable, first: int, stop: int) -> tuple[Tensor, int]:
    channels = 1 if sound.mono else table.channels
    source = np.zeros((channels, stop - first), np.float32)
    old, new = _ratio(sound.rate, table.rate)
    begin = round(sound.start * sound.rate)
    valid = 0
    for piece in found:
        a, b = max(piece.start, first), min(piece.end, stop)
        if a < b:
            part = piece.samples[:, a - piece.start : b - piece.start]
            source[:, a - first : b - first] = part.mean(0, keepdims=True) if sound.mono else part
        low, high = -(-piece.start * new // old), -(-piece.end * new // old)
        valid += max(0, min(high, begin + sound.samples) - max(low, begin))
    audio = torch.from_numpy(source)
    if old != new:
        audio = _resampled(audio, old, new)
        skipped = begin - first // old * new
        audio = audio[:, skipped : skipped + sound.samples]
    return audio.contiguous(), valid
