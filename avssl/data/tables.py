"""The packet tables of a data set in one file, mapped rather than read, so that a hundred thousand cost no more."""

from __future__ import annotations

import json
import mmap
import os
import struct
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from avssl.media import DECODERS, Stamp

__all__ = ["Known", "Place", "at_place", "place_of", "read_tables", "write_tables"]

VERSION = 3  # to be raised whenever MediaInfo or what the tables say changes
END = struct.Struct("<QQ8s")  # where the index begins, how long it is, and the mark of such a file
MARK = b"avssl.t" + bytes([VERSION])
ALIGNED = 8

Known = dict[str, tuple[Stamp, memoryview]]
"""By path: the stamp of the file when its table was made, and the table's bytes (`avssl.media.unpacked`)."""


def read_tables(path: Path) -> Known:
    """Map the tables of a data set; there are none if the file is absent, cut short, or of another version."""
    try:
        view = memoryview(_mapped(path))
    except (OSError, ValueError):  # ValueError: an empty file cannot be mapped
        return {}
    if len(view) < END.size:
        return {}
    begin, length, mark = END.unpack(view[-END.size :])
    if mark != MARK or begin + length + END.size != len(view):
        return {}
    try:
        content = json.loads(bytes(view[begin : begin + length]))
        if content["decoders"] != DECODERS:
            return {}
        return {
            path: (Stamp(size=size, mtime_ns=mtime, begin=begin), view[at : at + count])
            for path, (size, mtime, begin, at, count) in content["files"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError):  # damaged: all is looked into again
        return {}


def write_tables(path: Path, tables: Iterable[tuple[str, Stamp, bytes | memoryview]]) -> None:
    """Write the tables of a data set; who reads it sees the old file or the new one.

    Raises:
        OSError: it cannot be written there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    index: dict[str, tuple[int, int, int, int, int]] = {}
    try:
        with os.fdopen(handle, "wb") as file:
            for name, stamp, table in tables:
                file.write(bytes(-file.tell() % ALIGNED))
                index[name] = (stamp.size, stamp.mtime_ns, stamp.begin, file.tell(), len(table))
                file.write(table)
            words = json.dumps({"decoders": DECODERS, "files": index}).encode()
            begin = file.tell()
            file.write(words + END.pack(begin, len(words), MARK))
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


# ------------------------------------------------------------------------------------ tables in other processes

_Identity = tuple[int, int, int, int]
"""Device, number, size and time of change of a file: another one that took its name differs in some."""


@dataclass(frozen=True)
class Place:
    """Where the bytes of a mapped table lie, so that another process can map them too instead of being sent them."""

    path: Path
    identity: _Identity
    at: int
    length: int


class _Map(mmap.mmap):
    """A file that is mapped for reading, and which it is."""

    path: Path
    identity: _Identity


def _mapped(path: Path) -> _Map:
    with path.open("rb") as file:
        mapped = _Map(file.fileno(), 0, access=mmap.ACCESS_READ)
        mapped.path, mapped.identity = path.absolute(), _identity(os.fstat(file.fileno()))
    return mapped


def _identity(status: os.stat_result) -> _Identity:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def place_of(table: memoryview | bytes) -> Place | None:
    """Where a table lies; None if it is not mapped, or its file has been replaced since."""
    whole = table.obj if isinstance(table, memoryview) else None
    if not isinstance(whole, _Map) or not len(table):
        return None
    try:
        if _identity(whole.path.stat()) != whole.identity:
            return None
    except OSError:
        return None
    first, at = (np.frombuffer(view, np.uint8).ctypes.data for view in (whole, table))
    return Place(whole.path, whole.identity, at - first, len(table))


def at_place(place: Place) -> memoryview | None:
    """The table that lies there; None if the file is another one by now."""
    try:
        whole = _mapped_once(place.path, place.identity)
    except (OSError, ValueError):
        return None
    return None if whole is None else memoryview(whole)[place.at : place.at + place.length]


@lru_cache(maxsize=16)
def _mapped_once(path: Path, identity: _Identity) -> _Map | None:
    mapped = _mapped(path)
    return mapped if mapped.identity == identity else None
