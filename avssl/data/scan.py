"""Looking once into every file of a data set; what was found is cached."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.console import Console
from rich.progress import track

from avssl.core import MediaError, MediaInfo
from avssl.data.items import Catalogue, Entry, Item, entries
from avssl.media import probe
from avssl.media.toybox import cache_root

__all__ = ["Damaged", "announce", "catalogue"]

Damaged = Literal["skip", "stop"]

_VERSION = 3  # of the cache file: raise it when MediaInfo, or what `probe` says, changes


def catalogue(source: Path, *, damaged: Damaged = "skip", workers: int = 4) -> Catalogue:
    """Look into every file that a folder or manifest lists, and number those that can be read.

    Numbers follow the order of the list, damaged entries included, so that they stay when a file is repaired. What is
    known of a file is cached until its size or its time of change does; a damaged one is looked into every time, as
    rights or a disk can be mended without a trace in either.

    Raises:
        MediaError: the source lists nothing readable, or, with `damaged="stop"`, the first file that is damaged.
    """
    listed = entries(source)
    known = _look(source, [e.path for e in listed], workers=workers)
    items: list[Item] = []
    rejected: list[MediaError] = []
    for index, entry in enumerate(listed):
        found = known[entry.path]
        try:
            info = found if isinstance(found, MediaInfo) else _raise(found)
            items.append(Item(index=index, info=_stretch(entry, info), **_fields(entry)))
        except MediaError as e:
            if damaged == "stop":
                raise
            rejected.append(e)
    if not items:
        raise MediaError(source, f"none of its {len(listed)} files can be read", f"the first says: {rejected[0]}")
    if rejected:
        announce(f"{source}: {len(rejected)} of {len(listed)} files are left out:", rejected)
    return Catalogue(source=source, items=tuple(items), rejected=tuple(rejected))


def _raise(error: MediaError) -> MediaInfo:
    raise error


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


def _part(motion: tuple[float, ...], start: float, end: float) -> tuple[float, ...]:
    """The motion in the share [start, end) of the duration, in as many slices as that of the whole."""
    if not motion:
        return ()
    knots = np.linspace(0, 1, len(motion) + 1)
    total = np.interp(np.linspace(start, end, len(motion) + 1), knots, np.concatenate([[0.0], np.cumsum(motion)]))
    return tuple(float(m) for m in np.diff(total))


# ------------------------------------------------------------------------------------------------- the cache


@dataclass(frozen=True)
class _Stamp:
    """What changes when a file does."""

    size: int
    mtime: int

    @staticmethod
    def of(path: Path) -> _Stamp:
        try:
            s = path.stat()
            return _Stamp(s.st_size, s.st_mtime_ns)
        except OSError:
            return _Stamp(-1, -1)


_Cache = dict[str, dict[str, Any]]


def _look(source: Path, paths: list[Path], *, workers: int) -> dict[Path, MediaInfo | MediaError]:
    unique = list(dict.fromkeys(paths))
    stamps = {p: _Stamp.of(p) for p in unique}
    name = hashlib.sha256(str(source.resolve()).encode()).hexdigest()[:16]
    cache_file = cache_root() / "scan" / f"{name}.json"
    cached = _load(cache_file)
    known: dict[Path, MediaInfo | MediaError] = {}
    for p in unique:
        row = cached.get(str(p))
        if row is not None and row["stamp"] == [stamps[p].size, stamps[p].mtime]:
            known[p] = _decoded(row)
    missing = [p for p in unique if p not in known]
    if missing:
        known |= dict(_probe_all(missing, workers=workers))
        good = {p: found for p, found in known.items() if isinstance(found, MediaInfo)}
        _save(cache_file, {str(p): _encoded(stamps[p], found) for p, found in good.items()})
    return known


def _probe_all(paths: list[Path], *, workers: int) -> Iterator[tuple[Path, MediaInfo | MediaError]]:
    def look(path: Path) -> tuple[Path, MediaInfo | MediaError]:
        try:
            return path, probe(path)
        except MediaError as e:
            return path, e

    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        futures = [pool.submit(look, p) for p in paths]
        console = Console(stderr=True)
        for f in track(as_completed(futures), "Scanning media", total=len(futures), console=console, transient=True):
            yield f.result()


def _encoded(stamp: _Stamp, found: MediaInfo) -> dict[str, Any]:
    return {"stamp": [stamp.size, stamp.mtime], "info": asdict(found)}


def _decoded(row: dict[str, Any]) -> MediaInfo:
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in row["info"].items()}
    return MediaInfo(**fields)


def _load(path: Path) -> _Cache:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):  # absent, or cut short: it is made again
        return {}
    return content["files"] if content.get("version") == _VERSION else {}


def _save(path: Path, files: _Cache) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps({"version": _VERSION, "files": files}))
    temporary.replace(path)  # a reader sees the old file or the new one
