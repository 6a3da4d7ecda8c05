"""Cutting sound to the sample: where each decoded sample lies, and resampling that does not show the cut."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import cast

import numpy as np
import torch
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.codec.context import ThreadType
from av.error import FFmpegError
from torch import Tensor

from avssl.core import MediaError, Sound
from avssl.media.packets import AnyPacket, Track

__all__ = ["Piece", "SoundTable", "cut", "extent", "onset", "pieces", "sound_table"]

PREROLL = 0.5
"""Sound before a stretch that is decoded with it (s): the decoder's memory (MP3's reservoir is the longest)."""

WORTHWHILE = 2.0
"""A start is skipped if it is at least this long (s); shorter ones are decoded, which repeats the noise that AAC makes
up from its generator, too."""

ZEROS = 6
"""Zero crossings of the resampling filter on either side: torchaudio's default."""

LARGEST_FILTER = 20_000_000
"""The filter between two rates has about their product, both divided by their common measure, numbers."""


@dataclass(frozen=True, kw_only=True)
class SoundTable:
    """Where the packets of a sound track lie, in samples of its clock.

    `ends` (n,) are the samples at which what the packets hold ends. It is None where the lengths of the packets are
    not known exactly; the track is then always decoded from its start.
    """

    rate: int
    channels: int
    ends: np.ndarray | None


@dataclass(frozen=True)
class Piece:
    """Decoded sound (A, N) and the sample of the track's clock at which it begins."""

    start: int
    samples: np.ndarray

    @property
    def end(self) -> int:
        """The sample after the last one."""
        return self.start + int(self.samples.shape[1])


def sound_table(track: Track) -> SoundTable:
    """Work out where the packets lie: timestamps may be rounded to a millisecond, lengths are whole samples."""
    context = cast(AudioCodecContext, track.stream.codec_context)
    rate, per_tick = context.sample_rate, track.tick * context.sample_rate
    table = SoundTable(rate=rate, channels=context.layout.nb_channels, ends=None)
    stamps = [r.dts if r.pts is None else r.pts for r in track.rows]
    # where a duration is rounded to ticks, too, the codec's own length is the exact one
    usual = Fraction(context.frame_size or 0)
    lengths = [r.duration * per_tick for r in track.rows]
    lengths = [usual if usual and abs(n - usual) <= per_tick else n for n in lengths]
    if any(s is None for s in stamps) or any(n <= 0 or n.denominator != 1 for n in lengths[:-1]):
        return table
    times = np.array(stamps, np.float64) * float(per_tick)
    skip = track.rows[0].skip
    # the decoder cuts the first samples off and moves the timestamp by a whole number of ticks: so do we
    first = (cast(int, stamps[0]) + _whole(skip / per_tick)) * per_tick - skip
    ends = round(first) + np.cumsum([round(n) for n in lengths])
    if np.abs(ends[:-1] - times[1:]).max(initial=0) > 1 + 1.5 * float(per_tick):
        return table  # gaps, or lengths that are not the true ones
    return SoundTable(rate=rate, channels=table.channels, ends=ends)


def _whole(x: Fraction) -> int:
    return math.floor(x + Fraction(1, 2))  # av_rescale_q rounds halves away from zero


def pieces(track: Track, table: SoundTable, start: int, stop: int) -> list[Piece]:
    """Decode the samples [start, stop) of the track's clock, and some around them, as contiguous pieces.

    Raises:
        MediaError: the sample rate or the number of channels changes on the way.
    """
    first = 0
    if table.ends is not None and start - WORTHWHILE * table.rate > table.ends[0]:
        first = int(np.searchsorted(table.ends, start - PREROLL * table.rate))
        first = min(first, len(track.rows) - 1)
    found: list[tuple[int, list[np.ndarray]]] = []
    end = 0
    for frame in _decoded(track, first):
        if frame.sample_rate != table.rate or frame.layout.nb_channels != table.channels:
            raise MediaError(
                track.path,
                f"its sound changes from {table.rate} Hz × {table.channels} to {frame.sample_rate} Hz × "
                f"{frame.layout.nb_channels} channels on the way",
                "encode it again",
            )
        at = _place(frame, track, table, end if found else None)
        if not found or at != end:
            found.append((at, []))
        found[-1][1].append(frame.to_ndarray())
        end = at + frame.samples
        if end >= stop:
            break
    packed = [Piece(at, _float(np.concatenate(parts, 1), table.channels)) for at, parts in found]
    return [p for p in packed if p.samples.shape[1]]


def _place(frame: AudioFrame, track: Track, table: SoundTable, after: int | None) -> int:
    """The sample at which a frame begins: right after the one before if that can be, else by the packets' lengths."""
    if frame.pts is None:
        return after or 0
    per_tick = float(track.tick * table.rate)
    said = frame.pts * per_tick
    if after is not None and abs(said - after) <= 1 + 1.5 * per_tick:
        return after
    if table.ends is not None:
        end = said + frame.samples
        k = int(np.searchsorted(table.ends, end))
        near = min(table.ends[max(k - 1, 0) : k + 1], key=lambda e: abs(float(e) - end))
        if abs(float(near) - end) <= 2 + 1.5 * per_tick:
            return int(near) - frame.samples
    return round(said)


def _decoded(track: Track, first: int) -> Iterator[AudioFrame]:
    """The frames of the track from a packet on; damaged packets give none."""
    context = cast(AudioCodecContext, track.stream.codec_context)
    if context.is_open:
        context.flush_buffers()
    else:
        context.thread_type = ThreadType.NONE
        context.thread_count = 1
    ends: list[tuple[int, AnyPacket | None]] = [(-1, None)]
    for stretch in (track.packets(first), iter(ends)):
        for _, packet in stretch:
            try:
                frames = context.decode(packet)
            except FFmpegError:
                continue
            yield from (f for f in frames if f.samples)


def _float(samples: np.ndarray, channels: int) -> np.ndarray:
    """Samples of any format, packed or planar, as (A, N) float32 in −1…1."""
    if samples.shape[0] != channels:  # packed: one line in which the channels take turns
        samples = samples.reshape(-1, channels).T
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - 128) / 128
    if samples.dtype.kind == "i":
        return samples.astype(np.float32) / np.float32(1 << (8 * samples.dtype.itemsize - 1))
    return samples.astype(np.float32)


def onset(track: Track, table: SoundTable) -> Fraction:
    """When the first sample is heard on the clock of the container (s).

    Raises:
        MediaError: no sound can be decoded.
    """
    frame = next(iter(_decoded(track, 0)), None)
    if frame is None:
        raise MediaError(track.path, "none of its sound can be decoded", "leave the file out or encode it again")
    return Fraction(_place(frame, track, table, None), table.rate)


def extent(track: Track, table: SoundTable) -> tuple[Fraction, Fraction]:
    """When the sound begins and ends on the clock of the container (s), found by decoding its two ends.

    Raises:
        MediaError: no sound can be decoded.
    """
    begin = onset(track, table)
    near_end = 0 if table.ends is None else int(table.ends[-1])
    found = pieces(track, table, near_end, 1 << 62)
    return begin, max([begin, *(Fraction(p.end, table.rate) for p in found)])


def cut(track: Track, table: SoundTable, zero: Fraction, wanted: Sequence[Sound]) -> list[tuple[Tensor, int]]:
    """Cut stretches out of the sound: (A, N) float32 each, and how many of the N samples the file really has.

    Sample k of a stretch is sample k of the wholly resampled track, whose samples lie at whole multiples of 1/rate of
    the file's clock. `zero` is the 0 of the file's clock on that of the container (s).

    Raises:
        MediaError: the sound changes its format on the way.
    """
    for rate in {s.rate for s in wanted}:
        if math.prod(_ratio(rate, table.rate)) > LARGEST_FILTER:
            raise MediaError(
                track.path,
                f"its sound of {table.rate} Hz cannot well be resampled to {rate} Hz: hardly a common measure",
                f"ask for {table.rate} Hz, or encode the sound at a usual rate",
            )
    shift = round(zero * table.rate)
    windows = [_window(s, table.rate) for s in wanted]
    start, stop = min(w[0] for w in windows) + shift, max(w[1] for w in windows) + shift
    found = [Piece(p.start - shift, p.samples) for p in pieces(track, table, start, stop)]
    return [_one(found, s, table, *w) for s, w in zip(wanted, windows, strict=True)]


@lru_cache(maxsize=8)  # computing the filter costs more than applying it to a second of sound
def _resampler(old: int, new: int) -> Callable[[Tensor], Tensor]:
    from torchaudio.transforms import Resample

    return cast(Callable[[Tensor], Tensor], Resample(old, new, lowpass_filter_width=ZEROS))


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
        audio = _resampler(old, new)(audio)
        skipped = begin - first // old * new
        audio = audio[:, skipped : skipped + sound.samples]
    return audio.contiguous(), valid
