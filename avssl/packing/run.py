"""Packing a data set, so that it can be stopped anywhere and goes on."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from avssl.core import MediaError
from avssl.data import Catalogue, Entry, announce, catalogue, entries
from avssl.data.poses import write_poses
from avssl.packing.choice import Pack
from avssl.packing.clip import NO_ROOM, Job, Made, make, remembered
from avssl.packing.report import Report, reported, write_report
from avssl.packing.shard import ShardWriter, columns, content_of, name_of, sidecar, taken
from avssl.packing.workers import made_in_order

__all__ = ["pack"]

STATE = ".pack"
"""The folder inside that of the shards which knows what has been done."""

CHECKSUMS, MANIFEST, POSES = "sha256sums.txt", "manifest.csv", "poses"


@dataclass(frozen=True)
class _Shard:
    """A finished shard, and all items up to its last, the damaged among them."""

    name: str
    digest: str
    made: tuple[Made, ...]


def pack(choice: Pack) -> Report:
    """Write the shards, `manifest.csv` (so that the folder is a data set), checksums, and the report.

    Where the same was begun before, it goes on: what is finished is not made again.

    Raises:
        MediaError: the source lists nothing that can be read, the folder holds something else, a copy is to be cut, the
            disk is full, or, with `damaged="stop"`, a file is damaged.
    """
    try:
        return _packed(choice)
    except OSError as e:
        what = "there is no room left for it" if e.errno in NO_ROOM else f"the system failed there ({e.strerror or e})"
        raise MediaError(e.filename or choice.out, what, "see to it and give the same command again: it goes on") from e


def _packed(choice: Pack) -> Report:
    listed = entries(choice.source)
    state = _opened(choice, listed)
    found = catalogue(choice.source, damaged=choice.damaged, workers=max(2, choice.workers))
    if choice.proxy is None and (cut := [i for i in found if i.start > 0 or i.end is not None]):
        what = f"{len(cut)} lines of the manifest are stretches, and copying cannot cut"
        raise MediaError(choice.source, what, "choose --codec mpeg4 or h264-fastdecode, or leave out start and end")
    shards = _finished(state, choice.out)
    reached = max((m.index for s in shards for m in s.made), default=-1)
    jobs = [Job(item=i, proxy=choice.proxy, folder=state / "clips") for i in found if i.index > reached]
    with _progress() as progress:
        task = progress.add_task("Packing", total=len(found), completed=len(found) - len(jobs))
        made = _counted(_made(jobs, choice), progress, task)
        shards += _shards(choice, state, listed, made, len(shards))
    failed = [MediaError(*m.error) for s in shards for m in s.made if m.error is not None]
    if failed:
        announce(f"{choice.source}: {len(failed)} files could not be encoded and are left out:", failed)
    packed = {f"{s.name}/{m.member}": m for s in shards for m in s.made if m.member}
    if not packed:
        raise MediaError(choice.source, "none of its files could be packed", f"the first says: {failed[0]}")
    _write_manifest(choice, packed, listed, _poses(choice.out, packed, found))
    there = [s for s in shards if s.name]
    _write(choice.out / CHECKSUMS, "".join(f"{s.digest}  {s.name}\n" for s in there))
    damaged = [*found.rejected, *failed]
    report = reported(choice, found, listed, packed, shards=len(there), damaged=damaged)
    write_report(choice.out, report)
    return report


def _opened(choice: Pack, listed: Sequence[Entry]) -> Path:
    """The folder that knows what has been done; refused where something else was packed or lies there."""
    out, source = choice.out.resolve(), choice.source.resolve()
    if source.is_dir() and out.is_relative_to(source):
        raise MediaError(choice.out, "it lies inside the source", "give --out another folder")
    state = choice.out / STATE
    source_of = [[name_of(e, choice.source), e.start, e.end, *map(list, sorted(e.columns.items()))] for e in listed]
    told = {"proxy": repr(choice.proxy), "shard_size": choice.shard_size, "source": source_of}
    mark = hashlib.sha256(json.dumps(told).encode()).hexdigest()
    known = state / "mark"
    if not known.exists():
        if choice.out.exists() and any(choice.out.iterdir()) and not state.exists():
            raise MediaError(choice.out, "there is something else in it", "give --out a new or an empty folder")
        (state / "clips").mkdir(parents=True, exist_ok=True)
        _write(known, mark)
    elif known.read_text() != mark:
        what = "it holds what was packed of another source, or with other choices"
        raise MediaError(choice.out, what, "give --out another folder, or remove this one")
    (state / "clips").mkdir(exist_ok=True)
    for half in [*choice.out.glob("*.part"), *state.rglob("*.part")]:
        half.unlink()
    return state


def _finished(state: Path, out: Path) -> list[_Shard]:
    """The shards that are done, from the first to the last before one that is not."""
    found: list[_Shard] = []
    while True:
        name = f"{len(found):06d}.tar"
        try:
            told = json.loads((state / f"{name}.json").read_bytes())
            if (out / name).stat().st_size != told["size"]:
                return found
        except (OSError, ValueError, KeyError):
            return found
        found.append(_Shard(name, told["digest"], tuple(map(Made.from_json, told["made"]))))


def _made(jobs: Sequence[Job], choice: Pack) -> Iterator[Made]:
    """What is made of every job in order, or was before."""
    known = {j.item.index: m for j in jobs if (m := remembered(j)) is not None}
    fresh = made_in_order(
        [j for j in jobs if j.item.index not in known], workers=choice.workers if choice.proxy else 0, work=make
    )
    for job in jobs:
        made = known.get(job.item.index) or next(fresh)
        if made.error is not None and choice.damaged == "stop":
            raise MediaError(*made.error)
        yield made


def _counted(made: Iterator[Made], progress: Progress, task: Any) -> Iterator[Made]:
    for one in made:
        yield one
        progress.advance(task)


def _shards(choice: Pack, state: Path, listed: Sequence[Entry], made: Iterator[Made], number: int) -> list[_Shard]:
    """Write all further shards; clips that lie in one are forgotten."""
    finished: list[_Shard] = []
    waiting = next(made, None)
    while waiting is not None:
        inside: list[Made] = []
        with ShardWriter(choice.out, number + len(finished)) as shard:
            while waiting is not None:
                told = sidecar(columns(listed[waiting.index], waiting, choice.source))
                room = taken(waiting.bytes) + taken(len(told))
                if shard.filled and waiting.member and shard.size + room > choice.shard_size:
                    break
                if waiting.member:
                    content = listed[waiting.index].path if choice.proxy is None else _clip(state, waiting)
                    shard.add(waiting.member, waiting.bytes, content_of(content))
                    shard.add(f"{waiting.index:08d}.json", len(told), iter([told]))
                inside.append(waiting)
                waiting = next(made, None)
            digest = shard.finish() if shard.filled else ""
        if not digest:  # all that are left are damaged, and are looked into again next time
            finished.append(_Shard("", "", tuple(inside)))
            break
        record = {"digest": digest, "size": shard.size, "made": [m.to_json() for m in inside]}
        _write(state / f"{shard.path.name}.json", json.dumps(record))
        for one in inside:
            _clip(state, one).unlink(missing_ok=True)
            _clip(state, one).with_suffix(".json").unlink(missing_ok=True)
        finished.append(_Shard(shard.path.name, digest, tuple(inside)))
    return finished


def _clip(state: Path, made: Made) -> Path:
    return state / "clips" / f"{made.index:08d}"


def _poses(out: Path, packed: Mapping[str, Made], found: Catalogue) -> dict[int, str]:
    """Where the camera of each clip was, on the clip's own clock: a table beside the shards, by the item's number."""
    filmed = {i.index: i for i in found if i.info.camera is not None}
    told: dict[int, str] = {}
    for made in packed.values():
        if (item := filmed.get(made.index)) is None or item.info.camera is None:
            continue
        first = 0.0 if made.end is None else made.start - item.start
        told[made.index] = f"{POSES}/{made.index:08d}.csv"
        (out / POSES).mkdir(exist_ok=True)
        write_poses(out / told[made.index], item.info.camera.stretch(first, first + made.seconds))
    return told


def _write_manifest(
    choice: Pack, packed: Mapping[str, Made], listed: Sequence[Entry], poses: Mapping[int, str]
) -> None:
    rows = [
        {"path": path, **columns(listed[m.index], m, choice.source)}
        | ({"poses": poses[m.index]} if m.index in poses else {})
        for path, m in packed.items()
    ]
    first = ["path", "label", "split", "group"]
    names = [*first, *(n for n in dict.fromkeys(k for r in rows for k in r) if n not in first)]
    temporary = choice.out / f"{MANIFEST}.part"
    with temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.DictWriter(file, names, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    temporary.replace(choice.out / MANIFEST)


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def _progress() -> Progress:
    parts = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    left = (TextColumn("left"), TimeRemainingColumn())
    return Progress(*parts, *left, console=Console(stderr=True), transient=True)
