"""Which charts a run's metrics make, and the few numbers that are read first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avssl.report.charts import SERIES, Line, chart
from avssl.report.reading import Metrics
from avssl.report.words import is_share, number, share

__all__ = ["Panel", "curve_panels", "probe_panels", "speed_panels"]

HEALTH = ("effective rank", "deviation", "uniformity", "alignment")
"""Probes that are no accuracies, each on a scale of its own; an encoder's name may follow."""

_SPEED = {"clips_per_second", "waiting"}


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A chart with its title, what it ended at, and what one sees without eyes."""

    title: str
    last: str
    svg: str
    spoken: str
    legend: tuple[tuple[int, str, str], ...] = ()


def curve_panels(metrics: Metrics) -> list[Panel]:
    """A chart for each scalar of the training steps, losses first and the learning rate last."""

    def rank(name: str) -> int:
        return 0 if name == "loss" else 1 if "loss" in name else 3 if name.startswith("lr") else 2

    panels = []
    for i, name in enumerate(sorted((n for n in metrics.names if n not in _SPEED), key=rank)):
        x, y = metrics.curve(name)
        good = y[np.isfinite(y)]
        if not len(good):
            continue
        percent = is_share(name) and good.min() >= 0 and good.max() <= 1
        drawn = Line(name=name, x=x, y=y, smooth=not name.startswith("lr"), colour=0 if rank(name) < 2 else 2)
        lost = len(y) - len(good)
        panels.append(
            Panel(
                title=name,
                last=share(_end(good), name if percent else ""),
                svg=chart([drawn], key=f"curve{i}", percent=percent, low=0 if percent else None),
                spoken=f"{name} over {len(x)} steps: begins at {number(float(good[0]))}, "
                f"ends near {number(_end(good))}, "
                f"lowest {number(float(good.min()))}, highest {number(float(good.max()))}."
                + (f" {lost} values are not finite." if lost else ""),
            )
        )
    return panels


def _end(y: np.ndarray) -> float:
    """The mean of the last twentieth, since a single step is noise."""
    return float(np.mean(y[-max(1, len(y) // 20) :]))


def probe_panels(metrics: Metrics) -> list[Panel]:
    """The probes over the steps, as many in a chart as there are colours; each measure of health in its own."""
    names = list(dict.fromkeys(str(r["name"]) for r in metrics.probes))
    titled: dict[str, list[str]] = {}
    for name in names:
        titled.setdefault(next((h for h in HEALTH if name.startswith(h)), "probes"), []).append(name)
    panels = []
    groups = [(title, of, s) for title, of in titled.items() for s in range(0, len(of), len(SERIES))]
    for number_of, (title, names, start) in enumerate(groups):
        group = names[start : start + len(SERIES)]
        lines = []
        for i, name in enumerate(group):
            points = sorted((float(r["step"]), float(r["value"])) for r in metrics.probes if r["name"] == name)
            x, y = np.array([p[0] for p in points]), np.array([p[1] for p in points])
            lines.append(Line(name=name, x=x, y=y, marks=True, colour=i))
        values = np.concatenate([line.y for line in lines])
        shares = title == "probes" and bool(np.all((values >= 0) & (values <= 1)))
        texts = [share(float(line.y[-1]), "accuracy" if shares else "") for line in lines]
        panels.append(
            Panel(
                title=title if len(names) <= len(SERIES) else f"{title} {start + 1} – {start + len(group)}",
                last="",
                svg=chart(lines, key=f"probe{number_of}", percent=shares, low=0 if shares else None, size=(450, 230)),
                spoken="; ".join(
                    f"{line.name}: from {number(float(line.y[0]))} to {number(float(line.y[-1]))}" for line in lines
                ),
                legend=tuple((line.colour, line.name, text) for line, text in zip(lines, texts, strict=True)),
            )
        )
    return panels


def speed_panels(metrics: Metrics) -> list[Panel]:
    """Clips a second, and the share of time spent waiting for data."""
    panels = []
    for name, title, colour in (("clips_per_second", "clips / s", 2), ("waiting", "share of time waiting for data", 1)):
        x, y = metrics.curve(name)
        good = y[np.isfinite(y)]
        if not len(good):
            continue
        percent = name == "waiting"
        middle = float(np.median(good))
        text = f"{100 * middle:.0f} %" if percent else number(middle)
        svg = chart(
            [Line(name=name, x=x, y=y, smooth=True, colour=colour)],
            key=name,
            percent=percent,
            low=0.0,
            high=max(0.1, min(1.0, 1.1 * float(good.max()))) if percent else None,
        )
        spoken = f"{title}: median {text}, last {number(float(good[-1]))}."
        panels.append(Panel(title=title, last=f"median {text}", svg=svg, spoken=spoken))
    return panels
