"""Plane maps: their numbers say which point is shown where, and pixels follow them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from transform_batches import INFO, batch_of, plan_of

from avssl.core import Clip, Example, generator
from avssl.transforms import AffineWarp, ColourJitter, HorizontalFlip, ProjectiveWarp, RandomCrop
from avssl.transforms.warp import GREY, _Warp

WARPS: list[_Warp] = [ProjectiveWarp(name="warp"), AffineWarp(name="warp")]
each = pytest.mark.parametrize("warp", WARPS, ids=["projective", "affine"])


def shown(numbers: list[float], video: Tensor, warp: _Warp) -> Tensor:
    """A video (T, C, H, W) as it is shown by a map."""
    parameters = {"warp.numbers": torch.tensor([[numbers]])}
    batch = Example(clips=(Clip(video=video[None]),), labels={}, parameters=parameters, index=torch.arange(1))
    clip = replace(warp, beside=False).apply(batch).clips[0].video
    assert clip is not None
    return clip[0]


def picture(side: int = 8) -> Tensor:
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))


def test_quarter_turns_are_exact() -> None:
    turns = ProjectiveWarp(name="warp", scale=(1.0, 1.0), shift=0.0)
    video, found = picture(), set()
    for seed in range(20):
        numbers = turns.numbers(1, generator(seed))[0]
        k = next(
            k
            for k in range(4)
            if torch.allclose(shown(numbers.tolist(), video, turns), video.rot90(k, (-2, -1)), atol=1e-5)
        )
        found.add(k)
    assert found == {0, 1, 2, 3}


def test_a_shift_shows_what_lies_beside_and_grey_beyond_the_frame() -> None:
    video = picture()
    one = shown([1, 0, 2 / 8, 0, 1, 0], video, WARPS[1])  # a point is shown one pixel to the left of where it is
    assert torch.allclose(one[..., :-1], video[..., 1:], atol=1e-5)
    assert torch.allclose(shown([1, 0, 4, 0, 1, 0], video, WARPS[1]), torch.full_like(video, GREY))


def test_perspective_shows_the_far_side_smaller() -> None:
    x = torch.linspace(-1, 1, 64) * (1 - 1 / 64)
    ramp = (0.5 + 0.4 * x).expand(1, 3, 64, 64)
    found = shown([1, 0, 0, 0, 1, 0, 0.3, 0], ramp, WARPS[0])[0, 0, 32]
    seen = x / (1 + 0.3 * x)
    inside = seen.abs() < 0.98
    assert torch.allclose(found[inside], (0.5 + 0.4 * seen)[inside], atol=1e-3)


@each
def test_the_corners_of_the_frame_land_where_the_law_allows(warp: _Warp) -> None:
    matrices = warp.matrices(2000, generator(0))
    corners = np.array([[-1.0, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]]).T
    put = np.linalg.inv(matrices) @ corners
    place = put[:, :2] / put[:, 2:]
    if isinstance(warp, ProjectiveWarp):
        assert np.abs(place).min() > 0.8 - 0.25 - 1e-6
        assert np.abs(place).max() < 1.2 + 0.25 + 1e-6
        assert np.abs(place).max() > 1.4
    else:
        assert np.abs(place.mean(axis=2)).max() == pytest.approx(0.4, abs=0.01)
        area = 1 / np.abs(np.linalg.det(matrices[:, :2, :2]))
        assert area.min() == pytest.approx(0.49, abs=0.02)
        assert area.max() == pytest.approx(1.69, abs=0.03)


@each
def test_a_clip_is_there_as_it_is_and_warped_alike_in_all_frames(warp: _Warp) -> None:
    plan = warp.draw(plan_of(2), INFO, generator(0))
    assert len(plan.spans) == 4
    numbers = plan.parameters["warp.numbers"]
    identity = np.eye(3).reshape(9)[: warp.count]
    assert (numbers[::2] == identity).all()
    assert len(np.unique(numbers[1::2], axis=0)) == 2
    video = picture(16)[:1].expand(3, -1, -1, -1)
    frames = shown(numbers[1].tolist(), video, warp)
    assert torch.equal(frames[0], frames[2])
    assert not torch.allclose(frames, video, atol=0.1)


@each
def test_examples_do_not_depend_on_their_batch(warp: _Warp) -> None:
    both = warp.apply(batch_of(warp, [plan_of(1)] * 3))
    for i in range(3):
        alone = warp.apply(batch_of(warp, [plan_of(1)], first=i))
        for a, b in zip(both.clips, alone.clips, strict=True):
            assert a.video is not None
            assert b.video is not None
            assert torch.allclose(a.video[i], b.video[0], atol=1e-5)
            assert a.video.is_floating_point()


@each
def test_what_is_not_warped_keeps_its_pixels(warp: _Warp) -> None:
    batch = batch_of(warp, [plan_of(1)] * 2)
    before, after = batch.clips[0].video, warp.apply(batch).clips[0].video
    assert before is not None
    assert after is not None
    assert torch.equal((after * 255).round().to(torch.uint8), before)
    only = replace(warp, beside=False, only=(1,))
    changed = only.apply(batch_of(only, [plan_of(2)]))
    identity = torch.eye(3).flatten()[: warp.count]
    assert torch.equal(changed.parameters["warp.numbers"][0, 0].float(), identity)


def test_mirror_images_and_crops_come_before_a_warp() -> None:
    assert HorizontalFlip() | ProjectiveWarp() | ColourJitter()
    with pytest.raises(ValueError, match="HorizontalFlip after ProjectiveWarp"):
        ProjectiveWarp() | HorizontalFlip()
    with pytest.raises(ValueError, match="RandomCrop crops while decoding"):
        AffineWarp() | RandomCrop(8, short_side=9)
    with pytest.raises(ValueError, match="scope"):
        AffineWarp(scope="frame")
    with pytest.raises(ValueError, match="shift"):
        ProjectiveWarp(shift=0.5)
    with pytest.raises(ValueError, match="square"):
        shown([1, 0, 0, 0, 1, 0], torch.zeros(1, 3, 8, 10), WARPS[1])
