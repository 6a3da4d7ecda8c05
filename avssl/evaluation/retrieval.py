"""Retrieval: a test item asks, the training items are the gallery, and one of the first k should share the class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avssl.evaluation.answers import Answers, Labelled, two_classes
from avssl.evaluation.knn import hit_by_chance, nearest

__all__ = ["Retrieval", "retrieval"]


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """R@k as in Büchler et al., ECCV 2018, arXiv:1807.11293, and Xu et al., CVPR 2019 (VCOP): query = test,
    gallery = train, cosine of the mean of the clips' features.

    Published figures differ in the layer, the pooling and the centring, so the score's settings name them.
    """

    ranks: tuple[int, ...] = (1, 5, 10)
    """The k of R@k; those beyond the size of the gallery are left out."""
    centre: bool = False
    """Whether the mean of the gallery is subtracted before the cosine."""

    def __post_init__(self) -> None:
        if not self.ranks or min(self.ranks) < 1:
            raise ValueError(f"ranks {self.ranks}: give at least one, all ≥ 1")


DEFAULT = Retrieval()


def retrieval(train: Labelled, test: Labelled, *, choice: Retrieval = DEFAULT, seed: int = 0) -> Answers:
    """R@k for every rank; ties in similarity go to the lower position in the gallery.

    `seed` is unused: nothing is drawn. It is there because every protocol is called alike.

    Raises:
        ValueError: fewer than 2 classes in `train`, or a gallery smaller than every rank.
    """
    two_classes(train, test)
    ranks = sorted(k for k in choice.ranks if k <= len(train))
    if not ranks:
        raise ValueError(f"ranks {choice.ranks} in a gallery of {len(train)} items: give a rank ≤ {len(train)}")
    positions, _ = nearest(test.values, train.values, k=ranks[-1], centre=choice.centre)
    same = train.labels[positions] == test.labels[:, None]
    chances = hit_by_chance(train.labels, test.labels, ranks)
    return Answers(
        predictions=train.labels[positions[:, 0]],
        correct={f"R@{k}": same[:, :k].any(axis=1).astype(np.float64) for k in ranks},
        chance={f"R@{k}": chances[k] for k in ranks},
        settings={"query": "test", "gallery": "train", "distance": "cosine", "centred": choice.centre},
        neighbours=positions,
    )
