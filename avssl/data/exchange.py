"""Examples on their way from one process to another: words, and the bytes of their tensors, through shared memory."""

from __future__ import annotations

import io
import os
import pickle
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["Block", "Sight", "pack", "unpack"]

ALIGNED = 64
ROOM = 1.25
"""A block is so many times as large as what it is made for, since visits differ a little."""


@dataclass(frozen=True)
class Packed:
    """Something in words, and the bytes of its tensors, which lie at multiples of `ALIGNED` of `size` bytes."""

    words: bytes
    parts: tuple[memoryview, ...]

    @property
    def size(self) -> int:
        """Bytes of all parts together."""
        return sum(_room(len(p)) for p in self.parts)

    def write(self, into: np.ndarray) -> None:
        """Write the parts into `into`, uint8."""
        at = 0
        for part in self.parts:
            into[at : at + len(part)] = np.frombuffer(part, np.uint8)
            at += _room(len(part))


def pack(thing: Any) -> Packed:
    """Take something picklable apart."""
    buffers: list[pickle.PickleBuffer] = []
    words = io.BytesIO()
    _Pickler(words, protocol=5, buffer_callback=buffers.append).dump(thing)
    parts = tuple(b.raw() for b in buffers)
    return Packed(pickle.dumps((words.getvalue(), [len(p) for p in parts])), parts)


def unpack(words: bytes, data: np.ndarray) -> Any:
    """Put together what was packed; its tensors are views of `data`."""
    thing, sizes = pickle.loads(words)

    def parts() -> Iterator[memoryview]:
        at = 0
        for size in sizes:
            yield data.data[at : at + size]
            at += _room(size)

    return pickle.loads(thing, buffers=parts())


def _room(size: int) -> int:
    return -(-size // ALIGNED) * ALIGNED


class _Pickler(pickle.Pickler):
    """Sends tensors as arrays, whose bytes pickle can leave out."""

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) is Tensor and obj.device.type == "cpu" and obj.dtype is not torch.bfloat16:
            return torch.from_numpy, (np.ascontiguousarray(obj.numpy()).reshape(obj.shape),)
        return NotImplemented


class Block:
    """Shared memory of this process for others to write to; gone when it is closed, or when this process ends."""

    def __init__(self, memory: SharedMemory) -> None:
        self._memory = memory
        self.name = memory.name

    @staticmethod
    def of(size: int) -> Block | None:
        """A block for a little more than `size` bytes; None where there is no room for it."""
        try:
            memory = SharedMemory(create=True, size=int(size * ROOM))
        except OSError:
            return None
        block = Block(memory)
        try:
            if sys.platform == "linux":
                # Containers have 64 MB of it as a rule. Without room of its own, whoever writes would be killed.
                with Path("/dev/shm", memory.name).open("rb+") as file:
                    os.posix_fallocate(file.fileno(), 0, memory.size)
        except OSError:
            block.close()
            return None
        return block

    def copied(self, size: int) -> np.ndarray:
        """The first bytes, copied."""
        return _bytes(self._memory)[:size].copy()

    def close(self) -> None:
        """Give the memory back."""
        self._memory.close()
        self._memory.unlink()


class Sight:
    """The block that another process has for this one to write to, as long as it is the same."""

    def __init__(self) -> None:
        self._memory: SharedMemory | None = None

    def show(self, packed: Packed, name: str | None) -> bool:
        """Write to the block of that name; False if there is none, or not enough room in it."""
        if self._memory is not None and self._memory.name != name:
            self.close()
        if name is None:
            return False
        if self._memory is None:
            self._memory = SharedMemory(name)
        if self._memory.size < packed.size:
            return False
        packed.write(_bytes(self._memory))
        return True

    def close(self) -> None:
        """Look at it no more."""
        if self._memory is not None:
            self._memory.close()
            self._memory = None


def _bytes(memory: SharedMemory) -> np.ndarray:
    assert memory.buf is not None  # it has not been closed
    return np.frombuffer(memory.buf, np.uint8)
