"""What the readers of official lists share: reading them, finding the media, and telling what is missing."""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from pathlib import Path
from types import MappingProxyType
from typing import Any

from avssl.core import MediaError
from avssl.data.items import Entry
from avssl.media import PICTURE_SUFFIXES, SOUND_SUFFIXES, VIDEO_SUFFIXES

__all__ = ["NO_FLIP", "Listing", "Official", "by_stem", "entry", "lines", "official", "rows", "text", "tree"]

NO_FLIP: Mapping[str, str] = MappingProxyType({"flip": "no"})
"""The column of data sets whose labels a flip from left to right makes wrong; see `Catalogue.flips`."""

NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The entries of a data set whose files are there, the files that its lists name in vain, and what is odd."""

    entries: tuple[Entry, ...]
    missing: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Official:
    """What is known of a data set as it was published, to compare a folder with."""

    name: str
    put: str
    """What to put where."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Entries of each split."""
    classes: int = 0
    """How many there are; 0: not compared."""

    def listing(self, folder: Path, listed: Sequence[Entry], *, there: bool = False) -> Listing:
        """Part the entries by whether their files are there; `there`: they were found, not only listed.

        Raises:
            MediaError: nothing is listed, or no file is there.
        """
        if not listed:
            raise MediaError(folder, f"nothing of {self.name} is here", self.put)
        here = [there or e.path.is_file() for e in listed]
        found = list(compress(listed, here))
        missing = [e.path for e, is_here in zip(listed, here, strict=True) if not is_here]
        if not found:
            what = f"none of the {len(listed)} files that the lists of {self.name} name is there, such as {missing[0]}"
            raise MediaError(folder, what, self.put)
        notes = self._odd(listed)
        if missing:
            named = ", ".join(str(p) for p in missing[:3]) + (", …" if len(missing) > 3 else "")
            notes.append(f"{self.name}: {len(missing)} of the {len(listed)} listed files are missing: {named}")
        return Listing(entries=tuple(found), missing=tuple(missing), notes=tuple(notes))

    def _odd(self, listed: Sequence[Entry]) -> list[str]:
        counts = Counter(e.split for e in listed)
        notes = [
            f"{self.name}: the split {split!r} lists {counts[split]} files, the published one {count}"
            for split, count in self.counts.items()
            if counts[split] != count
        ]
        classes = {e.label for e in listed} | {c for e in listed for c in e.columns.get("labels", "").split(";")}
        if self.classes and len(classes - {""}) != self.classes:
            notes.append(
                f"{self.name}: the lists name {len(classes - {''})} classes, the published ones {self.classes}"
            )
        return notes


def entry(
    path: Path,
    *,
    label: str = "",
    labels: Iterable[str] = (),
    split: str = "",
    group: str = "",
    start: float = 0.0,
    end: float | None = None,
    more: Mapping[str, str] = NOTHING,
) -> Entry:
    """An entry with the columns that a manifest of it would have; several `labels` are one text, parted by ';'.

    Raises:
        MediaError: there is a ';' in one of several labels.
    """
    several = list(labels)
    if bad := [name for name in several if ";" in name]:
        raise MediaError(path, f"its label {bad[0]!r} has a ';', which parts one label from the next", "rename it")
    columns = {
        "path": str(path),
        "label": label,
        "labels": ";".join(several),
        "split": split,
        "group": group,
        "start": repr(start) if start else "",
        "end": "" if end is None else repr(end),
        **more,
    }
    kept = {k: v for k, v in columns.items() if v}
    return Entry(path=path, label=label, split=split, group=group, start=start, end=end, columns=kept)


def official(folder: Path, *names: str, put: str) -> Path:
    """The first of some files or folders that is there.

    Raises:
        MediaError: none is; it says what to put where.
    """
    for name in names:
        if (folder / name).exists():
            return folder / name
    if not folder.is_dir():
        raise MediaError(folder, "there is no such folder", put)
    raise MediaError(folder, f"it has no {' or '.join(names)}", put)


def text(path: Path) -> str:
    """A list as text.

    Raises:
        MediaError: it cannot be read, or is no text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as e:
        raise MediaError(path, f"it cannot be read as a list ({e})", "fetch the official list again") from e


def lines(path: Path) -> list[str]:
    """The lines of a list that are not empty."""
    return [line.strip() for line in text(path).splitlines() if line.strip()]


def rows(
    path: Path, columns: Sequence[str], *, header: bool = True, delimiter: str = ",", skip: str = ""
) -> Iterator[dict[str, str]]:
    """The rows of a CSV file by the names of its columns; without a `header`, these are the names.

    Lines that begin with `skip` are comments.

    Raises:
        MediaError: it is no such file, or lacks one of the columns.
    """
    kept = [line for line in text(path).splitlines() if line.strip() and not (skip and line.startswith(skip))]
    try:
        reader = csv.DictReader(
            kept, fieldnames=None if header else list(columns), delimiter=delimiter, skipinitialspace=True
        )
        if absent := sorted(set(columns) - set(reader.fieldnames or ())):
            raise MediaError(path, f"it has no column {', '.join(absent)}", "fetch the official list again")
        for row in reader:
            yield {k: (v or "").strip() for k, v in row.items() if k is not None}
    except csv.Error as e:
        raise MediaError(path, f"not a CSV file ({e})", "fetch the official list again") from e


def tree(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        MediaError: it is no such file.
    """
    try:
        return json.loads(text(path))
    except ValueError as e:
        raise MediaError(path, f"not a JSON file ({e})", "fetch the official list again") from e


def by_stem(folder: Path) -> dict[str, Path]:
    """Every media file below a folder by its name without the suffix; of one name, a video goes before a sound."""
    found: dict[str, tuple[int, Path]] = {}
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            stem, suffix = os.path.splitext(name)
            if (rank := _rank(suffix.lower())) > found.get(stem, (0, Path()))[0]:
                found[stem] = rank, Path(place, name)
    return {stem: path for stem, (_, path) in found.items()}


def _rank(suffix: str) -> int:
    kinds = (PICTURE_SUFFIXES, SOUND_SUFFIXES, VIDEO_SUFFIXES)
    return next((n for n, kind in enumerate(kinds, start=1) if suffix in kind), 0)
