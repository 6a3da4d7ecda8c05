"""What an encoder takes for alike, to look at: a few test items, each beside its nearest training items."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from avssl.core import MediaError
from avssl.data import Clips, Item, collate
from avssl.evaluation.answers import Labelled
from avssl.evaluation.feature_key import clip_key
from avssl.evaluation.feature_store import written
from avssl.evaluation.knn import nearest

__all__ = ["Neighbours", "picture_neighbours"]


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """`strips` uint8 (Q, 1 + k, F, H, W, 3): the query, then its k nearest; `labels` and `paths` in the same order."""

    strips: np.ndarray
    labels: tuple[tuple[str, ...], ...]
    paths: tuple[tuple[str, ...], ...]

    def write(self, folder: Path) -> None:
        """Write `neighbours.npz` and `neighbours.json`."""
        np.savez_compressed(folder / "neighbours.npz", strips=self.strips)
        words = {"labels": self.labels, "paths": self.paths}
        # escapes of JSON keep what a file may be called but UTF-8 cannot hold: bytes that are no text
        (folder / "neighbours.json").write_text(json.dumps(words) + "\n", encoding="utf-8")


def picture_neighbours(
    clips: Clips,
    *,
    train: Sequence[Item],
    test: Sequence[Item],
    parts: tuple[Labelled, Labelled],
    classes: Sequence[str],
    queries: int = 8,
    k: int = 5,
    frames: int = 4,
    centre: bool = False,
    kept: Path | None = None,
) -> Neighbours:
    """Decode again the first clips of a few test items, of every class in turn, and of their k nearest.

    `parts` are the features of `train` and `test`. The same file shown twice is decoded once, and with a folder `kept`
    never again, as long as it does not change.
    """
    gallery, asked = parts
    chosen = _in_turn(asked.labels, queries)
    positions, _ = nearest(asked.values[chosen], gallery.values, k=min(k, len(gallery)), centre=centre)
    where = {item.index: p for p, item in enumerate(clips.items)}
    strips: dict[int, np.ndarray] = {}

    def strip(item: Item) -> np.ndarray:
        if item.index not in strips:
            strips[item.index] = _kept(clips, where[item.index], frames, kept)
        return strips[item.index]

    rows = [[test[q], *(train[p] for p in near)] for q, near in zip(chosen, positions, strict=True)]
    numbers = [
        [int(asked.labels[q]), *gallery.labels[near].tolist()] for q, near in zip(chosen, positions, strict=True)
    ]
    return Neighbours(
        strips=np.stack([np.stack([strip(item) for item in row]) for row in rows]),
        labels=tuple(tuple(classes[n] for n in row) for row in numbers),
        paths=tuple(tuple(str(item.path) for item in row) for row in rows),
    )


def _in_turn(labels: np.ndarray, count: int) -> list[int]:
    """Up to `count` positions: the first of every class, then the second of every class, and so on."""
    rank = np.zeros(len(labels), dtype=np.int64)
    for k in np.unique(labels):
        members = np.flatnonzero(labels == k)
        rank[members] = np.arange(len(members))
    return [int(p) for p in np.lexsort((labels, rank))[:count]]


def _kept(clips: Clips, position: int, frames: int, folder: Path | None) -> np.ndarray:
    if folder is None:
        return _strip(clips, position, frames)
    path = folder / f"{clip_key(clips, position)[:32]}-{frames}.npy"
    with suppress(OSError, ValueError, EOFError):  # not there, or damaged
        strip: np.ndarray = np.load(path)
        if strip.dtype == np.uint8 and strip.ndim == 4:
            return strip
    strip = _strip(clips, position, frames)
    with suppress(MediaError), written(path) as file:  # the features were kept, or it was told why not
        np.save(file, strip)
    return strip


def _strip(clips: Clips, position: int, frames: int) -> np.ndarray:
    """Evenly spread frames (F, H, W, 3) uint8 of the first clip of an item, as the encoder sees it."""
    batch = collate([clips.example(position)])
    if clips.transform is not None:
        batch = clips.transform.apply(batch)
    video = batch.clips[0].video
    if video is None:
        raise ValueError(f"{clips.items[position].path}: the clips hold no video to show")
    shown = video[0, torch.linspace(0, video.shape[1] - 1, min(frames, video.shape[1])).round().long()]
    if shown.dtype != torch.uint8:
        shown = (shown.clamp(0, 1) * 255).round().to(torch.uint8)
    if shown.shape[1] != 3:  # grey, or two of three channels
        shown = shown[:, :1].expand(-1, 3, -1, -1)
    return shown.permute(0, 2, 3, 1).contiguous().cpu().numpy()
