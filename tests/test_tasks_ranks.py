"""Two processes with half a batch each give what one process gives with the whole batch."""

from __future__ import annotations

import multiprocessing
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from dense_tasks import DENSE, dense_task, holes
from test_training_hooks import begin, clips_of, clusters, make_pictures, steps, whole
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from avssl.core import Clip, Example
from avssl.encoders import ConvGRU, MaskedRows, Projector, tiny_resnet
from avssl.losses import Margin, unit_distance
from avssl.tasks import (
    Agree,
    Bank,
    Contrast,
    CopyColours,
    Features,
    Foresee,
    Momentum,
    OneByOne,
    Patches,
    PlaceNodes,
    Question,
    Queue,
    Records,
    StepsAhead,
    Task,
    Track,
    WalkThereAndBack,
    among_all,
    blocks,
)
from avssl.training import fit

BATCH = 8


def unequal(anchors: Records, candidates: Records) -> Tensor:
    """A policy under which the ranks have unequal numbers of terms: examples 0, 1 and 7 have nothing to say."""
    same = anchors.example[:, None] == candidates.example
    heard = ~torch.isin(anchors.example % BATCH, torch.tensor([0, 1, 7]))[:, None]
    return torch.where(same & heard & (anchors.clip[:, None] != candidates.clip), 1, 0) - (~same & heard).int()


def foreseeing(name: str) -> Foresee:
    encoder = tiny_resnet(width=8, norm="group")
    if name == "dpc":
        return Foresee(encoder, OneByOne(64, grid=blocks, context=ConvGRU(8), ahead=1), contest=among_all)
    rows = StepsAhead(64, grid=Patches(side=8, stride=4), context=MaskedRows(8), steps=(1, 2))
    return Foresee(encoder, rows, contest=among_all)


def question_named(name: str) -> Question | None:
    return {"crw": WalkThereAndBack(dropout=0), "colours": CopyColours(clusters=3)}.get(name)


def task_named(name: str) -> Task:
    torch.manual_seed(0)
    if name in DENSE:
        return dense_task(name)
    if name in {"dpc", "cpc"}:
        return foreseeing(name)
    question = question_named(name)
    if question is not None:
        return Track(tiny_resnet(width=8, norm="group"), PlaceNodes(64, 8), question=question)
    if name in {"simsiam", "byol"}:
        heads = Projector(64, 8, norm="none"), Projector(8, 8, norm="none")
        slow: dict[str, Any] = {"criterion": unit_distance, "target": Momentum(0.5)} if name == "byol" else {}
        return Agree(tiny_resnet(width=8, norm="group"), *heads, **slow)
    knobs: dict[str, Any] = {
        "simclr": {},
        "unequal": {"policy": unequal},
        "margin": {"policy": unequal, "criterion": Margin(1.5)},
        "moco": {"negatives": Queue(12, 8), "target": Momentum(0.5, symmetric=True)},
        "bank": {"negatives": Bank(2 * BATCH, 8, negatives=5)},
        "whole bank": {"negatives": Bank(2 * BATCH, 8, negatives=None)},
    }[name]
    encoder = tiny_resnet(width=8, norm="group")
    return Contrast(encoder, Projector(64, 8, norm="none"), **knobs)


def part(start: int, stop: int, seed: int) -> Example:
    rng = torch.Generator().manual_seed(seed)
    clips = tuple(Clip(video=torch.rand(BATCH, 1, 3, 16, 16, generator=rng)[start:stop]) for _ in range(2))
    index = torch.arange(start, stop) + BATCH * seed
    return Example(clips=clips, labels={}, parameters=holes(stop - start), index=index)


def in_one_clip(batch: Example) -> Example:
    """The clips one after the other."""
    frames = [c.video for c in batch.clips if c.video is not None]
    return replace(batch, clips=(Clip(video=torch.cat(frames, dim=1)),), parameters={})


def colours() -> Features:
    """What a pass over all items finds, the same on all ranks."""
    rng = torch.Generator().manual_seed(3)
    return Features(index=torch.arange(9), vectors={"colours": 80 * torch.rand(9, 128, generator=rng)})


NAMES = (
    *("simclr", "unequal", "margin", "moco", "bank", "whole bank"),
    *("simsiam", "byol", "dpc", "cpc", "crw", "colours", *DENSE),
)


def gradients(name: str, start: int, stop: int) -> list[Tensor]:
    """Gradients of the last of some steps, so that a queue or a bank holds something; and the clusters of colours."""
    task = task_named(name)
    model: nn.Module = DistributedDataParallel(task) if dist.is_initialized() else task
    torch.manual_seed(start)  # what a rank draws by itself
    task.before_epoch(0, colours)
    for step, seed in enumerate((0, 1, 1) if "bank" in name else (0, 1)):
        model.zero_grad()
        torch.manual_seed(10 * step + start)  # as in training, where ranks draw apart
        batch = part(start, stop, seed)
        model(in_one_clip(batch) if isinstance(task, Track) else batch)["loss"].backward()
        task.after_step(0.0)
    found = [p.grad for p in task.parameters() if p.grad is not None]
    return [*found, *(b for n, b in task.named_buffers() if n.endswith("centres"))]


def trained(folder: Path, name: str) -> list[Tensor]:
    """The state of a task that clusters all items before each of two epochs."""
    task, clips = clusters(), clips_of(folder / "pictures")
    fit(begin(folder / name, optimizer="sgd"), task, clips, whole=whole(clips))
    return list(task.state_dict().values())


def work(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    half = BATCH // 2
    found = {name: gradients(name, rank * half, (rank + 1) * half) for name in NAMES}
    os.environ |= {"WORLD_SIZE": "2", "RANK": str(rank), "LOCAL_RANK": str(rank)}
    found["clusters"] = trained(Path(folder), "two")
    torch.save(found, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_ranks_equal_one(tmp_path: Path) -> None:
    make_pictures(tmp_path / "pictures")
    # Importing torch takes longest, so a server does it once and both ranks are forked from it.
    multiprocessing.set_forkserver_preload(["avssl.training"])
    mp.start_processes(work, args=(str(tmp_path),), nprocs=2, start_method="forkserver")
    ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    for name in NAMES:
        whole = gradients(name, 0, BATCH)
        assert max(float(g.abs().max()) for g in whole) > 1e-3
        for rank in ranks:
            for a, b in zip(rank[name], whole, strict=True):
                torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6, msg=lambda m, name=name: f"{name}: {m}")
    one = trained(tmp_path, "one")
    for rank in ranks:
        for a, b in zip(rank["clusters"], one, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    for a, b in zip(*(steps(begin(tmp_path / name, resume=True)) for name in ("one", "two")), strict=True):
        assert a == pytest.approx(b, abs=1e-4)
