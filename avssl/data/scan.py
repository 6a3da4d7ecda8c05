"""Looking once into every file of a data set; what was found is cached."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.console import Console
from rich.progress import track

from avssl.core import MediaError, MediaInfo, Trajectory
from avssl.data.items import Catalogue, Entry, Item, entries
from avssl.data.poses import read_poses
from avssl.data.sets import named, read
from avssl.data.tables import read_tables, write_tables
from avssl.media import Coding, Stamp, look, packed, stamp_of, unpacked
from avssl.media.toybox import cache_root

__all__ = ["Damaged", "announce", "catalogue"]

Damaged = Literal["skip", "stop"]

SAVED = 4096
"""Files after which what was found is kept; later so many more that writing it again and again costs little."""


def catalogue(source: Path, *, damaged: Damaged = "skip", workers: int = 4) -> Catalogue:
    """Look into every file that a folder, a manifest or a named data set lists, and number those that can be read.

    A named data set is spelled `NAME:FOLDER`, as `ucf101:~/ucf101` or `ucf101-split2:~/ucf101` (see `avssl.data.sets`).
    Numbers follow the order of the list, damaged entries included, so that they stay when a file is repaired. What is
    known of a file is cached until its size or its time of change does; a damaged one is looked into every time, as
    rights or a disk can be mended without a trace in either.

    Raises:
        MediaError: the source lists nothing readable, or, with `damaged="stop"`, the first file that is damaged.
    """
    place, listed = _listed(source)
    known = _look(place, [e.path for e in listed], workers=workers)
    items: list[Item] = []
    rejected: list[MediaError] = []
    cameras: dict[str, Trajectory | MediaError] = {}
    for index, entry in enumerate(listed):
        found = known[entry.path]
        try:
            if isinstance(found, MediaError):
                raise found
            info = _filmed(entry, _stretch(entry, found.info), cameras)
            items.append(Item(index=index, info=info, table=found.table, **_fields(entry)))
        except MediaError as e:
            if damaged == "stop":
                raise
            rejected.append(e)
    if not items:
        raise MediaError(source, f"none of its {len(listed)} files can be read", f"the first says: {rejected[0]}")
    if rejected:
        announce(f"{source}: {len(rejected)} of {len(listed)} files are left out:", rejected)
    return Catalogue(source=source, items=tuple(items), rejected=tuple(rejected))


def _listed(source: Path) -> tuple[Path, Sequence[Entry]]:
    """The place whose files they are (all splits of a named data set share their cache), and the entries."""
    if (found := named(source)) is None:
        return source, entries(source)
    name, folder, split = found
    listing = read(name, folder, split=split)
    for note in listing.notes:
        announce(note, [])
    return folder, listing.entries


def _fields(entry: Entry) -> dict[str, Any]:
    return {k: getattr(entry, k) for k in ("path", "label", "split", "group", "start", "end", "columns")}


def announce(what: str, errors: Sequence[MediaError], *, most: int = 100) -> None:
    """Tell of files that are left out, each with its reason; of very many, the first."""
    console = Console(stderr=True)
    console.print(what, style="bold", markup=False, soft_wrap=True)
    for error in errors[:most]:
        console.print(f"  {error}", markup=False, soft_wrap=True)
    if len(errors) > most:
        console.print(f"  … and {len(errors) - most} more")


def _stretch(entry: Entry, info: MediaInfo) -> MediaInfo:
    """What the stretch [start, end) of a file holds."""
    if entry.start == 0 and entry.end is None:
        return info
    end = info.duration if entry.end is None else entry.end
    if info.is_picture or end > info.duration + 0.5 / max(info.fps, 1.0) or entry.start >= end:
        what = f"the stretch from {entry.start} s to {end} s is not inside its {info.duration:.3f} s"
        raise MediaError(entry.path, what, "correct start and end in the manifest")
    end = min(end, info.duration)
    frames = max(1, round((end - entry.start) * info.fps)) if info.frames else 0
    first = max(info.sound_start, entry.start)
    last = min(info.sound_start + info.sound_duration, end)
    return replace(
        info,
        duration=end - entry.start,
        frames=max(frames, 2) if frames else 0,  # one frame would read as a picture
        motion=_part(info.motion, entry.start / info.duration, end / info.duration),
        sound_start=first - entry.start if info.has_sound else 0.0,
        sound_duration=max(0.0, last - first) if info.has_sound else 0.0,
    )


def _filmed(entry: Entry, info: MediaInfo, cameras: dict[str, Trajectory | MediaError]) -> MediaInfo:
    """The same with where the camera was, if a column says where that is told; every such file is read once."""
    if not (told := entry.columns.get("poses", "")):
        return info
    if told not in cameras:
        try:
            cameras[told] = read_poses(Path(told))
        except MediaError as e:
            cameras[told] = forgotten(e)
    camera = cameras[told]
    if isinstance(camera, MediaError):
        raise camera
    return replace(info, camera=camera.stretch(entry.start, entry.start + info.duration))


def _part(motion: tuple[float, ...], start: float, end: float) -> tuple[float, ...]:
    """The motion in the share [start, end) of the duration, in as many slices as that of the whole."""
    if not motion:
        return ()
    knots = np.linspace(0, 1, len(motion) + 1)
    total = np.interp(np.linspace(start, end, len(motion) + 1), knots, np.concatenate([[0.0], np.cumsum(motion)]))
    return tuple(float(m) for m in np.diff(total))


# ------------------------------------------------------------------------------------------------- the cache


@dataclass(frozen=True)
class _Found:
    """What a file holds, and the bytes of its packet table."""

    info: MediaInfo
    table: memoryview


def _look(source: Path, paths: list[Path], *, workers: int) -> dict[Path, _Found | MediaError]:
    unique = list(dict.fromkeys(paths))
    name = hashlib.sha256(os.fsencode(source.resolve())).hexdigest()[:16]
    cache_file = cache_root() / "scan" / f"{name}.tables"
    cached = read_tables(cache_file)
    good: dict[Path, tuple[Stamp, _Found]] = {}
    for p in sorted(unique, key=str):  # so that the members of one tar file follow one another
        if (row := cached.get(str(p))) and row[0] == _stamp(p) and (info := _info(row[1])):
            good[p] = row[0], _Found(info, row[1])
    failed: dict[Path, MediaError] = {}
    missing = [p for p in unique if p not in good]
    saved = len(good)
    try:
        for path, found in _look_into(missing, workers=workers) if missing else ():
            if isinstance(found, MediaError):
                failed[path] = found
            else:
                good[path] = found
            # also for who is killed without a word, and as tables that are not mapped take memory
            if len(good) - saved >= max(SAVED, saved // 4):
                good, saved = _kept(cache_file, good), len(good)
    finally:  # what was found is kept, also where somebody loses patience
        if len(good) > saved:
            good = _kept(cache_file, good)
    return {**{p: found for p, (_, found) in good.items()}, **failed}


def _kept(cache_file: Path, good: dict[Path, tuple[Stamp, _Found]]) -> dict[Path, tuple[Stamp, _Found]]:
    """The same, in the cache: mapped, the tables need no memory."""
    try:
        write_tables(cache_file, ((str(p), stamp, found.table) for p, (stamp, found) in good.items()))
    except OSError as e:
        announce(f"{cache_file} cannot be written ({e.strerror}): choose another folder by $AVSSL_CACHE", [])
        return good
    mapped = read_tables(cache_file)
    return {
        p: (stamp, _Found(found.info, mapped[str(p)][1]) if str(p) in mapped else found)
        for p, (stamp, found) in good.items()
    }


def _info(table: memoryview) -> MediaInfo | None:
    try:
        return unpacked(table).info
    except (ValueError, KeyError, TypeError):  # the cache is damaged: this one is made again
        return None


def _stamp(path: Path) -> Stamp | None:
    try:
        return stamp_of(path)
    except (OSError, ValueError, MediaError):
        return None


_Looked = tuple[Path, tuple[Stamp, _Found] | MediaError]


def _look_into(paths: list[Path], *, workers: int) -> Iterator[_Looked]:
    proven: set[Coding] = set()

    def one(path: Path) -> _Looked:
        try:
            table = look(path, proven)
        except MediaError as e:
            return path, forgotten(e)
        return path, (table.stamp, _Found(table.info, memoryview(packed(table))))

    pool = ThreadPoolExecutor(max_workers=max(1, workers))

    def found() -> Iterator[_Looked]:
        running: set[Future[_Looked]] = set()
        for path in paths:  # a few at a time: a future keeps what was found in its file as long as itself
            running.add(pool.submit(one, path))
            if len(running) >= 4 * max(1, workers):
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from _results(done)
        wait(running)
        yield from _results(running)

    try:
        console = Console(stderr=True)
        yield from track(found(), "Scanning media", total=len(paths), console=console, transient=True)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _results(done: set[Future[_Looked]]) -> Iterator[_Looked]:
    """What was found, before whatever has gone wrong is raised, so that it is kept."""
    return (f.result() for f in sorted(done, key=lambda f: f.exception() is not None))


def forgotten(error: MediaError) -> MediaError:
    """The same error without the frames it was raised in, which would keep what they were working on in memory."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)
