"""The user's choice of what to pack, and how."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from avssl.data import Damaged
from avssl.media import Proxy

__all__ = ["Pack"]


@dataclass(frozen=True, kw_only=True)
class Pack:
    """Which media to pack into tar shards, and how to encode them."""

    source: Path
    """A folder of media, or a manifest (CSV with `path` and, if wanted, label, split, group, start, end, others)."""
    out: Path
    """The folder for the shards; where a pack was stopped, the same command goes on."""
    codec: Literal["mpeg4", "h264-fastdecode", "copy"] = "mpeg4"
    """mpeg4 is decoded fastest, h264-fastdecode is smaller; copy packs every file as it is."""
    short_side: int = 128
    """Pixels of the shorter side of frames and pictures; smaller ones keep their size."""
    gop: int = 16
    """Frames from one key frame to the next, at most."""
    quality: int | None = None
    """The codec's own scale, smaller is better: 1…31 of mpeg4 (None: 3), 0…51 of h264-fastdecode (None: 21)."""
    share: float = 1.0
    """Bytes of the frames over those of the source, about, at most: where they would be more, the quality falls, but
    not below 8 of mpeg4, or 8 more than asked of h264-fastdecode. 0: whatever the quality takes."""
    sound: Literal["flac", "aac", "none"] = "flac"
    """flac keeps 16 bits of every sample; aac takes a fifth of that, and is not exact."""
    sample_rate: int | None = None
    """Hz of the sound; None: that of each file."""
    mono: bool = False
    """Average the channels of the sound."""
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
        return Proxy(
            short_side=self.short_side,
            gop=self.gop,
            codec=self.codec,
            quality=self.quality,
            share=self.share,
            sound=self.sound,
            sample_rate=self.sample_rate,
            mono=self.mono,
        )
