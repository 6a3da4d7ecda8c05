"""The state to resume from: everything that the next step depends on and that cannot be drawn again.

That is the task (weights, momentum encoder, queue), the optimisers and the number of the step. The order of the items,
the draws of the samplers and the generators are functions of (seed, epoch, item, step), so the number is enough.
"""

from __future__ import annotations

import re
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.distributed.checkpoint import state_dict_loader, state_dict_saver
from torch.distributed.checkpoint.default_planner import DefaultSavePlanner
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

from avssl.training.optimisers import Optimisers
from avssl.training.start import Run

__all__ = ["newest", "restore", "save", "task_state"]


def newest(run: Run) -> Path | None:
    """The newest complete checkpoint of a run."""
    return _newest(run.checkpoints)


def _newest(checkpoints: Path) -> Path | None:
    found = {int(m[1]): p for p in checkpoints.glob("step-*") if (m := re.fullmatch(r"step-(\d+)", p.name))}
    return found[max(found)] if found else None


def save(run: Run, task: nn.Module, optimisers: Optimisers, *, step: int) -> None:
    """Write the state after `step` steps; a kill while writing leaves the one before it."""
    final = run.checkpoints / f"step-{step:08d}"
    partial = run.checkpoints / f"partial-{step:08d}"
    if run.ranks.first and partial.exists():
        shutil.rmtree(partial)
    run.ranks.wait()
    with _quietly():
        state_dict_saver.save(
            _state(task, optimisers, step),
            checkpoint_id=partial,
            # running statistics are those of each rank's own examples: the first rank's are kept, as in the encoder
            planner=DefaultSavePlanner(dedup_save_to_lowest_rank=True),
            no_dist=run.ranks.world == 1,
        )
    if run.ranks.first:
        if final.exists():
            shutil.rmtree(final)
        partial.rename(final)
        for old in sorted(run.checkpoints.glob("step-*"))[:-2]:  # two are kept: the newest may be on a failing disk
            shutil.rmtree(old)
    run.ranks.wait()


def restore(run: Run, task: nn.Module, optimisers: Optimisers) -> int:
    """Load the newest checkpoint into task and optimisers; the number of steps done, 0 if there is none."""
    path = newest(run)
    if path is None:
        return 0
    state = _state(task, optimisers, 0)
    with _quietly():
        state_dict_loader.load(state, checkpoint_id=path, no_dist=run.ranks.world == 1)
    set_state_dict(task, optimisers.members, model_state_dict=state["task"], optim_state_dict=state["optimiser"])
    return int(state["step"])


def task_state(folder: Path, prefix: str) -> dict[str, torch.Tensor]:
    """What the newest checkpoint in a run folder has of the task under names with a prefix, by what follows it.

    For what is not kept with the encoders, such as heads and decoders; empty if the task has nothing of that name.

    Raises:
        FileNotFoundError: the folder has no checkpoint.
    """
    path = _newest(folder / "checkpoints")
    if path is None:
        raise FileNotFoundError(f"{folder} has no checkpoint: give the folder of a run that was trained")
    kept = FileSystemReader(path).read_metadata().state_dict_metadata
    state = {
        name: torch.empty(about.size, dtype=about.properties.dtype)
        for name, about in kept.items()
        if name.startswith(f"task.{prefix}") and isinstance(about, TensorStorageMetadata)
    }
    if state:
        with _quietly():
            state_dict_loader.load(state, checkpoint_id=path, no_dist=True)
    return {name.removeprefix(f"task.{prefix}"): value for name, value in state.items()}


@contextmanager
def _quietly() -> Iterator[None]:
    """Without torch's warning that a single process saves alone, which is what we ask for."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        yield


def _state(task: nn.Module, optimisers: Optimisers, step: int) -> dict[str, Any]:
    model, optim = get_state_dict(task, optimisers.members)
    return {"task": model, "optimiser": optim, "step": torch.tensor(step)}
