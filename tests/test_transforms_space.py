"""Crops: boxes inside the frame, with the shape and the place that are asked for."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transform_batches import plan_of

from avssl.core import Box, MediaInfo, Plan, Sound, Span, generator
from avssl.transforms import CentreCrop, FrameCropJitter, RandomCrop, RandomResizedCrop, ThreeCrop, Transform


def frame(height: int, width: int) -> MediaInfo:
    return MediaInfo(duration=4.0, fps=25.0, frames=100, height=height, width=width)


def pixels(box: Box, info: MediaInfo) -> tuple[float, float]:
    return box.height * info.height, box.width * info.width


sides = st.integers(8, 2000)
crops = st.sampled_from(
    [
        RandomResizedCrop(32),
        RandomResizedCrop((16, 40), scale=(0.9, 1.0), ratio=(0.2, 0.3), scope="frame"),
        RandomResizedCrop(32, scale=(1.0, 1.0), scope="sample"),
        RandomCrop(32, short_side=36),
        RandomCrop((20, 40), short_side=(30, 50)),
        CentreCrop(32),
        CentreCrop((32, 60), short_side=40),
        ThreeCrop(32),
        RandomCrop(32, short_side=32) | FrameCropJitter(pixels=9),
        RandomCrop(64, short_side=64) | RandomResizedCrop(32),
    ]
)


@given(crops, sides, sides, st.integers(0, 10**6))
def test_every_box_lies_inside_the_frame(transform: Transform, height: int, width: int, seed: int) -> None:
    # Box itself refuses what does not
    plan = transform.draw(plan_of(spans=2, frames=3), frame(height, width), generator(seed))
    assert plan == transform.draw(plan_of(spans=2, frames=3), frame(height, width), generator(seed))
    for span in plan.spans:
        assert len(span.boxes) in {1, 3}
        assert span.size is not None


@given(st.integers(100, 400), st.integers(100, 400), st.integers(0, 10**6))
def test_a_random_resized_crop_has_an_area_and_a_shape_within_limits(height: int, width: int, seed: int) -> None:
    info = frame(height, width)
    crop = RandomResizedCrop(32, scale=(0.1, 0.4), ratio=(0.5, 2.0))
    plan = crop.draw(plan_of(), info, generator(seed))
    for span in plan.spans:
        tall, wide = pixels(span.boxes[0], info)
        assert 0.1 - 1e-6 <= tall * wide / (height * width) <= 0.4 + 1e-6
        assert 0.5 - 1e-6 <= wide / tall <= 2.0 + 1e-6
        assert span.size == (32, 32)
    assert plan.spans[0].boxes != plan.spans[1].boxes


def test_a_random_resized_crop_that_never_fits_is_the_largest_in_the_middle() -> None:
    info = frame(100, 1000)
    (span,) = RandomResizedCrop(32, scale=(1.0, 1.0)).draw(plan_of(spans=1), info, generator(0)).spans
    tall, wide = pixels(span.boxes[0], info)
    assert (tall, wide) == pytest.approx((100, 400 / 3))
    assert span.boxes[0].left == pytest.approx((1 - span.boxes[0].width) / 2)


def test_area_and_place_of_random_crops_are_spread_evenly() -> None:
    info = frame(200, 200)
    draws = [
        RandomResizedCrop(8, scale=(0.2, 0.6), ratio=(1.0, 1.0)).draw(plan_of(spans=1), info, generator(s)).spans[0]
        for s in range(1500)
    ]
    areas = np.array([d.boxes[0].height * d.boxes[0].width for d in draws])
    assert np.quantile(areas, [0.1, 0.5, 0.9]) == pytest.approx([0.24, 0.4, 0.56], abs=0.03)
    places = np.array([d.boxes[0].top / (1 - d.boxes[0].height) for d in draws])
    assert np.quantile(places, [0.1, 0.5, 0.9]) == pytest.approx([0.1, 0.5, 0.9], abs=0.06)


@given(st.integers(20, 600), st.integers(20, 600), st.integers(0, 10**6))
def test_a_random_crop_has_its_size_once_the_short_side_is_scaled(height: int, width: int, seed: int) -> None:
    info = frame(height, width)
    (span,) = RandomCrop((30, 24), short_side=40).draw(plan_of(spans=1), info, generator(seed)).spans
    scale = 40 / min(height, width)
    assert np.multiply(pixels(span.boxes[0], info), scale) == pytest.approx((30, 24))


def test_the_scope_of_a_crop() -> None:
    info, plan = frame(60, 80), plan_of(spans=2, frames=3)
    same = RandomResizedCrop(8, scope="sample").draw(plan, info, generator(1)).spans
    assert same[0].boxes == same[1].boxes
    each = RandomResizedCrop(8, scope="frame").draw(plan, info, generator(1)).spans
    assert len({b for s in each for b in s.boxes}) == 6
    only = RandomResizedCrop(8, only=(1,)).draw(plan, info, generator(1)).spans
    assert only[0] == plan.spans[0]
    assert only[1].size == (8, 8)


def test_centre_crops_are_in_the_middle_and_as_large_as_they_can_be() -> None:
    info = frame(50, 100)
    (largest,) = CentreCrop(10).draw(plan_of(spans=1), info, generator(0)).spans
    assert largest.boxes == (Box(top=0.0, left=0.25, height=1.0, width=0.5),)
    (smaller,) = CentreCrop(10, short_side=20).draw(plan_of(spans=1), info, generator(0)).spans
    assert smaller.boxes == (Box(top=0.25, left=0.375, height=0.5, width=0.25),)


def test_three_crops_reach_from_one_end_to_the_other() -> None:
    plan = replace(plan_of(spans=2), labels={"which": (7, 8), "one": 1}, parameters={"x.y": np.array([1, 2])})
    three = ThreeCrop(10).draw(plan, frame(50, 100), generator(0))
    assert [s.boxes[0].left for s in three.spans] == [0.0, 0.25, 0.5] * 2
    assert three.labels == {"which": (7, 7, 7, 8, 8, 8), "one": 1}
    assert three.parameters["x.y"].tolist() == [1, 1, 1, 2, 2, 2]
    tall = ThreeCrop(10).draw(plan_of(spans=1), frame(100, 50), generator(0))
    assert [s.boxes[0].top for s in tall.spans] == [0.0, 0.25, 0.5]


def test_jitter_moves_each_frame_by_at_most_its_pixels() -> None:
    info, plan = frame(100, 100), plan_of(spans=1, frames=40)
    still = CentreCrop(40, short_side=80).draw(plan, info, generator(0))
    (span,) = FrameCropJitter(pixels=5).draw(still, info, generator(1)).spans
    moves = np.array([(b.top - 0.25, b.left - 0.25) for b in span.boxes]) * 80  # of the result's pixels
    assert abs(moves).max() <= 5 + 1e-9
    assert abs(moves).max() > 4
    assert len(np.unique(moves, axis=0)) == 40
    with pytest.raises(ValueError, match="write a crop first"):
        FrameCropJitter().draw(plan, info, generator(0))


def test_crops_use_the_shape_of_the_file_that_the_span_cuts_and_leave_sound_alone() -> None:
    info = replace(frame(50, 100), others=(frame(100, 50),))
    sound = Span(sound=Sound(start=0.0, duration=1.0))
    plan = Plan(spans=(Span(times=(0.1,)), Span(times=(0.1,), file=1), sound))
    own, other, heard = CentreCrop(10).draw(plan, info, generator(0)).spans
    assert (own.boxes[0].height, other.boxes[0].height) == (1.0, 0.5)
    assert heard == sound
    for crop in (RandomResizedCrop(8), RandomCrop(8, short_side=9), ThreeCrop(8)):
        assert crop.draw(plan, info, generator(0)).spans[-1] == sound


def test_a_crop_after_a_crop_lies_inside_it() -> None:
    info = frame(100, 100)
    both = CentreCrop(40, short_side=80) | CentreCrop(20, short_side=40)
    (span,) = both.draw(plan_of(spans=1), info, generator(0)).spans
    box = span.boxes[0]
    assert (box.top, box.left, box.height, box.width) == pytest.approx((0.375, 0.375, 0.25, 0.25))
    assert math.isclose(box.top + box.height / 2, 0.5)


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: RandomResizedCrop(0), "size 0"),
        (lambda: RandomResizedCrop(8, scale=(0.0, 1.0)), "scale"),
        (lambda: RandomResizedCrop(8, ratio=(2.0, 1.0)), "ratio"),
        (lambda: RandomCrop(40, short_side=32), "fit into short_side 32"),
        (lambda: CentreCrop(40, short_side=32), "fit into short_side 32"),
        (lambda: FrameCropJitter(pixels=0), "pixels 0"),
    ],
)
def test_a_knob_that_makes_no_sense_is_refused_at_once(make: type, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        make()
