"""A cell in words, and the table as text for a terminal, Markdown, LaTeX, CSV and JSON."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from avssl.report.compare_rows import Row
from avssl.report.compare_statistics import Estimate
from avssl.report.compare_table import Cell, Column, Comparison, Section, pairing
from avssl.report.words import is_share, number

if TYPE_CHECKING:
    from rich.table import Table

__all__ = [
    "LEGEND",
    "Words",
    "as_csv",
    "as_json",
    "as_latex",
    "as_markdown",
    "chance",
    "facts",
    "heading",
    "tables",
    "title",
    "words",
]

LEGEND = (
    "Mean ± standard deviation (n - 1) over seeds. [95 % interval]: of one seed a bootstrap over test items, or over "
    "their groups; of several, Student's t over the seeds and the mean of those intervals together; where labels or "
    "probes were drawn several times, Student's t over these as well. Δ: difference to random init of the same "
    "network. ★ best method of the column; ≈ not told apart from it (the interval of the difference holds 0; not "
    "corrected for the number of methods); ! not above random init, a naive feature or chance."
)


class Words:
    """A cell as short texts: the mean with its deviation, its interval, the difference to random init, and marks."""

    def __init__(self, cell: Cell, metric: str) -> None:
        found = cell.estimate
        self.value = _value(found, metric) if found else ""
        self.interval = _interval(found, metric) if found else ""
        self.gain = (
            f"{_signed(cell.gain.value, metric)} {_interval(cell.gain, metric, signed=True)}".strip()
            if cell.gain
            else ""
        )
        self.marks = "★" * cell.best + "≈" * cell.tied + "!" * bool(cell.below)
        self.n = "" if found is None else f"{found.n}"


def words(cell: Cell, column: Column) -> Words:
    """The texts of a cell."""
    return Words(cell, column.metric)


def facts(row: Row) -> str:
    """Seeds, epochs, network and data of a row, as far as they are known."""
    many = f"{len(row.seeds)} seed{'s' * (len(row.seeds) != 1)}" if row.seeds else ""
    parts = [
        many,
        f"{row.epochs} epochs" if row.epochs and row.kind != "random" else "",
        row.encoder if row.kind in {"method", "supervised"} else "",
        f"{row.parameters} parameters" if row.parameters else "",
        f"on {row.data}" if row.data else "",
    ]
    return " · ".join(p for p in parts if p)


def title(section: Section) -> str:
    """The label and the data of a section, and how its files were cut if others were cut otherwise."""
    return f"{section.title} · {section.data}" + (f" · {section.differs}" if section.differs else "")


def heading(column: Column) -> str:
    """Protocol, metric and what sets the column apart from others of its section."""
    return f"{column.protocol} {column.metric}" + (f" ({column.within})" if column.within else "")


def tables(comparison: Comparison, *, width: int = 120) -> list[Table]:
    """Tables for a terminal of `width` characters: one for each section, or several where its columns are many."""
    room = max(1, (width - 24) // 18)
    return [
        _table(comparison, section, section.columns[start : start + room])
        for section in comparison.sections
        for start in range(0, len(section.columns), room)
    ]


def _table(comparison: Comparison, section: Section, columns: Sequence[Column]) -> Table:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(
        title=escape(title(section)), box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False
    )
    table.add_column("method", overflow="fold")
    table.add_column("n")
    for column in columns:
        told = f"\n{column.within}" if column.within else ""
        head = escape(f"{column.protocol}\n{column.metric}{told}")
        table.add_column(head, justify="right", overflow="fold")
    kind = ""
    for row in comparison.shown(section):
        if kind and (kind == "method") != (row.kind == "method"):
            table.add_section()
        kind = row.kind
        cells = []
        for column in columns:
            w = words(comparison.cell(row, column), column)
            below = [w.interval, f"Δ {w.gain}" if w.gain else ""]
            small = "".join(f"\n[dim]{escape(b)}[/dim]" for b in below if b)
            cells.append(escape(f"{w.value} {w.marks}".strip()) + small)
        table.add_row(escape(row.name), f"{len(row.seeds) or ''}", *cells)
    table.add_section()
    table.add_row("[dim]chance[/dim]", "", *(f"[dim]{chance(c)}[/dim]" for c in columns))
    table.add_row("[dim]train / test items[/dim]", "", *(f"[dim]{c.n_train} / {c.n_test}[/dim]" for c in columns))
    return table


def chance(column: Column) -> str:
    """The level of chance of a column."""
    return "" if column.chance is None else _plain(column.chance, column.metric)


def as_markdown(comparison: Comparison) -> str:
    """The table in Markdown, one for each section."""
    parts = []
    for section in comparison.sections:
        head = ["method", "seeds, epochs, network, data", *(heading(c) for c in section.columns)]
        lines = [f"**{_markdown(title(section))}**", "", _row(head), _row(["---"] * len(head))]
        lines += [
            _row([row.name, facts(row), *(_one_line(comparison, row, c) for c in section.columns)])
            for row in comparison.shown(section)
        ]
        lines.append(_row(["chance", "", *(chance(c) for c in section.columns)]))
        absent = [f"- {_markdown(name)}: {_markdown(why)}" for name, why in comparison.absent(section)]
        parts.append("\n".join([*lines, *(["", "Not in this table:", "", *absent] if absent else [])]))
    parts += [LEGEND + " " + pairing(comparison)]
    if comparison.notes:
        parts.append("\n".join(f"- {_markdown(n)}" for n in comparison.notes))
    return "\n\n".join(parts) + "\n"


def as_latex(comparison: Comparison) -> str:
    """The table as LaTeX `tabular`, one for each section; it needs no package."""
    parts = []
    for section in comparison.sections:
        lines = [f"% {_comment(title(section))}",
                 r"\begin{tabular}{lr" + "r" * len(section.columns) + "}", r"\hline"]  # fmt: skip
        lines += [" & ".join(["method", "seeds", *(_latex(heading(c)) for c in section.columns)]) + r" \\", r"\hline"]
        kind = ""
        for row in comparison.shown(section):
            lines += [r"\hline"] if kind and (kind == "method") != (row.kind == "method") else []
            kind = row.kind
            cells = [_latex_cell(comparison.cell(row, c), c) for c in section.columns]
            lines.append(" & ".join([_latex(row.name), f"{len(row.seeds) or ''}", *cells]) + r" \\")
        lines.append(" & ".join(["chance", "", *(_latex(chance(c)) for c in section.columns)]) + r" \\")
        parts.append("\n".join([*lines, r"\hline", r"\end{tabular}"]))
    return (
        "\n\n".join(
            [*parts, f"% {_comment(LEGEND + ' Bold: best; underlined: not told apart. ' + pairing(comparison))}"]
        )
        + "\n"
    )


def as_csv(comparison: Comparison) -> str:
    """One line for each cell, empty ones with their reason; numbers as they are, shares of one."""
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(_NAMES), lineterminator="\n")
    writer.writeheader()
    for line in records(comparison):
        writer.writerow({k: _safe(line[k]) for k in _NAMES})
    return out.getvalue()


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Everything of the table as plain JSON values."""
    return {
        "legend": f"{LEGEND} {pairing(comparison)}",
        "rows": [
            {
                "method": r.name, "kind": r.kind, "seeds": list(r.seeds), "epochs": r.epochs, "encoder": r.encoder,
                "data": r.data, "parameters": r.parameters, "runs": [str(x.folder) for x in r.runs],
                "notes": list(r.notes),
            }
            for r in comparison.rows
        ],
        "columns": [
            {
                "data": c.data, "label": c.label, "protocol": c.protocol, "metric": c.metric, "differs": c.differs,
                "train items": c.n_train, "test items": c.n_test, "chance": c.chance, "share of labels": c.share,
                "conditions": dict(c.conditions),
            }
            for c in comparison.columns
        ],
        "cells": records(comparison),
        "without scores": [{"run": r, "command": c} for r, c in comparison.without],
        "notes": list(comparison.notes),
        "problems": list(comparison.problems),
    }  # fmt: skip


_NAMES = ("method", "kind", "data", "label", "protocol", "metric", "differs", "value", "sd", "low", "high", "n",
          "interval", "gain", "gain_low", "gain_high", "gain_interval", "gap", "gap_low", "gap_high", "best", "tied",
          "not_above", "chance", "reason", "note")  # fmt: skip


def records(comparison: Comparison) -> list[dict[str, Any]]:
    """One record for each cell."""
    lines = []
    for row in comparison.rows:
        for column in comparison.columns:
            cell = comparison.cell(row, column)
            e, gain, gap = cell.estimate, cell.gain, cell.gap
            told: tuple[Any, ...] = (
                row.name, row.kind, column.data, column.label, column.protocol, column.metric, column.differs,
                e and e.value, e and e.sd, e and e.low, e and e.high, e and e.n, e and e.how,
                gain and gain.value, gain and gain.low, gain and gain.high, gain and gain.how,
                gap and gap.value, gap and gap.low, gap and gap.high,
                cell.best, cell.tied, ", ".join(cell.below), column.chance, cell.reason, cell.note,
            )  # fmt: skip
            lines.append(dict(zip(_NAMES, told, strict=True)))
    return lines


def _value(e: Estimate, metric: str) -> str:
    if not _percent(e.value, metric):
        return number(e.value) + (f" ± {number(e.sd)}" if e.sd is not None else "")
    return f"{100 * e.value:.1f}" + (f" ± {100 * e.sd:.1f}" if e.sd is not None else "")


def _interval(e: Estimate, metric: str, *, signed: bool = False) -> str:
    """The interval, cut off where a share ends."""
    if e.low is None or e.high is None:
        return ""
    if not _percent(e.value, metric):
        return f"[{number(e.low)}, {number(e.high)}]"
    least = -1.0 if signed else 0.0
    low, high = 100 * max(least, e.low), 100 * min(1.0, e.high)
    return f"[{low:+.1f}, {high:+.1f}]" if signed else f"[{low:.1f}, {high:.1f}]"


def _signed(value: float, metric: str) -> str:
    return f"{100 * value:+.1f}" if _percent(value, metric) else f"{'+' * (value >= 0)}{number(value)}"


def _plain(value: float, metric: str) -> str:
    return f"{100 * value:.1f}" if _percent(value, metric) else number(value)


def _percent(value: float, metric: str) -> bool:
    return is_share(metric) and abs(value) <= 1


def _one_line(comparison: Comparison, row: Row, column: Column) -> str:
    w = words(comparison.cell(row, column), column)
    return " ".join(p for p in (w.value, w.interval, f"Δ {w.gain}" if w.gain else "", w.marks) if p)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_markdown(c) if set(c) != {"-"} else c for c in cells) + " |"


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|#~])", r"\\\1", " ".join(text.split()))


def _comment(text: str) -> str:
    return " ".join(text.split())


_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "·": r"$\cdot$",
    "→": r"$\to$",
    **{c: f"\\{c}" for c in "&%$#_{}"},
}


def _latex(text: str) -> str:
    return "".join(_LATEX.get(c, c) for c in " ".join(text.split()))


def _latex_cell(cell: Cell, column: Column) -> str:
    w = words(cell, column)
    if not w.value:
        return ""
    value = _latex(w.value)
    value = rf"\textbf{{{value}}}" if cell.best else rf"\underline{{{value}}}" if cell.tied else value
    return f"{value} {{\\scriptsize {_latex(w.interval)}}}" if w.interval else value


def _safe(value: object) -> object:
    """A text that a spreadsheet does not take for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in {"=", "+", "-", "@"} else value
