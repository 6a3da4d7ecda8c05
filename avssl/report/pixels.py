"""Frames and sound as small pictures, ready to be put on a page."""

from __future__ import annotations

import base64
import io
from itertools import pairwise

import numpy as np

from avssl.report.reading import Array

__all__ = ["data_uri", "envelope", "frames_of", "spectrogram", "strip", "thin_out"]

TILE = 112  # pixels of height at which a frame is kept: sharp on dense screens at the size it is shown


def thin_out(count: int, most: int) -> Array:
    """At most `most` indices spread evenly over `count` things, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


def frames_of(video: Array, most: int = 16) -> tuple[Array, Array]:
    """The frames to show of a clip: (F, H, W, 3) uint8 and their indices (F,), F ≤ `most`.

    One channel becomes grey; two channels become red and green; numbers 0…1 are stretched to 0…255.
    """
    index = thin_out(len(video), most)
    frames = np.moveaxis(np.asarray(video)[index], 1, -1)
    if frames.dtype != np.uint8:
        frames = (255 * np.clip(np.nan_to_num(frames.astype(np.float32)), 0, 1)).round().astype(np.uint8)
    channels = frames.shape[-1]
    if channels == 1:
        frames = np.repeat(frames, 3, axis=-1)
    elif channels == 2:
        frames = np.concatenate([frames, np.zeros_like(frames[..., :1])], axis=-1)
    return frames[..., :3], index


def strip(frames: Array, *, height: int = TILE, gap: int = 0) -> Array:
    """Frames (F, H, W, 3) side by side at `height` pixels: small ones keep hard pixels, large ones are smoothed."""
    from PIL import Image

    width = max(1, round(frames.shape[2] * height / frames.shape[1]))
    way = Image.Resampling.LANCZOS if frames.shape[1] > height else Image.Resampling.NEAREST
    tiles = [np.asarray(Image.fromarray(f).resize((width, height), way)) for f in frames]
    sheet = np.full((height, len(tiles) * (width + gap) - gap, 3), 255, dtype=np.uint8)
    for i, tile in enumerate(tiles):
        sheet[:, i * (width + gap) : i * (width + gap) + width] = tile
    return sheet


def data_uri(picture: Array) -> str:
    """A picture (H, W, 3) uint8 as a data URI: PNG where that is small (flat colours), else JPEG at high quality."""
    from PIL import Image

    png, jpeg = io.BytesIO(), io.BytesIO()
    image = Image.fromarray(picture)
    image.save(png, "PNG", optimize=True)
    image.save(jpeg, "JPEG", quality=90, subsampling=0)
    kind, raw = ("png", png) if png.tell() <= 1.5 * jpeg.tell() else ("jpeg", jpeg)
    return f"data:image/{kind};base64," + base64.b64encode(raw.getvalue()).decode("ascii")


def envelope(audio: Array, points: int = 240) -> tuple[Array, Array]:
    """The lowest and the highest value (both (points,), −1…1) of the first channel of (A, N) in each slice of time."""
    wave = np.clip(np.nan_to_num(np.asarray(audio[0], dtype=np.float64)), -1, 1)
    edges = np.linspace(0, len(wave), min(points, len(wave)) + 1).astype(int)
    slices = [wave[a:b] for a, b in pairwise(edges)]
    return np.array([s.min() for s in slices]), np.array([s.max() for s in slices])


def spectrogram(audio: Array, rate: float, *, width: int = 640, height: int = 56) -> Array:
    """The mean over channels of (A, N) as a picture (height, width, 3): 0 to rate / 2 Hz on a mel scale, 60 dB."""
    from matplotlib import colormaps

    wave = np.nan_to_num(np.asarray(audio, dtype=np.float64).mean(axis=0))
    window = int(min(len(wave), max(16, round(0.032 * rate))))
    starts = np.linspace(0, len(wave) - window, min(width, max(1, 4 * len(wave) // window))).astype(int)
    pieces = np.stack([wave[s : s + window] for s in starts]) * np.hanning(window)
    power = np.abs(np.fft.rfft(pieces, n=max(1024, window), axis=1)) ** 2
    top = 2595 * np.log10(1 + rate / 2 / 700)  # the mel scale: 2595 log10(1 + f / 700)
    hertz = 700 * (10 ** (np.linspace(top, 0, height + 1) / 2595) - 1)
    edges = np.clip(np.ceil(hertz / (rate / 2) * (power.shape[1] - 1)).astype(int), 0, power.shape[1] - 1)
    rows = [power[:, b : max(a, b + 1)].mean(axis=1) for a, b in pairwise(edges)]
    decibel = 10 * np.log10(np.stack(rows) + 1e-12)
    level = np.clip(1 + (decibel - max(decibel.max(), -60.0)) / 60, 0, 1)
    columns = np.linspace(0, level.shape[1] - 1, width).round().astype(int)
    coloured: Array = 255 * colormaps["magma"](level[:, columns])[..., :3]
    return coloured.round().astype(np.uint8)
