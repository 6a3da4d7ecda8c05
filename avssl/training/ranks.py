"""One process or many: what torchrun says of them, and what they do together."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist

__all__ = ["Ranks", "join"]

PATIENCE = timedelta(hours=12)
"""How long ranks wait for one another: one of them may be measuring alone meanwhile, and a sweep takes its time."""


@dataclass(frozen=True)
class Ranks:
    """This process among the processes of one run."""

    rank: int = 0
    world: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        """Whether this process writes the files and the lines."""
        return self.rank == 0

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """The mean of `values` over the ranks, on all of them."""
        if self.world == 1:
            return values
        values = values.clone()
        dist.all_reduce(values)
        return values / self.world

    def rows(self, values: torch.Tensor) -> torch.Tensor:
        """The rows of all ranks, of which each may have another number, on all of them; they lie on the CPU."""
        if self.world == 1:
            return values
        parts: list[torch.Tensor | None] = [None] * self.world
        dist.all_gather_object(parts, values)
        return torch.cat([p for p in parts if p is not None])

    def wait(self) -> None:
        """Go on only when all ranks have come here."""
        if self.world > 1:
            dist.barrier()

    def together(self, notes: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """The notes of all ranks, on all of them; all ranks ask at the same time."""
        if self.world == 1:
            return notes
        found: list[list[tuple[str, str]]] = [[] for _ in range(self.world)]
        dist.all_gather_object(found, notes)
        return [note for part in found for note in part]

    def leave(self) -> None:
        """End the communication; call it last."""
        if self.world > 1 and dist.is_initialized():
            dist.destroy_process_group()

    def share(self, text: str) -> str:
        """The text of the first rank, on all of them."""
        if self.world == 1:
            return text
        box = [text]
        dist.broadcast_object_list(box)
        return box[0]


def join(device: str) -> Ranks:
    """The place of this process among those that torchrun started; without torchrun, the only one."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return Ranks()
    ranks = Ranks(rank=int(os.environ["RANK"]), world=world, local=int(os.environ.get("LOCAL_RANK", "0")))
    if device == "cuda":
        torch.cuda.set_device(ranks.local)
    if not dist.is_initialized():
        if device == "cuda":  # told its device, a barrier does not have to guess it
            dist.init_process_group("nccl", device_id=torch.device("cuda", ranks.local), timeout=PATIENCE)
        else:
            dist.init_process_group("gloo", timeout=PATIENCE)
    return ranks
