"""Small charts as inline SVG that take their colours from the page, so that they follow light and dark."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from avssl.report.reading import Array
from avssl.report.words import number

__all__ = ["GRID", "INK", "MUTED", "SERIES", "Line", "as_svg", "chart"]

# The light theme. In the SVG each becomes a CSS variable; on a PNG they are what they are.
INK, MUTED, GRID, PAPER = "#1d2129", "#667080", "#e3e6eb", "#fdfdfc"
# Okabe and Ito's colours for every kind of colour vision, a little darker where they must be read on white
SERIES = ("#0072b2", "#d55e00", "#00896b", "#b5598f", "#b98500", "#3d8fc4")
_VARIABLES = {INK: "--ink", MUTED: "--muted", GRID: "--grid", PAPER: "--card"} | {
    c: f"--c{i}" for i, c in enumerate(SERIES)
}
_MARKS = ("o", "s", "^", "D", "v", "P")


@dataclass(frozen=True, kw_only=True)
class Line:
    """One curve: `x` and `y` of the same length; `smooth` draws the values faintly under their running mean."""

    name: str
    x: Array
    y: Array
    smooth: bool = False
    marks: bool = False
    colour: int = 0


def chart(
    lines: Sequence[Line],
    *,
    key: str,
    x_label: str = "step",
    low: float | None = None,
    high: float | None = None,
    percent: bool = False,
    size: tuple[float, float] = (348, 190),
) -> str:
    """A chart of `size` pixels as an `<svg>` element; `key` keeps its inner names apart from other charts'."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(size[0] / 96, size[1] / 96), dpi=96, facecolor="none")
    left, bottom = 44 / size[0], 36 / size[1]
    axes = figure.add_axes((left, bottom, 1 - left - 12 / size[0], 1 - bottom - 10 / size[1]), facecolor="none")
    for line in lines:
        _draw(axes, line)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(GRID)
    axes.tick_params(length=0, labelsize=8, labelcolor=MUTED, pad=4)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel(x_label, color=MUTED, fontsize=8, labelpad=3)
    axes.margins(x=0.02, y=0.08)
    if low is not None or high is not None:
        axes.set_ylim(low, high)
    _ticks(axes, percent=percent)
    return as_svg(figure, key)


def _draw(axes: Any, line: Line) -> None:
    colour = SERIES[line.colour % len(SERIES)]
    x, y = _binned(line.x, line.y)
    mark = _MARKS[line.colour % len(_MARKS)] if line.marks or len(x) == 1 else None
    if line.smooth and len(x) > 8:
        axes.plot(x, y, color=colour, linewidth=0.9, alpha=0.3)
        x, y = x, _running_mean(y, max(3, len(y) // 25))
    axes.plot(x, y, color=colour, linewidth=1.7, marker=mark, markersize=4.5, markeredgewidth=0, solid_capstyle="round")


def _ticks(axes: Any, *, percent: bool) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: number(v)))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.yaxis.set_major_formatter(FuncFormatter(_tick_text(axes, percent=percent)))


def _tick_text(axes: Any, *, percent: bool) -> Callable[[float, object], str]:
    """The same number of decimals on every tick of the vertical axis, as many as their distance needs."""
    ticks = axes.get_yticks() * (100 if percent else 1)
    step = float(ticks[1] - ticks[0]) if len(ticks) > 1 else 1.0
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    if decimals > 3:
        return lambda value, _: number(value, 2)
    if percent:
        return lambda value, _: f"{100 * value:.{decimals}f} %"
    return lambda value, _: f"{value:,.{decimals}f}"


def _binned(x: Array, y: Array, most: int = 400) -> tuple[Array, Array]:
    """At most `most` points: means over neighbouring steps, since a page need not carry a million of them."""
    if len(x) <= most:
        return x, y
    edges = np.linspace(0, len(x), most + 1).astype(int)
    pieces = list(pairwise(edges))
    return np.array([x[a:b].mean() for a, b in pieces]), np.array([y[a:b].mean() for a, b in pieces])


def _running_mean(y: Array, width: int) -> Array:
    """The mean over the `width` values around each one, fewer at the ends; what is not finite is left out."""
    good = np.isfinite(y)
    kernel = np.ones(width | 1)
    total = np.convolve(np.where(good, y, 0.0), kernel, mode="full")[width // 2 : width // 2 + len(y)]
    count = np.convolve(good.astype(float), kernel, mode="full")[width // 2 : width // 2 + len(y)]
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def as_svg(figure: Any, key: str) -> str:
    """A matplotlib figure as an `<svg>` element in the colours of the page; `key` keeps its inner names apart."""
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "avssl"}):
        figure.savefig(buffer, format="svg", transparent=True)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", text, flags=re.DOTALL)  # names of outside hosts
    text = re.sub(r"\s*\n\s*", " ", text)
    text = re.sub(r"<svg [^>]*?viewBox", '<svg aria-hidden="true" focusable="false" viewBox', text, count=1)
    text = re.sub(r' (?:xmlns|version)="[^"]*"', "", text).replace("xlink:href", "href")
    text = re.sub(r'\bid="([^"]+)"', rf'id="{key}-\1"', text)
    text = re.sub(r'href="#', f'href="#{key}-', text)
    text = text.replace("url(#", f"url(#{key}-")
    text = re.sub(r"font-family: [^;\"]+", "font-family: inherit", text)
    text = re.sub(r"font: ([\d.]+px) [^;\"]+", r"font-size: \1; font-family: inherit", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    return text
