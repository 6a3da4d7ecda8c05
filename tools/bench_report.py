"""What `bench_media.py` has found, as a table, as JSON and as a figure."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
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

    groups = [g for g in dict.fromkeys((r.job, r.mode) for r in rows) if any(r.pairs for r in rows if _of(r, g))]
    if not groups:
        return
    figure, axes = pyplot.subplots(1, len(groups), figsize=(3.2 * len(groups), 3.6), squeeze=False, sharex=False)
    for axis, group in zip(axes[0], groups, strict=True):
        some = sorted((r for r in rows if _of(r, group) and r.pairs), key=lambda r: -r.ratios("cpu")[0])
        middle, low, high = zip(*(r.ratios("cpu") for r in some), strict=True)
        errors = [[m - a for m, a in zip(middle, low, strict=True)], [b - m for m, b in zip(middle, high, strict=True)]]
        colours = ["0.6" if r.contender == "limit" else "C0" if r.right else "C1" for r in some]
        axis.barh([r.contender for r in some], middle, xerr=errors, color=colours, capsize=2)
        axis.axvline(1, color="black", linewidth=0.8)
        axis.set_title(f"{group[0]} {'' if group[1] == 'steady' else 'first epoch'}")
        axis.tick_params(labelsize=8)
    figure.supxlabel(
        "ours is … times as fast by CPU time (orange: other frames than asked for; grey: the limit)", fontsize=9
    )
    figure.tight_layout()
    figure.savefig(out, dpi=150)
    pyplot.close(figure)


def _of(row: Row, group: tuple[str, str]) -> bool:
    return (row.job, row.mode) == group


def text_of(group: Group) -> str:
    """The tables as plain text."""
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(group)
    return console.export_text()
