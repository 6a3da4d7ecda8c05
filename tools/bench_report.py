"""What `bench_media.py` has found, as a table, as JSON and as a figure."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

from bench_rounds import Row
from bench_scale import Growth
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

COLUMNS = ("", "clips/s", "clips/CPU-s", "ours is × as fast", "… by CPU time", "MB", "remarks")
NO_RUNS = "–"


def tables(
    rows: Sequence[Row], growths: Sequence[Growth], missing: Mapping[str, str], about: Mapping[str, str]
) -> Group:
    """One table for each job and mode, and who is missing, with the reason."""
    found: list[Any] = []
    for job, mode in dict.fromkeys((r.job, r.mode) for r in rows):
        some = [r for r in rows if (r.job, r.mode) == (job, mode)]
        found.append(_table(job, mode, some, about.get(job, "")))
    found += [_growing(growths)] if growths else []
    found += [Text(f"missing: {name}: {why}") for name, why in missing.items()]
    return Group(*found)


def _table(job: str, mode: str, rows: Sequence[Row], about: str) -> Table:
    rounds = max((len(r.pairs) for r in rows), default=0)
    what = "packet tables built" if mode == "steady" else "first epoch"
    table = Table(title=f"{job} {what} ({about}; {rounds} rounds)", caption=summary(rows), title_justify="left")
    for name in COLUMNS:
        table.add_column(name, justify="left" if name in {"", "remarks"} else "right")
    walls, cpus, peaks = ([f(p.ours) for r in rows for p in r.pairs] for f in (_wall, _cpu, lambda run: run.peak))
    if walls:
        table.add_row("ours", f"{median(walls):.1f}", f"{median(cpus):.1f}", "1", "1", f"{max(peaks):.0f}", "")
    for row in sorted(rows, key=lambda r: r.ratios("cpu")[0] if r.pairs else float("inf")):
        if row.failed or not row.pairs:
            table.add_row(row.contender, *[NO_RUNS] * 5, f"cannot: {row.failed[:90]}" if row.failed else row.note)
            continue
        wall, cpu = row.rates
        ratios = ["{:.2f} [{:.2f}–{:.2f}]".format(*row.ratios(of)) for of in ("wall", "cpu")]
        table.add_row(row.contender, f"{wall:.1f}", f"{cpu:.1f}", *ratios, f"{row.peak:.0f}", row.note)
    return table


def _growing(growths: Sequence[Growth]) -> Table:
    table = Table(title="CPU time as files get longer, and more", title_justify="left")
    for name in ("contender", "what", "ms at first", "times as much"):
        table.add_column(name, justify="left" if name in {"contender", "what"} else "right")
    for growth in growths:
        table.add_row(growth.contender, growth.what, f"{growth.first:.3f}", growth.words)
    return table


def _wall(run: Any) -> float:
    return run.clips / run.wall


def _cpu(run: Any) -> float:
    return run.clips / run.cpu


def summary(rows: Sequence[Row]) -> str:
    """The best peer that gives the right frames, the best of all, and the share of the limit that ours reaches."""
    peers = [r for r in rows if r.pairs and not r.failed and r.contender not in {"limit", "against"}]
    words = []
    for what, some in (("best right peer", [r for r in peers if r.right]), ("best of all", peers)):
        if some:
            best = min(some, key=lambda r: r.ratios("cpu")[0])
            words.append(f"{what} by CPU time: {best.contender}, ours {best.ratios('cpu')[0]:.2f} ×")
    for row in rows:
        if row.contender == "limit" and row.pairs:
            wall, cpu = row.ratios("wall")[0], row.ratios("cpu")[0]
            words.append(f"ours reaches {wall:.2f} of the limit, by CPU time {cpu:.2f}")
    return "; ".join(words)


def as_json(
    rows: Sequence[Row], growths: Sequence[Growth], missing: Mapping[str, str], machine: Mapping[str, Any]
) -> str:
    """All runs, and the medians and spreads of their ratios."""
    told = []
    for row in rows:
        wall, cpu = row.rates
        told.append(
            asdict(row)
            | {
                "clips_per_s": wall,
                "clips_per_cpu_s": cpu,
                "ours_over_it_wall": row.ratios("wall"),
                "ours_over_it_cpu": row.ratios("cpu"),
                "peak_mb": row.peak,
            }
        )
    grown = [asdict(g) for g in growths]
    return json.dumps({"machine": machine, "missing": missing, "rows": told, "growths": grown}, indent=1)


def draw(rows: Sequence[Row], out: Path) -> None:
    """How many times as fast ours is by CPU time, for each job and contender, with the spread over the rounds."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = [r for r in rows if r.pairs]
    if not shown:
        return
    jobs, modes = (list(dict.fromkeys(names)) for names in zip(*((r.job, r.mode) for r in shown), strict=True))
    size = (3.2 * len(jobs), 3.3 * len(modes) + 0.5)
    figure, axes = pyplot.subplots(len(modes), len(jobs), figsize=size, squeeze=False)
    for axis, (mode, job) in zip(axes.flat, product(modes, jobs), strict=True):
        some = sorted((r for r in shown if (r.job, r.mode) == (job, mode)), key=lambda r: -r.ratios("cpu")[0])
        _bars(axis, some)
        axis.set_title(job if mode == "steady" else f"{job}, first epoch", fontsize=10)
    words = "ours is … times as fast by CPU time (orange: other frames than asked for; grey: the limit)"
    figure.supxlabel(words, fontsize=9)
    figure.tight_layout()
    figure.savefig(out, dpi=150)
    pyplot.close(figure)


def _bars(axis: Any, rows: Sequence[Row]) -> None:
    """The median of each contender, and from the least to the most of all rounds."""
    for row in rows:
        middle, low, high = row.ratios("cpu")
        colour = "0.6" if row.contender == "limit" else "C0" if row.right else "C1"
        axis.barh(row.contender, middle, xerr=[[middle - low], [high - middle]], color=colour, capsize=2)
    axis.axvline(1, color="black", linewidth=0.8)
    axis.tick_params(labelsize=8)


def text_of(group: Group) -> str:
    """The tables as plain text."""
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(group)
    return console.export_text()
