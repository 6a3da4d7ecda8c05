"""Opening what may be any file: what is not a readable medium becomes a `MediaError`, and nothing hangs."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError

from avssl.core import MediaError

__all__ = ["first_bytes", "open_container", "refusing"]


@contextmanager
def refusing(path: Path, doing: str) -> Iterator[None]:
    """Turn the errors of FFmpeg and of the file system into a `MediaError` that says what was being done."""
    try:
        yield
    except FFmpegError as e:
        raise MediaError(path, f"FFmpeg failed {doing} ({e.strerror})", "leave the file out or encode it again") from e
    except OSError as e:
        raise MediaError(path, f"the system failed {doing} ({e.strerror or e})", "check the file and its rights") from e


def first_bytes(path: Path, count: int = 16) -> bytes:
    """The first bytes of a regular file with something in it.

    Raises:
        MediaError: there is no such file, it is a folder, a pipe or a device (reading those could wait forever), it
            is empty, or it may not be read.
    """
    with refusing(path, "opening it"):
        try:
            mode = path.stat().st_mode
        except (FileNotFoundError, NotADirectoryError) as e:
            raise MediaError(path, "there is no such file", "check the path or the manifest") from e
        except ValueError as e:  # a NUL in the path
            raise MediaError(repr(path), f"not a path ({e})", "check the path or the manifest") from e
        if stat.S_ISDIR(mode):
            raise MediaError(path, "this is a folder", "give one of the files in it")
        if not stat.S_ISREG(mode):
            raise MediaError(path, "this is not a regular file", "give a file on a disk, not a pipe or a device")
        with path.open("rb") as file:
            head = file.read(count)
    if not head:
        raise MediaError(path, "the file is empty", "leave it out or fetch it again")
    return head


def open_container(path: Path) -> InputContainer:
    """Open a file for demuxing; a playlist cannot make it touch the network.

    Raises:
        MediaError: FFmpeg does not know what it is.
    """
    with refusing(path, "opening it"):
        # an absolute path cannot be taken for a protocol ("data:…"); odd bytes in titles are no reason to refuse
        return av.open(
            os.path.abspath(path), metadata_errors="replace", container_options={"protocol_whitelist": "file"}
        )
