"""Small media made by the tests themselves: frames that carry their number as bars, sound with known bursts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from torch import Tensor

BARS = 8


def numbered(number: int, height: int = 48, width: int = 64, bars: int = BARS) -> np.ndarray:
    """A picture (H, W, 3) uint8: its upper half tells `number` in bars, its lower half moves."""
    picture = np.full((height, width, 3), 90, np.uint8)
    edges = np.linspace(0, width, bars + 1).astype(int)
    for bit in range(bars):
        picture[: height // 2, edges[bit] : edges[bit + 1]] = 220 if number >> bit & 1 else 30
    x = number * 3 % (width - 8)
    picture[height // 2 + 4 :, x : x + 8] = (200, 60, 40)
    return picture


def number_of(frame: Tensor, bars: int = BARS) -> int:
    """The number that a decoded frame (3, H, W) carries."""
    row = frame[:, : frame.shape[1] // 3].float().mean((0, 1)).numpy()
    edges = np.linspace(0, len(row), bars + 1)
    middle = [row[round(a + (b - a) * 0.3) : round(a + (b - a) * 0.7) or None].mean() for a, b in pairwise(edges)]
    return sum(int(m > 125) << bit for bit, m in enumerate(middle))


def numbers_of(video: Tensor, bars: int = BARS) -> list[int]:
    """The numbers that the frames of a clip (T, 3, H, W) carry."""
    return [number_of(f, bars) for f in video]


@dataclass(frozen=True, kw_only=True)
class Film:
    """The pictures to write: `stamps` are their times in units of `tick` (default: one each 1/rate s)."""

    frames: int = 40
    codec: str = "libx264"
    pix_fmt: str = "yuv420p"
    rate: int = 25
    height: int = 48
    width: int = 64
    options: Mapping[str, str] = field(default_factory=dict)
    stamps: Sequence[int] = ()
    tick: Fraction | None = None
    rotation: int = 0
    aspect: Fraction | None = None
    """The shape of a pixel: its width over its height."""
    pictures: Sequence[np.ndarray] = ()


@dataclass(frozen=True, kw_only=True)
class Noise:
    """The sound to write: `samples` (A, N) float32, the first at `start` s."""

    samples: np.ndarray
    rate: int = 44100
    codec: str = "aac"
    start: float = 0.0
    sample_fmt: str | None = None
    bit_rate: int = 128_000
    options: Mapping[str, str] = field(default_factory=dict)


def write(
    path: Path, film: Film | None = None, noise: Noise | None = None, options: Mapping[str, str] | None = None
) -> Path:
    """Write a small file with pictures, sound or both; `options` are those of the container."""
    with av.open(str(path), "w", options=dict(options or {})) as out:
        picture = _add_film(out, film) if film else None
        sound = _add_noise(out, noise) if noise else None
        if film and picture:
            tick = film.tick or Fraction(1, film.rate)
            for i in range(film.frames):
                pixels = film.pictures[i] if film.pictures else numbered(i, film.height, film.width)
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=film.pix_fmt)
                frame.pts, frame.time_base = (film.stamps[i] if film.stamps else i), tick
                out.mux(picture.encode(frame))
            out.mux(picture.encode(None))
        if noise and sound:
            layout = {1: "mono", 2: "stereo"}[noise.samples.shape[0]]
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(noise.samples), format="fltp", layout=layout)
            frame.sample_rate = noise.rate
            frame.pts, frame.time_base = round(noise.start * noise.rate), Fraction(1, noise.rate)
            out.mux(sound.encode(frame))
            out.mux(sound.encode(None))
    return path


def _add_film(out: av.container.OutputContainer, film: Film) -> av.VideoStream:
    stream = out.add_stream(film.codec, rate=film.rate, options=dict(film.options))
    stream.width, stream.height, stream.pix_fmt = film.width, film.height, film.pix_fmt
    stream.codec_context.thread_count = 1
    if film.tick:
        stream.codec_context.time_base = film.tick
        stream.time_base = film.tick
    if film.aspect:
        stream.sample_aspect_ratio = stream.codec_context.sample_aspect_ratio = film.aspect
    if film.rotation:
        stream.set_display_rotation(film.rotation)
    return stream


def _add_noise(out: av.container.OutputContainer, noise: Noise) -> av.AudioStream:
    layout = {1: "mono", 2: "stereo"}[noise.samples.shape[0]]
    stream = out.add_stream(noise.codec, rate=noise.rate, layout=layout, options=dict(noise.options))
    if noise.sample_fmt:
        stream.codec_context.format = noise.sample_fmt
    stream.bit_rate = noise.bit_rate
    stream.time_base = Fraction(1, noise.rate)
    return stream


def bursts(seconds: float, rate: int, at: Sequence[float], *, channels: int = 1) -> np.ndarray:
    """Silence (A, N) with a 60 ms sweep from 400 to 3000 Hz at each of some instants; each channel a bit louder."""
    t = np.arange(round(0.06 * rate)) / rate
    sweep = 0.5 * np.sin(2 * np.pi * (400 * t + (3000 - 400) / 0.12 * t**2)) * np.hanning(len(t))
    samples = np.zeros((channels, round(seconds * rate)))
    for instant in at:
        first = round(instant * rate)
        samples[:, first : first + len(t)] += sweep * (1 + np.arange(channels))[:, None] / channels
    return samples.astype(np.float32)
