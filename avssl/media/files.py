"""Opening what may be any file: what is not a readable medium becomes a `MediaError`, and nothing hangs.

A tar file is a folder here: `shard.tar/clip.mp4` is the member of that name, read where it lies. Only this file knows.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError

from avssl.core import MediaError
from avssl.media.tar import compressed_tar_of, members, tar_of

__all__ = ["Bytes", "Stamp", "changed", "first_bytes", "open_container", "read_whole", "refusing", "stamp_of"]


@dataclass(frozen=True, kw_only=True)
class Stamp:
    """What changes when a file does; of a member of a tar file also where in it the bytes begin."""

    size: int
    mtime_ns: int
    begin: int = 0


@contextmanager
def refusing(path: Path, doing: str) -> Iterator[None]:
    """Turn the errors of FFmpeg and of the file system into a `MediaError` that says what was being done."""
    try:
        yield
    except FFmpegError as e:
        raise MediaError(path, f"FFmpeg failed {doing} ({e.strerror})", "leave the file out or encode it again") from e
    except OSError as e:
        raise MediaError(path, f"the system failed {doing} ({e.strerror or e})", "check the file and its rights") from e


def stamp_of(path: Path) -> Stamp:
    """The stamp of a file, or of a member of a tar file.

    Raises:
        OSError: there is no such file, or it may not be looked at.
        MediaError: there is no such member in the tar file.
    """
    tar = tar_of(path)
    status = (tar or path).stat()
    if tar is None:
        return Stamp(size=status.st_size, mtime_ns=status.st_mtime_ns)
    name = path.relative_to(tar).as_posix()
    found = members(tar, status.st_size, status.st_mtime_ns).get(name)
    if found is None:
        raise MediaError(path, f"{tar.name} has no member {name!r}", "check the path or the manifest")
    begin, size = found
    return Stamp(size=size, mtime_ns=status.st_mtime_ns, begin=begin)


class Bytes:
    """The bytes of a file, or of a member of a tar file, to be read anywhere; not by two threads at once.

    Raises:
        OSError: it cannot be opened.
        MediaError: it has changed since it was looked into.
    """

    def __init__(self, path: Path, stamp: Stamp) -> None:
        self._begin = stamp.begin
        # a member never begins at 0, where its header is
        # without waiting, should a pipe have taken the place of the file
        flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
        self._file = os.open((stamp.begin and tar_of(path)) or path, flags)
        status, whole = os.fstat(self._file), stamp.begin + stamp.size
        there = status.st_size >= whole if stamp.begin else status.st_size == whole
        if not there or not stat.S_ISREG(status.st_mode) or status.st_mtime_ns != stamp.mtime_ns:
            self.close()
            raise changed(path)

    def read(self, count: int, at: int) -> bytes:
        """So many bytes from a place on, or those that there are."""
        if hasattr(os, "pread"):
            return os.pread(self._file, count, self._begin + at)
        os.lseek(self._file, self._begin + at, os.SEEK_SET)
        return os.read(self._file, count)

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def changed(path: Path) -> MediaError:
    """What is said of a file that is not the one that was looked into."""
    return MediaError(path, "it has changed since it was looked into", "scan the folder again")


def first_bytes(path: Path, count: int = 16) -> bytes:
    """The first bytes of a regular file with something in it.

    Raises:
        MediaError: there is no such file, it is a folder, a pipe or a device (reading those could wait forever), it
            is empty, or it may not be read.
    """
    with refusing(path, "opening it"):
        try:
            tar = tar_of(path)
            mode = (tar or path).stat().st_mode
        except (FileNotFoundError, NotADirectoryError) as e:
            if packed := compressed_tar_of(path):
                what = f"{packed.name} is compressed, so that nothing in it can be read where it lies"
                raise MediaError(path, what, f"uncompress it (gunzip {packed.name}) or unpack it") from e
            raise MediaError(path, "there is no such file", "check the path or the manifest") from e
        except ValueError as e:  # a NUL in the path
            raise MediaError(repr(path), f"not a path ({e})", "check the path or the manifest") from e
        if stat.S_ISDIR(mode):
            raise MediaError(path, "this is a folder", "give one of the files in it")
        if not stat.S_ISREG(mode):
            raise MediaError(path, "this is not a regular file", "give a file on a disk, not a pipe or a device")
        if tar is None:
            with path.open("rb") as file:
                head = file.read(count)
        else:
            head = read_whole(path, most=count)
    if not head:
        raise MediaError(path, "the file is empty", "leave it out or fetch it again")
    return head


def read_whole(path: Path, stamp: Stamp | None = None, *, most: int | None = None) -> bytes:
    """All bytes of a file, or the first of them; with its `stamp` it need not be looked for.

    Raises:
        OSError, MediaError: as `stamp_of`, or it has changed since that stamp.
    """
    stamp = stamp or stamp_of(path)
    with closing(Bytes(path, stamp)) as content:
        return content.read(stamp.size if most is None else min(most, stamp.size), 0)


def open_container(path: Path, stamp: Stamp | None = None) -> InputContainer:
    """Open a file for demuxing; a playlist cannot make it touch the network. With its `stamp` a member of a tar file
    need not be looked for.

    Raises:
        MediaError: FFmpeg does not know what it is.
    """
    with refusing(path, "opening it"):
        # an absolute path cannot be taken for a protocol ("data:…"); odd bytes in titles are no reason to refuse
        url, protocols = os.path.abspath(path), "file"
        if (tar := tar_of(path)) is not None:
            stamp = stamp or stamp_of(path)
            url = f"subfile,,start,{stamp.begin},end,{stamp.begin + stamp.size},,:{os.path.abspath(tar)}"
            protocols = "file,subfile"
        return av.open(url, metadata_errors="replace", container_options={"protocol_whitelist": protocols})
