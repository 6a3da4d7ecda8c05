"""What the dense protocols found, to look at: strips of frames with masks, maps over frames, the curve of synchrony."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from avssl.evaluation.dense.synchrony import SyncCurve

__all__ = ["draw_maps", "draw_masks", "draw_sync", "painted"]

COLOURS = np.array(
    [(230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167)],
    np.float32,
)
"""Okabe and Ito's, for every kind of colour vision."""
TILE, GAP = 128, 4


def painted(frames: np.ndarray, masks: np.ndarray, *, opacity: float = 0.6) -> np.ndarray:
    """Frames (T, H, W, 3) uint8 with the objects of masks (T, H, W) in colours, 0 left as it is."""
    colour = COLOURS[(masks.astype(int) - 1) % len(COLOURS)]
    share = opacity * (masks > 0)[..., None]
    mixed: np.ndarray = (frames * (1 - share) + colour * share).round().astype(np.uint8)
    return mixed


def draw_masks(
    path: Path, frames: Sequence[np.ndarray], masks: Mapping[str, Sequence[np.ndarray]], *, count: int = 6
) -> None:
    """A PNG of videos (T, H, W, 3): of each a row of `count` frames for each name, with its masks (T, H, W)."""
    rows, names = [], []
    for n, video in enumerate(frames):
        chosen = np.unique(np.linspace(0, len(video) - 1, count).round().astype(int))
        for name, found in masks.items():
            rows.append([_tile(f) for f in painted(video[chosen], found[n][chosen])])
            names.append(name)
    _sheet(path, rows, names)


def draw_maps(
    path: Path, frames: Sequence[np.ndarray], truths: Sequence[np.ndarray], maps: Mapping[str, Sequence[np.ndarray]]
) -> None:
    """A PNG of frames (H, W, 3): a row of them with the truth's pixels, then one for each name with its map as heat."""
    from matplotlib import colormaps

    rows = [[_tile(painted(f[None], _fit(t, f)[None] > 0)[0]) for f, t in zip(frames, truths, strict=True)]]
    for found in maps.values():
        row = []
        for frame, values in zip(frames, found, strict=True):
            smooth = _fit(values, frame, way=Image.Resampling.BILINEAR)
            level = (smooth - smooth.min()) / max(float(np.ptp(smooth)), 1e-12)
            row.append(_tile((0.4 * frame + 0.6 * 255 * colormaps["magma"](level)[..., :3]).astype(np.uint8)))
        rows.append(row)
    _sheet(path, rows, ["truth", *maps])


def draw_sync(path: Path, curves: Mapping[str, SyncCurve]) -> None:
    """A PNG of two panels over lag (s): how often true sound scores better, and how often each lag scores best."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    told, first = figure.subplots(1, 2)
    for n, (name, c) in enumerate(curves.items()):
        colour = COLOURS[(4, 5, 2, 6)[n % 4]] / 255
        told.plot(c.lags, 100 * c.told, marker="o", markersize=4, color=colour, label=name)
        told.fill_between(c.lags, 100 * c.low, 100 * c.high, color=colour, alpha=0.15, linewidth=0)
        first.plot(c.lags, 100 * c.first, marker="o", markersize=4, color=colour, label=name)
    lags = next(iter(curves.values())).lags
    told.axhline(50, color="#667080", linewidth=1, linestyle="--")
    first.axhline(100 / len(lags), color="#667080", linewidth=1, linestyle="--")
    told.set(xlabel="lag of the sound (s)", ylabel="true sound scores better (%)", ylim=(0, 103))
    first.set(xlabel="lag of the sound (s)", ylabel="this lag scores best (%)", ylim=(0, None))
    first.legend(frameon=False)
    for axes in (told, first):
        axes.spines[["top", "right"]].set_visible(False)
        axes.locator_params(axis="x", nbins=5)
    figure.savefig(path, dpi=110)


def _fit(values: np.ndarray, frame: np.ndarray, *, way: Image.Resampling = Image.Resampling.NEAREST) -> np.ndarray:
    """A map brought to the size of a frame."""
    picture = Image.fromarray(np.ascontiguousarray(values, np.float32)).resize((frame.shape[1], frame.shape[0]), way)
    return np.asarray(picture)


def _tile(frame: np.ndarray) -> np.ndarray:
    """A frame at `TILE` pixels of height: small ones keep hard pixels."""
    wide = max(1, round(frame.shape[1] * TILE / frame.shape[0]))
    way = Image.Resampling.LANCZOS if frame.shape[0] > TILE else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(frame).resize((wide, TILE), way))


def _sheet(path: Path, rows: Sequence[Sequence[np.ndarray]], names: Sequence[str]) -> None:
    """Rows of tiles with their names to the left, as a PNG."""
    from PIL import ImageDraw

    left = 8 + 7 * max(len(n) for n in names)
    wide = left + max(sum(t.shape[1] + GAP for t in row) for row in rows)
    sheet = Image.new("RGB", (wide, len(rows) * (TILE + GAP)), "white")
    pen = ImageDraw.Draw(sheet)
    for r, (row, name) in enumerate(zip(rows, names, strict=True)):
        top, x = r * (TILE + GAP), left
        pen.text((4, top + TILE // 2 - 6), name.replace("→", "->"), fill="black")
        for tile in row:
            sheet.paste(Image.fromarray(tile), (x, top))
            x += tile.shape[1] + GAP
    sheet.save(path)
