"""The task's own numbers on items that it is not trained on."""

from __future__ import annotations

import torch

from avssl.core import MediaError
from avssl.data import Clips, Loader, Readers
from avssl.tasks import Task
from avssl.training.ranks import Ranks

__all__ = ["held_out"]

_EPOCH = 2**31
"""Epochs from here on are never trained; their draws are those of the held-out items."""


@torch.no_grad()
def held_out(
    task: Task,
    clips: Clips,
    *,
    batch_size: int,
    device: torch.device,
    ranks: Ranks,
    readers: Readers,
    passes: int = 2,
) -> tuple[list[tuple[str, float]], list[MediaError]]:
    """The task's own numbers on items that it is not trained on, with the same draws at every call; and what of them
    is damaged.

    The draws are those of the last stage of a curriculum. All ranks take part, each with as many examples as the
    others, since a task may gather over them.
    """
    if clips.held_out is None:
        return [], []
    sums: dict[str, float] = {}
    count, skipped = 0, []
    positions = _shares(len(clips.held_out), batch_size, ranks)
    for n in range(passes):
        loader = Loader(
            clips.held_out,
            positions,
            epoch=_EPOCH + n,
            device=device,
            keep_size=ranks.world > 1,
            readers=readers,
        )
        for batch in loader:
            count += len(batch)
            for name, value in task(batch).items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(batch)
        skipped += loader.skipped
    means = ranks.mean(torch.tensor([total / count for total in sums.values()], device=device)).tolist()
    return [(f"held-out {name}", value) for name, value in zip(sums, means, strict=True)], skipped


def _shares(items: int, batch_size: int, ranks: Ranks) -> list[range]:
    """This rank's part of each batch over the ranks; of the last one only what all can have alike."""
    shares, start = [], 0
    while (size := min(batch_size, (items - start) // ranks.world)) > 0:
        shares.append(range(start + ranks.rank * size, start + (ranks.rank + 1) * size))
        start += ranks.world * size
    return shares
