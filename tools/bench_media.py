"""How fast clips come out of video files: ours against every peer that is installed, on files that it makes itself.

python tools/bench_media.py --quick
python tools/bench_media.py --out bench --jobs J1a J2 --rounds 7
python tools/bench_media.py --root ~/ucf101 --jobs own

The peers: pip install torchcodec spdl-io video-reader-rs opencv-python-headless decord; decord2 has a module of the
same name as decord, so it goes to a folder of its own: pip install --no-deps --target DIR decord2; PYTHONPATH=DIR
python … torchcodec and SPDL use the FFmpeg inside the av wheel.

Every contender has a process of its own, two threads and one codec thread in each, and is given the same visits. Ours
and a peer run next to each other, in random order, several times: what counts is the ratio within a pair. "By CPU time"
hardly depends on what else the machine does. Before, the frames of each are compared with ours.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from bench_check import Reference
from bench_files import make_files
from bench_jobs import JOBS, Job, Source, draw_visits, frames_counted, sources
from bench_peers import PEERS
from bench_report import as_json, draw, tables, text_of
from bench_rounds import Row, enough, measure
from bench_scale import Growth, by_files, by_length
from bench_worker import Worker
from rich.console import Console

from avssl.core import MediaError
from avssl.media import VIDEO_SUFFIXES

CHECKED = 4
"""Visits whose frames are compared."""

MOST = 100
"""Files of one's own that are taken."""

VISITS = 64
"""Different visits of a job."""

QUICK = ("torchcodec approximate", "PyAV", "decord")


@dataclass(frozen=True, kw_only=True)
class BenchMedia:
    """Measure jobs J1a (Xvid), J1b (H.264), J2 (8 clips a visit), J3 (1080p), J4 (with sound), or own (with --root)."""

    out: Path = Path("bench-media")
    """Folder for table.txt, results.json and figure.png."""
    files: Path = Path.home() / ".cache" / "avssl-bench"
    """Where the files are made, once."""
    root: Path | None = None
    """A folder of videos of your own, for the job "own"; 100 of them at most are taken."""
    jobs: tuple[str, ...] = ("J1a", "J1b", "J2", "J3", "J4")
    """Which jobs."""
    peers: tuple[str, ...] = tuple(PEERS)
    """Which peers, besides the limit."""
    against: Path | None = None
    """Another checkout of avssl, to compare with this one."""
    rounds: int = 5
    """How often each is run."""
    seconds: float = 1.0
    """How long one run of ours lasts, about."""
    first_epoch: bool = True
    """Whether to measure a first epoch too, in which ours has to look into every file."""
    scale: bool = True
    """Whether to measure how the time of a clip grows with the length of the video and the number of files."""
    long: bool = False
    """Whether that goes on to a video of 2 h."""
    seed: int = 0
    """For the visits and the order of runs."""
    quick: bool = False
    """Less than a minute: J1a, J1b and J2, few peers, short runs. Not to conclude from."""


def main(choice: BenchMedia) -> None:
    if choice.quick:
        choice = replace(
            choice, jobs=("J1a", "J1b", "J2"), peers=QUICK, rounds=3, seconds=0.2, first_epoch=False, scale=False
        )
    if choice.root is not None and "own" not in choice.jobs:
        choice = replace(choice, jobs=(*choice.jobs, "own"))
    console = Console(stderr=True)
    choice.out.mkdir(parents=True, exist_ok=True)
    began = time.time()
    workers, missing, versions = _start(choice)
    rows: list[Row] = []
    growths: list[Growth] = []
    about: dict[str, str] = {}
    rng = np.random.default_rng(choice.seed)
    try:
        with console.status("") as status:
            for name in choice.jobs:
                status.update(f"{name}: files")
                job, found = _job(choice, name)
                about[name] = job.about
                for some in _measured(choice, job, found, workers, rng, status.update):
                    rows += some
                    told = {"versions": versions, "seconds": time.time() - began}
                    _write(choice, rows, growths, missing, about, told)
            if choice.scale:
                growths += by_length(
                    choice.files,
                    workers,
                    choice.rounds,
                    rng,
                    long=choice.long,
                    seconds=choice.seconds,
                    say=status.update,
                )
                growths += by_files(choice.files, choice.rounds, rng, status.update)
                _write(choice, rows, growths, missing, about, {"versions": versions, "seconds": time.time() - began})
    finally:
        for worker in workers.values():
            worker.close()
    print(text_of(tables(rows, growths, missing, about)))


def _start(choice: BenchMedia) -> tuple[dict[str, Worker], dict[str, str], dict[str, str]]:
    """The processes of all contenders that can be had, why others cannot, and their versions."""
    log = choice.out / "contenders.log"
    waiting = {name: Worker(name, log) for name in ("ours", "limit", *choice.peers)}
    if choice.against is not None:
        waiting["against"] = Worker("against", log, python_path=str(choice.against.resolve()))
    workers, missing, versions = {}, {}, {}
    for name, worker in waiting.items():
        try:
            versions[name] = worker.tell("start")
            workers[name] = worker
        except RuntimeError as e:
            missing[name] = str(e)
            worker.close()
    if "ours" not in workers:
        raise SystemExit(f"ours does not start: {missing['ours']}")
    return workers, missing, versions


def _job(choice: BenchMedia, name: str) -> tuple[Job, list[Source]]:
    if name == "own":
        if choice.root is None:
            raise SystemExit("job own: give the folder with --root")
        paths = sorted(p for p in choice.root.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES)
        some = [paths[i] for i in np.linspace(0, len(paths) - 1, min(MOST, len(paths))).astype(int)]
        found: list[Source] = []
        for path in some:
            try:
                found += sources([path])
            except MediaError as e:
                print(f"left out: {e}", file=sys.stderr)
        return Job(name="own", about=f"{len(found)} files of {choice.root.name}, 16×2 → 112"), found
    job = next((j for j in JOBS if j.name == name), None)
    if job is None:
        raise SystemExit(f"job {name}: there is none of that name, only {', '.join(j.name for j in JOBS)} and own")
    return job, sources(make_files(choice.files, name, job.files))


def _measured(
    choice: BenchMedia,
    job: Job,
    files: Sequence[Source],
    workers: Mapping[str, Worker],
    rng: np.random.Generator,
    say: Any,
) -> Iterator[list[Row]]:
    """The rows of one job, checked and measured, mode by mode."""
    visits = draw_visits(job, files, VISITS, np.random.default_rng((choice.seed, len(files))))
    paths = sorted({v.path for v in visits})
    able = [n for n, w in workers.items() if n != "ours" and (n == "limit" or not job.sound or w.tell("hears"))]
    rows = [Row(job=job.name, mode="steady", contender=n) for n in able if not (n == "limit" and job.sound)]
    for name in ("ours", "limit", "against"):
        if name in workers:
            workers[name].tell("prepare", paths)
    reference = Reference(workers["ours"], visits[:CHECKED], frames_counted(files))
    for row in rows:
        if row.contender != "limit":
            say(f"{job.name}: does {row.contender} give the right frames?")
            try:
                check = reference.check(workers[row.contender])
                row.note, row.right = check.note, check.other == 0
            except RuntimeError as e:
                row.failed = str(e)
    later = []
    if choice.first_epoch:
        later = [replace(r, mode="first", pairs=[]) for r in rows if r.contender != "limit"]
    for some, first in ((rows, False), (later, True)):
        if some:
            enough_visits = enough(workers["ours"], visits, choice.seconds, first=first)
            measure(some, workers, enough_visits, choice.rounds, rng, first=first, say=say)
            yield some


def _write(
    choice: BenchMedia,
    rows: Sequence[Row],
    growths: Sequence[Growth],
    missing: Mapping[str, str],
    about: Mapping[str, str],
    told: dict[str, Any],
) -> None:
    """Write what is known so far, so that a run that is ended early has not been for nothing."""
    machine = told | {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "load": os.getloadavg() if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "av": metadata.version("av"),
        "torch": metadata.version("torch"),
    }
    (choice.out / "table.txt").write_text(text_of(tables(rows, growths, missing, about)))
    (choice.out / "results.json").write_text(as_json(rows, growths, missing, machine))
    draw(rows, choice.out / "figure.png")


if __name__ == "__main__":
    main(tyro.cli(BenchMedia))
