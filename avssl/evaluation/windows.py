"""Windows of an item, each with features of its own, for the protocols that let them vote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from avssl.core import MediaInfo, Plan, Rng, Sampler
from avssl.evaluation.answers import Labelled

__all__ = ["Window", "together"]


@dataclass(frozen=True, kw_only=True)
class Window(Sampler):
    """One of the clips of another sampler, so that its features stand alone and are not averaged with the others."""

    sampler: Sampler
    """Whose clip it is."""
    index: int
    """Which one, from 0 on."""

    def unfit(self, info: MediaInfo) -> str:
        """Why the sampler cannot cut this file, or ''."""
        return self.sampler.unfit(info)

    def __call__(self, info: MediaInfo, rng: Rng, /) -> Plan:
        """The plan with that clip alone.

        Raises:
            Unfit: the sampler cannot cut the file.
        """
        plan = self.sampler(info, rng)
        return replace(plan, spans=plan.spans[self.index : self.index + 1])


def together(windows: Sequence[Labelled]) -> tuple[Labelled, np.ndarray]:
    """All windows (W · M, D) of M items, given as one part for each window, and the item 0…M-1 of each.

    The group of a window is that of its item, or the item itself where it has none.
    """
    item = np.tile(np.arange(len(windows[0])), len(windows))
    groups = windows[0].groups or ("",) * len(windows[0])
    named = tuple(g or f"item {n}" for n, g in enumerate(groups))
    values = np.concatenate([w.values for w in windows])
    return Labelled(values=values, labels=windows[0].labels[item], groups=named * len(windows)), item
