"""The page of a comparison and its exports: reads run folders, writes compare.html, .json, .csv, .md and .tex."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avssl.report.compare_figures import affinities, alike, epoch_curves, label_curves, panel
from avssl.report.compare_reading import Pair
from avssl.report.compare_rows import Row
from avssl.report.compare_table import Column, Comparison, Section, pairing
from avssl.report.compare_words import (
    LEGEND,
    Words,
    as_csv,
    as_json,
    as_latex,
    as_markdown,
    chance,
    facts,
    heading,
    words,
)
from avssl.report.words import brief, flatten, is_share, number

__all__ = ["write_comparison"]

COLOURS = {"method": "--c0", "supervised": "--c2", "random": "--c1", "naive": "--muted"}


@dataclass(frozen=True, kw_only=True)
class _Dot:
    """One row of a dot chart; places are percents of the width."""

    name: str
    colour: str
    value: float
    low: float | None
    high: float | None
    text: str
    interval: str


def write_comparison(comparison: Comparison, folder: Path, *, pairs: Sequence[Pair] = (), command: str = "") -> Path:
    """Write the page and the exports into a folder, which is made, and return the path of the page.

    `pairs` tell how alike the features of two runs are; `command` is shown on the page.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("avssl.report", package_path=""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("compare.html").render(_content(comparison, pairs, command))
    told = as_json(comparison)
    told["affinity"] = [
        {"data": a.column.data, "column": a.column.name, "rho": a.rho, "p": a.p, "methods": list(a.methods),
         "reason": a.reason}
        for a in affinities(comparison)
    ]  # fmt: skip
    told["similarity"] = [
        {"a": a, "b": b, "cka": p.cka, "rsa": p.rsa, "items": p.items} for a, b, p in alike(comparison, pairs)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "compare.html": page,
        "compare.json": json.dumps(told, indent=1, ensure_ascii=False) + "\n",
        "compare.csv": as_csv(comparison),
        "compare.md": as_markdown(comparison),
        "compare.tex": as_latex(comparison),
    }
    for name, text in files.items():
        # a folder may be called what is no text
        (folder / name).write_text(text, encoding="utf-8", errors="backslashreplace")
    return folder / "compare.html"


def _content(comparison: Comparison, pairs: Sequence[Pair], command: str) -> dict[str, Any]:
    found = affinities(comparison)
    return {
        "command": command,
        "legend": LEGEND,
        "pairing": pairing(comparison),
        "count": len(comparison.runs),
        "sections": [_section(comparison, s) for s in comparison.sections],
        "labels": [p for i, c in enumerate(label_curves(comparison)) for p in panel(c, key=f"labels{i}")],
        "epochs": [p for i, c in enumerate(epoch_curves(comparison)) for p in panel(c, key=f"epochs{i}")],
        "affinities": [
            (
                a.column.data,
                a.column.name,
                "" if a.rho is None else f"{a.rho:+.2f}",
                "" if a.p is None else number(a.p, 2),
                str(len(a.methods)),
                a.reason,
            )
            for a in found
        ],
        "alike": [
            (a, b, "" if p.cka is None else f"{p.cka:.3f}", "" if p.rsa is None else f"{p.rsa:.3f}", str(p.items))
            for a, b, p in alike(comparison, pairs)
        ],
        "without": comparison.without,
        "notes": comparison.notes,
        "problems": comparison.problems,
        "runs": [
            (row.name, row.kind, ", ".join(r.name for r in row.runs), facts(row))
            for row in comparison.rows
            if row.kind in {"method", "supervised"}
        ],
    }  # fmt: skip


def _section(comparison: Comparison, section: Section) -> dict[str, Any]:
    rows = comparison.shown(section)
    lines = []
    for n, row in enumerate(rows):
        cells = [comparison.cell(row, c) for c in section.columns]
        lines.append(
            {
                "name": row.name,
                "facts": facts(row),
                "first": n > 0 and (rows[n - 1].kind == "method") != (row.kind == "method"),
                "cells": [
                    (words(cell, column), cell.reason, _remark(row, column, comparison))
                    for cell, column in zip(cells, section.columns, strict=True)
                ],
            }
        )
    below = [
        f"{heading(c)}: {r.name} is not above {', '.join(cell.below)}"
        for c in section.columns
        for r in rows
        if (cell := comparison.cell(r, c)).below and (cell.best or r.kind == "supervised")
    ]
    return {
        "title": section.title,
        "differs": section.differs,
        "data": section.data,
        "columns": [(c.protocol, c.metric, c.within, chance(c), f"{c.n_train} / {c.n_test}") for c in section.columns],
        "rows": lines,
        "absent": comparison.absent(section),
        "below": below,
        "charts": [_chart(comparison, c, rows) for c in section.columns],
        "conditions": [
            (heading(c), "; ".join(f"{k} {brief(v, 60)}" for k, v in flatten(dict(c.conditions))))
            for c in section.columns
        ],
    }


def _remark(row: Row, column: Column, comparison: Comparison) -> str:
    """What one sees of a cell when asking: n, which intervals, the floors that are as good."""
    cell = comparison.cell(row, column)
    if cell.estimate is None:
        return cell.reason
    parts = [f"n = {cell.estimate.n}", f"interval: {cell.estimate.how}"]
    if cell.gain is not None:
        parts.append(f"difference to random init over {cell.gain.how}")
    if cell.gap is not None:
        w = Words(comparison.cell(row, column), column.metric)
        parts.append(f"difference to the best {_signed_gap(cell.gap.value)}, {'not ' * ('≈' in w.marks)}told apart")
        parts += [] if cell.gap.seeds else ["one seed on both sides: the spread over seeds is not in it"]
    parts += [f"not above {', '.join(cell.below)}"] if cell.below else []
    return "; ".join([*parts, *([cell.note] if cell.note else [])])


def _signed_gap(value: float) -> str:
    return f"{value:+.3f}"


def _chart(comparison: Comparison, column: Column, rows: Sequence[Row]) -> dict[str, Any]:
    """Dots with intervals of a column, on one scale."""
    found = [(r, e, comparison.cell(r, column)) for r in rows if (e := comparison.cell(r, column).estimate)]
    ends = [x for _, e, _ in found for x in (e.value, e.low, e.high) if x is not None and math.isfinite(x)]
    ends += [column.chance] if column.chance is not None else []
    unit = is_share(column.metric) and all(0 <= e.value <= 1 for _, e, _ in found)
    left, right = (0.0, 1.0) if unit else (min([0.0, *ends]), max(ends))

    def place(x: float) -> float:
        return round(min(100.0, max(0.0, 100 * (x - left) / ((right - left) or 1.0))), 2)

    dots = [
        _Dot(
            name=r.name,
            colour=COLOURS[r.kind],
            value=place(e.value),
            low=None if e.low is None else place(e.low),
            high=None if e.high is None else place(e.high),
            text=(w := words(cell, column)).value,
            interval=w.interval,
        )
        for r, e, cell in found
    ]
    return {
        "title": heading(column),
        "chance": None if column.chance is None else place(column.chance),
        "chance_text": chance(column),
        "left": f"{100 * left:.0f} %" if unit else number(left),
        "right": f"{100 * right:.0f} %" if unit else number(right),
        "dots": dots,
    }
