"""Labels parted and guarded, and what protocols answered to them on all folds, on the way to scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from avssl.data import Item
from avssl.evaluation.answers import Answers, Labelled, to_scores
from avssl.evaluation.features import Features, Modality
from avssl.evaluation.head import Head
from avssl.evaluation.multilabel import Ranked
from avssl.evaluation.scores import ON_SOUND, Score
from avssl.evaluation.splits import Fold, Split, belonging, folds, guard, labels_of, many_labels_of

__all__ = ["Labels", "Outcome", "RankedOutcome", "labels_in"]


@dataclass(frozen=True, kw_only=True)
class Labels:
    """One label of the items that have it, parted and guarded; `numbers` are (M,), or (M, K) of several.

    `groups` (M,) are the items that belong together, '' for one that stands alone: see `belonging`.
    """

    name: str
    items: tuple[Item, ...]
    numbers: np.ndarray
    classes: tuple[str, ...]
    folds: tuple[Fold, ...]
    groups: tuple[str, ...]

    def part(self, features: Features, positions: Sequence[int]) -> Labelled:
        """The features of the items at these positions, with their labels."""
        chosen = [self.items[p] for p in positions]
        groups = tuple(self.groups[p] for p in positions)
        return Labelled(
            values=features.rows([i.index for i in chosen]),
            labels=self.numbers[list(positions)],
            groups=groups if any(groups) else (),
        )

    def parts(self, features: Features) -> list[tuple[Labelled, Labelled]]:
        """(train, test) of every fold."""
        return [(self.part(features, f.train), self.part(features, f.test)) for f in self.folds]


def labels_in(items: Sequence[Item], name: str, split: Split, *, several: bool = False) -> Labels:
    """A column as labels, parted and guarded.

    Raises:
        Unscorable: the label or a split is missing, or the parts leak.
    """
    numbers, classes = many_labels_of(items, name) if several else labels_of(items, name)
    kept = np.arange(len(items)) if several else np.flatnonzero(numbers >= 0)
    labelled = tuple(items[int(p)] for p in kept)
    parts = tuple(folds(labelled, split=split))
    for fold in parts:
        guard(labelled, fold, labels=numbers[kept], classes=classes, share=split.share_groups, apart=split.apart)
    return Labels(
        name=name,
        items=labelled,
        numbers=numbers[kept],
        classes=classes,
        folds=parts,
        groups=belonging(labelled, split),
    )


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The answers of one protocol on all folds, before an encoder's name is put to them."""

    protocol: str
    label: str
    answers: Answers
    truth: np.ndarray
    groups: tuple[str, ...]
    n_train: int
    seed: int
    heads: tuple[Head, ...] = ()
    """What was fitted on each fold."""

    def scores(self, encoder: str, modality: Modality, settings: Mapping[str, Any]) -> list[Score]:
        """One score for each metric."""
        return to_scores(
            self.answers,
            encoder=encoder,
            protocol=self.protocol + (ON_SOUND if modality == "sound" else ""),
            label=self.label,
            n_train=self.n_train,
            truth=self.truth,
            groups=self.groups,
            seed=self.seed,
            settings=settings,
        )


@dataclass(frozen=True, kw_only=True)
class RankedOutcome:
    """As `Outcome`, of items with several labels."""

    protocol: str
    label: str
    ranked: tuple[Ranked, ...]
    groups: tuple[tuple[str, ...], ...]
    n_train: int
    seed: int

    @property
    def heads(self) -> tuple[Head, ...]:
        """What was fitted on each fold."""
        return tuple(r.head for r in self.ranked)

    def scores(self, encoder: str, modality: Modality, settings: Mapping[str, Any]) -> list[Score]:
        """One score for each metric: of several folds their mean."""
        found = []
        samples = self.ranked[0].resampled(self.groups[0], seed=self.seed) if len(self.ranked) == 1 else {}
        for metric in self.ranked[0].values:
            values = np.array([r.values[metric] for r in self.ranked])
            value = float(values.mean())
            spread = float(values.std(ddof=1)) if len(values) > 1 else 0.0
            low, high, interval = value - spread, value + spread, f"mean ± standard deviation over {len(values)} folds"
            if samples:
                low, high = (float(q) for q in np.quantile(samples[metric], [0.025, 0.975]))
                interval = f"95 %, bootstrap over test {'groups' if self.groups[0] else 'items'}"
            found.append(
                Score(
                    encoder=encoder,
                    protocol=self.protocol + (ON_SOUND if modality == "sound" else ""),
                    metric=metric,
                    label=self.label,
                    value=value,
                    low=low,
                    high=high,
                    interval=interval,
                    n_train=self.n_train,
                    n_test=sum(len(r.truth) for r in self.ranked),
                    chance=float(np.mean([r.chance[metric] for r in self.ranked])),
                    seed=self.seed,
                    settings={**self.ranked[0].settings, **settings},
                    found={**self.ranked[0].found, "folds": values.tolist()},
                )
            )
        return found
