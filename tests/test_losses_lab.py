"""L*a*b* against published colours, and there and back."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from avssl.losses import lab_to_rgb, nearest, rgb_to_lab


def colour(*channels: float) -> Tensor:
    return torch.tensor(channels).view(3, 1, 1)


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [
        ((1, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 1, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 1), (32.30, 79.19, -107.86)),
        ((1, 1, 1), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((0.5, 0.5, 0.5), (53.39, 0, 0)),
    ],
)
def test_lab_of_known_colours(rgb: tuple[float, ...], lab: tuple[float, ...]) -> None:
    assert rgb_to_lab(colour(*map(float, rgb))).flatten().tolist() == pytest.approx(lab, abs=0.02)


def test_lab_there_and_back_of_any_leading_dimensions_and_kind_of_numbers() -> None:
    x = torch.randint(0, 256, (2, 4, 3, 5, 6), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    lab = rgb_to_lab(x)
    assert lab.dtype == torch.float32
    assert torch.allclose(lab, rgb_to_lab(x / 255), atol=1e-4)
    assert torch.allclose(lab_to_rgb(lab) * 255, x.float(), atol=0.01)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(rgb_to_lab(x), lab)


def test_lab_has_gradients_everywhere() -> None:
    x = torch.linspace(0, 1, 12).view(3, 2, 2).requires_grad_()
    lab_to_rgb(rgb_to_lab(x)).sum().backward()
    assert x.grad is not None
    assert bool(x.grad.isfinite().all())


def test_the_nearest_centre() -> None:
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, -20.0]])
    ab = torch.tensor([[[1.0, 9.0]], [[1.0, 1.0]]])
    assert nearest(ab, centres).tolist() == [[0, 1]]
    assert nearest(ab[None, None] * torch.tensor([0.0, -14.0]).view(2, 1, 1), centres).shape == (1, 1, 1, 2)


def test_grey_has_no_colour() -> None:
    with pytest.raises(ValueError, match="a grey picture has none"):
        rgb_to_lab(torch.zeros(1, 4, 4))
