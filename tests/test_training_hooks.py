"""What the loop does for a task between its steps: passes over all items, orders, several optimisers, and resuming."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from avssl.core import Example, Rng
from avssl.data import Clips, Readers, catalogue
from avssl.encoders import EachHead, tiny_resnet
from avssl.samplers import RandomClips, UniformClips
from avssl.tasks import Classify, Cluster, KMeans, Task, grouped
from avssl.training import Ranks, Run, Train, fit, start
from avssl.training.everything import everything
from avssl.training.optimisers import Optimisers
from avssl.transforms import CentreCrop, RandomCrop, Rotate90

ITEMS = 24


@dataclass(frozen=True, kw_only=True)
class Config:
    train: Train


def make_pictures(folder: Path) -> Path:
    """Pictures of four patterns, each with noise of its own."""
    folder.mkdir()
    patterns = np.random.default_rng(0).integers(0, 200, (4, 20, 20, 3))
    for k in range(ITEMS):
        noise = np.random.default_rng(k + 1).integers(0, 40, (20, 20, 3))
        Image.fromarray((patterns[k % 4] + noise).astype(np.uint8)).save(folder / f"{k:02d}.png")
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pictures(tmp_path_factory.mktemp("world") / "pictures")


def clips_of(pictures: Path) -> Clips:
    sampler = RandomClips(frames=1)
    return Clips.of(catalogue(pictures).items, sampler, RandomCrop(16, short_side=20) | Rotate90(), workers=1)


def whole(clips: Clips) -> Clips:
    return clips.seen_as(UniformClips(frames=1), CentreCrop(16, short_side=20))


def begin(out: Path, **knobs: Any) -> Run:
    train = Train(out=out, batch_size=8, epochs=2, device="cpu", probe_every=0)
    return start(Config(train=replace(train, **knobs)))


def clusters() -> Cluster:
    torch.manual_seed(0)
    return Cluster(
        tiny_resnet(width=8, norm="group"), items=ITEMS, clusters=KMeans(clusters=4, components=4), even="video"
    )


def steps(run: Run) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    return [{k: v for k, v in f.items() if k not in {"seconds", "clips_per_second", "waiting"}}
            for f in found if f["kind"] == "step"]  # fmt: skip


@pytest.mark.parametrize("batch_size", [5, 24])
def test_everything_sees_every_item_once_as_it_is_in_evaluation(pictures: Path, batch_size: int) -> None:
    clips, task = whole(clips_of(pictures)), clusters()
    gone = replace(clips.items[7], path=pictures / "gone.png")
    shuffled = tuple(gone if i.index == gone.index else i for i in clips.items[::-1])
    modes = []
    task.streams["video"].register_forward_hook(lambda m, *_: modes.append(m.training))
    knobs: dict[str, Any] = {"batch_size": batch_size, "device": torch.device("cpu"), "ranks": Ranks()}
    with Readers.of(clips) as readers:
        found, skipped = everything(task, replace(clips, items=shuffled, damaged="skip"), readers=readers, **knobs)
    assert found.index.tolist() == [n for n in range(ITEMS) if n != gone.index]
    assert [Path(e.path).name for e in skipped] == ["gone.png"]
    assert not any(modes)
    assert task.training
    example = clips.example(3)
    task.eval()
    with torch.no_grad():
        alone = task.embed(Example(
            clips=tuple(replace(c, video=c.video[None], times=None) for c in example.clips if c.video is not None),
            labels={}, parameters={}, index=example.index[None]))  # fmt: skip
    row = found.index.tolist().index(int(example.index))
    torch.testing.assert_close(found.vectors["video"][row], alone["video"][0])


class Watching(Classify):
    """Visits the first item over and over, and remembers what it was shown."""

    def __init__(self, wanted: Callable[[int], Sequence[int]]) -> None:
        encoder = tiny_resnet(width=8)
        super().__init__(encoder, EachHead(encoder.dim, 4), label="rotation")
        self.wanted = wanted
        self.shown: list[tuple[int, bytes]] = []

    def order(self, numbers: Sequence[int], rng: Rng) -> Sequence[int]:
        return self.wanted(len(numbers))

    def forward(self, batch: Example) -> dict[str, torch.Tensor]:
        video = batch.clips[0].video
        assert video is not None
        self.shown += [(i, x.numpy().tobytes()) for i, x in zip(batch.index.tolist(), video, strict=True)]
        return super().forward(batch)


def test_an_item_visited_again_in_an_epoch_has_draws_of_its_own(pictures: Path, tmp_path: Path) -> None:
    task = Watching(lambda n: [0] * (n - 8) + list(range(8)))
    clips = clips_of(pictures)
    fit(begin(tmp_path / "run", epochs=1), task, clips)
    first = clips.items[0].index
    assert [i for i, _ in task.shown] == [first] * 16 + [i.index for i in clips.items[:8]]
    again = [shown for shown in task.shown if shown[0] == first]
    assert len(again) == 17
    assert len({pixels for _, pixels in again}) > 8  # of 25 crops
    plain = Watching(range)
    fit(begin(tmp_path / "plain", epochs=1), plain, clips)
    assert plain.shown[0] == task.shown[0]  # the first visit is what it is without an order
    repeated = Watching(lambda n: [0] * n)
    fit(begin(tmp_path / "repeated", epochs=1, batch_size=16), repeated, replace(clips, repeats=2))
    assert len({pixels for _, pixels in repeated.shown}) > 12


class Idle(Classify):
    """Has a layer that it never uses."""

    def __init__(self) -> None:
        encoder = tiny_resnet(width=8)
        super().__init__(encoder, EachHead(encoder.dim, 4), label="rotation")
        self.unused = nn.Linear(2, 2)


def test_a_parameter_that_no_gradient_reaches_is_named(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has reached unused\.weight, unused\.bias in the first step: Idle"):
        fit(begin(tmp_path / "run"), Idle(), clips_of(pictures))


def test_an_order_has_as_many_visits_as_there_are_items(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Watching\.order gives 8 visits of 24 items"):
        fit(begin(tmp_path / "run"), Watching(lambda n: range(8)), clips_of(pictures))


def test_a_task_that_passes_over_all_items_is_told_how(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Cluster passes over all items.*whole="):
        fit(begin(tmp_path / "run"), clusters(), clips_of(pictures))


class Stopped(Exception):
    """The power went out."""


class TwoOptimisers(Classify):
    """A head that another optimiser trains, at half the rate and with its own settings."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        encoder = tiny_resnet(width=8)
        super().__init__(encoder, EachHead(encoder.dim, 4), label="rotation")

    def parameter_groups(self) -> list[dict[str, Any]]:
        own = {"optimizer": "adam", "betas": (0.5, 0.9), "lr_scale": 0.5, "constant_rate": True}
        return grouped(self.encoder.parameters()) + grouped(self.head.parameters(), own)


def test_groups_name_their_optimisers_and_their_settings() -> None:
    task = TwoOptimisers()
    found = Optimisers(task, Train(optimizer="sgd", lr=0.4, weight_decay=0.1))
    found.set_rate(0.01)
    first, second = found.members
    assert (type(first), type(second)) == (torch.optim.SGD, torch.optim.Adam)
    assert {g["lr"] for g in first.param_groups} == {0.01}
    assert {(g["lr"], g["betas"]) for g in second.param_groups} == {(0.2, (0.5, 0.9))}
    heads = {id(p) for g in second.param_groups for p in g["params"]}
    assert heads == {id(p) for p in task.head.parameters()}


@pytest.mark.parametrize(("method", "every"), [("two optimisers", 2), ("clusters", 2), ("clusters", 3)])
def test_resuming_mid_epoch_or_at_its_end_equals_never_stopping(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, every: int
) -> None:
    make: Callable[[], Task] = TwoOptimisers if method == "two optimisers" else clusters
    clips = clips_of(pictures)
    tasks = [make() for _ in range(3)]
    passes: list[int] = []
    before = Cluster.before_epoch
    monkeypatch.setattr(Cluster, "before_epoch", lambda self, e, all_: passes.append(e) or before(self, e, all_))
    unbroken = fit(begin(tmp_path / "whole"), tasks[0], clips, whole=whole(clips))
    done = 0

    def step(self: Task, progress: float) -> None:
        nonlocal done
        done += 1
        if done == 5:  # an epoch has three steps
            raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(type(tasks[1]), "after_step", step)
        with pytest.raises(Stopped):
            fit(begin(tmp_path / "cut", checkpoint_every=every), tasks[1], clips, whole=whole(clips))
    resumed = fit(begin(tmp_path / "cut", checkpoint_every=every, resume=True), tasks[2], clips, whole=whole(clips))
    assert steps(resumed) == steps(unbroken)
    state, other = tasks[2].state_dict(), tasks[0].state_dict()
    assert all(torch.equal(value, other[name]) for name, value in state.items())
    if method == "clusters":
        assert passes == [0, 1, 0, 1, *([1] if every == 3 else [])]  # none again where the epoch goes on
        assert {f["video clusters"] for f in steps(resumed)} == {4.0}
        assert steps(resumed)[0]["video nmi"] == 0 < steps(resumed)[-1]["video nmi"]


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd", "lars"])
def test_what_was_drawn_anew_is_trained_as_if_never_seen_and_all_else_goes_on(optimizer: Any) -> None:
    def step(task: Task, optimisers: Optimisers, seed: int) -> None:
        rng = torch.Generator().manual_seed(seed)
        for p in task.parameters():
            p.grad = torch.randn(p.shape, generator=rng)
        optimisers.step()

    train = Train(optimizer=optimizer, lr=0.1)
    task = TwoOptimisers() if optimizer == "sgd" else clusters()  # also where another optimiser has the rest
    head = task.head if isinstance(task, Classify) else task.heads
    optimisers = Optimisers(task, train)
    for seed in range(3):
        step(task, optimisers, seed)
    kept = copy.deepcopy(task)
    kept_optimisers = Optimisers(kept, train)
    for own, old in zip(kept_optimisers.members, optimisers.members, strict=True):
        own.load_state_dict(copy.deepcopy(old.state_dict()))
    with torch.no_grad():
        for p in head.parameters():
            p.zero_()
    fresh = copy.deepcopy(task)
    optimisers.forget(head.parameters())
    step(task, optimisers, 9)
    step(kept, kept_optimisers, 9)
    step(fresh, Optimisers(fresh, train), 9)
    names = {name for name, p in task.named_parameters() if any(p is q for q in head.parameters())}
    for name, p in task.named_parameters():
        other = fresh if name in names else kept
        assert torch.equal(p, dict(other.named_parameters())[name]), name
    assert not isinstance(head, nn.Linear)
