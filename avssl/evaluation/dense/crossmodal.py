"""Cross-modal retrieval: a video asks for its own sound among all, and a sound for its own video."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avssl.evaluation.dense.measured import Measured, hit_of_ranked

__all__ = ["CrossModal", "cosines", "cross_modal"]


@dataclass(frozen=True, kw_only=True)
class CrossModal:
    """R@k with every test item in the gallery, as in Arandjelović and Zisserman, ECCV 2018, arXiv:1712.06651, but each
    item is its own class."""

    ranks: tuple[int, ...] = (1, 5, 10)
    """The k of R@k; those not below the size of the gallery are left out."""
    clips: int = 2
    """Clips of each item, evenly spread; their embeddings of unit length are averaged."""

    def __post_init__(self) -> None:
        if not self.ranks or min(self.ranks) < 1 or self.clips < 1:
            raise ValueError(f"ranks {self.ranks}, clips {self.clips}: give at least one rank, all ≥ 1")


DEFAULT = CrossModal()


def cross_modal(video: np.ndarray, sound: np.ndarray, *, choice: CrossModal = DEFAULT) -> Measured:
    """R@k of embeddings (M, D) of video and of sound, row by row of the same items; ties by chance.

    Metrics: "V→S …" where a video asks for its sound, "S→V …" where a sound asks for its video.

    Raises:
        ValueError: the shapes differ, there are fewer than 2 items or no rank below their number, or not all is finite.
    """
    similarity = cosines(video, sound)
    count = len(similarity)
    ranks = sorted(k for k in choice.ranks if k < count)
    if not ranks:
        raise ValueError(f"ranks {choice.ranks} in a gallery of {count} items: give one below {count}, or more items")
    values, found, own = {}, {}, np.arange(count)
    for way, table in (("V→S", similarity), ("S→V", similarity.T)):
        for k in ranks:
            values[f"{way} R@{k}"] = hit_of_ranked(table, own, k=k)
        true = table[own, own][:, None]
        before, alike = (table > true).sum(axis=1), (table == true).sum(axis=1)
        found[f"{way} median rank"] = float(np.median(before + (alike + 1) / 2))
    chance = {metric: int(metric.rpartition("@")[2]) / count for metric in values}
    return Measured(values=values, chance=chance, settings={"gallery": count, "distance": "cosine"}, found=found)


def cosines(video: np.ndarray, sound: np.ndarray) -> np.ndarray:
    """The cosines (M, M) of embeddings of video, in rows, and of sound; a zero embedding has cosine 0 with all.

    Raises:
        ValueError: the shapes differ, there are fewer than 2 items, or not all is finite.
    """
    if video.shape != sound.shape or video.ndim != 2 or len(video) < 2:
        raise ValueError(f"video {video.shape} and sound {sound.shape}: must be (M, D) each, M ≥ 2")
    if not (np.isfinite(video).all() and np.isfinite(sound).all()):
        raise ValueError("embeddings that are not finite: has the encoder diverged?")
    units = [x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for x in (video, sound)]
    table: np.ndarray = units[0].astype(np.float64) @ units[1].astype(np.float64).T
    return table
