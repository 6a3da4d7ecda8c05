"""Measuring: ours and each peer in turn, several times, so that what else the machine does meets them alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np
from bench_jobs import Visit
from bench_worker import Run, Worker


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Ours and a peer, run next to each other with the same visits."""

    ours: Run
    theirs: Run

    @property
    def wall(self) -> float:
        """How many times as many clips a second ours gives."""
        return self.theirs.wall / self.ours.wall

    @property
    def cpu(self) -> float:
        """How many times as many clips a second of CPU time ours gives."""
        return self.theirs.cpu / self.ours.cpu


@dataclass(kw_only=True)
class Row:
    """What was found of one contender in one job."""

    job: str
    mode: str
    """steady (tables are built) or first (they are not)."""
    contender: str
    pairs: list[Pair] = field(default_factory=list)
    note: str = ""
    right: bool = True
    """Whether it gives the frames that were asked for."""
    failed: str = ""

    @property
    def rates(self) -> tuple[float, float]:
        """Clips a second, and a second of CPU time: medians."""
        runs = [p.theirs for p in self.pairs]
        return (median(r.clips / r.wall for r in runs), median(r.clips / r.cpu for r in runs)) if runs else (0, 0)

    @property
    def ours_rates(self) -> tuple[float, float]:
        """The same of ours beside it."""
        runs = [p.ours for p in self.pairs]
        return (median(r.clips / r.wall for r in runs), median(r.clips / r.cpu for r in runs)) if runs else (0, 0)

    @property
    def peak(self) -> float:
        """The most memory that it took over that of torch alone, MB."""
        return max((p.theirs.peak for p in self.pairs), default=0.0)

    def ratios(self, of: str) -> tuple[float, float, float]:
        """How many times as fast ours is, by "wall" or "cpu": median, least, most of all rounds."""
        found = [p.wall if of == "wall" else p.cpu for p in self.pairs]
        return (median(found), min(found), max(found)) if found else (math.nan, math.nan, math.nan)


def enough(ours: Worker, visits: Sequence[Visit], seconds: float, *, first: bool) -> list[Visit]:
    """As many visits, but two at least, as ours can make in so many seconds; they are repeated if too few."""
    few = list(visits[: max(2, len(visits) // 8)])
    ours.tell("run", few, first)
    each = ours.tell("run", few, first).wall / len(few)
    count = max(2, math.ceil(seconds / each))
    return [visits[i % len(visits)] for i in range(count)]


def measure(
    rows: Sequence[Row],
    workers: Mapping[str, Worker],
    visits: Sequence[Visit],
    rounds: int,
    rng: np.random.Generator,
    *,
    first: bool,
    say: Callable[[str], None],
) -> None:
    """Fill the rows with pairs of runs; a contender that fails is left out from then on."""
    ours = workers["ours"]
    for number in range(rounds):
        for k in rng.permutation(len(rows)):
            row = rows[k]
            if row.failed:
                continue
            say(f"{row.job} {row.mode}, round {number + 1} of {rounds}: {row.contender}")
            try:
                row.pairs.append(_pair(ours, workers[row.contender], visits, rng, first=first))
            except RuntimeError as e:
                row.failed = str(e)


def _pair(ours: Worker, theirs: Worker, visits: Sequence[Visit], rng: np.random.Generator, *, first: bool) -> Pair:
    runs: dict[Worker, Run] = {}
    for k in rng.permutation(2):  # whoever comes first has no advantage over many rounds
        worker = (ours, theirs)[k]
        runs[worker] = worker.tell("run", list(visits), first)
    return Pair(ours=runs[ours], theirs=runs[theirs])
