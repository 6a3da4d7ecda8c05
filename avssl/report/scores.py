"""The transfer table: scores beside random init and naive baselines, and what may honestly be said of them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from avssl.report.reading import Record
from avssl.report.words import brief, is_share, number, share

__all__ = ["Row", "Table", "falls", "tables"]

_SMALLER_IS_BETTER = ("error", "loss", "eer", "mse", "mae", "median rank", "perplexity")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One encoder's score: the mean over its seeds, with the widest interval that any of them gave."""

    encoder: str
    value: float
    low: float | None
    high: float | None
    text: str
    interval: str
    n: str
    seeds: str
    settings: str
    best: bool = False

    @property
    def kind(self) -> str:
        """What the row stands for: the pretrained encoder, random init, or a naive baseline."""
        name = self.encoder.lower()
        if name.startswith("pretrained"):
            return "pretrained"
        return "random" if name.startswith("random") else "baseline"


@dataclass(frozen=True, kw_only=True)
class Table:
    """All scores of one protocol, label and metric, on one scale from `left` to `right`."""

    protocol: str
    label: str
    metric: str
    rows: tuple[Row, ...]
    chance: float | None
    chance_text: str
    verdict: str
    good: bool | None
    interval: str
    left: float
    right: float

    @property
    def left_text(self) -> str:
        """What the left end of the scale means."""
        return share(self.left, self.metric) if self.left % 1 else _whole(self.left, self.metric)

    @property
    def right_text(self) -> str:
        """What the right end of the scale means."""
        return share(self.right, self.metric) if self.right % 1 else _whole(self.right, self.metric)

    def percent(self, value: float) -> float:
        """Where a value lies on the scale (0 … 100)."""
        return min(100.0, max(0.0, 100 * (value - self.left) / ((self.right - self.left) or 1.0)))


def falls(metric: str) -> bool:
    """Whether a smaller value of this metric is the better one."""
    return any(word in metric.lower() for word in _SMALLER_IS_BETTER)


def _whole(value: float, metric: str) -> str:
    return f"{100 * value:.0f} %" if is_share(metric) and abs(value) <= 1 else number(value)


def tables(scores: Sequence[Record]) -> list[Table]:
    """Group scores by protocol, label and metric in the order in which they come."""
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for score in scores:
        key = str(score.get("protocol", "score")), str(score.get("label", "")), str(score.get("metric", "value"))
        groups.setdefault(key, []).append(score)
    return [_table(key, group) for key, group in groups.items()]


def _table(key: tuple[str, str, str], group: list[Record]) -> Table:
    protocol, label, metric = key
    down = falls(metric)
    merged: dict[tuple[str, str], list[Record]] = {}
    for score in group:
        settings = json.dumps(score.get("settings") or {}, sort_keys=True)
        merged.setdefault((str(score["encoder"]), settings), []).append(score)
    rows = [_row(name, records, metric) for (name, _), records in merged.items()]
    order = {"pretrained": 0, "random": 1, "baseline": 2}
    finite = [r.value for r in rows if math.isfinite(r.value)]
    best = (min(finite) if down else max(finite)) if finite else math.nan
    rows = [Row(**{**r.__dict__, "best": r.value == best}) for r in sorted(rows, key=lambda r: order[r.kind])]
    chances = [float(s["chance"]) for s in group if isinstance(s.get("chance"), int | float)]
    chance = chances[0] if chances else None
    verdict, good = _verdict(rows, chance, metric, down=down)
    ends = [x for r in rows for x in (r.value, r.low, r.high) if x is not None and math.isfinite(x)]
    ends += [chance] if chance is not None else []
    whole = is_share(metric) and all(0 <= x <= 1 for x in ends)
    return Table(
        protocol=protocol,
        label=label,
        metric=metric,
        rows=tuple(rows),
        chance=chance,
        chance_text=share(chance, metric) if chance is not None else "",
        verdict=verdict,
        good=good,
        interval=", ".join(dict.fromkeys(str(s["interval"]) for s in group if s.get("interval"))),
        left=0.0 if whole else min([0.0, *ends]),
        right=1.0 if whole else max(ends, default=1.0),
    )


def _row(name: str, records: list[Record], metric: str) -> Row:
    value = sum(float(r["value"]) for r in records) / len(records)
    lows = [float(r["low"]) for r in records if isinstance(r.get("low"), int | float)]
    highs = [float(r["high"]) for r in records if isinstance(r.get("high"), int | float)]
    known = len(lows) == len(highs) == len(records)
    low, high = (min(lows), max(highs)) if known else (None, None)
    seeds = list(dict.fromkeys(str(r["seed"]) for r in records if r.get("seed") is not None))
    tests = " / ".join(dict.fromkeys(brief(r["n_test"]) for r in records if r.get("n_test") is not None))
    trains = " / ".join(dict.fromkeys(brief(r["n_train"]) for r in records if r.get("n_train") is not None))
    several = f"{len(seeds)} seeds ({', '.join(seeds)})" if len(seeds) > 1 else (seeds[0] if seeds else "–")
    return Row(
        encoder=name,
        value=value,
        low=low,
        high=high,
        text=share(value, metric),
        interval=_range(low, high, metric),
        n=f"{trains or '–'} / {tests or '–'}",
        seeds=several,
        settings=brief(records[0].get("settings") or {}, 200),
    )


def _range(low: float | None, high: float | None, metric: str) -> str:
    if low is None or high is None:
        return "not given"
    if is_share(metric) and max(abs(low), abs(high)) <= 1:
        return f"{100 * low:.1f} – {100 * high:.1f}"
    return f"{number(low)} – {number(high)}"


def _verdict(rows: Sequence[Row], chance: float | None, metric: str, *, down: bool) -> tuple[str, bool | None]:
    """A sentence that claims no more than the intervals carry; the weakest pretrained row speaks for all."""
    ours = [r for r in rows if r.kind == "pretrained" and math.isfinite(r.value)]
    if not ours:
        return "No finite pretrained score, so there is nothing to compare.", None
    sign = -1.0 if down else 1.0
    mine = min(ours, key=lambda r: sign * r.value)
    rivals = [r for r in rows if r.kind == "random" and math.isfinite(r.value)]
    naive = [r for r in rows if r.kind == "baseline" and math.isfinite(r.value)]
    if not rivals:
        sentence, good = "There is no random-init score beside it, so no gain can be claimed.", None
    else:
        sentence, good = _against(mine, max(rivals, key=lambda r: sign * r.value), metric, sign)
    for rival in sorted(naive, key=lambda r: -sign * r.value)[:1]:
        if not _clearly_better(mine, rival, sign):
            nor = "Nor does it beat" if good is False else "It does not beat"
            sentence += f" {nor} the naive baseline “{rival.encoder}” ({rival.text})."
            good = False
    edge = mine.low if sign > 0 else mine.high
    if chance is not None and sign * (mine.value if edge is None else edge) <= sign * chance:
        sentence, good = sentence + " It is not above chance.", False
    return sentence, good


def _against(mine: Row, rival: Row, metric: str, sign: float) -> tuple[str, bool]:
    gap = abs(mine.value - rival.value)
    far = f"{100 * gap:.1f} points" if is_share(metric) else number(gap)
    if sign * mine.value <= sign * rival.value:
        how = "equal to it" if mine.value == rival.value else f"{far} worse"
        return f"Does not beat random init: it is {how}.", False
    if mine.low is None or rival.low is None:
        return f"Does not beat random init by anything that can be shown: {far} better, but without intervals.", False
    if not _clearly_better(mine, rival, sign):
        return f"Does not beat random init: {far} better, but the intervals overlap.", False
    return f"Beats random init by {far}; the intervals do not overlap.", True


def _clearly_better(mine: Row, rival: Row, sign: float) -> bool:
    """Whether the intervals lie apart; a row without one (mean colour, say) is taken as a point."""
    my_edge = mine.low if sign > 0 else mine.high
    their_edge = rival.high if sign > 0 else rival.low
    return sign * (mine.value if my_edge is None else my_edge) > sign * (
        rival.value if their_edge is None else their_edge
    )
