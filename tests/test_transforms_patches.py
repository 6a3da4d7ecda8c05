"""Patches lie where they were drawn, inside the frame, and are what is there."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transform_batches import INFO, batch_of, plan_of

from avssl.core import Plan, generator
from avssl.transforms import CentreCrop, ColourJitter, PatchGrid, Twice


def sized(plan: Plan, height: int, width: int) -> Plan:
    return replace(plan, spans=tuple(replace(s, size=(height, width)) for s in plan.spans))


@settings(max_examples=40, deadline=None)
@given(
    grid=st.integers(1, 5),
    patch=st.integers(1, 16),
    jitter=st.integers(0, 6),
    height=st.integers(16, 40),
    width=st.integers(16, 40),
    seed=st.integers(0, 99),
)
def test_corners_lie_inside_and_near_an_even_grid(
    grid: int, patch: int, jitter: int, height: int, width: int, seed: int
) -> None:
    cut = PatchGrid(grid=grid, patch=patch, jitter=jitter)
    plan = cut.draw(sized(plan_of(2, 3), height, width), INFO, generator(seed))
    corners = plan.parameters["patch_grid.corners"]
    assert corners.shape == (2, 3, grid**2, 2)
    assert corners.min() >= 0
    assert (corners + patch <= [height, width]).all()
    even = PatchGrid(grid=grid, patch=patch).draw(sized(plan_of(2, 3), height, width), INFO, generator(0))
    assert abs(corners - even.parameters["patch_grid.corners"]).max() <= jitter


def test_patches_are_cut_where_they_were_drawn() -> None:
    cut = PatchGrid(grid=3, patch=10, jitter=2, only=(1,))
    batch = batch_of(cut, [sized(plan_of(2, 4), 24, 24)] * 3)
    after = cut.apply(batch)
    before = batch.clips[1].video
    assert before is not None
    assert after.clips[0] == batch.clips[0]
    video = after.clips[1].video
    assert video is not None
    assert video.shape == (3, 4 * 9, 3, 10, 10)
    corners = batch.parameters["patch_grid.corners"]
    for b, t, k in ((0, 0, 0), (1, 2, 5), (2, 3, 8)):
        top, left = corners[b, 1, t, k].tolist()
        assert torch.equal(video[b, 9 * t + k], before[b, t, :, top : top + 10, left : left + 10])


def test_a_grid_without_jitter_reaches_the_edges_and_overlaps() -> None:
    plan = PatchGrid(grid=7, patch=64).draw(sized(plan_of(1, 1), 256, 256), INFO, generator(0))
    rows = plan.parameters["patch_grid.corners"][0, 0, :, 0].reshape(7, 7)
    assert rows[:, 0].tolist() == [0, 32, 64, 96, 128, 160, 192]


def test_a_grid_of_unknown_or_small_frames_is_an_error() -> None:
    with pytest.raises(ValueError, match="write a crop before it"):
        PatchGrid(grid=2, patch=8).draw(plan_of(1, 1), INFO, generator(0))
    with pytest.raises(ValueError, match="larger than frames"):
        PatchGrid(grid=2, patch=40).draw(sized(plan_of(1, 1), 24, 24), INFO, generator(0))
    with pytest.raises(ValueError, match="jitter -1"):
        PatchGrid(grid=2, patch=8, jitter=-1)


def test_twice_gives_a_copy_with_the_same_crop_that_can_be_changed_alone() -> None:
    chain = CentreCrop(24) | Twice() | ColourJitter(p=1, scope="frame", only=(0,))
    plan = chain.draw(plan_of(1, 3), INFO, generator(0))
    assert len(plan.spans) == 2
    assert plan.spans[0] == plan.spans[1]
    assert plan.parameters["colour_jitter.on"][:, 0].tolist() == [True, False]
