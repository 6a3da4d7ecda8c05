"""Slow, SlowFast and temporal shift: their parameters against published counts, pictures, and who sees which frame."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from avssl import encoders as zoo
from avssl.encoders import Encoder
from avssl.encoders.shift import shifted


def parameters(encoder: Encoder, *, classes: int) -> int:
    """Of the network with a linear classifier."""
    return sum(p.numel() for p in encoder.parameters()) + (encoder.dim + 1) * classes


@pytest.mark.parametrize(
    ("make", "millions"),
    [  # PyTorchVideo's model zoo, of 400 classes
        (zoo.slow_r50, 32.45),
        (zoo.slowfast_r50, 34.57),
        (lambda: zoo.slowfast_r50(apart=8, lateral=5), 34.48),
    ],
)
def test_as_many_parameters_as_published(make: Callable[[], Encoder], millions: float) -> None:
    assert round(parameters(make(), classes=400) / 1e6, 2) == millions


@pytest.mark.parametrize(("shifting", "plain"), [(zoo.tsm_resnet18, zoo.resnet18), (zoo.tsm_resnet50, zoo.resnet50)])
def test_a_shifting_network_is_that_for_pictures_where_there_is_one_frame(
    shifting: Callable[[], Encoder], plain: Callable[[], Encoder]
) -> None:
    moving, still = shifting().eval(), plain().eval()
    moving.load_state_dict(still.state_dict())
    x = torch.rand(1, 3, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(moving(x[:, :1]), still(x[:, :1]), rtol=1e-4, atol=1e-5)
        assert (moving(x) - still(x)).abs().max() > 1e-3
        assert (moving(x) - moving(x[:, [1, 0, 2]])).abs().max() > 1e-3


def test_the_shift_by_hand() -> None:
    x = torch.arange(16 * 3.0).view(1, 16, 3, 1, 1)
    y = shifted(x)[0, :, :, 0, 0]
    assert y[0].tolist() == [1, 2, 0]  # of the next frame
    assert y[1].tolist() == [4, 5, 0]
    assert y[2].tolist() == [0, 6, 7]  # of the one before
    assert y[3].tolist() == [0, 9, 10]
    assert torch.equal(y[4:], x[0, 4:, :, 0, 0])
    assert torch.equal(shifted(x[:, :, :1]), x[:, :, :1])


@pytest.mark.parametrize("make", [zoo.slow_r50, lambda: zoo.slowfast_r50(width=16)])
@pytest.mark.parametrize("frames", [1, 5])
def test_any_number_of_frames_is_a_clip(make: Callable[[], Encoder], frames: int) -> None:
    encoder = make().eval()
    with torch.no_grad():
        assert encoder(torch.rand(1, frames, 3, 32, 32)).shape == (1, encoder.dim)


def test_the_slow_network_keeps_all_frames_and_sees_motion_late() -> None:
    encoder = zoo.slow_r50().eval()
    x = torch.rand(1, 4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        early = encoder.features(x, ["layer2", "layer4"])
        swapped = encoder.features(x.flip(1), ["layer2", "layer4"])
    assert early["layer4"].shape[2] == 4
    torch.testing.assert_close(early["layer2"], swapped["layer2"].flip(2), rtol=1e-4, atol=1e-5)
    assert (early["layer4"] - swapped["layer4"].flip(2)).abs().max() > 1e-3


def test_both_pathways_of_slowfast_are_in_its_maps() -> None:
    encoder = zoo.slowfast_r50(width=16).eval()
    x = torch.rand(1, 8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    maps = encoder.features(x, encoder.taps)
    assert {tap: m.shape[1:3] for tap, m in maps.items()} == {
        "stem": (16 + 2, 2),
        "layer1": (64 + 8, 2),
        "layer2": (128 + 16, 2),
        "layer3": (256 + 32, 2),
        "layer4": (512 + 64, 2),
    }
    slow, heard = set(), set()
    for frame in range(8):
        other = x.clone()
        other[:, frame] = 1 - other[:, frame]
        with torch.no_grad():
            changed = {
                tap: (m - maps[tap]).abs().amax(dim=(0, 2, 3, 4)) > 1e-6
                for tap, m in encoder.features(other, ["stem", "layer1"]).items()
            }
        assert changed["stem"][16:].any()
        slow |= {frame} if changed["stem"][:16].any() else set()
        heard |= {frame} if changed["layer1"][:64].any() else set()
    assert slow == {0, 4}
    assert heard == set(range(8))  # through the lateral connection
    # the vector is the mean of each pathway over all its own frames
    y = encoder.prepare(x)
    for tap in encoder.taps:
        y = encoder.net.get_submodule(tap)(y)
    slow, fast = y
    wanted = torch.cat((slow.flatten(2).mean(2), fast.flatten(2).mean(2)), dim=1)
    torch.testing.assert_close(encoder(x), wanted, rtol=1e-4, atol=1e-5)


def test_knobs_of_slowfast_are_checked() -> None:
    with pytest.raises(ValueError, match="multiple of thinner"):
        zoo.slowfast_r50(width=20)
    with pytest.raises(ValueError, match="lateral 4"):
        zoo.slowfast_r50(lateral=4)
