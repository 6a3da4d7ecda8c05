"""Whether a clip costs more in a long video, or among many files: as ratios to a short one, or to few."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
from bench_files import RATE, lengthened, make_files
from bench_jobs import JOBS, Job, Visit, draw_visits, sources
from bench_ours import spans
from bench_worker import Worker

from avssl.data.tables import Known, read_tables, write_tables
from avssl.media import look, open_media, packed, unpacked

UNIT = 10
"""The long videos are one of so many seconds over and over, so that a clip needs as many packets anywhere."""

LENGTHS = {"10 s": 10, "2 min": 120, "20 min": 1200}
LONG = {"2 h": 7200}
FEW, MANY = 10, 100_000
LOOKUPS, READS = 2000, 60
BASE = replace(next(j for j in JOBS if j.name == "J2"), clips=1)


@dataclass(frozen=True, kw_only=True)
class Growth:
    """How much more something takes than in the smallest case, in every round."""

    what: str
    contender: str
    first: float
    """What it takes in the smallest case, ms: median."""
    ratios: tuple[float, ...]

    @property
    def words(self) -> str:
        """The median and the spread."""
        return f"{median(self.ratios):.2f} [{min(self.ratios):.2f}–{max(self.ratios):.2f}]"


def by_length(
    folder: Path,
    workers: Mapping[str, Worker],
    rounds: int,
    rng: np.random.Generator,
    *,
    long: bool,
    seconds: float,
    say: Callable[[str], None],
) -> list[Growth]:
    """CPU time per clip against the length of the video, for ours and for the peers; a hang ends a peer's row."""
    base = make_files(folder, BASE.name, 1)[0]
    lengths = LENGTHS | (LONG if long else {})
    paths = {name: lengthened(base, folder / f"long-{s}.mp4", s) for name, s in lengths.items()}
    for name, worker in workers.items():
        if name in {"ours", "against"}:
            worker.tell("prepare", [str(p) for p in paths.values()])
    visits = _visits(BASE, paths, lengths, rng)
    found: list[Growth] = []
    for contender, worker in workers.items():
        if contender != "limit":
            say(f"length of the video: {contender}")
            found += _growths(contender, worker, visits, rounds, rng, seconds)
    return found


def _visits(
    job: Job, paths: Mapping[str, Path], lengths: Mapping[str, int], rng: np.random.Generator
) -> dict[str, list[Visit]]:
    """The same clips in each file, in one or another of the units that it repeats."""
    short = next(iter(paths.values()))
    drawn = draw_visits(job, sources([short]), 32, rng)
    found = {}
    for name, path in paths.items():
        turns = rng.integers(lengths[name] // UNIT, size=len(drawn))
        found[name] = [
            replace(v.shifted(int(k) * UNIT * RATE, lengths[name] * RATE - 1), path=str(path))
            for v, k in zip(drawn, turns, strict=True)
        ]
    return found


def _growths(
    contender: str,
    worker: Worker,
    visits: Mapping[str, Sequence[Visit]],
    rounds: int,
    rng: np.random.Generator,
    seconds: float,
) -> list[Growth]:
    """One for each length: what a clip takes there over what it takes in the shortest, round by round."""
    names = list(visits)
    took: dict[str, list[float]] = {n: [] for n in names}
    failed: set[str] = set()
    counts: dict[str, int] = {}
    for name in names:
        try:
            run = worker.tell("run", visits[name][:4], False)
            counts[name] = min(len(visits[name]), max(2, round(seconds / run.wall * 4)))
        except RuntimeError:
            failed.add(name)
    for _ in range(rounds):
        for k in rng.permutation(len(names)):
            name = names[k]
            if name in failed or names[0] in failed:
                continue
            try:
                run = worker.tell("run", visits[name][: counts[name]], False)
            except RuntimeError:
                failed.add(name)
                continue
            took[name].append(run.cpu / run.clips)
    shortest = took[names[0]]
    return [
        Growth(
            what=f"{name} over {names[0]}",
            contender=contender,
            first=1000 * median(shortest),
            ratios=tuple(b / a for a, b in zip(shortest, took[name], strict=True)),
        )
        for name in names[1:]
        if name not in failed and shortest
    ]


def by_files(folder: Path, rounds: int, rng: np.random.Generator, say: Callable[[str], None]) -> list[Growth]:
    """Looking a table up, and cutting a clip with it, against the number of files in one file of tables."""
    path = make_files(folder, "J1b", 1)[0]
    table = look(path)
    data = packed(table)
    known: dict[int, Known] = {}
    opened: dict[int, list[float]] = {FEW: [], MANY: []}
    for count in (FEW, MANY):
        say(f"number of files: writing {count} tables")
        file = folder / f"tables-{count}"
        write_tables(file, ((_name(i), table.stamp, data) for i in range(count)))
        for _ in range(rounds):
            began = time.process_time()
            known[count] = read_tables(file)
            opened[count].append(time.process_time() - began)
        file.unlink()  # it stays mapped
    job = next(j for j in JOBS if j.name == "J1b")
    visits = draw_visits(job, sources([path]), READS, rng)
    looked, cut = ({FEW: list[float](), MANY: list[float]()} for _ in range(2))
    for number in range(rounds):
        say(f"number of files: round {number + 1} of {rounds}")
        for count in rng.permutation([FEW, MANY]).tolist():
            names = [_name(int(i)) for i in rng.integers(count, size=LOOKUPS)]
            looked[count].append(_each(lambda name, some=known[count]: unpacked(some[name][1]), names))
            pairs = list(zip(names, visits, strict=False))
            cut[count].append(_each(lambda pair, some=known[count]: _cut(some, *pair), pairs))
    told = {"looking a table up": looked, "a clip with its look-up": cut}
    rows = [_of_counts(what, took) for what, took in told.items()]
    each = {count: [s / count for s in some] for count, some in opened.items()}
    return [*rows, _of_counts("opening the tables, per file", each)]


def _of_counts(what: str, took: Mapping[int, Sequence[float]]) -> Growth:
    return Growth(
        what=f"{what}: {MANY} files over {FEW}",
        contender="ours",
        first=1000 * median(took[FEW]),
        ratios=tuple(b / a for a, b in zip(took[FEW], took[MANY], strict=True)),
    )


def _name(number: int) -> str:
    return f"/data/videos/of/a/large/set/clip_{number:06d}.mp4"


def _each(deed: Callable[..., object], arguments: Sequence[object]) -> float:
    """CPU time of one of many calls, s."""
    began = time.process_time()
    for argument in arguments:
        deed(argument)
    return (time.process_time() - began) / len(arguments)


def _cut(known: Known, name: str, visit: Visit) -> None:
    with open_media(visit.path, unpacked(known[name][1])) as media:
        media.read(spans(visit))
