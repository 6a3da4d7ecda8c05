"""A pass over all items, for tasks that look at the whole data set before an epoch."""

from __future__ import annotations

import torch

from avssl.core import MediaError
from avssl.data import Clips, Loader, Readers
from avssl.tasks import Features, Task
from avssl.training.ranks import Ranks

__all__ = ["everything"]


@torch.no_grad()
def everything(
    task: Task, clips: Clips, *, batch_size: int, device: torch.device, ranks: Ranks, readers: Readers
) -> tuple[Features, list[MediaError]]:
    """What the task's `embed` makes of every item, each rank having done its part, and what of them is damaged.

    Raises:
        MediaError: a file is damaged and `clips.damaged` is "stop", or nothing is left of a rank's part.
    """
    own = range(ranks.rank, len(clips), ranks.world)
    loader = Loader(
        clips, [own[i : i + batch_size] for i in range(0, len(own), batch_size)], device=device, readers=readers
    )
    was_training = task.training
    task.eval()
    numbers: list[torch.Tensor] = []
    found: dict[str, list[torch.Tensor]] = {}
    for batch in loader:
        numbers.append(batch.index.cpu())
        for name, vectors in task.embed(batch).items():
            found.setdefault(name, []).append(vectors.float().cpu())
    task.train(was_training)
    index = ranks.rows(torch.cat(numbers))
    order = index.argsort()
    # taken out one by one, as two copies of large features are enough
    kept = {name: ranks.rows(torch.cat(found.pop(name)))[order] for name in list(found)}
    return Features(index=index[order], vectors=kept), loader.skipped
