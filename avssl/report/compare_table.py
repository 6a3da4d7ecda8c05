"""The table of a comparison: what stands in each cell and what may be said of it, and why a cell is empty."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from avssl.report.compare_columns import Column, against, columns_of, cut_of, titled, what_differs
from avssl.report.compare_reading import ON_SOUND, Compared, read_compared
from avssl.report.compare_rows import Row, at_equal_schedule, rows_of
from avssl.report.compare_statistics import Estimate, Sample, difference, estimate, paired
from avssl.report.scores import falls

__all__ = ["Cell", "Column", "Comparison", "Section", "compare", "pairing"]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One method in one column: empty with a `reason`, or an estimate.

    `best` is the best method of the column, `tied` one that the interval of the difference cannot tell from the best;
    `gain` is the difference to random init, `gap` that to the best; `below` names the floors that are as good.
    """

    estimate: Estimate | None = None
    reason: str = ""
    best: bool = False
    tied: bool = False
    gain: Estimate | None = None
    gap: Estimate | None = None
    below: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Section:
    """The columns of one label of one data set, of video or of sound, cut alike; `differs` says how, if it varies."""

    title: str
    data: str
    differs: str
    columns: tuple[Column, ...]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Everything that the table, the page and the exports show."""

    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    cells: Mapping[tuple[str, str], Cell]
    """By (name of the row, key of the column)."""
    runs: tuple[Compared, ...]
    without: tuple[tuple[str, str], ...]
    """(Run, command that makes its scores) of each run that has none."""
    notes: tuple[str, ...]
    problems: tuple[str, ...]

    @property
    def sections(self) -> tuple[Section, ...]:
        """The columns in groups that fit side by side."""
        found: dict[str, list[Column]] = {}
        for c in self.columns:
            found.setdefault(c.place, []).append(c)
        alike: dict[tuple[str, str], list[Mapping[str, object]]] = {}
        for columns in found.values():
            alike.setdefault(titled(columns[0]), []).append(cut_of(columns[0].conditions))
        return tuple(
            Section(
                title=titled(c[0])[1],
                data=c[0].data,
                differs=what_differs(cut_of(c[0].conditions), alike[titled(c[0])])
                if cut_of(c[0].conditions)
                else "cut as the protocol says",
                columns=tuple(c),
            )
            for c in found.values()
        )

    def cell(self, row: Row, column: Column) -> Cell:
        """The cell of a row and a column."""
        return self.cells[row.name, column.key]

    def shown(self, section: Section) -> tuple[Row, ...]:
        """The rows that have a score in a section."""
        return tuple(r for r in self.rows if any(self.cell(r, c).estimate for c in section.columns))

    def absent(self, section: Section) -> tuple[tuple[str, str], ...]:
        """(Method, why) of those that have none."""
        there = {r.name for r in self.shown(section)}
        left = (r for r in self.rows if r.kind in {"method", "supervised"} and r.name not in there)
        return tuple((r.name, self.cell(r, section.columns[0]).reason) for r in left)


def compare(folders: Sequence[Path]) -> Comparison:
    """Compare run folders.

    Raises:
        NotADirectoryError: there is no such folder.
        ValueError: none is given, or none has a score; the message names the commands that make them.
    """
    if not folders:
        raise ValueError("no run to compare: give run folders")
    runs = [read_compared(f) for f in dict.fromkeys(p.resolve() for p in folders)]
    without = [(r.name, r.command) for r in runs if not r.scores]
    if len(without) == len(runs):
        raise ValueError("none of the runs has scores; make them by:\n" + "\n".join(f"  {c}" for _, c in without))
    rows = _distinct(rows_of(runs))
    columns = columns_of([s for r in rows for scores in r.measured.values() for s in scores])
    cells = {(r.name, c.key): _filled(r, c, rows, columns) for r in rows for c in columns}
    for column in columns:
        cells |= _above_floors(column, rows, cells)
        cells |= _marked(column, rows, cells)
    notes = [f"{r.name}: {n}" for r in rows for n in r.notes] + at_equal_schedule(rows)
    return Comparison(
        rows=tuple(rows),
        columns=tuple(columns),
        cells=cells,
        runs=tuple(runs),
        without=tuple(without),
        notes=tuple(notes),
        problems=tuple(p for r in runs for p in r.problems),
    )


def _distinct(rows: Sequence[Row]) -> list[Row]:
    """The rows, no two of one name."""
    seen: dict[str, Row] = {}
    for row in rows:
        name = row.name
        while name in seen:
            name += " (another)"
        seen[name] = replace(row, name=name)
    return list(seen.values())


def _filled(row: Row, column: Column, rows: Sequence[Row], columns: Sequence[Column]) -> Cell:
    samples = row.samples.get(column.key)
    if not samples:
        return Cell(reason=_reason(row, column, columns))
    notes = []
    if row.kind in {"method", "supervised"} and len(samples) < len(row.seeds):
        notes.append(f"{len(samples)} of {len(row.seeds)} seeds have this score")
    gain = None
    if row.kind in {"method", "supervised"}:
        gain, told = _gain(row, column, samples, rows)
        notes += [told] if told else []
    return Cell(estimate=estimate(samples), gain=gain, note="; ".join(notes))


def _gain(row: Row, column: Column, samples: Sequence[Sample], rows: Sequence[Row]) -> tuple[Estimate | None, str]:
    """The difference to random init: to that of each run, or else to that of the same network in other runs."""
    if own := row.floors.get(column.key):
        return difference(samples, own, pairs=True), ""
    for other in rows:
        if other.kind == "random" and column.key in other.samples and row.has_network_of(other):
            return difference(samples, other.samples[column.key]), "random init is that of other runs"
    return None, "no random init beside it"


def _reason(row: Row, column: Column, columns: Sequence[Column]) -> str:
    """Why a cell is empty, and what would fill it."""
    if row.kind in {"method", "supervised"} and not row.samples:
        return "the runs have no scores; make them by: " + "; ".join(dict.fromkeys(r.command for r in row.runs))
    mine = [c for c in columns if c.key in row.samples]
    sound = column.protocol.endswith(ON_SOUND)
    if row.kind == "random" and not any(c.protocol.endswith(ON_SOUND) == sound for c in mine):
        return "a network for other media"
    if alike := [c for c in mine if c.title == column.title]:
        return "measured otherwise: " + "; ".join(against(c, column) for c in alike)
    if row.kind == "naive":
        return "not measured: this feature is not given to this protocol"
    known = any("sound" in p for r in row.runs for p in r.parameters)
    if sound and not known and not any(s.on_sound for scores in row.measured.values() for s in scores):
        return "no scores on sound: it has no sound encoder that was measured"
    folders = " ".join(shlex.quote(str(r.folder)) for r in row.runs)
    if row.kind == "random":
        return "no run of this network was measured so"
    data = shlex.quote(str(column.conditions["data"]))
    how = f"--data {data} --label {shlex.quote(column.label)}"
    if "protocol" in column.conditions:  # those that train on clips take one run at a time
        first = shlex.quote(str(row.runs[0].folder))
        return f"not measured; make it, for each run, by: python tools/finetune.py {first} {how}"
    return f"not measured; make it by: python tools/evaluate.py {folders} {how}"


def _marked(column: Column, rows: Sequence[Row], cells: Mapping[tuple[str, str], Cell]) -> dict[tuple[str, str], Cell]:
    """The cells of the methods of a column, the best of them marked, and those that cannot be told from it."""
    sign = -1.0 if falls(column.metric) else 1.0
    found = [(r, cell) for r in rows if r.kind == "method" and (cell := cells[r.name, column.key]).estimate]
    if not found:
        return {}

    def height(pair: tuple[Row, Cell]) -> float:
        return sign * pair[1].estimate.value if pair[1].estimate else 0.0

    best, _ = max(found, key=height)
    mine = best.samples[column.key]
    marked = {}
    for row, cell in found:
        if row is best:
            marked[row.name, column.key] = replace(cell, best=True)
            continue
        theirs = row.samples[column.key]
        gap = difference(theirs, mine)
        marked[row.name, column.key] = replace(cell, gap=gap, tied=gap.apart_from_zero is not True)
    return marked


def _above_floors(
    column: Column, rows: Sequence[Row], cells: Mapping[tuple[str, str], Cell]
) -> dict[tuple[str, str], Cell]:
    """The cells of what was trained with the floors that are as good: of random inits those of its own network."""
    sign = -1.0 if falls(column.metric) else 1.0
    floors = [(r, e.value) for r in rows if r.kind in {"random", "naive"} and (e := cells[r.name, column.key].estimate)]
    marked = {}
    for row in rows:
        cell = cells[row.name, column.key]
        if row.kind not in {"method", "supervised"} or cell.estimate is None:
            continue
        value = sign * cell.estimate.value
        below = [
            r.name for r, floor in floors if sign * floor >= value and (r.kind == "naive" or row.has_network_of(r))
        ]
        if column.chance is not None and sign * column.chance >= value:
            below.append("chance")
        marked[row.name, column.key] = replace(cell, below=tuple(below))
    return marked


def pairing(comparison: Comparison) -> str:
    """Whether differences were taken over the same test items, in a sentence."""
    both = [
        paired(a.samples[c.key], b.samples[c.key])
        for c in comparison.columns
        for a, b in zip(comparison.rows, comparison.rows[1:], strict=False)
        if c.key in a.samples and c.key in b.samples
    ]
    if both and all(both):
        return "Differences resample the same test items for both sides."
    some = "Some scores do" if any(both) else "The scores do"
    return (
        f"{some} not tell which test items were right, so that differences are taken as if test items were "
        "unpaired: their intervals are too wide rather than too narrow."
    )
