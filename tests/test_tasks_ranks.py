"""Two processes with half a batch each give the gradient of one process with the whole batch."""

from __future__ import annotations

import multiprocessing
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from avssl.core import Clip, Example
from avssl.encoders import ConvGRU, MaskedRows, Projector, tiny_resnet
from avssl.losses import Margin
from avssl.tasks import (
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
from avssl.encoders import PatchDecoder, Projector, tiny_resnet, tiny_vit
from avssl.losses import Margin
from avssl.tasks import (
    Contrast,
    Foresee,
    HiddenFeatures,
    HiddenPatches,
    Momentum,
    Queue,
    Records,
    Restore,
    Task,
    by_absolute_error,
)

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
def masked_task(name: str) -> Task:
    """A task over the patches of the first clip, of which each example hides others."""
    encoder = tiny_vit(width=24, depth=1, heads=2, tubelet=1)
    if name == "mae":
        return Restore(encoder, PatchDecoder(encoder, width=16, depth=1, heads=2), riddle=HiddenPatches(encoder))
    predictor = HiddenFeatures(encoder, width=16, depth=1, heads=2)
    return Foresee(encoder, predictor, contest=by_absolute_error, target=Momentum(0.5))


def task_named(name: str) -> Task:
    torch.manual_seed(0)
    if name in {"dpc", "cpc"}:
        return foreseeing(name)
    question = question_named(name)
    if question is not None:
        return Track(tiny_resnet(width=8, norm="group"), PlaceNodes(64, 8), question=question)
    if name in {"mae", "vjepa"}:
        return masked_task(name)
    knobs: dict[str, Any] = {
        "simclr": {},
        "unequal": {"policy": unequal},
        "margin": {"policy": unequal, "criterion": Margin(1.5)},
        "moco": {"negatives": Queue(12, 8), "target": Momentum(0.5, symmetric=True)},
    }[name]
    encoder = tiny_resnet(width=8, norm="group")
    return Contrast(encoder, Projector(64, 8, norm="none"), **knobs)


def part(start: int, stop: int, seed: int) -> Example:
    rng = torch.Generator().manual_seed(seed)
    clips = tuple(Clip(video=torch.rand(BATCH, 1, 3, 16, 16, generator=rng)[start:stop]) for _ in range(2))
    return Example(clips=clips, labels={}, parameters={}, index=torch.arange(start, stop) + BATCH * seed)


NAMES = ("simclr", "unequal", "margin", "moco", "dpc", "cpc")


def in_one_clip(batch: Example) -> Example:
    """The clips one after the other."""
    frames = [c.video for c in batch.clips if c.video is not None]
    return replace(batch, clips=(Clip(video=torch.cat(frames, dim=1)),))


def colours() -> Features:
    """What a pass over all items finds, the same on all ranks."""
    rng = torch.Generator().manual_seed(3)
    return Features(index=torch.arange(9), vectors={"colours": 80 * torch.rand(9, 128, generator=rng)})


NAMES = ("simclr", "unequal", "margin", "moco", "crw", "colours")
def masked_part(start: int, stop: int, seed: int) -> Example:
    whole = part(start, stop, seed)
    order = torch.stack([torch.randperm(4, generator=torch.Generator().manual_seed(int(i))) for i in whole.index])
    parameters = {"mask.keep": order[:, None, :2], "mask.hide": order[:, None, 2:]}
    return replace(whole, clips=whole.clips[:1], parameters=parameters)


NAMES = ("simclr", "unequal", "margin", "moco", "mae", "vjepa")


def gradients(name: str, start: int, stop: int) -> list[Tensor]:
    """Gradients of the second of two steps, so that a queue holds something; and the clusters of colours."""
    task = task_named(name)
    model: nn.Module = DistributedDataParallel(task) if dist.is_initialized() else task
    torch.manual_seed(start)  # what a rank draws by itself
    task.before_epoch(0, colours)
    for seed in range(2):
        model.zero_grad()
        batch = part(start, stop, seed)
        model(in_one_clip(batch) if isinstance(task, Track) else batch)["loss"].backward()
        batch = (masked_part if name in {"mae", "vjepa"} else part)(start, stop, seed)
        model(batch)["loss"].backward()
        task.after_step(0.0)
    found = [p.grad for p in task.parameters() if p.grad is not None]
    return [*found, *(b for n, b in task.named_buffers() if n.endswith("centres"))]


def work(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    half = BATCH // 2
    found = {name: gradients(name, rank * half, (rank + 1) * half) for name in NAMES}
    torch.save(found, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_ranks_equal_one(tmp_path: Path) -> None:
    # Importing torch takes longest, so a server does it once and both ranks are forked from it.
    multiprocessing.set_forkserver_preload(["avssl.tasks"])
    mp.start_processes(work, args=(str(tmp_path),), nprocs=2, start_method="forkserver")
    ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    for name in NAMES:
        whole = gradients(name, 0, BATCH)
        assert max(float(g.abs().max()) for g in whole) > 1e-3
        for rank in ranks:
            for a, b in zip(rank[name], whole, strict=True):
                torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6, msg=lambda m, name=name: f"{name}: {m}")
