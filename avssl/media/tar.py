"""Tar files as folders: where in them the bytes of each member lie."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from avssl.core import MediaError

__all__ = ["members", "tar_of"]

SUFFIX = ".tar"


def tar_of(path: Path) -> Path | None:
    """The tar file that a path leads into, if it leads into one."""
    if SUFFIX not in str(path):
        return None  # as nearly always: without looking at the disk
    return next((p for p in path.parents if p.suffix == SUFFIX and p.is_file()), None)


@lru_cache(maxsize=64)
def members(tar: Path, size: int, mtime_ns: int) -> Mapping[str, tuple[int, int]]:
    """By the name of each regular member: where its bytes begin, and how many they are; `size` and `mtime_ns` tell
    whether the file has changed.

    Raises:
        MediaError: it is no tar file, or damaged.
    """
    try:
        with tarfile.open(tar, "r:") as file:
            return {m.name: (m.offset_data, m.size) for m in file if m.isreg()}
    except (tarfile.TarError, EOFError) as e:
        raise MediaError(tar, f"it is no tar file that can be read ({e})", "write it again, uncompressed") from e
