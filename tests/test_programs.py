"""Programs against what is known: shifts that were made, and things that were drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from avssl.media.toybox import Toybox, cast, draw_scene, frames, mask
from avssl.programs import MovingThings, motion_codes, nearest_code, optical_flow, warped

SHIFTS = torch.tensor([[0.3, 0.2], [-1.5, 0.7], [3.0, 2.0], [-6.0, -5.0], [0.0, 9.0]])


def texture(count: int, side: int) -> Tensor:
    noise = torch.rand(count, 3, side // 5, side // 5, generator=torch.Generator().manual_seed(0))
    return F.interpolate(noise, size=side, mode="bicubic")


def shifted(second: Tensor, shifts: Tensor) -> Tensor:
    """Frames from which everything goes by `shifts` (R, 2) to the second ones."""
    return warped(second, shifts[:, :, None, None].expand(-1, -1, *second.shape[-2:]))


def test_flow_finds_shifts_to_a_fiftieth_of_a_pixel() -> None:
    second = texture(len(SHIFTS), 96)
    flow = optical_flow(shifted(second, SHIFTS), second)[..., 16:-16, 16:-16]
    error = (flow - SHIFTS[:, :, None, None]).norm(dim=1).mean(dim=(1, 2))
    assert error.max() < 0.02, error


def test_flow_of_a_pair_does_not_depend_on_the_others() -> None:
    second = texture(len(SHIFTS), 48)
    first = shifted(second, SHIFTS)
    torch.testing.assert_close(optical_flow(first, second)[2:3], optical_flow(first[2:3], second[2:3]))


def test_flow_of_still_or_empty_frames_is_zero() -> None:
    still = torch.cat((texture(1, 40), torch.full((1, 3, 40, 40), 0.5)))
    assert optical_flow(still, still).abs().max() < 1e-4


def test_codes_name_where_and_how_fast_things_go() -> None:
    codes = motion_codes(100, directions=4, speeds=(0.02, 0.08))
    assert codes.shape == (9, 2)
    flow = torch.tensor([[0.4, 0.5], [2.5, 0.3], [0, 1.8], [-9, 1], [0.5, -30]])[:, :, None, None]
    assert nearest_code(flow, codes).flatten().tolist() == [0, 1, 2, 7, 8]


@pytest.fixture(scope="module")
def scenes() -> tuple[Tensor, Tensor]:
    """Clips (B, 5, 3, 64, 64) of a toybox, and where the thing is in their middle frames, (B, 64, 64)."""
    toybox = Toybox(train=0, test=40, seconds=2.0)
    clips, masks = [], []
    for number, role in enumerate(cast(toybox)):
        scene, start = draw_scene(toybox, role), 3 + number % 20
        clips.append(frames(scene, toybox)[start : start + 5])
        masks.append(mask(scene, toybox)[start + 2] >= 0.5)
    return torch.from_numpy(np.stack(clips)).movedim(-1, 2) / 255, torch.from_numpy(np.stack(masks))


def test_moving_things_of_a_toybox_are_found(scenes: tuple[Tensor, Tensor]) -> None:
    clips, truth = scenes
    found, use = MovingThings()(clips)
    both = ((found[:, 0] > 0) & truth).sum(dim=(1, 2)) / ((found[:, 0] > 0) | truth).sum(dim=(1, 2))
    assert use.float().mean() > 0.6
    assert both[use].mean() > 0.8  # the issue asks for 0.6
    assert both[use].mean() > both.mean() - 0.01, "what the program is sure of is what it finds"


def test_without_motion_of_its_own_nothing_is_used(scenes: tuple[Tensor, Tensor]) -> None:
    clips, _ = scenes
    frozen = clips[:6, 2:3].expand(-1, 5, -1, -1, -1)
    pan = torch.stack([texture(2, 80)[..., 8 : 8 + 64, k : k + 64] for k in range(0, 15, 3)], dim=1)
    for still in (frozen, pan):
        assert not MovingThings()(still)[1].any()


def test_masks_have_the_size_of_the_frames_and_need_a_middle(scenes: tuple[Tensor, Tensor]) -> None:
    clips, _ = scenes
    large = F.interpolate(clips[:2].flatten(0, 1), size=(96, 128)).view(2, 5, 3, 96, 128)
    assert MovingThings(side=32)(large)[0].shape == (2, 1, 96, 128)
    with pytest.raises(ValueError, match="odd number"):
        MovingThings()(clips[:, :4])
