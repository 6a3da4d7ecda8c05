"""The contact sheet: what a sampler drew, as one picture that can be looked at before a night is spent on training."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from avssl.report.charts import GRID, INK, MUTED, PAPER, SERIES
from avssl.report.hidden import shown
from avssl.report.pixels import envelope, spectrogram, strip
from avssl.report.reading import Draw, Drawn, read_draws
from avssl.report.words import brief, seconds

__all__ = ["contact_sheet", "write_contact_sheet"]

WIDTH, MARGIN, GAP = 1240, 28, 14  # pixels of the sheet at scale 1
FRAME, SOUND, LINE = 72, 58, 40
_SCALE = 2  # device pixels per pixel, for dense screens


@dataclass(frozen=True, kw_only=True)
class _Cell:
    """One clip as it will lie on the sheet."""

    clip: Drawn
    number: int
    picture: Any
    width: int
    height: int


def contact_sheet(draws: Sequence[Draw]) -> bytes:
    """The draws as one PNG: of each its labels, a time line of where it was cut (s), its frames, and its sound below.

    Raises:
        ValueError: there are no draws.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if not draws:
        raise ValueError("no draws to put on a contact sheet; a run writes draws.json when its training begins")
    blocks = [_rows([_cell(d, i) for i in range(len(d.clips))]) for d in draws]
    heights = [_block_height(d, rows) for d, rows in zip(draws, blocks, strict=True)]
    total = MARGIN * 2 + sum(heights) + 22 * (len(draws) - 1)
    figure = Figure(figsize=(WIDTH / 96, total / 96), dpi=96 * _SCALE, facecolor=PAPER)
    FigureCanvasAgg(figure)
    top = float(MARGIN)
    for draw, rows, height in zip(draws, blocks, heights, strict=True):
        _block(figure, draw, rows, top, total)
        top += height + 22
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", facecolor=PAPER)
    return buffer.getvalue()


def write_contact_sheet(run: Path, out: Path, *, examples: int = 8) -> Path:
    """Draw the sheet of the first examples of a run folder's draws.json into the PNG file `out`.

    Raises:
        FileNotFoundError: the run holds no draws that can be read.
    """
    problems: list[str] = []
    draws = read_draws(run, problems)
    if not draws:
        why = "; ".join(problems) or "draws.json is missing"
        raise FileNotFoundError(f"{run}: no draws ({why}); run the recipe with --train.epochs 0 --train.out {run}")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(contact_sheet(draws[:examples]))
    return out


def _cell(draw: Draw, number: int) -> _Cell:
    clip = draw.clips[number]
    usable = WIDTH - 2 * MARGIN
    picture, width, height = None, 380, 0
    if clip.video is not None:
        picture = strip(shown(draw, number), height=FRAME * _SCALE, gap=2 * _SCALE)
        width, height = picture.shape[1] / _SCALE, FRAME
        if width > usable:
            width, height = usable, max(12, round(FRAME * usable / width))
    if clip.audio is not None:
        width = max(width, 300)
        height += SOUND + (4 if picture is not None else 0)
    return _Cell(clip=clip, number=number, picture=picture, width=round(max(width, 64)), height=height + 18)


def _rows(cells: Sequence[_Cell]) -> list[list[_Cell]]:
    """Clips side by side as long as they fit."""
    rows: list[list[_Cell]] = []
    room = 0
    for cell in cells:
        if not rows or cell.width > room:
            rows.append([])
            room = WIDTH - 2 * MARGIN
        rows[-1].append(cell)
        room -= cell.width + GAP
    return rows


def _block_height(draw: Draw, rows: Sequence[Sequence[_Cell]]) -> int:
    return _head_height(draw) + sum(max(c.height for c in row) + 8 for row in rows)


def _head_height(draw: Draw) -> int:
    return 22 + (20 if draw.parameters else 0) + (0 if is_still(draw) else LINE + 4)


def _block(figure: Any, draw: Draw, rows: Sequence[Sequence[_Cell]], top: float, total: float) -> None:
    def write(x: float, y: float, text: str, **style: Any) -> None:
        # a file name may be no text, or hold $, which matplotlib would read as mathematics
        text = text.encode(errors="backslashreplace").decode().replace("$", r"\$")
        figure.text(x / WIDTH, 1 - y / total, text, va="top", **{"fontsize": 8, "color": MUTED, **style})

    write(MARGIN, top, Path(draw.path).name or "–", fontsize=10.5, color=INK, fontweight="bold")
    known = [f"{k} {brief(v, 60)}" for k, v in draw.labels.items()]
    write(
        WIDTH - MARGIN, top + 1, "   ".join(known)[:120], fontsize=9.5, color=SERIES[0], fontweight="bold", ha="right"
    )
    drawn = "   ".join(f"{k} {brief(v, 48)}" for k, v in draw.parameters.items())
    write(MARGIN, top + 21, drawn if len(drawn) <= 190 else drawn[:189] + "…")
    y = top + _head_height(draw)
    if not is_still(draw):
        _time_line(figure, draw, y - LINE - 4, total)
    for row in rows:
        x = float(MARGIN)
        for cell in row:
            _put(figure, cell, x, y, total, write)
            x += cell.width + GAP
        y += max(c.height for c in row) + 8


def _put(figure: Any, cell: _Cell, x: float, y: float, total: float, write: Any) -> None:
    clip, colour = cell.clip, SERIES[cell.number % len(SERIES)]
    write(x, y, caption(clip, cell.number), color=colour, fontsize=7.5)
    y += 16
    if cell.picture is not None:
        height = cell.height - 18 - (SOUND + 4 if clip.audio is not None else 0)
        width = min(cell.width, cell.picture.shape[1] * height / cell.picture.shape[0])
        axes = _axes(figure, x, y, width, height, total)
        axes.imshow(cell.picture, aspect="auto", interpolation="antialiased")
        y += height + 4
    if clip.audio is not None:
        low, high = envelope(clip.audio, cell.width)
        axes = _axes(figure, x, y, cell.width, 18, total)
        axes.fill_between(np.arange(len(low)), low, high, color=colour, linewidth=0.4)
        axes.set_xlim(0, max(1, len(low) - 1))
        axes.set_ylim(-1, 1)
        axes = _axes(figure, x, y + 20, cell.width, SOUND - 20, total)
        axes.imshow(spectrogram(clip.audio, rate_of(clip), width=cell.width), aspect="auto")


def caption(clip: Drawn, number: int) -> str:
    """Which clip, from when to when (s), and how many frames."""
    words = [f"clip {number + 1}"]
    if len(clip.times) == 1:
        words.append(f"{seconds(clip.times[0])} s")
    elif clip.times:
        words.append(f"{seconds(clip.times[0])} → {seconds(clip.times[-1])} s")
    count = len(clip.video) if clip.video is not None else 0
    if count > 1:
        words.append(f"{count} frames" if count <= 16 else f"16 of {count} frames shown")
    if clip.other and clip.times:
        words.append(f"from {clip.other}")
    if clip.sound is not None:
        words.append(f"sound {seconds(clip.sound[0])} – {seconds(sum(clip.sound))} s")
    if clip.other_sound and clip.sound is not None:
        words.append(f"sound from {clip.other_sound}")
    return ", ".join(words)


def rate_of(clip: Drawn) -> float:
    """Samples a second of the clip's sound; 16000 if its stretch was not written down."""
    if clip.audio is None or clip.sound is None or clip.sound[1] <= 0:
        return 16000.0
    return float(clip.audio.shape[-1]) / clip.sound[1]


def is_still(draw: Draw) -> bool:
    """Whether there is no time in this draw: pictures have no time line."""
    return not draw.duration and all(c.sound is None and set(c.times) <= {0.0} for c in draw.clips)


def extent(draw: Draw) -> tuple[float, float]:
    """The stretch (s) that the time line shows: the file, and whatever was cut from outside of it."""
    ends = [t for c in draw.clips for t in c.times]
    ends += [x for c in draw.clips if c.sound for x in (c.sound[0], sum(c.sound))]
    left, right = min([0.0, *ends]), max([draw.duration or 0.0, *ends])
    return left, right if right > left else left + 1.0


def _time_line(figure: Any, draw: Draw, y: float, total: float) -> None:
    left, right = extent(draw)
    axes = _axes(figure, MARGIN, y, WIDTH - 2 * MARGIN, LINE - 14, total)
    rows = len(draw.clips)
    end = draw.duration or right
    axes.axvspan(0, end, color=GRID, linewidth=0)
    for i, clip in enumerate(draw.clips):
        colour, middle = SERIES[i % len(SERIES)], rows - i - 0.5
        if clip.sound:
            axes.barh(middle, clip.sound[1], 0.7, clip.sound[0], color=colour, alpha=0.3, linewidth=0)
        axes.vlines(clip.times, middle - 0.38, middle + 0.38, color=colour, linewidth=1.4)
    axes.set_xlim(left, right)
    axes.set_ylim(0, rows)
    place = {"xycoords": "axes fraction", "textcoords": "offset points", "fontsize": 7, "color": MUTED, "va": "top"}
    axes.annotate(f"{seconds(left)} s", (0, 0), xytext=(0, -2), **place)
    told = f"{seconds(right)} s" + ("" if draw.duration else " (last instant drawn)")
    axes.annotate(told, (1, 0), xytext=(0, -2), ha="right", **place)


def _axes(figure: Any, x: float, y: float, width: float, height: float, total: float) -> Any:
    """Axes without any decoration, placed by pixels from the upper left corner."""
    axes = figure.add_axes((x / WIDTH, 1 - (y + height) / total, width / WIDTH, height / total))
    axes.set_axis_off()
    return axes
