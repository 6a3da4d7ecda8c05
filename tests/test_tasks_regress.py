"""Numbers known by construction: their losses by hand, at chance without a signal, and learned where there is one."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from avssl.core import Clip, Example, MediaInfo, Plan, Span, generator
from avssl.encoders import ConcatHead, PlacesHead, tiny_resnet
from avssl.losses import Bins, Standardised
from avssl.tasks import Drawn, Labelled, Regress
from avssl.transforms import AffineWarp, ProjectiveWarp
from avssl.transforms.warp import _Warp

WARPS = [ProjectiveWarp(name="warp"), ProjectiveWarp(turns=False, name="warp"), AffineWarp(name="warp")]


# ------------------------------------------------------------------------------------------------ losses by hand


def test_standardised_is_the_mean_squared_error_of_standardised_numbers() -> None:
    rng = np.random.default_rng(0)
    answer, numbers = rng.normal(size=(5, 3)), rng.normal(size=(5, 3))
    mean, std = (0.5, -1.0, 2.0), (0.1, 3.0, 1.0)
    total = 0.0
    for b in range(5):
        for a in range(3):
            total += (answer[b, a] - (numbers[b, a] - mean[a]) / std[a]) ** 2
    criterion = Standardised(mean, std)
    loss = criterion(torch.from_numpy(answer), torch.from_numpy(numbers))
    assert float(loss) == pytest.approx(total / 15, rel=1e-5)
    explained = criterion.scores(torch.from_numpy(answer), torch.from_numpy(numbers))["explained"]
    assert float(explained.mean()) == pytest.approx(1 - total / 15, rel=1e-5)


def test_bins_are_a_softmax_for_each_number() -> None:
    rng = np.random.default_rng(1)
    edges = ((-1.0, 0.0, 1.0), (0.5, 0.5, 2.0))
    numbers = np.array([[-3.0, 0.4], [-1.0, 0.5], [0.2, 1.0], [5.0, 9.0]])
    classes = [[0, 0], [1, 2], [2, 2], [3, 3]]
    answer = rng.normal(size=(4, 8))
    total = 0.0
    for b in range(4):
        for a in range(2):
            logits = answer[b, 4 * a : 4 * a + 4]
            total -= logits[classes[b][a]] - math.log(np.exp(logits).sum())
    criterion = Bins(edges)
    assert criterion.classes(torch.from_numpy(numbers)).tolist() == classes
    assert float(criterion(torch.from_numpy(answer), torch.from_numpy(numbers))) == pytest.approx(total / 4, rel=1e-5)
    told = answer.reshape(4, 2, 4).argmax(-1)
    expected = (told == np.array(classes)).mean(axis=0)
    assert criterion.scores(torch.from_numpy(answer), torch.from_numpy(numbers))["accuracy"].tolist() == pytest.approx(
        expected.tolist()
    )


def test_balanced_bins_hold_equally_many() -> None:
    numbers = generator(2).normal(size=(1000, 2)) ** 3  # most of them near 0
    bins = Bins.balanced(numbers, 5)
    for column in bins.classes(torch.from_numpy(numbers)).T:
        assert torch.bincount(column, minlength=5).tolist() == pytest.approx([200] * 5, abs=2)


@pytest.mark.parametrize("bins", [2, 5])
def test_loss_of_bins_at_the_start_is_the_logarithm_of_their_number_for_each_axis(bins: int) -> None:
    torch.manual_seed(0)
    numbers = generator(3).normal(size=(64, 3))
    criterion = Bins.balanced(numbers, bins)
    encoder = tiny_resnet(width=8)
    task = Regress(
        encoder, PlacesHead(encoder.dim, criterion.outputs), target=Labelled(("x", "y", "z")), criterion=criterion
    )
    rng = torch.Generator().manual_seed(0)
    clips = tuple(Clip(video=torch.rand(64, 1, 3, 16, 16, generator=rng)) for _ in range(2))
    labels = {name: torch.from_numpy(numbers[:, k]) for k, name in enumerate("xyz")}
    told = task(Example(clips=clips, labels=labels, parameters={}, index=torch.arange(64)))
    assert float(told["loss"].detach()) == pytest.approx(3 * math.log(bins), rel=0.2)
    assert set(told) == {"loss", "accuracy", "accuracy x", "accuracy y", "accuracy z"}


# ------------------------------------------------------------------------------------------------ AET


@pytest.mark.parametrize("warp", WARPS, ids=["projective", "without turns", "affine"])
def test_guessing_the_mean_map_gives_one_and_the_identity_no_less(warp: _Warp) -> None:
    criterion = Standardised(*warp.moments)
    numbers = torch.from_numpy(warp.numbers(4000, generator(7)))
    mean = torch.zeros(4000, warp.count)
    assert float(criterion(mean, numbers)) == pytest.approx(1, abs=0.03)
    own = (torch.eye(3).flatten()[: warp.count] - torch.tensor(warp.moments[0])) / torch.tensor(warp.moments[1])
    identity = float(criterion(own.expand(4000, -1), numbers))
    turning = not isinstance(warp, ProjectiveWarp) or warp.turns
    assert identity == pytest.approx(1.5 if turning else 1.0, abs=0.12)  # turns' mean is no identity


def pictures(n: int, seed: int, *, planted: bool) -> Tensor:
    """Noise, or pictures whose colour says where a pixel was: red grows to the right, green downwards."""
    rng = torch.Generator().manual_seed(seed)
    if not planted:
        return torch.rand(n, 1, 3, 24, 24, generator=rng)
    ramp = torch.linspace(0.2, 1, 24)
    video = torch.stack((ramp.expand(24, 24), ramp[:, None].expand(24, 24), torch.full((24, 24), 0.3)))
    return (video + 0.05 * torch.randn(n, 1, 3, 24, 24, generator=rng)).clamp(0, 1)


def warped(seed: int, *, planted: bool, n: int = 32) -> Example:
    warp, info = WARPS[0], MediaInfo(duration=0.0, frames=1, height=24, width=24)
    drawn = [warp.draw(Plan(spans=(Span(times=(0.0,)),)), info, generator(seed, i)) for i in range(n)]
    numbers = torch.from_numpy(np.stack([p.parameters["warp.numbers"] for p in drawn])).float()
    video = pictures(n, seed, planted=planted)
    if not planted:  # nor do grey corners tell: what is shown has nothing to do with the map
        return Example(
            clips=(Clip(video=video),) * 2, labels={}, parameters={"warp.numbers": numbers}, index=torch.arange(n)
        )
    batch = Example(
        clips=(Clip(video=video),) * 2, labels={}, parameters={"warp.numbers": numbers}, index=torch.arange(n)
    )
    return warp.apply(batch)


def trained(task: Regress, steps: int, *, planted: bool) -> float:
    """The loss on a batch that was not trained on."""
    optimiser = torch.optim.AdamW(task.parameters(), 3e-3)
    for step in range(steps):
        optimiser.zero_grad()
        task(warped(step, planted=planted))["loss"].backward()
        optimiser.step()
    task.eval()
    with torch.no_grad():
        return float(task(warped(10_000, planted=planted, n=128))["loss"])


def aet() -> Regress:
    torch.manual_seed(0)
    encoder = tiny_resnet(width=8, last="fc")
    criterion = Standardised(*WARPS[0].moments)
    head = ConcatHead(encoder.dim, criterion.outputs, clips=2)
    return Regress(encoder, head, target=Drawn("warp.numbers"), criterion=criterion)


def test_the_map_of_planted_pictures_is_learned() -> None:
    assert trained(aet(), 100, planted=True) < 0.3


def test_the_map_of_noise_stays_unknown() -> None:
    assert trained(aet(), 60, planted=False) == pytest.approx(1, abs=0.15)


# ------------------------------------------------------------------------------------------------ ego-motion


def filmed(seed: int, *, n: int = 32, side: int = 32, independent: bool = False) -> Example:
    """Frames of a texture over which a camera moves by up to six pixels; or the second is of another one's world."""
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, 3, 12, 12, generator=rng)
    world = F.interpolate(coarse, size=(side + 16, side + 16), mode="bicubic").clamp(0, 1)[:, :, 8 : 8 + side]
    moved = torch.randint(-6, 7, (n,), generator=rng)
    first, second = (
        torch.stack([w[..., 8 + d : 8 + d + side] for w, d in zip(world, places, strict=True)])[:, None]
        for places in ([0] * n, moved.tolist())
    )
    clips = (Clip(video=first), Clip(video=second.flip(0) if independent else second))
    return Example(clips=clips, labels={"x": moved.float()}, parameters={}, index=torch.arange(n))


def told(*, steps: int, independent: bool) -> float:
    """Accuracy on pairs that were not trained on."""
    torch.manual_seed(0)
    encoder, criterion = tiny_resnet(width=8), Bins(((-2.5, 2.5),))
    head = PlacesHead(encoder.dim, criterion.outputs, reach=1, width=32, layers=1)
    task = Regress(encoder, head, target=Labelled(("x",)), criterion=criterion)
    optimiser = torch.optim.AdamW(task.parameters(), 3e-3)
    for step in range(steps):
        optimiser.zero_grad()
        task(filmed(step, independent=independent))["loss"].backward()
        optimiser.step()
    task.eval()
    with torch.no_grad():
        return float(task(filmed(10_000, independent=independent, n=256))["accuracy x"])


MAJORITY = 5 / 13


def test_the_motion_of_a_camera_is_learned_for_pictures_never_seen() -> None:
    assert told(steps=80, independent=False) > 0.8


def test_frames_of_two_worlds_tell_no_motion() -> None:
    assert told(steps=30, independent=True) < MAJORITY + 3 * math.sqrt(MAJORITY * (1 - MAJORITY) / 256)


# ------------------------------------------------------------------------------------------------ errors


def test_errors_name_the_value() -> None:
    with pytest.raises(ValueError, match="std"):
        Standardised((0.0,), (0.0,))
    with pytest.raises(ValueError, match="must rise"):
        Bins(((1.0, 0.0),))
    with pytest.raises(ValueError, match=r"numbers \[1\]"):
        Bins.balanced(np.stack([np.arange(9.0), np.zeros(9)], 1), 3)
    batch = Example(clips=(Clip(video=torch.zeros(2, 1, 3, 8, 8)),), labels={}, parameters={}, index=torch.arange(2))
    with pytest.raises(ValueError, match="'yaw'"):
        Labelled(("yaw",))(batch)
    with pytest.raises(ValueError, match=r"warp\.numbers"):
        Drawn("warp.numbers")(batch)
    with pytest.raises(ValueError, match=r"\(B, 3\)"):
        Standardised((0.0,) * 3, (1.0,) * 3)(torch.zeros(2, 4), torch.zeros(2, 3))
    with pytest.raises(ValueError, match="S = 2"):
        PlacesHead(8, 3)(torch.zeros(2, 3, 8, 1, 2, 2))
