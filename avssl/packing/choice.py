"""The user's choice of what to pack, and how."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from avssl.data import Damaged
from avssl.media import Encoding, Proxy

__all__ = ["Pack"]


@dataclass(frozen=True, kw_only=True)
class Pack(Encoding):
    """Which media to pack into tar shards, and how to encode them."""

    source: Path
    """A folder of media, or a manifest (CSV with `path` and, if wanted, label, split, group, start, end, others)."""
    out: Path
    """The folder for the shards; where a pack was stopped, the same command goes on."""
    codec: Literal["mpeg4", "h264-fastdecode", "copy"] = "mpeg4"
    """mpeg4 is decoded fastest, h264-fastdecode is smaller; copy packs every file as it is."""
    shard_size: int = 1_000_000_000
    """Bytes of a shard, at most; a clip that is larger has one for itself."""
    workers: int = os.cpu_count() or 1
    """Processes that encode; what is written does not depend on it."""
    damaged: Damaged = "skip"
    """Whether a file that is damaged is named, counted and left out, or stops it all."""

    def __post_init__(self) -> None:
        if self.shard_size < 1 or self.workers < 0:
            raise ValueError(f"shard_size {self.shard_size}, workers {self.workers}: give shard_size ≥ 1, workers ≥ 0")
        if self.codec != "copy":
            self.proxy  # noqa: B018  # which checks the rest

    @property
    def proxy(self) -> Proxy | None:
        """How media are encoded; None: they are copied."""
        if self.codec == "copy":
            return None
        return Proxy(codec=self.codec, **{f.name: getattr(self, f.name) for f in fields(Encoding)})
