"""The items of a data set: files, or stretches of files, with stable numbers."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from avssl.core import MediaError, MediaInfo
from avssl.data.shards import MEDIA_SUFFIXES, shard_files
from avssl.data.tables import Place, at_place, place_of
from avssl.media import COMPRESSED_TAR, TAR_SUFFIX, refusing

__all__ = ["Catalogue", "Entry", "Item", "entries", "write_manifest"]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of a manifest, or one file of a folder, before it has been looked into.

    `start` and `end` (s) cut a stretch out of the file; `columns` keeps every column of the manifest as text, so that
    any of them can serve as a human label in an evaluation.
    """

    path: Path
    label: str = ""
    split: str = ""
    group: str = ""
    start: float = 0.0
    end: float | None = None
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Item(Entry):
    """An entry that can be read; `info` is that of its stretch, on a clock that starts where the stretch does.

    `table` are the bytes of the file's packet table, mapped from the cache; None: it is made at every visit.
    """

    index: int
    info: MediaInfo
    table: memoryview | bytes | None = field(default=None, compare=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        """What goes to another process: where its table is mapped from, or, of one that is not mapped, a copy."""
        if self.table is None:
            return self.__dict__
        return self.__dict__ | {"table": place_of(self.table) or bytes(self.table)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """What has come from another process; a table whose file was replaced meanwhile is made at every visit."""
        table = state["table"]
        self.__dict__.update(state, table=at_place(table) if isinstance(table, Place) else table)


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """The items of a data set in a stable order, and the entries that were left out, with the reasons."""

    source: Path
    items: tuple[Item, ...]
    rejected: tuple[MediaError, ...] = ()

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)

    def where(self, *, split: str | tuple[str, ...]) -> Catalogue:
        """The items of one split or of several; they keep their numbers."""
        wanted = (split,) if isinstance(split, str) else split
        return replace(self, items=tuple(i for i in self.items if i.split in wanted))

    @property
    def flips(self) -> bool:
        """Whether labels stay right when a clip is flipped from left to right: unless a column `flip` says no."""
        return not any(i.columns.get("flip") == "no" for i in self.items)

    def column(self, name: str) -> list[str]:
        """A column of the manifest, one text for each item.

        Raises:
            KeyError: no item has that column, with the names of those there are.
        """
        known = sorted({k for i in self.items for k, v in i.columns.items() if v})
        if name not in known:
            raise KeyError(f"{self.source} has no column {name!r}; its columns are {', '.join(known) or 'none'}")
        return [i.columns.get(name, "") for i in self.items]


def entries(source: Path) -> list[Entry]:
    """What a folder or a manifest lists, in a stable order.

    Of a folder: every video, picture and sound file below it, sorted by path; the name of the folder that a file lies
    in directly is its label, if the source has such folders. Where all its folders are named as splits are (`SPLITS`),
    they are the splits and those inside them the labels. Where there are none but tar files, the media in those are
    listed, with the columns that `.json` and `.cls` members of the same name tell. A tar file is such a folder, too.

    A manifest is a CSV file with a column `path` (relative to it) and, if wanted, `label, split, group, start, end`,
    `poses` (see `avssl.data.poses`; relative to it) and any others. A folder that holds a `manifest.csv` is that
    manifest.

    Raises:
        MediaError: the source is missing or empty, or a line of the manifest cannot be understood.
    """
    if source.is_dir():
        inside = source / "manifest.csv"
        return _manifest(inside) if inside.is_file() else _folder(source)
    if not source.exists():
        raise MediaError(source, "there is no such folder or manifest", "check the path, or the name in NAME:FOLDER")
    return _folder(source) if source.suffix == TAR_SUFFIX else _manifest(source)


SPLITS = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "unlabelled": "unlabelled",
}
"""How folders of splits are named, and the split that each is."""


def _folder(root: Path) -> list[Entry]:
    """The media below a folder, or, where there are none, those in the tar files below it."""
    there = [p for p in sorted(root.rglob("*")) if not p.is_dir()] if root.is_dir() else [root]
    listed: list[tuple[Path, dict[str, str]]] = [(p, {}) for p in there if p.suffix.lower() in MEDIA_SUFFIXES]
    shards = {p: None for p in there if p.suffix == TAR_SUFFIX} if not listed else {}
    for shard in shards:
        with refusing(shard, "reading it"):
            listed += shard_files(shard)
    if not listed:
        if any(p.name.endswith(COMPRESSED_TAR) for p in there):
            raise MediaError(root, "only compressed tar files are in it", "uncompress them (gunzip) or unpack them")
        raise MediaError(root, "no video, picture or sound file below this folder", "check the path")
    names = [_name(p, shards.keys(), root) for p, _ in listed]
    tops = {n.parts[0] if len(n.parts) > 1 else "" for n in names}
    parted = tops <= SPLITS.keys()

    def entry(path: Path, name: Path, told: dict[str, str]) -> Entry:
        above = name.parts[:-1]
        columns = {"label": above[-1] if len(above) > parted else "", "split": SPLITS[above[0]] if parted else ""}
        columns |= {k: v for k, v in told.items() if k != "path"}
        return Entry(
            path=path,
            label=columns["label"],
            split=columns["split"],
            group=columns.get("group", ""),
            columns=columns,
        )

    return [entry(path, name, told) for (path, told), name in zip(listed, names, strict=True)]


def _name(path: Path, shards: Set[Path], root: Path) -> Path:
    """A path below the root; of a member of a tar file, as if it had been taken out beside it."""
    shard = next((s for s in path.parents if s in shards), None) if shards else None
    inside = path if shard is None else shard.parent / path.relative_to(shard)
    return inside.relative_to(root if root.is_dir() else root.parent)


def _manifest(path: Path) -> list[Entry]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as f:
            reader = csv.DictReader(f)
            if "path" not in (reader.fieldnames or ()):
                raise MediaError(path, "not a manifest: its first line has no column 'path'", "write a CSV header")
            rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as e:
        raise MediaError(path, f"not a CSV manifest ({e})", "give a folder of media or a CSV file") from e
    if not rows:
        raise MediaError(path, "the manifest lists no file", "write one line for each file")
    return [_row(path, n, row) for n, row in enumerate(rows, start=2)]


def _row(manifest: Path, line: int, row: Mapping[str | None, str | list[str] | None]) -> Entry:
    columns = {k: v.strip() for k, v in row.items() if k is not None and isinstance(v, str)}

    def seconds(name: str) -> float | None:
        try:
            value = float(columns[name]) if columns.get(name) else None
            if value is not None and not math.isfinite(value):
                raise ValueError(value)
            return value
        except ValueError:
            raise MediaError(
                manifest, f"line {line}: {name} {columns[name]!r} is not a number", "give seconds, such as 2.5"
            ) from None

    start, end = seconds("start") or 0.0, seconds("end")
    if start < 0 or (end is not None and end <= start):
        raise MediaError(manifest, f"line {line}: from {start} s to {end} s", "0 ≤ start < end")
    if not columns.get("path"):
        raise MediaError(manifest, f"line {line}: no path", "every line names a file")
    if columns.get("poses"):
        columns["poses"] = str((manifest.parent / columns["poses"]).absolute())  # for manifests written elsewhere
    return Entry(
        path=manifest.parent / columns["path"],
        label=columns.get("label", ""),
        split=columns.get("split", ""),
        group=columns.get("group", ""),
        start=start,
        end=end,
        columns=columns,
    )


def write_manifest(listed: Sequence[Entry], path: Path) -> None:
    """Write entries as a manifest that `entries` reads; files below its folder are told relative to it.

    Raises:
        OSError: it cannot be written there.
    """
    first = ("path", "label", "labels", "split", "group", "start", "end")
    own = [_columns(e) for e in listed]
    used = {k for row in own for k, v in row.items() if v}
    names = [n for n in first if n in used] + sorted(used - set(first))
    root = path.resolve().parent
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, names, extrasaction="ignore")
        table.writeheader()
        for e, row in zip(listed, own, strict=True):
            place = e.path.absolute()
            row["path"] = place.relative_to(root).as_posix() if place.is_relative_to(root) else str(place)
            table.writerow(row)


def _columns(e: Entry) -> dict[str, str]:
    times = {"start": repr(e.start) if e.start else "", "end": "" if e.end is None else repr(e.end)}
    return {**e.columns, "path": str(e.path), "label": e.label, "split": e.split, "group": e.group, **times}
