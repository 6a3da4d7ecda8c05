"""Masks over patches: property tests on numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from transform_batches import INFO, batch_of, plan_of

from avssl.core import generator
from avssl.transforms import BlockMask, HorizontalFlip, PatchMask, RandomMask, TubeMask

KINDS: dict[str, Callable[..., PatchMask]] = {
    "random": RandomMask,
    "tube": TubeMask,
    "blocks": BlockMask,
    "large blocks": lambda **k: BlockMask(block=0.7, **k),
}


def drawn(mask: PatchMask, seed: int = 0, spans: int = 2) -> tuple[np.ndarray, np.ndarray]:
    plan = mask.draw(plan_of(spans), INFO, generator(seed))
    return plan.parameters["mask.keep"], plan.parameters["mask.hide"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("grid", [(8, 7, 7), (1, 5, 6), (12, 8)], ids=str)
@pytest.mark.parametrize("ratio", [0.02, 0.5, 0.75, 0.9, 0.99])
def test_kept_and_hidden_share_the_patches_in_numbers_that_never_differ(
    kind: str, grid: tuple[int, ...], ratio: float
) -> None:
    mask = KINDS[kind](grid=grid, ratio=ratio)
    cells = math.prod(grid)
    whole = {"random": cells, "tube": math.prod(grid[1:])}.get(kind, math.prod(grid[-2:]))
    counts = set()
    for seed in range(5):
        keep, hide = drawn(mask, seed)
        assert keep.dtype == hide.dtype == np.int64
        for k, h in zip(keep, hide, strict=True):
            assert sorted([*k, *h]) == list(range(cells))
            assert list(k) == sorted(k)
            assert list(h) == sorted(h)
        counts.add((keep.shape, hide.shape))
    assert len(counts) == 1
    hidden = hide.shape[1] / cells
    assert abs(hidden - ratio) <= 0.5 / whole + 1e-9 or hide.shape[1] in {cells // whole, cells - cells // whole}


def test_tubes_and_blocks_go_through_all_frames_and_random_masks_do_not() -> None:
    for kind in ("tube", "blocks", "large blocks"):
        _, hide = drawn(KINDS[kind](grid=(4, 6, 6), ratio=0.5))
        assert all(set(h) == {t * 36 + place for t in range(4) for place in h[h < 36]} for h in hide)
    _, hide = drawn(RandomMask(grid=(4, 6, 6), ratio=0.5))
    assert any(set(h) != {t * 36 + place for t in range(4) for place in h[h < 36]} for h in hide)


def test_every_patch_is_hidden_as_often_as_the_others_by_random_masks() -> None:
    for kind in (RandomMask, TubeMask):
        mask = kind(grid=(2, 4, 4), ratio=0.75)
        often = np.mean([mask.hidden(generator(i)) for i in range(600)], axis=0)
        assert np.abs(often - 0.75).max() < 5 * math.sqrt(0.75 * 0.25 / 600)


def test_blocks_are_in_one_piece_where_random_places_are_not() -> None:
    def edges(mask: PatchMask) -> float:
        """Neighbours of which one is hidden and one is not, as a share."""
        found = []
        for i in range(50):
            cells = mask.hidden(generator(i)).reshape(14, 14)
            found += [(cells[1:] != cells[:-1]).mean(), (cells[:, 1:] != cells[:, :-1]).mean()]
        return float(np.mean(found))

    scattered = edges(TubeMask(grid=(1, 14, 14), ratio=0.63))
    assert scattered == pytest.approx(2 * 0.63 * 0.37, abs=0.03)
    assert edges(BlockMask(grid=(1, 14, 14), ratio=0.63, block=0.15)) < scattered / 2


def test_eight_small_or_two_large_blocks_hide_what_the_recipe_says() -> None:
    for block, count, share in ((0.15, 8, 0.63), (0.7, 2, 0.84)):  # V-JEPA's masks, video_audio.md 2.18
        mask, rng = BlockMask(grid=(8, 14, 14), block=block), generator(0)
        union = [np.any([mask._drawn(rng) for _ in range(count)], axis=0).mean() for _ in range(300)]
        assert np.mean(union) == pytest.approx(share, abs=0.02)
        sizes = [mask._drawn(rng).mean() for _ in range(300)]
        assert np.mean(sizes) == pytest.approx(block, rel=0.1)


def test_a_schedule_goes_from_the_first_share_to_the_last_and_stays() -> None:
    mask = RandomMask(grid=(4, 5, 5), ratio=0.9, first=0.5, epochs=4)
    hidden = [drawn(mask.at(epoch))[1].shape[1] for epoch in range(7)]
    assert hidden == [50, 60, 70, 80, 90, 90, 90]
    chain = HorizontalFlip() | mask
    plan = chain.at(2).draw(plan_of(1), INFO, generator(0))
    assert plan.parameters["mask.hide"].shape == (1, 70)
    assert mask.at(0) == replace(mask, ratio=0.5, first=None, epochs=0)


def test_clips_have_their_own_masks_or_share_one_and_two_masks_do_not_meet() -> None:
    mask = RandomMask(grid=(4, 6, 6), ratio=0.5)
    assert (drawn(mask)[0][0] != drawn(mask)[0][1]).any()
    shared = drawn(replace(mask, scope="sample"))[0]
    assert (shared[0] == shared[1]).all()
    both = (mask | mask).draw(plan_of(1), INFO, generator(0)).parameters
    assert set(both) == {f"{name}.{what}" for name in ("mask", "mask_2") for what in ("keep", "hide", "grid")}
    assert both["mask.grid"].tolist() == [[4, 6, 6]]
    assert (both["mask.keep"] != both["mask_2.keep"]).any()


def test_pixels_stay_and_batches_hold_the_numbers() -> None:
    mask = TubeMask(grid=(2, 6, 6), ratio=0.5)
    batch = batch_of(mask, [plan_of(1)] * 3)
    assert batch.parameters["mask.keep"].shape == (3, 1, 36)
    assert batch.parameters["mask.keep"].dtype == torch.int64
    assert mask.apply(batch) is batch


def test_errors_name_the_value() -> None:
    with pytest.raises(ValueError, match=r"ratio 1\.0"):
        RandomMask(grid=(2, 2), ratio=1.0)
    with pytest.raises(ValueError, match=r"grid \(4,\)"):
        RandomMask(grid=(4,))
    with pytest.raises(ValueError, match="epochs 3"):
        RandomMask(grid=(4, 4), epochs=3)
    with pytest.raises(ValueError, match="something to keep"):
        TubeMask(grid=(4, 1, 1)).draw(plan_of(1), INFO, generator(0))
    with pytest.raises(ValueError, match="block 0"):
        BlockMask(grid=(4, 4), block=0.0)
    with pytest.raises(ValueError, match="aspect"):
        BlockMask(grid=(4, 4), aspect=(2.0, 1.0))
