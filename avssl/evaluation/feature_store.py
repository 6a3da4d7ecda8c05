"""Features on disk: in blocks while they are made, so that an early end costs little; then in one mapped file."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from avssl.core import MediaError

__all__ = ["BLOCK", "Store", "Stored", "written"]

BLOCK = 256
"""Items of a block: what is decoded again after a kill, at most, of each rank."""

VALUES, INDEX, HEADER = "values.npy", "index.npy", "features.json"
STALE = 3600.0  # s, after which an unfinished file is nobody's
REMEDY = "free space or rights there, choose another folder by $AVSSL_CACHE, or switch the cache off"

Damage = tuple[int, MediaError]
"""The stable number of an item, and why it has no features."""


@dataclass(frozen=True)
class Stored:
    """Features (M, D), mapped where they are whole, the numbers (M,) of their items, and what was damaged."""

    values: np.ndarray
    index: np.ndarray
    damaged: tuple[Damage, ...]


class Store:
    """The folder for the features of `items` items, stored as `dtype`.

    Who reads it sees all of them or none: the header comes last, by a rename, and tells the sizes of the files and its
    own checksum. Several processes may fill it at once, each other blocks or, without loss, the same.
    """

    def __init__(self, folder: Path, *, items: int, dtype: str = "float32") -> None:
        self.folder, self.items, self.dtype = folder, items, np.dtype(dtype)

    @property
    def blocks(self) -> int:
        """How many blocks there are in all."""
        return -(-self.items // BLOCK)

    def positions(self, block: int) -> range:
        """The positions of the items of a block."""
        return range(block * BLOCK, min((block + 1) * BLOCK, self.items))

    def begin(self) -> None:
        """Make the folder.

        Raises:
            OSError: nothing can be written there.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self.folder):
            pass

    def clear(self) -> None:
        """Forget everything."""
        (self.folder / HEADER).unlink(missing_ok=True)  # what is half deleted is not to be taken for whole
        shutil.rmtree(self.folder, ignore_errors=True)

    def opened(self) -> Stored | None:
        """What is stored, mapped; None where it is not all there, or damaged."""
        try:
            told = _checked((self.folder / HEADER).read_bytes())
            whole = all((self.folder / name).stat().st_size == size for name, size in told["sizes"].items())
            if not whole or (told["items"], told["dtype"]) != (self.items, self.dtype.name):
                return None
            index = np.load(self.folder / INDEX)
            # copy on write: an array that may be written to, in memory only, gives no warning anywhere
            values = np.load(self.folder / VALUES, mmap_mode="c") if len(index) else np.load(self.folder / VALUES)
        except (OSError, ValueError, KeyError, TypeError, EOFError):
            return None
        if values.shape != (told["rows"], told["dim"]) or index.shape != (told["rows"],) or values.dtype != self.dtype:
            return None
        return Stored(values, index, _damages(told["damaged"]))

    def has(self, block: int) -> bool:
        """Whether a block is there and whole."""
        return self._block(block) is not None

    def write(self, block: int, values: np.ndarray, index: Sequence[int], damaged: Sequence[Damage]) -> None:
        """Keep the features (M, D) of a block.

        Raises:
            ValueError: a feature is beyond what float16 can hold.
            MediaError: it cannot be written.
        """
        content = np.ascontiguousarray(self._cast(values)).reshape(-1).view(np.uint8).data
        told = {
            "index": [int(i) for i in index],
            "dim": int(values.shape[1]),
            "damaged": _words(damaged),
            "crc": zlib.crc32(content),
            "bytes": len(content),
        }
        with written(self._path(block)) as file:
            file.write(json.dumps(told).encode() + b"\n")
            file.write(content)

    def finish(self) -> Stored:
        """Put the blocks together, block by block, and map the result.

        Raises:
            MediaError: a block is missing or damaged (call again when it was made again), or nothing can be written.
            ValueError: blocks with features of different sizes.
        """
        if (found := self.opened()) is None:
            try:
                self._join()
            except MediaError:
                if (found := self.opened()) is None:  # else somebody was quicker
                    raise
            if (found := self.opened()) is None:
                raise MediaError(self.folder, "the features are not whole", "run it again: what is there is kept")
        self._sweep()
        return found

    def _sweep(self) -> None:
        """Remove the blocks, which are in the whole, and the leavings of who was killed."""
        for path in self.folder.glob("block-*"):
            path.unlink(missing_ok=True)
        for path in self.folder.glob(".*-*"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > STALE:
                    path.unlink()

    def _join(self) -> None:
        heads = [self._needed(block)[0] for block in range(self.blocks)]
        index = np.array([i for head in heads for i in head["index"]], dtype=np.int64)
        dims = {head["dim"] for head in heads if head["index"]} or {0}
        if len(dims) > 1:
            raise ValueError(f"{self.folder}: features of sizes {sorted(dims)}; an encoder gives all items one size")
        shape = (len(index), dims.pop())
        with written(self.folder / VALUES) as file:
            about = {"descr": self.dtype.str, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, about)
            for block in range(self.blocks):
                file.write(self._needed(block)[1])
        with written(self.folder / INDEX) as file:
            np.save(file, index)
        told = {
            "items": self.items,
            "rows": shape[0],
            "dim": shape[1],
            "dtype": self.dtype.name,
            "sizes": {name: (self.folder / name).stat().st_size for name in (VALUES, INDEX)},
            "damaged": [damage for head in heads for damage in head["damaged"]],
        }
        with written(self.folder / HEADER) as file:
            file.write(_with_check(told))

    def _path(self, block: int) -> Path:
        return self.folder / f"block-{block:06d}"

    def _needed(self, block: int) -> tuple[dict[str, Any], bytes]:
        if (found := self._block(block)) is None:
            raise MediaError(self._path(block), "the block is missing or damaged", "run it again: the others are kept")
        return found

    def _block(self, block: int) -> tuple[dict[str, Any], bytes] | None:
        """What a block tells of itself, and its features; None where it is not there, or damaged."""
        try:
            with self._path(block).open("rb") as file:
                told = json.loads(file.readline())
                content = file.read()
            due = len(told["index"]) * told["dim"] * self.dtype.itemsize
            fine = len(content) == told["bytes"] == due and zlib.crc32(content) == told["crc"]
            count = len(told["index"]) + len(told["damaged"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        return (told, content) if fine and count == len(self.positions(block)) else None

    def _cast(self, values: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            cast: np.ndarray = values.astype(self.dtype, copy=False)
        if self.dtype == np.float16 and (np.isinf(cast) & np.isfinite(values)).any():
            most = float(np.abs(values[np.isfinite(values)]).max())
            raise ValueError(f"a feature of {most:.3g} is beyond float16, which ends at 65504: store float32")
        return cast


@contextmanager
def written(path: Path) -> Iterator[BinaryIO]:
    """A file to write that is there whole or not at all.

    Raises:
        MediaError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            Path(temporary).unlink(missing_ok=True)
    except OSError as e:
        raise MediaError(path, f"cannot be written ({e.strerror or e})", REMEDY) from e


def _with_check(told: dict[str, Any]) -> bytes:
    body = json.dumps(told, sort_keys=True)
    return json.dumps({"check": hashlib.sha256(body.encode()).hexdigest(), "told": told}, sort_keys=True).encode()


def _checked(content: bytes) -> dict[str, Any]:
    """What a header tells.

    Raises:
        ValueError: it is not as it was written.
        KeyError, TypeError: it is something else.
    """
    both = json.loads(content)
    told: dict[str, Any] = both["told"]
    if hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest() != both["check"]:
        raise ValueError("the checksum differs")
    return told


def _words(damaged: Sequence[Damage]) -> list[list[Any]]:
    return [[int(i), e.path, e.what, e.remedy] for i, e in damaged]


def _damages(words: Sequence[Sequence[Any]]) -> tuple[Damage, ...]:
    return tuple((int(i), MediaError(path, what, remedy)) for i, path, what, remedy in words)
