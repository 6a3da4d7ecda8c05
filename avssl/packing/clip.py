"""One clip of a pack: an item encoded by whichever process has time, and what is known of it."""

from __future__ import annotations

import errno
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from avssl.core import MediaError, Span
from avssl.data import Item
from avssl.media import FileTable, Proxy, encode, look, open_media, stamp_of, unpacked

__all__ = ["Job", "Made", "make", "remembered"]

KEPT = 4
"""Frames of each clip by which its quality is measured."""

NO_ROOM = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}


@dataclass(frozen=True, kw_only=True)
class Job:
    """An item to encode into a folder, where the bytes lie as `key` when done."""

    item: Item
    proxy: Proxy | None
    folder: Path

    @property
    def key(self) -> str:
        """The name of the clip, without a suffix: the number of the item."""
        return f"{self.item.index:08d}"


@dataclass(frozen=True, kw_only=True)
class Made:
    """What became of an item: the `member` it is in the shard and how it compares with the source, or the `error`."""

    index: int
    member: str = ""
    bytes: int = 0
    source_bytes: int = 0
    """Those of the file, or the share of them that a stretch lasts."""
    seconds: float = 0.0
    start: float = 0.0
    end: float | None = None
    """What the clip holds of the source, s; None: all."""
    errors: tuple[float, ...] = ()
    """The mean squared errors of some frames, of 255²."""
    mtime_ns: int = 0
    """That of the source."""
    error: tuple[str, str, str] | None = None

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Made:
        """What `to_json` was made of."""
        error = content["error"]
        known = {f.name: content[f.name] for f in fields(cls)}
        return cls(**known | {"errors": tuple(content["errors"]), "error": None if error is None else tuple(error)})

    def to_json(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def remembered(job: Job) -> Made | None:
    """What was made of an item before the packing was stopped, if it is all there and the source is as it was."""
    try:
        made = Made.from_json(json.loads(_told(job).read_bytes()))
        there = (job.folder / job.key).stat().st_size if made.member and job.proxy is not None else made.bytes
        same = stamp_of(job.item.path).mtime_ns == made.mtime_ns
    except (OSError, MediaError, ValueError, KeyError, TypeError):
        return None
    return made if same and there == made.bytes and made.error is None else None


def _told(job: Job) -> Path:
    return job.folder / f"{job.key}.json"


def make(job: Job) -> Made:
    """Encode an item; a damaged one gives its error.

    Raises:
        OSError: the clip cannot be written.
    """
    temporary = job.folder / f"{job.key}.part"
    try:
        made = _copied(job) if job.proxy is None else _encoded(job, job.proxy, temporary)
        if job.proxy is not None:
            temporary.replace(job.folder / job.key)
    except MediaError as e:
        temporary.unlink(missing_ok=True)
        return Made(index=job.item.index, error=(e.path, e.what, e.remedy))
    temporary.write_text(json.dumps(made.to_json()), encoding="utf-8")
    temporary.replace(_told(job))
    return made


def _table(item: Item) -> FileTable:
    return look(item.path) if item.table is None else unpacked(item.table)


def _copied(job: Job) -> Made:
    """The bytes stay where they are until they go into the shard."""
    item, stamp = job.item, _table(job.item).stamp
    return Made(
        index=item.index,
        member=job.key + item.path.suffix.lower(),
        bytes=stamp.size,
        source_bytes=stamp.size,
        seconds=item.info.duration,
        mtime_ns=stamp.mtime_ns,
    )


def _encoded(job: Job, proxy: Proxy, out: Path) -> Made:
    item, table = job.item, _table(job.item)
    done = encode(item.path, out, proxy, table=table, start=item.start, end=item.end, kept=KEPT)
    errors: tuple[float, ...] = ()
    if done.instants:
        with open_media(out) as media:
            told = media.read([Span(times=done.instants)])[0].video
        assert told is not None  # frames were asked for
        apart = (a.astype(np.float32) - b for a, b in zip(told.numpy(), done.pictures, strict=True))
        errors = tuple(float((d * d).mean()) for d in apart)
    lasting = done.end - done.start
    cut = item.start > 0 or item.end is not None
    share = min(1.0, lasting / table.info.duration) if cut and table.info.duration else 1.0
    return Made(
        index=item.index,
        member=job.key + done.suffix,
        bytes=out.stat().st_size,
        source_bytes=round(table.stamp.size * share),
        seconds=lasting,
        start=done.start,
        end=done.end if cut else None,
        errors=errors,
        mtime_ns=table.stamp.mtime_ns,
    )
