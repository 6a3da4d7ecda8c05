"""Cutting sound to the sample: where each decoded sample lies, and how a stretch of them is cut out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.codec import Codec
from av.error import FFmpegError
from torch import Tensor

from avssl.core import MediaError, Sound
from avssl.media.damage import Heard, Stretch, ahead, lost, refuse, warm_up
from avssl.media.feed import Feed, feed
from avssl.media.files import Stamp
from avssl.media.packets import AnyPacket
from avssl.media.resample import LARGEST_FILTER, ratio, resampled, source_window
from avssl.media.table import SoundTable

__all__ = ["Piece", "cut", "decoded", "first_row", "pieces"]

AHEAD = 2
"""Packets fed besides, before a decoder has forgotten its start: of the first, some codecs give nothing out."""

NEAR = 0.5
"""Stretches that are at most so far apart (s) are decoded in one."""

BEHIND = 2
"""Packets fed after the one that holds the last sample, as some decoders give a packet out with the next."""

SLIPS = 4096
"""Samples by which FFmpeg may be wrong about where a packet of Vorbis begins, near the edges of pages: a long block."""

CHECKED = frozenset({"flac", "ac3", "eac3"})
"""Codecs whose packets carry checksums, which FFmpeg looks at only when asked to; damage comes out as noise, else."""


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
    found, holes = _decode(path, table, stamp, start, stop)
    refuse(path, table, holes, [(start, stop)])
    return found


def _decode(path: Path, table: SoundTable, stamp: Stamp, start: int, stop: int) -> tuple[list[Piece], list[Stretch]]:
    """Decode the samples [start, stop), and some around them: contiguous pieces, and the stretches that are lost."""
    page = ahead(path, table, stamp)
    until = stop + (page or 0)
    first, count = first_row(table, start), len(table.size)
    last = min(int(np.searchsorted(table.ends, until)) + BEHIND, count - 1) if len(table.ends) else count - 1
    found: list[tuple[int, list[np.ndarray]]] = []
    heard: list[Heard] = []
    end = begin = int(table.ends[first - 1]) if first else table.begin
    with closing(feed(path, table, stamp)) as source:
        lossy = source.context.codec.lossy
        for at, frame, broken in decoded(source, table, np.arange(first, max(first, last) + 1)):
            if frame.sample_rate != table.rate or frame.layout.nb_channels != table.channels:
                raise _changes(path, table, frame)
            if not found or at != end or not found[-1][1]:
                found.append((at, []))
            end = at + frame.samples
            if end > start:  # what lies before was only for the decoder
                found[-1][1].append(_samples(frame))
            heard.append((at, end, broken))
            if end >= until:
                break
        else:
            behind = max(end, min(table.end, until))
            heard.append((behind, behind, source.broken))
    packed = [Piece(at, _float(np.concatenate(parts, 1), table.channels)) for at, parts in found if parts]
    inside = [_within(p, table.begin, table.end) for p in packed]
    return [p for p in inside if p.samples.shape[1]], list(lost(table, begin, heard, lossy=lossy, page=page))


def first_row(table: SoundTable, sample: int) -> int:
    """The packet at which decoding has to start for a sample of the track's clock."""
    if not len(table.ends):
        return 0
    lossy = Codec(table.decoder.codec, "r").lossy
    first = int(np.searchsorted(table.ends, sample - warm_up(table, lossy=lossy))) - AHEAD * lossy
    return min(max(first, 0), len(table.size) - 1)


def decoded(source: Feed, table: SoundTable, rows: np.ndarray) -> Iterator[tuple[int, AudioFrame, bool]]:
    """Decoded frames with the sample at which each begins, and whether packets failed since the one before."""
    context = cast(AudioCodecContext, source.context)
    if table.decoder.codec in CHECKED and not context.is_open:
        context.options = {"err_detect": "crccheck+explode"}
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
        for at, frame in _placed(frames, packet, table, after):
            broken, source.broken = source.broken, False
            yield at, frame, broken
            after = at + frame.samples


def _placed(
    frames: Sequence[AudioFrame], packet: AnyPacket | None, table: SoundTable, after: int | None
) -> Iterator[tuple[int, AudioFrame]]:
    """The sample at which each frame begins that came out together."""
    if not table.raw:
        for frame in frames:
            at = _by_time(frame, packet, table, after)
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
    """Where the decoded samples of a packet begin: where the one before ends; of the first the front may be cut off."""
    return int(table.ends[row - 1]) if row else int(table.ends[0]) - samples


def _by_time(frame: AudioFrame, packet: AnyPacket | None, table: SoundTable, after: int | None) -> int:
    """The sample at which a frame begins: right after the one before if that can be, else by the packets' lengths."""
    if frame.pts is None:
        return after or 0
    per_tick = float(table.tick * table.rate)
    said, slack = frame.pts * per_tick, 1 + 1.5 * per_tick
    if after is not None and abs(said - after) <= (SLIPS if table.decoder.codec == "vorbis" else slack):
        return after
    if after is not None and packet is not None and packet.pts is not None and packet.duration:
        # the first packet of a page of Ogg Vorbis is taken for a short one, and told to begin later than it does
        end = (packet.pts + packet.duration) * per_tick
        if abs(end - frame.samples - after) <= slack:
            return after
    if len(table.ends):
        end = said + frame.samples
        k = int(np.searchsorted(table.ends, end))
        near = min(table.ends[max(k - 1, 0) : k + 1], key=lambda e: abs(float(e) - end))
        if abs(float(near) - end) <= 1 + slack:
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


def _samples(frame: AudioFrame) -> np.ndarray:
    """The samples of a frame as it has them, planar (A, N) or packed (1, N · A).

    Not by `to_ndarray`: it goes on to further planes until one is missing, and of eight or more none is.
    """
    planar, channels = frame.format.is_planar, frame.layout.nb_channels
    count = frame.samples * (1 if planar else channels)
    lines = np.empty((channels if planar else 1, count), _KINDS[frame.format.name.removesuffix("p")])
    for line, plane in zip(lines, frame.planes, strict=False):
        line[:] = np.frombuffer(memoryview(cast(Any, plane)), lines.dtype, count)
    return lines


_KINDS = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}


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
        if math.prod(ratio(table.rate, rate)) > LARGEST_FILTER:
            what = f"its sound of {table.rate} Hz cannot well be resampled to {rate} Hz: hardly a common measure"
            raise MediaError(path, what, f"ask for {table.rate} Hz, or encode the sound at a usual rate")
    windows = [source_window(_begin(s), s.samples, *ratio(table.rate, s.rate)) for s in wanted]
    needed = [(first + table.shift, stop + table.shift) for first, stop in windows]
    cuts: dict[int, tuple[Tensor, int]] = {}
    for start, stop in _together(needed, round(NEAR * table.rate)):
        found, holes = _decode(path, table, stamp, start, stop)
        here = [Piece(p.start - table.shift, p.samples) for p in found]
        for k in (k for k, (first, _) in enumerate(needed) if start <= first < stop):
            refuse(path, table, holes, [needed[k]])
            cuts[k] = _one(here, wanted[k], table, *windows[k])
    return [cuts[k] for k in range(len(wanted))]


def _together(windows: Sequence[Stretch], near: int) -> list[Stretch]:
    """Stretches that cover the windows; those that lie at most `near` samples apart are decoded in one."""
    found: list[Stretch] = []
    for start, stop in sorted(windows):
        if found and start <= found[-1][1] + near:
            found[-1] = (found[-1][0], max(found[-1][1], stop))
        else:
            found.append((start, stop))
    return found


def _begin(sound: Sound) -> int:
    return round(sound.start * sound.rate)


def _one(found: Sequence[Piece], sound: Sound, table: SoundTable, first: int, stop: int) -> tuple[Tensor, int]:
    old, new = ratio(table.rate, sound.rate)
    first = first // old * old  # where a sample of the source and one of the result coincide
    source = np.zeros((1 if sound.mono else table.channels, stop - first), np.float32)
    begin = _begin(sound)
    valid = 0
    for piece in found:
        a, b = max(piece.start, first), min(piece.end, stop)
        if a < b:
            part = piece.samples[:, a - piece.start : b - piece.start]
            source[:, a - first : b - first] = part.mean(0, keepdims=True) if sound.mono else part
        low, high = -(-piece.start * new // old), -(-piece.end * new // old)
        valid += max(0, min(high, begin + sound.samples) - max(low, begin))
    if old != new:
        skipped = begin - first // old * new
        source = resampled(source, old, new)[:, skipped : skipped + sound.samples]
    # a damaged packet may come out longer than it was, over the next one
    return torch.from_numpy(np.ascontiguousarray(source)), min(valid, sound.samples)
