"""Which scores may stand in one column, and what tells columns of one name apart."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from avssl.report.compare_reading import ON_SOUND, Measured
from avssl.report.compare_rows import base_name, short_data
from avssl.report.words import brief, flatten

__all__ = ["Column", "against", "columns_of", "cut_of", "titled", "what_differs"]

CUT = ("view", "clips", "crops")
"""Conditions that say what of a file was looked at: columns that differ in them stand in different sections."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """Scores that were measured alike.

    `differs` says in what from other columns of its name on the same data; `within` the part of it that sets it apart
    in its section.
    """

    key: str
    label: str
    protocol: str
    metric: str
    data: str
    differs: str
    within: str
    n_train: str
    n_test: str
    chance: float | None
    share: float | None
    conditions: Mapping[str, object]

    @property
    def place(self) -> str:
        """Equal for columns that stand side by side: label, data and what was cut of the files."""
        told = [self.data, self.label, self.protocol.endswith(ON_SOUND), *(self.conditions.get(k) for k in CUT)]
        return json.dumps(told, sort_keys=True, default=str)

    @property
    def title(self) -> tuple[str, str, str, str]:
        """Equal for columns of one name: they then differ in something."""
        return self.data, self.label, self.protocol, self.metric

    @property
    def name(self) -> str:
        """Protocol, metric, label and what sets it apart."""
        return f"{self.protocol} {self.metric} of {self.label}" + (f" ({self.differs})" if self.differs else "")


def columns_of(scores: Sequence[Measured]) -> list[Column]:
    """The columns of all scores; those of one name say what differs between them."""
    by_key: dict[str, list[Measured]] = {}
    for s in scores:
        by_key.setdefault(s.key, []).append(s)
    names: dict[tuple[str, ...], list[str]] = {}
    for key, same in by_key.items():
        names.setdefault(_name(same[0]), []).append(key)
    shorts: dict[str, set[str]] = {}
    for s in scores:
        shorts.setdefault(short_data(str(s.conditions["data"])), set()).add(str(s.conditions["data"]))
    columns = []
    for key, same in by_key.items():
        first = same[0]
        rivals = [by_key[k][0].conditions for k in names[_name(first)]]
        side = [r for r in rivals if cut_of(r) == cut_of(first.conditions)]
        data = str(first.conditions["data"])
        chances = [s.chance for s in same if s.chance is not None]
        columns.append(
            Column(
                key=key,
                label=first.label,
                protocol=first.protocol,
                metric=first.metric,
                data=data if len(shorts[short_data(data)]) > 1 else short_data(data),
                differs=what_differs(first.conditions, rivals),
                within=what_differs(first.conditions, side),
                n_train=_range([s.n_train for s in same]),
                n_test=_range([s.n_test for s in same]),
                chance=sum(chances) / len(chances) if chances else None,
                share=first.share,
                conditions=first.conditions,
            )
        )
    order = {k: n for n, k in enumerate(dict.fromkeys((c.place, base_name(c.protocol)) for c in columns))}
    return sorted(columns, key=lambda c: (order[c.place, base_name(c.protocol)], c.share or 0))


def cut_of(conditions: Mapping[str, object]) -> dict[str, object]:
    """The conditions that say what of a file was looked at."""
    return {k: conditions[k] for k in CUT if k in conditions}


def titled(column: Column) -> tuple[str, str]:
    """The data, and the label with " on sound" where the protocol was given sound."""
    return column.data, column.label + ON_SOUND * column.protocol.endswith(ON_SOUND)


def _name(score: Measured) -> tuple[str, ...]:
    """What the heading of a column says: columns of one name say in what they differ."""
    return score.label, score.protocol, score.metric, str(score.conditions["data"])


def what_differs(one: Mapping[str, object], rivals: Sequence[Mapping[str, object]], *, most: int = 4) -> str:
    """The conditions of `one` that are not those of all rivals."""
    flat = [dict(flatten(dict(r))) for r in rivals]
    mine = dict(flatten(dict(one)))
    names = [n for n in dict.fromkeys(k for f in flat for k in f) if len({f.get(n) for f in flat}) > 1]
    told = [f"{n.removeprefix('view.')} {brief(mine[n], 40)}" if n in mine else f"{n} not told" for n in names]
    return ", ".join(told[:most]) + (f" and {len(told) - most} more" if len(told) > most else "")


def _range(numbers: Sequence[int | None]) -> str:
    known = sorted({n for n in numbers if n is not None})
    return "" if not known else f"{known[0]}" if len(known) == 1 else f"{known[0]}–{known[-1]}"


def against(other: Column, column: Column, *, most: int = 4) -> str:
    """What the conditions of another column are where they are not those of this one."""
    theirs, mine = (dict(flatten(dict(c.conditions))) for c in (other, column))
    names = [n for n in dict.fromkeys([*theirs, *mine]) if theirs.get(n) != mine.get(n)]
    told = [
        f"{n.removeprefix('view.')} {brief(theirs.get(n, 'not told'), 40)} (here {brief(mine.get(n, 'not told'), 40)})"
        for n in names
    ]
    return ", ".join(told[:most]) + (f" and {len(told) - most} more" if len(told) > most else "")
