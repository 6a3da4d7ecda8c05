"""A file as a demuxer reads it for the first time, when it may be anything: one that goes on and on ends it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import av
from av.container import InputContainer

from avssl.core import MediaError
from avssl.media.files import Bytes, refusing, stamp_of

__all__ = ["Patience", "opened"]

FIRST, LATER, TIMES = 128 << 20, 32 << 20, 8
"""Bytes after which a file is given up: of opening it, of finding another packet, and times the largest packet."""

LEAP = 256
"""Bytes that going to another place counts as: some files lead from one place to the next for ever."""


class Patience:
    """The bytes of a file, of which a demuxer may read only so many without finding anything: then they end.

    Bytes are counted, not seconds: what becomes of a file must not depend on how busy its disk is.
    """

    def __init__(self, path: Path, source: Bytes, size: int) -> None:
        self.name = os.path.abspath(path)  # FFmpeg looks at its suffix where the content does not tell the format
        self._path, self._source, self._size = path, source, size
        self._at = 0
        self._left, self._largest = FIRST, 0

    def read(self, count: int) -> bytes:
        """The next bytes."""
        if self._left < 0:
            return b""
        data = self._source.read(max(0, min(count, self._size - self._at)), self._at)
        self._at += len(data)
        self._left -= len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to another place; negative: not any more."""
        self._left -= LEAP
        if self._left < 0:
            return -1
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        """The place of the next byte."""
        return self._at

    def found(self, size: int = 0) -> None:
        """A packet of so many bytes was found, or the end.

        Raises:
            MediaError: it took so long that the file cannot be what it says.
        """
        if self._left < 0:
            what = "some of it goes on for many megabytes without anything that can be read"
            raise MediaError(self._path, what, "leave it out or fetch it again")
        self._largest = max(self._largest, size)
        self._left = max(LATER, TIMES * self._largest)


@contextmanager
def opened(path: Path) -> Iterator[tuple[InputContainer, Patience]]:
    """Open a file, or a member of a tar file, for looking through it; a playlist cannot make it touch the network.

    Raises:
        MediaError: FFmpeg does not know what it is.
    """
    with refusing(path, "opening it"):
        stamp = stamp_of(path)
        source = Bytes(path, stamp)
    with closing(source):
        patience = Patience(path, source, stamp.size)
        with refusing(path, "opening it"):
            # odd bytes in titles are no reason to refuse; a playlist may not open anything, not even itself
            container = av.open(
                patience, "r", metadata_errors="replace", container_options={"protocol_whitelist": "none"}
            )
        with container:
            patience.found()
            yield container, patience
