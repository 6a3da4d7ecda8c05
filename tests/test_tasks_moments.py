"""Moments that attract and repel: the policy and the losses by hand, and planted worlds of two cameras."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from avssl.core import Clip, Example
from avssl.data import Clips, catalogue
from avssl.encoders import Projector, tiny_resnet
from avssl.evaluation import alignment_error, moments_of
from avssl.losses import Criterion, InfoNCE, NPairs, Triplet, n_pairs, semi_hard
from avssl.media.toybox.writer import write_clip
from avssl.samplers import UniformClips
from avssl.tasks import Contrast, Records, same_moment
from avssl.transforms import CentreCrop


def records(example: list[int], time: list[float], view: list[int]) -> Records:
    n = len(example)
    labels = {"time": torch.tensor(time), "view": torch.tensor(view)}
    return Records(
        example=torch.tensor(example), clip=torch.arange(n), modality=torch.zeros(n, dtype=torch.long), labels=labels
    )


def test_moments_attract_when_near_and_repel_when_far() -> None:
    about = records([0, 0, 0, 0, 1], [1.0, 1.2, 1.3, 1.5, 1.0], [0] * 5)
    policy = same_moment(near=0.2, far=0.4)
    assert policy(about, about).tolist() == [
        [0, 1, 0, -1, 0],
        [1, 0, 1, 0, 0],
        [0, 1, 0, 1, 0],
        [-1, 0, 1, 0, 0],
        [0, 0, 0, 0, 0],
    ]
    others = same_moment(near=0.2, far=0.4, others="repel")(about, about)
    assert others[4].tolist() == [-1, -1, -1, -1, 0]


def test_moments_late_in_a_long_film_are_as_near_as_early_ones() -> None:
    policy = same_moment(near=0.2, far=0.4)
    for start in range(0, 7200, 100):
        about = records([0] * 3, [start + 0.02, start + 0.22, start + 0.62], [0] * 3)
        assert policy(about, about).tolist() == [[0, 1, -1], [1, 0, 0], [-1, 0, 0]]


def test_moments_of_two_views_attract_across_and_repel_everywhere() -> None:
    about = records([0] * 4, [1.0, 1.0, 2.0, 2.0], [0, 1, 0, 1])
    policy = same_moment(near=0, far=0.4, across="view")
    assert policy(about, about).tolist() == [[0, 1, -1, -1], [1, 0, -1, -1], [-1, -1, 0, 1], [-1, -1, 1, 0]]
    with pytest.raises(ValueError, match="near"):
        same_moment(near=0.5, far=0.4)


def tables(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    policy = rng.integers(-1, 2, (7, 9))
    policy[3] = np.abs(policy[3])  # nothing repels it
    policy[4] = -np.abs(policy[4])  # nothing attracts it
    return rng.uniform(-1, 1, (7, 9)), policy


def test_semi_hard_by_hand() -> None:
    similarity, policy = tables()
    losses = []
    for a in range(7):
        negatives = [2 - 2 * s for s, p in zip(similarity[a], policy[a], strict=True) if p < 0]
        for s, p in zip(similarity[a], policy[a], strict=True):
            if p > 0 and negatives:
                near = 2 - 2 * s
                farther = [d for d in negatives if d > near]
                losses.append(max(0.0, near - (min(farther) if farther else max(negatives)) + 0.3))
    assert len(losses) > 5
    loss = semi_hard(torch.from_numpy(similarity), torch.from_numpy(policy), margin=0.3)
    assert float(loss) == pytest.approx(np.mean(losses), rel=1e-5)
    assert int(Triplet().terms(torch.from_numpy(policy))) == len(losses)


def test_n_pairs_by_hand() -> None:
    similarity, policy = tables(1)
    losses = []
    for a in range(7):
        negatives = [s for s, p in zip(similarity[a], policy[a], strict=True) if p < 0]
        for s, p in zip(similarity[a], policy[a], strict=True):
            if p > 0 and negatives:
                losses.append(math.log(1 + sum(math.exp(n - s) for n in negatives)))
    loss = n_pairs(torch.from_numpy(similarity), torch.from_numpy(policy))
    assert float(loss) == pytest.approx(np.mean(losses), rel=1e-5)


@pytest.mark.parametrize("criterion", [Triplet(), NPairs()])
def test_without_negatives_or_positives_the_loss_is_nothing(criterion: Criterion) -> None:
    similarity = torch.rand(3, 3, requires_grad=True)
    for policy in (torch.ones(3, 3), -torch.ones(3, 3), torch.zeros(3, 3)):
        loss = criterion(similarity, policy.to(torch.int8))
        loss.backward()
        assert float(loss.detach()) == 0
        assert similarity.grad is not None
        assert bool(similarity.grad.isfinite().all())


def test_n_pairs_at_the_start_is_the_logarithm_of_all_that_compete() -> None:
    policy = torch.full((8, 8), -1, dtype=torch.int8) + 2 * torch.eye(8, dtype=torch.int8)
    assert float(n_pairs(torch.zeros(8, 8), policy)) == pytest.approx(math.log(8))
    assert float(semi_hard(torch.zeros(8, 8), policy, margin=0.2)) == pytest.approx(0.2)


# ------------------------------------------------------------------------------------------------ a planted world

SIDE, MOMENTS = 16, 8


def world(seed: int, *, n: int = 8) -> tuple[Example, Tensor]:
    """Moments that a bright bar's place tells, seen by a camera that is grey and one that is tinted; scenes differ."""
    rng = torch.Generator().manual_seed(seed)
    times = torch.rand(n, MOMENTS, generator=rng)
    scenes = 0.2 * torch.rand(n, 1, 3, 1, 1, generator=rng)
    x = torch.linspace(0, 1, SIDE)
    bar = torch.exp(-(((x - times[..., None]) / 0.1) ** 2))[:, :, None, None, :].expand(-1, -1, 3, SIDE, -1)
    views = []
    for tint in (torch.tensor([0.5, 0.5, 0.5]), torch.tensor([0.8, 0.3, 0.1])):
        noise = 0.03 * torch.randn(n, MOMENTS, 3, SIDE, SIDE, generator=rng)
        views.append((bar * tint.view(3, 1, 1) + scenes + noise).clamp(0, 1))
    video = torch.stack(views, dim=2).flatten(1, 2)
    labels = {
        "time": 10 * times.repeat_interleave(2, dim=1),
        "view": torch.tensor([0, 1]).repeat(MOMENTS).expand(n, -1),
    }
    clips = tuple(Clip(video=video[:, s, None]) for s in range(2 * MOMENTS))
    return Example(clips=clips, labels=labels, parameters={}, index=torch.arange(n)), times


def measured(task: Contrast) -> tuple[float, float]:
    """Alignment error between the cameras, and how often the nearest of all other moments is the same camera's."""
    batch, times = world(999)
    task.eval()
    with torch.no_grad():
        z = torch.unflatten(task.online(batch.clips), 0, (len(batch), -1))
    errors, same = [], []
    for k in range(len(batch)):
        a, b, at = z[k, ::2].numpy(), z[k, 1::2].numpy(), times[k].numpy()
        errors.append(alignment_error(a, b, at=at, when=at, duration=1.0))
        unit = torch.nn.functional.normalize(z[k], dim=1)
        near = (unit @ unit.T).fill_diagonal_(-2)
        twin = torch.arange(2 * MOMENTS) ^ 1
        near[torch.arange(2 * MOMENTS), twin] = -2  # the other view of the same moment
        same.append(float(((near.argmax(dim=1) % 2) == torch.arange(2 * MOMENTS) % 2).float().mean()))
    return float(np.mean(errors)), float(np.mean(same))


@pytest.mark.parametrize("criterion", [NPairs(), Triplet(), InfoNCE()], ids=["npairs", "triplet", "infonce"])
def test_moments_are_found_in_another_camera(criterion: Criterion) -> None:
    torch.manual_seed(0)
    encoder = tiny_resnet(width=8, last="fc")
    policy = same_moment(near=0, far=0.4, across="view")
    task = Contrast(encoder, Projector(encoder.dim, 16, norm="none"), policy=policy, criterion=criterion)
    before = measured(task)
    task.train()
    optimiser = torch.optim.AdamW(task.parameters(), 2e-3)
    for step in range(25):
        optimiser.zero_grad()
        task(world(step)[0])["loss"].backward()
        optimiser.step()
    error, same = measured(task)
    assert error < 0.06 < before[0]
    assert same < 0.75 < before[1]  # a view of one camera is no longer nearest to others of the same


def test_alignment_error_of_guesses_is_a_third() -> None:
    rng = np.random.default_rng(0)
    at, when = rng.uniform(0, 5, 2000), rng.uniform(0, 5, 2000)
    a, b = rng.normal(size=(2, 2000, 8))
    assert alignment_error(a, b, at=at, when=when, duration=5.0) == pytest.approx(1 / 3, abs=0.02)
    circle = np.stack((np.cos(at), np.sin(at)), 1)
    assert alignment_error(circle, 3 * circle, at=at, when=at, duration=5.0) < 1e-6


def test_moments_of_films_whose_cameras_are_not_told_apart_are_still_aligned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AVSSL_CACHE", str(tmp_path / "cache"))
    brighter = np.linspace(20, 230, 20).astype(np.uint8)[:, None, None, None] + np.zeros((1, 16, 16, 3), np.uint8)
    rows = [f"{k}.mp4,s{k // 2},{'ab'[k % 2]}" for k in range(4)]
    for k in range(4):
        write_clip(tmp_path / f"{k}.mp4", brighter, fps=10)

    def embed(x: Tensor) -> Tensor:
        return torch.stack((x.float().mean(dim=(1, 2, 3, 4)), torch.full((len(x),), 100.0)), dim=1)

    for column, told in (("camera", True), ("side", False)):
        (tmp_path / "manifest.csv").write_text("\n".join([f"path,scene,{column}", *rows]))
        items = catalogue(tmp_path / "manifest.csv").items
        found = moments_of(embed, Clips.of(items, UniformClips(n=4, frames=1), CentreCrop(16, short_side=16)))
        assert found.alignment < 0.05
        assert (found.camera is not None) == (found.chance is not None) == told
