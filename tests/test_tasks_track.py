"""Tracking: the walk and the copied colours against plain loops, at chance, and solved in planted worlds."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from avssl.core import Clip, Example
from avssl.data import Clips, View, catalogue
from avssl.encoders import Encoder, FrameEncoder, tiny_r2plus1d, tiny_resnet
from avssl.losses import lab_to_rgb, rgb_to_lab
from avssl.media.toybox import Toybox, make_toybox
from avssl.samplers import RandomClips
from avssl.tasks import CopyColours, Features, PatchNodes, PlaceNodes, Task, Track, WalkThereAndBack
from avssl.training import Run, Train, fit, start
from avssl.transforms import CentreCrop


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def example(*videos: Tensor) -> Example:
    clips = tuple(Clip(video=v) for v in videos)
    return Example(clips=clips, labels={}, parameters={}, index=torch.arange(len(videos[0])))


NOTHING = example(torch.zeros(2, 1, 3, 8, 8))


def walked(nodes: Tensor, temperature: float) -> float:
    """Jabri et al. 2020, equations 3 to 5, one example and one walk after the other."""
    losses = []
    for x in F.normalize(nodes.flatten(2, 3), dim=-1):
        for k in range(1, len(x)):
            path = [*range(k + 1), *range(k - 1, -1, -1)]
            at = torch.eye(x.shape[1], dtype=x.dtype)
            for here, there in pairwise(path):
                at = at @ (x[here] @ x[there].T / temperature).softmax(dim=1)
            losses.append(-float(at.diagonal().log().mean()))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("frames", [2, 4])
def test_the_walk_against_loops(frames: int) -> None:
    nodes = torch.randn(2, frames, 2, 3, 5, generator=rng(0), dtype=torch.float64)
    question = WalkThereAndBack(temperature=0.3).eval()
    assert float(question(nodes, NOTHING)["loss"]) == pytest.approx(walked(nodes, 0.3), rel=1e-6)


@pytest.mark.parametrize("side", [3, 7])
def test_a_walk_among_nodes_that_are_all_alike_ends_anywhere(side: int) -> None:
    out = WalkThereAndBack()(torch.ones(2, 4, side, side, 8), NOTHING)
    assert float(out["loss"]) == pytest.approx(math.log(side**2), abs=0.02)  # some edges are dropped
    out = WalkThereAndBack(dropout=0)(torch.ones(2, 4, side, side, 8), NOTHING)
    assert float(out["loss"]) == pytest.approx(math.log(side**2), rel=1e-5)
    assert float(out["accuracy"]) == pytest.approx(1 / side**2)


def test_edges_are_dropped_while_training_only() -> None:
    nodes = torch.randn(1, 3, 2, 2, 8, generator=rng(0))
    question = WalkThereAndBack(dropout=0.5)
    sure = WalkThereAndBack(dropout=0.0)
    torch.manual_seed(0)
    assert float(question(nodes, NOTHING)["loss"]) != pytest.approx(float(sure(nodes, NOTHING)["loss"]))
    question.eval()
    assert torch.equal(question(nodes, NOTHING)["loss"], sure(nodes, NOTHING)["loss"])


def copied(nodes: Tensor, classes: Tensor, count: int, temperature: float) -> float:
    """Vondrick et al. 2018, equations 2 and 3, place by place."""
    losses = []
    for x, c in zip(nodes.flatten(2, 3), classes.flatten(2), strict=True):
        for j in range(x.shape[1]):
            weights = [[math.exp(float(f @ x[-1, j]) / temperature) for f in frame] for frame in x[:-1]]
            share = [0.0] * count
            for t, frame in enumerate(weights):
                for i, w in enumerate(frame):
                    share[int(c[t, i])] += w / sum(map(sum, weights))
            losses.append(-math.log(share[int(c[-1, j])]))
    return sum(losses) / len(losses)


COLOURS = torch.tensor([[0.0, 0.0], [40.0, 30.0], [-40.0, 20.0], [10.0, -50.0]])


def painted(classes: Tensor, *, places: int = 4) -> Tensor:
    """Videos (B, T, 3, H, W) of the colours of places (B, T, H', W'), all equally light."""
    ab = COLOURS[classes].movedim(-1, 2)
    lab = torch.cat((torch.full_like(ab[:, :, :1], 60.0), ab), dim=2)
    return lab_to_rgb(lab).repeat_interleave(places, 3).repeat_interleave(places, 4)


def asking(*, temperature: float = 1.0) -> CopyColours:
    question = CopyColours(clusters=4, temperature=temperature)
    question.centres.copy_(COLOURS)
    return question


def test_copied_colours_against_loops() -> None:
    classes = torch.randint(4, (2, 3, 3, 4), generator=rng(0))
    nodes = torch.randn(2, 3, 3, 4, 5, generator=rng(1))
    out = asking(temperature=0.7)(nodes, example(painted(classes)))
    assert float(out["loss"]) == pytest.approx(copied(nodes, classes, 4, 0.7), rel=1e-4)
    assert float(out["copied"]) == pytest.approx(float((classes[:, 1] == classes[:, 2]).float().mean()))


def test_a_place_that_is_like_all_others_has_their_mean_colour() -> None:
    classes = torch.arange(4).repeat(2, 3, 4, 1)  # of each colour as many
    out = asking()(torch.ones(2, 3, 4, 4, 8), example(painted(classes)))
    assert float(out["loss"]) == pytest.approx(math.log(4), rel=1e-5)


def test_the_clusters_are_those_of_the_data_found_once_and_kept() -> None:
    classes = torch.randint(4, (6, 2, 8, 8), generator=rng(0))
    batch = example(torch.zeros(6, 2, 3, 8, 8), painted(classes))  # the last clip has the colours
    question = CopyColours(clusters=4)
    kept = question.embed(batch)["colours"]
    assert kept.shape == (6, 128)
    question.before_epoch(0, lambda: Features(index=batch.index, vectors={"colours": kept}))
    nearest = torch.cdist(COLOURS, question.centres).min(dim=1)
    assert sorted(nearest.indices.tolist()) == [0, 1, 2, 3]
    assert float(nearest.values.max()) < 0.5
    found = question.centres.clone()
    question.before_epoch(1, lambda: pytest.fail("looked at the data again"))
    assert torch.equal(question.centres, found)
    assert torch.equal(CopyColours(clusters=4).centres, CopyColours(clusters=4).centres)
    assert "centres" in question.state_dict()


SIDE, STEP = 32, 4


def drifting(n: int, *, seed: int, frames: int = 3) -> tuple[Tensor, Tensor]:
    """Patches that move on by whole places, around the edge, in changing light; and how far, (B, 2) places a frame."""
    g = rng(seed)
    coarse = torch.rand(n, 3, SIDE // STEP, SIDE // STEP, generator=g)
    coarse = coarse.repeat_interleave(STEP, 2).repeat_interleave(STEP, 3)
    moves = torch.randint(-1, 2, (n, 2), generator=g)
    rolled = [
        torch.stack([x.roll([t * STEP * int(m) for m in move], (1, 2)) for x, move in zip(coarse, moves, strict=True)])
        for t in range(frames)
    ]
    video = torch.stack(rolled, dim=1)
    light = 0.5 + 0.5 * torch.rand(n, frames, 1, 1, 1, generator=g)
    return (video * light + 0.05 * torch.randn(video.shape, generator=g)).clamp(0, 1), moves


def right(task: Track, video: Tensor, moves: Tensor) -> float:
    """Share of the places of the first frame whose most alike place of the second is where they went."""
    with torch.no_grad():
        x = F.normalize(task.eval().nodes(task.encoder, Clip(video=video)), dim=-1)
    found = (x[:, 0].flatten(1, 2) @ x[:, 1].flatten(1, 2).transpose(1, 2)).argmax(dim=2)
    places = torch.arange(x.shape[2] * x.shape[3]).view(x.shape[2:4])
    # place p of the second frame shows what place p - move of the first showed
    went = torch.stack([places.roll([-int(m) for m in move], (0, 1)) for move in moves]).flatten(1)
    task.train()
    return float((found == went).float().mean())


def fine(*, colour: bool = True) -> FrameEncoder:
    return tiny_resnet(width=8, stride=4, padding="reflect", colour=colour)


@torch.no_grad()
def told(task: Task, *videos: Tensor) -> dict[str, float]:
    """What a task says of clips when it is not trained."""
    found = {name: float(value) for name, value in task.eval()(example(*videos)).items()}
    task.train()
    return found


def learn(task: Task, batches: list[Example], *, lr: float = 3e-3) -> None:
    optimiser = torch.optim.AdamW(task.parameters(), lr=lr)
    for batch in batches:
        optimiser.zero_grad()
        task(batch)["loss"].backward()
        optimiser.step()


def test_a_walk_learns_where_things_went_and_a_random_network_knows_it_worse() -> None:
    torch.manual_seed(0)
    task = Track(fine(), PlaceNodes(64, 32), question=WalkThereAndBack(temperature=0.1))
    held, moves = drifting(16, seed=999)
    before, walk_before = right(task, held, moves), told(task, held)["accuracy"]
    learn(task, [example(drifting(12, seed=k)[0]) for k in range(50)], lr=1e-2)
    assert right(task, held, moves) > before + 0.2
    assert told(task, held)["accuracy"] > walk_before + 0.2
    # of frames that show nothing, or nothing of one another, it knows no better than who guesses among 64
    nothing = told(task, torch.full((4, 3, 3, SIDE, SIDE), 0.5))
    assert nothing == {"loss": pytest.approx(math.log(64), rel=1e-3), "accuracy": pytest.approx(1 / 64)}
    strange = torch.stack((held[:8, 0], held[8:, 1], held[:8, 2]), dim=1)
    assert right(task, strange, moves[:8]) < 1 / 64 + 5 * math.sqrt(1 / 64 / (8 * 64))


def patchwork(n: int, *, seed: int, frames: int = 3) -> Tensor:
    """Each place has one of four patterns, whose colours the example has chosen; places are mixed for each frame."""
    g = rng(seed)
    patterns = torch.rand(4, STEP, STEP, generator=rng(12)) * 50 + 20  # lightness
    kinds = torch.randint(4, (n, frames, SIDE // STEP, SIDE // STEP), generator=g)
    wear = torch.stack([torch.randperm(4, generator=g) for _ in range(n)])
    ab = COLOURS[torch.stack([w[k] for w, k in zip(wear, kinds, strict=True)])].movedim(-1, 2) / 2
    ab = ab.repeat_interleave(STEP, 3).repeat_interleave(STEP, 4)
    light = patterns[kinds].transpose(-3, -2).flatten(-4, -3).flatten(-2, -1)
    return lab_to_rgb(torch.cat((light.unsqueeze(2), ab), dim=2))


def test_colours_are_copied_from_what_is_alike_and_not_where_nothing_tells() -> None:
    torch.manual_seed(0)
    question = CopyColours(clusters=4)
    question.centres.copy_(COLOURS / 2)
    task = Track(fine(colour=False), PlaceNodes(64, 32), question=question)
    held = patchwork(16, seed=999)
    before = told(task, held)
    learn(task, [example(patchwork(8, seed=k)) for k in range(50)])
    assert before["copied"] == pytest.approx(0.25, abs=0.05)
    assert told(task, held)["accuracy"] > max(0.8, before["accuracy"] + 0.2)
    # the reference frames of another example, which wears other colours
    foreign = torch.cat((held[1:].roll(1, 0)[:, :2], held[1:, 2:]), dim=1)
    assert told(task, foreign)["accuracy"] < 0.45


def test_the_network_for_copying_has_not_seen_the_colours() -> None:
    task = Track(fine(colour=False).eval(), PlaceNodes(64, 8), question=asking())
    lab = rgb_to_lab(patchwork(2, seed=0))
    other = lab.clone()
    other[:, :, 1:] = lab[:, :, 1:].flip(0)
    x, y = (lab_to_rgb(v) for v in (lab, other))
    grey = (x * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(2, keepdim=True)
    with torch.no_grad():
        torch.testing.assert_close(
            task.nodes(task.encoder, Clip(video=x)), task.nodes(task.encoder, Clip(video=grey)), rtol=1e-3, atol=1e-4
        )
    assert not torch.allclose(x, y, atol=0.05)


@pytest.mark.parametrize("make", [lambda: tiny_resnet(width=8), lambda: tiny_r2plus1d(width=8)])
def test_patches_are_nodes_that_know_only_themselves(make: Callable[[], Encoder]) -> None:
    torch.manual_seed(0)
    encoder, nodes = make().eval(), PatchNodes(64, 16, grid=3)
    video = torch.rand(2, 2 * 9, 3, 16, 16, generator=rng(0))
    other = video.clone()
    other[:, 4] = 0
    with torch.no_grad():
        x, y = nodes(encoder, Clip(video=video)), nodes(encoder, Clip(video=other))
    assert x.shape == (2, 2, 3, 3, 16)
    changed = (x - y).abs().amax(dim=(0, 4)) > 1e-5
    assert changed.nonzero().tolist() == [[0, 1, 1]]
    with pytest.raises(ValueError, match="cut 3 × 3 of each frame"):
        nodes(encoder, Clip(video=video[:, :7]))


def test_what_cannot_be_tracked_is_told() -> None:
    task = Track(fine(), PlaceNodes(64, 8), question=asking())
    with pytest.raises(ValueError, match="--frames 2"):
        task(example(torch.rand(2, 1, 3, 16, 16)))
    moving = Track(tiny_r2plus1d(width=8), PlaceNodes(64, 8), question=asking())
    with pytest.raises(ValueError, match="sees frames one by one"):
        moving(example(torch.rand(2, 8, 3, 16, 16)))
    with pytest.raises(ValueError, match="temperature 0"):
        WalkThereAndBack(temperature=0)
    with pytest.raises(ValueError, match="clusters 1"):
        CopyColours(clusters=1)
    with pytest.raises(ValueError, match="keeps nothing"):
        Track(fine(), PlaceNodes(64, 8), question=WalkThereAndBack()).embed(NOTHING)


@dataclass(frozen=True, kw_only=True)
class Config(View):
    train: Train


class Stopped(Exception):
    """The power went out."""


class _Dying(Track):
    """A task that is stopped in the middle of its second epoch."""

    done = 0

    def after_step(self, progress: float) -> None:
        self.done += 1
        if self.done == 4:
            raise Stopped


def test_clusters_of_colours_survive_a_resume(tmp_path: Path) -> None:
    toybox = make_toybox(Toybox(train=6, test=0, seconds=1.0, fps=8, size=32, sample_rate=8000), root=tmp_path / "toy")
    clips = Clips.of(catalogue(toybox).items, RandomClips(frames=2, step=1), CentreCrop(16), workers=0)

    def run(folder: str, kind: type[Track], *, resume: bool = False) -> Run:
        train = Train(epochs=2, batch_size=2, out=tmp_path / folder, device="cpu", checkpoint_every=1, resume=resume)
        run = start(Config(train=train))
        task = kind(fine(colour=False), PlaceNodes(64, 8), question=CopyColours(clusters=3))
        return fit(run, task, clips, whole=clips)

    def losses(run: Run) -> dict[int, float]:
        lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
        return {f["step"]: f["loss"] for f in lines if f["kind"] == "step"}

    whole = losses(run("whole", Track))
    with pytest.raises(Stopped):
        run("cut", _Dying)
    assert losses(run("cut", Track, resume=True)) == whole
    assert len(whole) == 6
