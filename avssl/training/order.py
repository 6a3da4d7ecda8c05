"""The visits of an epoch, in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from avssl.core import generator
from avssl.data import Clips, epoch_order
from avssl.tasks import Task

__all__ = ["visits"]


def visits(task: Task, clips: Clips, *, seed: int, epoch: int) -> Sequence[int]:
    """Positions in `clips` (see `Clips.visit`): each once, shuffled, or in the task's own order.

    In that order the second, third, … visit of an item is told from the first, and has draws of its own.

    Raises:
        ValueError: the task's order has not as many visits as there are items.
    """
    wanted = task.order(clips.numbers, generator(seed, epoch, 0, 1))
    if wanted is None:
        return epoch_order(len(clips), seed=seed, epoch=epoch)
    if len(wanted) != len(clips):
        raise ValueError(
            f"{type(task).__name__}.order gives {len(wanted)} visits of {len(clips)} items: an epoch has as many "
            "visits as items"
        )
    seen: Counter[int] = Counter()
    found = []
    for position in wanted:
        found.append(position + seen[position] * len(clips))
        seen[position] += 1
    return found
