"""Retrieval: a test item asks, the training items are the gallery, and one of the first k should share the class."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Literal, TypeAlias

import numpy as np

from avssl.evaluation.answers import Answers, Labelled, two_classes
from avssl.evaluation.knn import Distance, hit_by_chance, nearest
from avssl.evaluation.layers import Pooling

__all__ = ["COCLR", "SELAVI", "VCOP", "Centre", "Retrieval", "retrieval"]

Centre: TypeAlias = Literal["none", "gallery", "each side"]
"""What is subtracted: nothing, the mean of the gallery, or from gallery and queries each the mean of its own."""

RANKS = (1, 5, 10, 20, 50)


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """R@k: query = test, gallery = train, on the mean of the clips' features.

    Published figures differ in the layer, the pooling, the centring and the distance, so a score's settings name them;
    `VCOP`, `COCLR` and `SELAVI` are the three protocols of the field, which must not be set beside one another.
    """

    name: str = ""
    """Of a published protocol."""
    ranks: tuple[int, ...] = (1, 5, 10)
    """The k of R@k; those beyond the size of the gallery are left out."""
    centre: Centre = "none"
    """What is subtracted before the distance; the means of "each side" need many queries to mean anything."""
    distance: Distance = "cosine"
    """Between the mean features."""
    pooling: Pooling = field(default_factory=Pooling)
    """The feature of a clip that it must be given."""
    clips: int = 0
    """Clips of each item that it must be given, evenly spread; 0: as many as the other protocols."""

    def __post_init__(self) -> None:
        if not self.ranks or min(self.ranks) < 1:
            raise ValueError(f"ranks {self.ranks}: give at least one, all ≥ 1")
        if self.clips < 0:
            raise ValueError(f"clips {self.clips}: must be ≥ 0")

    @property
    def protocol(self) -> str:
        """Its name among the scores."""
        return f"retrieval ({self.name})" if self.name else "retrieval"


DEFAULT = Retrieval()

VCOP = Retrieval(name="vcop", ranks=RANKS, pooling=Pooling(window=(1, 2, 2), kind="max"), clips=10)
"""Büchler et al., ECCV 2018, arXiv:1807.11293, and Xu et al., CVPR 2019 (VCOP): the last map of 10 clips, max-pooled by
(1, 2, 2) and flattened, their mean, cosine."""

COCLR = Retrieval(name="coclr", ranks=RANKS, centre="each side", clips=10)
"""Han et al., NeurIPS 2020, arXiv:2010.09709: the mean over the last map and over the clips, from which the mean of
its own side is subtracted, cosine. There the clips are windows that overlap by half; here they are evenly spread."""

SELAVI = Retrieval(
    name="selavi",
    ranks=RANKS,
    distance="euclidean",
    pooling=Pooling(window=(2, 2, 2), kind="max", unit=True),
    clips=10,
)
"""Asano et al., NeurIPS 2020, arXiv:2006.13662: the last map, max-pooled by (2, 2, 2), flattened and brought to length
1 for each clip, their mean, Euclidean distance."""


def retrieval(train: Labelled, test: Labelled, *, choice: Retrieval = DEFAULT, seed: int = 0) -> Answers:
    """R@k for every rank, of features as `choice.pooling` makes them; ties go to the lower position in the gallery.

    `seed` is unused: nothing is drawn. It is there because every protocol is called alike.

    Raises:
        ValueError: fewer than 2 classes in `train`, or a gallery smaller than every rank.
    """
    two_classes(train, test)
    ranks = sorted(k for k in choice.ranks if k <= len(train))
    if not ranks:
        raise ValueError(f"ranks {choice.ranks} in a gallery of {len(train)} items: give a rank ≤ {len(train)}")
    queries, gallery = test.values, train.values
    if choice.centre == "each side":
        queries = queries - queries.mean(axis=0, dtype=np.float64)
        gallery = gallery - gallery.mean(axis=0, dtype=np.float64)
    centred = choice.centre == "gallery"
    positions, _ = nearest(queries, gallery, k=ranks[-1], centre=centred, distance=choice.distance)
    same = train.labels[positions] == test.labels[:, None]
    chances = hit_by_chance(train.labels, test.labels, ranks)
    return Answers(
        predictions=train.labels[positions[:, 0]],
        correct={f"R@{k}": same[:, :k].any(axis=1).astype(np.float64) for k in ranks},
        chance={f"R@{k}": chances[k] for k in ranks},
        settings={
            "query": "test",
            "gallery": "train",
            "distance": choice.distance,
            "centred": choice.centre,
            "pooling": asdict(choice.pooling),
        },
        neighbours=positions,
    )
