"""Two processes with half a batch each give what one process gives with the whole batch."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from test_training_hooks import begin, clips_of, clusters, make_pictures, steps, whole
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from avssl.core import Clip, Example
from avssl.encoders import (
    ConvGRU,
    FrameEncoder,
    Judge,
    MaskedRows,
    PatchDecoder,
    PlacesHead,
    Projector,
    UpDecoder,
    tiny_resnet,
    tiny_vit,
)
from avssl.losses import Bins, Margin, NPairs, Regression, Standardised, Triplet, unit_distance
from avssl.tasks import (
    Adversary,
    Agree,
    Bank,
    Colouring,
    Contrast,
    CopyColours,
    Features,
    Foresee,
    HiddenFeatures,
    HiddenPatches,
    Inpainting,
    Labelled,
    Momentum,
    OneByOne,
    Patches,
    PlaceNodes,
    Puzzle,
    Question,
    Queue,
    Rebalanced,
    Records,
    Regress,
    Restore,
    StepsAhead,
    Task,
    Track,
    WalkThereAndBack,
    among_all,
    blocks,
    by_absolute_error,
    by_inpainting,
    by_motion,
)
from avssl.training import fit

BATCH = 8


def part(start: int, stop: int, seed: int) -> Example:
    """Two pictures of each example, a hole in each, and two numbers."""
    rng = torch.Generator().manual_seed(seed)
    clips = tuple(Clip(video=torch.rand(BATCH, 1, 3, 16, 16, generator=rng)[start:stop]) for _ in range(2))
    holes = {"holes.boxes": torch.tensor([0.25, 0.25, 0.5, 0.5]).expand(stop - start, 2, 1, 4)}
    numbers = {name: torch.randn(BATCH, generator=rng)[start:stop] for name in "xy"}
    return Example(clips=clips, labels=numbers, parameters=holes, index=torch.arange(start, stop) + BATCH * seed)


def masked_part(start: int, stop: int, seed: int) -> Example:
    """One picture of each example, of which others of its patches are hidden."""
    found = part(start, stop, seed)
    order = torch.stack([torch.randperm(4, generator=torch.Generator().manual_seed(int(i))) for i in found.index])
    parameters = {"mask.keep": order[:, None, :2], "mask.hide": order[:, None, 2:]}
    return replace(found, clips=found.clips[:1], parameters=parameters)


def in_one_clip(start: int, stop: int, seed: int) -> Example:
    """The two pictures as frames of one clip."""
    batch = part(start, stop, seed)
    frames = [c.video for c in batch.clips if c.video is not None]
    return replace(batch, clips=(Clip(video=torch.cat(frames, dim=1)),), parameters={})


@dataclass(frozen=True)
class Case:
    """A task, what it sees, and the seeds of what it sees in each of its steps."""

    task: Callable[[FrameEncoder], Task]
    part: Callable[[int, int, int], Example] = part
    seeds: tuple[int, ...] = (0, 1)


def unequal(anchors: Records, candidates: Records) -> Tensor:
    """A policy under which the ranks have unequal numbers of terms: examples 0, 1 and 7 have nothing to say."""
    same = anchors.example[:, None] == candidates.example
    heard = ~torch.isin(anchors.example % BATCH, torch.tensor([0, 1, 7]))[:, None]
    return torch.where(same & heard & (anchors.clip[:, None] != candidates.clip), 1, 0) - (~same & heard).int()


def contrast(encoder: FrameEncoder, **knobs: Any) -> Task:
    return Contrast(encoder, Projector(64, 8, norm="none"), **knobs)


def agree(encoder: FrameEncoder, **knobs: Any) -> Task:
    return Agree(encoder, Projector(64, 8, norm="none"), Projector(8, 8, norm="none"), **knobs)


def regress(encoder: FrameEncoder, criterion: Regression) -> Task:
    head = PlacesHead(64, criterion.outputs, reach=1, width=8)
    return Regress(encoder, head, target=Labelled(("x", "y")), criterion=criterion)


def rows_below(encoder: FrameEncoder) -> Task:
    predictor = StepsAhead(64, grid=Patches(side=8, stride=4), context=MaskedRows(8), steps=(1, 2))
    return Foresee(encoder, predictor, contest=among_all)


def next_block(encoder: FrameEncoder) -> Task:
    return Foresee(encoder, OneByOne(64, grid=blocks, context=ConvGRU(8), ahead=1), contest=among_all)


def track(encoder: FrameEncoder, question: Question) -> Task:
    return Track(encoder, PlaceNodes(64, 8), question=question)


def by_light(batch: Example) -> Puzzle:
    """Asks where a picture is light, which the ranks see in unequal parts."""
    video = batch.clips[0].video
    assert video is not None
    return Puzzle(shown=video, target=(video[:, :, 0, ::4, ::4] > 0.7).long())


def restore(encoder: FrameEncoder, answers: int, size: tuple[int, int], **knobs: Any) -> Task:
    return Restore(encoder, UpDecoder(encoder, answers, shown=(1, 16, 16), size=size, width=16), **knobs)


def inpainting(encoder: FrameEncoder) -> Task:
    adversary = Adversary(Judge(size=(8, 8), width=8), weight=0.1)
    knobs: dict[str, Any] = {"riddle": Inpainting(overlap=1), "measure": by_inpainting, "adversary": adversary}
    return restore(encoder, 3, (8, 8), **knobs)


def hidden_patches(_: FrameEncoder) -> Task:
    encoder = tiny_vit(width=24, depth=1, heads=2, tubelet=1)
    return Restore(encoder, PatchDecoder(encoder, width=16, depth=1, heads=2), riddle=HiddenPatches(encoder))


def hidden_features(_: FrameEncoder) -> Task:
    encoder = tiny_vit(width=24, depth=1, heads=2, tubelet=1)
    predictor = HiddenFeatures(encoder, width=16, depth=1, heads=2)
    return Foresee(encoder, predictor, contest=by_absolute_error, target=Momentum(0.5))


CASES: dict[str, Case] = {
    "simclr": Case(contrast),
    "unequal": Case(lambda e: contrast(e, policy=unequal)),
    "margin": Case(lambda e: contrast(e, policy=unequal, criterion=Margin(1.5))),
    "triplet": Case(lambda e: contrast(e, policy=unequal, criterion=Triplet(0.5))),
    "n-pairs": Case(lambda e: contrast(e, policy=unequal, criterion=NPairs())),
    "bins": Case(lambda e: regress(e, Bins(((-0.5, 0.5), (0.0, 0.2))))),
    "standardised": Case(lambda e: regress(e, Standardised((0.0, 1.0), (1.0, 2.0)))),
    "moco": Case(lambda e: contrast(e, negatives=Queue(12, 8), target=Momentum(0.5), symmetric=True)),
    "bank": Case(lambda e: contrast(e, negatives=Bank(2 * BATCH, 8, negatives=5)), seeds=(0, 1, 1)),
    "whole bank": Case(lambda e: contrast(e, negatives=Bank(2 * BATCH, 8, negatives=None)), seeds=(0, 1, 1)),
    "simsiam": Case(agree),
    "byol": Case(lambda e: agree(e, criterion=unit_distance, target=Momentum(0.5))),
    "dpc": Case(next_block),
    "cpc": Case(rows_below),
    "crw": Case(lambda e: track(e, WalkThereAndBack(dropout=0)), in_one_clip),
    "copied colours": Case(lambda e: track(e, CopyColours(clusters=3)), in_one_clip),
    "holes": Case(inpainting),
    "colours": Case(lambda e: restore(e, 76, (4, 4), riddle=Colouring(spacing=20), measure=Rebalanced(76))),
    "motion": Case(lambda e: restore(e, 2, (4, 4), riddle=by_light, measure=by_motion)),
    "mae": Case(hidden_patches, masked_part),
    "vjepa": Case(hidden_features, masked_part),
}


def colours() -> Features:
    """What a pass over all items finds, the same on all ranks."""
    rng = torch.Generator().manual_seed(3)
    return Features(index=torch.arange(9), vectors={"colours": 10 * torch.randn(9, 128, generator=rng)})


def gradients(name: str, start: int, stop: int) -> list[Tensor]:
    """Gradients of the last of some steps, so that a queue or a bank holds something of its examples; and centres."""
    case = CASES[name]
    torch.manual_seed(0)
    task = case.task(tiny_resnet(width=8, norm="group"))
    model: nn.Module = DistributedDataParallel(task, broadcast_buffers=False) if dist.is_initialized() else task
    torch.manual_seed(start)
    task.before_epoch(0, colours)
    for step, seed in enumerate(case.seeds):
        model.zero_grad()
        torch.manual_seed(10 * step + start)  # as in training, where ranks draw apart
        model(case.part(start, stop, seed))["loss"].backward()
        task.after_step(0.0)
    found = [p.grad for p in task.parameters() if p.grad is not None]
    assert max(float(g.abs().max()) for g in found) > 1e-3, f"{name}: there is nothing to compare"
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
    found = {name: gradients(name, rank * half, (rank + 1) * half) for name in CASES}
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
    for name in CASES:
        whole = gradients(name, 0, BATCH)
        for rank in ranks:
            for a, b in zip(rank[name], whole, strict=True):
                torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6, msg=lambda m, name=name: f"{name}: {m}")
    one = trained(tmp_path, "one")
    for rank in ranks:
        for a, b in zip(rank["clusters"], one, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    for a, b in zip(*(steps(begin(tmp_path / name, resume=True)) for name in ("one", "two")), strict=True):
        assert a == pytest.approx(b, abs=1e-4)
