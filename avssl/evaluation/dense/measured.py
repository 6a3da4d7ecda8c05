"""What a protocol measured of each test item, before an encoder's name is put to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from avssl.evaluation.scores import Score, scores_of

__all__ = ["Measured", "hit_of_ranked"]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Values (M,) in 0…1 of each test item by metric, whose mean is the score, and what guessing would reach.

    `settings` were chosen beforehand, `found` came out besides.
    """

    values: Mapping[str, np.ndarray]
    chance: Mapping[str, float]
    settings: Mapping[str, Any] = field(default_factory=dict)
    found: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len({v.shape for v in self.values.values()}) > 1 or any(v.ndim != 1 for v in self.values.values()):
            raise ValueError(f"values of shapes {[v.shape for v in self.values.values()]}: must be (M,), one M for all")
        if set(self.chance) != set(self.values):
            raise ValueError(f"chance of {sorted(self.chance)} for metrics {sorted(self.values)}: give it for each")

    def scores(
        self,
        *,
        encoder: str,
        protocol: str,
        label: str,
        groups: Sequence[str] = (),
        seed: int = 0,
        settings: Mapping[str, Any] | None = None,
    ) -> list[Score]:
        """One score for each metric, with a bootstrap interval over the test items, or groups (see `bootstrap`)."""
        return scores_of(
            self.values,
            self.chance,
            encoder=encoder,
            protocol=protocol,
            label=label,
            n_train=0,
            groups=groups,
            seed=seed,
            settings={**self.settings, **(settings or {})},
            found=lambda *_: self.found,
        )


def hit_of_ranked(scores: np.ndarray, truth: np.ndarray, *, k: int) -> np.ndarray:
    """How likely the true one of N candidates is among the first k, for scores (M, N) and positions `truth` (M,).

    1 or 0 unless there are ties, which are taken to be in random order: so constant scores hit with k / N.
    """
    own = np.take_along_axis(scores, truth[:, None], axis=1)
    before, alike = (scores > own).sum(axis=1), (scores == own).sum(axis=1)
    hit: np.ndarray = np.clip((k - before) / alike, 0.0, 1.0)
    return hit
