"""The packet tables of a data set in one file, mapped rather than read, so that a hundred thousand cost no more."""

from __future__ import annotations

import json
import mmap
import os
import struct
import tempfile
from collections.abc import Iterable
from pathlib import Path

from avssl.media import DECODERS, Stamp

__all__ = ["Known", "read_tables", "write_tables"]

VERSION = 2  # to be raised whenever MediaInfo or what the tables say changes
END = struct.Struct("<QQ8s")  # where the index begins, how long it is, and the mark of such a file
MARK = b"avssl.t" + bytes([VERSION])
ALIGNED = 8

Known = dict[str, tuple[Stamp, memoryview]]
"""By path: the stamp of the file when its table was made, and the table's bytes (`avssl.media.unpacked`)."""


def read_tables(path: Path) -> Known:
    """Map the tables of a data set; there are none if the file is absent, cut short, or of another version."""
    try:
        with path.open("rb") as file:
            view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
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
