"""Two processes with half a batch each give the gradient of one with the whole: regression, triplets and tuples."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from avssl.core import Clip, Example
from avssl.encoders import PlacesHead, Projector, tiny_resnet
from avssl.losses import Bins, NPairs, Standardised, Triplet
from avssl.tasks import Contrast, Labelled, Records, Regress, Task

BATCH = 8
NAMES = ("bins", "standardised", "triplet", "n_pairs")


def unequal(anchors: Records, candidates: Records) -> Tensor:
    """A policy under which the ranks have unequal numbers of terms: examples 0, 1 and 7 have nothing to say."""
    same = anchors.example[:, None] == candidates.example
    heard = ~torch.isin(anchors.example, torch.tensor([0, 1, 7]))[:, None]
    return torch.where(same & heard & (anchors.clip[:, None] != candidates.clip), 1, 0) - (~same & heard).int()


def task_named(name: str) -> Task:
    torch.manual_seed(0)
    encoder = tiny_resnet(width=8, norm="group")
    if name in {"bins", "standardised"}:
        numbers = Bins(((-0.5, 0.5), (0.0, 0.2))) if name == "bins" else Standardised((0.0, 1.0), (1.0, 2.0))
        head = PlacesHead(64, numbers.outputs, reach=1, width=8)
        return Regress(encoder, head, target=Labelled(("x", "y")), criterion=numbers)
    criterion = Triplet(0.5) if name == "triplet" else NPairs()
    return Contrast(encoder, Projector(64, 8, norm="none"), policy=unequal, criterion=criterion)


def part(start: int, stop: int) -> Example:
    rng = torch.Generator().manual_seed(0)
    clips = tuple(Clip(video=torch.rand(BATCH, 1, 3, 16, 16, generator=rng)[start:stop]) for _ in range(2))
    labels = {name: torch.randn(BATCH, generator=rng)[start:stop] for name in "xy"}
    return Example(clips=clips, labels=labels, parameters={}, index=torch.arange(start, stop))


def gradients(name: str, start: int, stop: int) -> list[Tensor]:
    task = task_named(name)
    model: nn.Module = DistributedDataParallel(task) if dist.is_initialized() else task
    model(part(start, stop))["loss"].backward()
    return [p.grad for p in task.parameters() if p.grad is not None]


def work(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    half = BATCH // 2
    torch.save({name: gradients(name, rank * half, (rank + 1) * half) for name in NAMES}, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_ranks_equal_one(tmp_path: Path) -> None:
    multiprocessing.set_forkserver_preload(["avssl.tasks"])
    mp.start_processes(work, args=(str(tmp_path),), nprocs=2, start_method="forkserver")
    ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    for name in NAMES:
        whole = gradients(name, 0, BATCH)
        assert max(float(g.abs().max()) for g in whole) > 1e-3
        for rank in ranks:
            for a, b in zip(rank[name], whole, strict=True):
                torch.testing.assert_close(a, b, rtol=1e-4, atol=3e-6, msg=lambda m, name=name: f"{name}: {m}")
