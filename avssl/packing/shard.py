"""A tar shard: clips with what is known of them, written so that a shard is whole or not there."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from types import TracebackType

from avssl.data import Entry
from avssl.media import Bytes, stamp_of, write_index
from avssl.packing.clip import Made

__all__ = ["ShardWriter", "columns", "content_of", "name_of", "sidecar", "taken"]

BLOCK = tarfile.BLOCKSIZE
CHUNK = 1 << 20
LARGEST_USTAR = 8 << 30


def name_of(entry: Entry, source: Path) -> str:
    """The path of a file below the source, if it lies there."""
    root = source if source.is_dir() else source.parent
    name = (entry.path.relative_to(root) if entry.path.is_relative_to(root) else entry.path).as_posix()
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def columns(entry: Entry, made: Made, source: Path) -> dict[str, str]:
    """What the manifest and the JSON member say of a clip: its columns, and what of the source it was."""
    told = {k: v for k, v in entry.columns.items() if k not in {"path", "start", "end", "poses"}}
    told |= {"label": entry.label, "split": entry.split, "group": entry.group, "source": name_of(entry, source)}
    if made.end is not None:
        told |= {"source_start": repr(made.start), "source_end": repr(made.end)}
    return told


def sidecar(told: Mapping[str, str]) -> bytes:
    """The JSON member of a clip."""
    return json.dumps(told, ensure_ascii=True, sort_keys=True).encode()


def taken(size: int) -> int:
    """Bytes that a member of a size takes in a tar file."""
    return BLOCK + size + -size % BLOCK


class ShardWriter:
    """Writes `NNNNNN.tar`, and its index; both appear under these names when `finish` has written them to the disk."""

    def __init__(self, folder: Path, number: int) -> None:
        self.path = folder / f"{number:06d}.tar"
        self._temporary = folder / f"{self.path.name}.part"
        self._file = self._temporary.open("wb")
        self._places: dict[str, tuple[int, int]] = {}
        self._digest = hashlib.sha256()
        self.size = 2 * BLOCK
        """Bytes of the file when it is finished."""

    @property
    def filled(self) -> bool:
        """Whether there is anything in it."""
        return bool(self._places)

    def add(self, name: str, size: int, content: Iterator[bytes]) -> None:
        """Add a member.

        Raises:
            OSError: it cannot be written.
            ValueError: the content has another size.
        """
        info = tarfile.TarInfo(name)
        info.size = size
        # no owner and no time: the same clips make the same shard
        self._write(info.tobuf(tarfile.USTAR_FORMAT if size < LARGEST_USTAR else tarfile.GNU_FORMAT))
        begin = self._file.tell()
        for part in content:
            self._write(part)
        if self._file.tell() - begin != size:
            raise ValueError(f"{name} has {self._file.tell() - begin} bytes, not {size}")
        self._write(bytes(-size % BLOCK))
        self._places[name] = begin, size
        self.size += taken(size)

    def finish(self) -> str:
        """Write the end, and the index; the checksum (SHA-256) of the shard."""
        self._write(bytes(2 * BLOCK))
        self._file.flush()
        os.fsync(self._file.fileno())  # or it might be taken for finished after the power has failed
        self._file.close()
        self._temporary.replace(self.path)
        write_index(self.path, self._places)
        return self._digest.hexdigest()

    def _write(self, part: bytes) -> None:
        self._file.write(part)
        self._digest.update(part)

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._temporary.unlink(missing_ok=True)


def content_of(path: Path) -> Iterator[bytes]:
    """The bytes of a file, or of a member of a tar file, in chunks.

    Raises:
        OSError, MediaError: it cannot be read.
    """
    stamp = stamp_of(path)
    with closing(Bytes(path, stamp)) as file:
        for at in range(0, stamp.size, CHUNK):
            yield file.read(min(CHUNK, stamp.size - at), at)
