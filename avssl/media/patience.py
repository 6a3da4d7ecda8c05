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

MOST = 128 << 20
"""Bytes read without finding a packet after which a file is given up: the largest frame that is likely has 100 MB."""


class Patience:
    """The bytes of a file, of which a demuxer may read only so many without finding anything: then they end.

    Bytes are counted, not seconds: what becomes of a file must not depend on how busy its disk is.
    """

    def __init__(self, path: Path, source: Bytes, size: int) -> None:
        self.name = os.path.abspath(path)  # FFmpeg looks at its suffix where the content does not tell the format
        self._path, self._source, self._size = path, source, size
        self._at = 0
        self._left = MOST

    def read(self, count: int) -> bytes:
        """The next bytes."""
        if self._left < 0:
            return b""
        data = self._source.read(max(0, min(count, self._size - self._at)), self._at)
        self._at += len(data)
        self._left -= len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to another place."""
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        """The place of the next byte."""
        return self._at

    def found(self) -> None:
        """Something was found.

        Raises:
            MediaError: it took so long that the file cannot be what it says.
        """
        if self._left < 0:
            what = f"in {MOST >> 20} MiB of it there is nothing that can be read"
            raise MediaError(self._path, what, "leave it out or fetch it again")
        self._left = MOST


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
            # odd bytes in titles are no reason to refuse
            container = av.open(
                patience, "r", metadata_errors="replace", container_options={"protocol_whitelist": "file"}
            )
        with container:
            patience.found()
            yield container, patience
