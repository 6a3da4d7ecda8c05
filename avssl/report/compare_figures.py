"""What a comparison shows beside its table: accuracy against labels and epochs, and what pretext accuracy foretells."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from avssl.report.charts import GRID, MUTED, SERIES, as_svg
from avssl.report.compare_reading import Compared, Pair
from avssl.report.compare_rows import base_name
from avssl.report.compare_statistics import correlation
from avssl.report.compare_table import Column, Comparison
from avssl.report.curves import Panel
from avssl.report.words import share

__all__ = ["Affinity", "Curve", "affinities", "alike", "epoch_curves", "label_curves", "panel"]

MARKS = ("o", "s", "^", "D", "v", "P")
MOST = len(SERIES)
OF_SHARE = {"training items", "chance", "share of labels"}
"""Conditions that change with the share of the labels."""
HELD_OUT = "held-out accuracy"


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A figure: lines of (x, value, low, high) by name; `log` draws x on a logarithmic axis, in percent."""

    title: str
    x_label: str
    metric: str
    lines: dict[str, tuple[tuple[float, float, float | None, float | None], ...]]
    chance: float | None = None
    log: bool = False


@dataclass(frozen=True, kw_only=True)
class Affinity:
    """Spearman's correlation over methods of pretext accuracy, held out, with the scores of a column."""

    column: Column
    rho: float | None
    p: float | None
    methods: tuple[str, ...]
    reason: str = ""


def label_curves(comparison: Comparison) -> list[Curve]:
    """A curve for each protocol that was trained on several shares of the labels: accuracy against the share."""
    found: dict[tuple[str, str, str, str, str], list[Column]] = {}
    for c in comparison.columns:
        if c.share is not None:
            alike = json.dumps(
                {k: v for k, v in c.conditions.items() if k not in OF_SHARE}, sort_keys=True, default=str
            )
            found.setdefault((c.data, c.label, base_name(c.protocol), c.metric, alike), []).append(c)
    curves = []
    for (data, label, protocol, metric, _), columns in found.items():
        lines = {}
        for row in comparison.rows:
            points = [(c.share, e) for c in columns if c.share and (e := comparison.cell(row, c).estimate)]
            once = dict(points)
            if len(once) > 1:
                lines[row.name] = tuple((100 * x, e.value, e.low, e.high) for x, e in sorted(once.items()))
        if lines:
            told = columns[0].differs
            title = f"{label} · {protocol} {metric} · {data}" + (f" ({told})" if told else "")
            chances = [c.chance for c in columns if c.chance is not None]
            curves.append(
                Curve(
                    title=title,
                    x_label="labels (%)",
                    metric=metric,
                    lines=lines,
                    chance=float(np.mean(chances)) if chances else None,
                    log=True,
                )
            )
    return curves


def epoch_curves(comparison: Comparison) -> list[Curve]:
    """A curve for each probe during pretraining that some method has at several epochs: its mean over seeds."""
    found: dict[str, dict[str, tuple[tuple[float, float, float | None, float | None], ...]]] = {}
    for row in (r for r in comparison.rows if r.kind in {"method", "supervised"}):
        for name in dict.fromkeys(n for r in row.runs for n in r.curves):
            if "probe" not in name and name != HELD_OUT:
                continue
            runs = [dict(r.curves[name]) for r in row.runs if name in r.curves]
            common = sorted(set.intersection(*(set(r) for r in runs)))
            points = []
            for x in common:
                values = np.array([r[x] for r in runs])
                sd = float(values.std(ddof=1)) if len(values) > 1 else None
                mean = float(values.mean())
                points.append((x, mean, None if sd is None else mean - sd, None if sd is None else mean + sd))
            if len(points) > 1:
                found.setdefault(name, {})[row.name] = tuple(points)
    return [
        Curve(title=name, x_label="epoch of pretraining", metric="accuracy", lines=lines)
        for name, lines in found.items()
    ]


def affinities(comparison: Comparison) -> list[Affinity]:
    """For each column whether methods that are better at their own task, held out, also transfer better."""
    pretext = {r.name: v for r in comparison.rows if r.kind == "method" and (v := _held_out(r.runs)) is not None}
    found = []
    for column in comparison.columns:
        pairs = [
            (r.name, pretext[r.name], e.value)
            for r in comparison.rows
            if r.name in pretext and (e := comparison.cell(r, column).estimate)
        ]
        names = tuple(n for n, _, _ in pairs)
        if len(pairs) < 3:
            many = "method has" if len(pairs) == 1 else "methods have"
            reason = f"{len(pairs)} {many} both numbers; a rank correlation needs 3"
            found.append(Affinity(column=column, rho=None, p=None, methods=names, reason=reason))
            continue
        rho, p = correlation([x for _, x, _ in pairs], [y for _, _, y in pairs])
        flat = math.isnan(rho)
        found.append(
            Affinity(
                column=column,
                rho=None if flat else rho,
                p=None if flat else p,
                methods=names,
                reason="all methods are equal" if flat else "",
            )
        )
    return found


def alike(comparison: Comparison, pairs: Sequence[Pair]) -> list[tuple[str, str, Pair]]:
    """(Method and seed, method and seed, pair) of the pairs whose runs are both in the comparison."""
    names = {run.name: f"{row.name}, seed {run.seed or '–'}" for row in comparison.rows
             if row.kind in {"method", "supervised"} for run in row.runs}  # fmt: skip
    return [(names[p.a], names[p.b], p) for p in pairs if p.a in names and p.b in names]


def panel(curve: Curve, *, key: str) -> list[Panel]:
    """Charts of a curve, as many lines in each as there are colours; whiskers are the intervals."""
    names = list(curve.lines)
    panels = []
    for start in range(0, len(names), MOST):
        group = names[start : start + MOST]
        last = [share(curve.lines[n][-1][1], curve.metric) for n in group]
        panels.append(
            Panel(
                title=curve.title if len(names) <= MOST else f"{curve.title}, {start + 1} – {start + len(group)}",
                last="" if curve.chance is None else f"chance {share(curve.chance, curve.metric)}",
                svg=_drawn(curve, group, f"{key}-{start}"),
                spoken="; ".join(
                    f"{n}: " + ", ".join(f"{share(v, curve.metric)} at {x:g}" for x, v, *_ in curve.lines[n])
                    for n in group
                ),
                legend=tuple((i, n, text) for i, (n, text) in enumerate(zip(group, last, strict=True))),
            )
        )
    return panels


def _drawn(curve: Curve, names: Sequence[str], key: str) -> str:
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

    figure = Figure(figsize=(4.7, 2.6), dpi=96, facecolor="none")
    axes: Any = figure.add_axes((0.1, 0.17, 0.87, 0.78), facecolor="none")
    xs: list[float] = []
    for i, name in enumerate(names):
        x, y, low, high = (list(v) for v in zip(*curve.lines[name], strict=True))
        # neighbours at one x would hide each other's whiskers
        shown = [v * (1 + 0.02 * (i - len(names) / 2)) for v in x] if curve.log else x
        known = [k for k in range(len(x)) if low[k] is not None and high[k] is not None]
        axes.vlines([shown[k] for k in known], [low[k] for k in known], [high[k] for k in known],
                    color=SERIES[i], linewidth=2, alpha=0.4)  # fmt: skip
        axes.plot(shown, y, color=SERIES[i], linewidth=1.5, marker=MARKS[i], markersize=4.5, markeredgewidth=0)
        xs += x
    if curve.chance is not None:
        axes.axhline(curve.chance, color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
    if curve.log:
        axes.set_xscale("log")
        axes.set_xticks(sorted(set(xs)))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: share(v, curve.metric)))
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(GRID)
    axes.tick_params(length=0, labelsize=8, labelcolor=MUTED, pad=4)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel(curve.x_label, color=MUTED, fontsize=8, labelpad=3)
    return as_svg(figure, key)


def _held_out(runs: Sequence[Compared]) -> float | None:
    """The mean over runs of the last accuracy at their own task on held-out items; None where none has it."""
    last = [r.curves[HELD_OUT][-1][1] for r in runs if r.curves.get(HELD_OUT)]
    return float(np.mean(last)) if last else None
