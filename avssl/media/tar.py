"""Tar files as folders: where in them the bytes of each member lie.

An index beside a tar file (`shard.tar.index`) saves walking through it; one that does not fit the file is not believed.
"""

from __future__ import annotations

import json
import os
import posixpath
import tarfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from avssl.core import MediaError

__all__ = [
    "COMPRESSED_TAR",
    "TAR_SUFFIX",
    "Places",
    "compressed_tar_of",
    "index_of",
    "members",
    "tar_members",
    "tar_of",
    "write_index",
]

TAR_SUFFIX = ".tar"
COMPRESSED_TAR = (".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".tar.zst")

BLOCK = tarfile.BLOCKSIZE
PROVED = 16
"""Members of an index that are compared with the headers in the tar file before it is believed, at least."""

Places = Mapping[str, tuple[int, int]]
"""By the name of each member: where its bytes begin, and how many they are."""


def tar_of(path: Path) -> Path | None:
    """The tar file that a path leads into, if it leads into one."""
    if TAR_SUFFIX not in str(path):
        return None  # as nearly always: without looking at the disk
    return next((p for p in path.parents if p.suffix == TAR_SUFFIX and p.is_file()), None)


def compressed_tar_of(path: Path) -> Path | None:
    """The compressed tar file that a path leads into, if it leads into one."""
    return next((p for p in path.parents if p.name.endswith(COMPRESSED_TAR) and p.is_file()), None)


def index_of(tar: Path) -> Path:
    """Where the index of a tar file lies."""
    return tar.with_name(tar.name + ".index")


def tar_members(tar: Path) -> Places:
    """The regular members of a tar file, as they follow one another in it.

    Raises:
        OSError: it cannot be opened.
        MediaError: it is no tar file, or damaged.
    """
    status = tar.stat()
    return members(tar, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)
def members(tar: Path, size: int, mtime_ns: int) -> Places:
    """The same; `size` and `mtime_ns` tell whether the file has changed.

    Raises:
        MediaError: it is no tar file, or damaged.
    """
    indexed = _indexed(tar, size)
    return _walked(tar) if indexed is None else indexed


def write_index(tar: Path, places: Places) -> None:
    """Write the index of a tar file; who reads it sees the old one or the new one.

    Raises:
        OSError: it cannot be written.
    """
    index = index_of(tar)
    temporary = index.with_name(index.name + ".part")
    content = {"size": tar.stat().st_size, "members": dict(places)}
    temporary.write_text(json.dumps(content), encoding="utf-8")
    temporary.replace(index)


def _indexed(tar: Path, size: int) -> Places | None:
    try:
        content = json.loads(index_of(tar).read_bytes())
        if content["size"] != size:
            return None
        found = {str(name): (int(begin), int(count)) for name, (begin, count) in content["members"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    names = list(found)
    some = {*names[:: max(1, len(names) // PROVED)], *names[-1:]}
    with tar.open("rb") as file:
        return found if all(_fits(file.fileno(), name, *found[name]) for name in some) else None


def _fits(file: int, name: str, begin: int, size: int) -> bool:
    """Whether the header of a member lies before the bytes that an index tells."""
    if begin < BLOCK or not hasattr(os, "pread"):
        return False
    try:
        told = tarfile.TarInfo.frombuf(os.pread(file, BLOCK, begin - BLOCK), "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return (_plain(told.name), told.size) == (name, size)


def _walked(tar: Path) -> Places:
    found: dict[str, tuple[int, int]] = {}
    try:
        with tarfile.open(tar, "r:") as file:
            for member in file:
                name = _plain(member.name)
                if member.isreg() and not member.issparse():
                    found[name] = member.offset_data, member.size
                elif member.islnk() and (linked := found.get(_plain(member.linkname))):
                    found[name] = linked
    except (tarfile.TarError, EOFError) as e:
        raise MediaError(tar, f"it is no tar file that can be read ({e})", "write it again, uncompressed") from e
    return found


def _plain(name: str) -> str:
    """A name as a path below the tar file has it: `tar` may write `./clip.mp4`."""
    return posixpath.normpath(name).lstrip("/")
