"""What runs of each method measured, written into the table of methods that people keep by hand."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from avssl.report.compare_reading import Compared
from avssl.report.compare_statistics import Sample, difference, estimate

__all__ = ["Column", "cell", "with_runs"]

PRETRAINED, RANDOM = "pretrained", "random init"
NAMED = re.compile(r"\[[^\]]*\]\(([^)]+\.py)\)")
"""How the first cell of a row names its recipe."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A measured column of the table: its heading, and which score of a run it shows."""

    heading: str
    label: str
    protocol: str
    metric: str = "top-1"


def with_runs(table: str, column: Column, runs: Sequence[Compared]) -> str:
    """The text of a table in Markdown with the cells of one column filled; rows without such a score keep theirs.

    Raises:
        ValueError: there is no column of that heading.
    """
    of_recipe: dict[str, list[Compared]] = {}
    for run in runs:
        of_recipe.setdefault(run.recipe, []).append(run)
    place: int | None = None
    lines = []
    for line in table.splitlines():
        cells = [c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]]
        if place is None and column.heading in cells:
            place = cells.index(column.heading)
        named = NAMED.match(cells[0]) if cells else None
        told = cell(of_recipe.get(named[1], ()), column) if named and place is not None else ""
        if told and place is not None:
            cells[place] = told
            line = f"| {' | '.join(cells)} |"
        lines.append(line)
    if place is None:
        raise ValueError(f"the table has no column {column.heading!r}: give one of its headings")
    return "\n".join(lines) + "\n"


def cell(runs: Sequence[Compared], column: Column) -> str:
    """What the runs of one method say, in percent: "mean ± deviation / random init" over the seeds; '' if nothing.

    The number of seeds is told where it is not 3. The mean is bold where the difference from random init of the same
    runs is apart from zero: see `difference`.
    """
    pairs = [
        (own, floor) for run in runs for own, floor in [(_of(run, column, e) for e in (PRETRAINED, RANDOM))] if own
    ]
    if not pairs:
        return ""
    own = [a for a, _ in pairs if a]
    floor = [b for _, b in pairs if b]
    if len(floor) < len(own):
        return f"{_told(own)} / – (n = {len(own)})"
    better = difference(own, floor, pairs=True)
    mark = "**" if better.apart_from_zero and better.value > 0 else ""
    return f"{mark}{_told(own)}{mark} / {_told(floor)}" + ("" if len(own) == 3 else f" (n = {len(own)})")


def _of(run: Compared, column: Column, encoder: str) -> Sample | None:
    wanted = (encoder, column.label, column.protocol, column.metric)
    return next((s.sample for s in run.scores if (s.encoder, s.label, s.protocol, s.metric) == wanted), None)


def _told(samples: Sequence[Sample]) -> str:
    found = estimate(samples)
    return f"{100 * found.value:.1f}" + ("" if found.sd is None else f" ± {100 * found.sd:.1f}")
