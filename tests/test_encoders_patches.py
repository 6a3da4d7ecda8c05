"""Transformers over patches: what they see, where it is, and what is hidden from them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from avssl import encoders as zoo
from avssl.encoders import PatchDecoder, PatchEncoder, picked, positions
from avssl.encoders.vit import Patches


def clip(steps: int = 8, side: int = 24, batch: int = 2) -> Tensor:
    return torch.rand(batch, steps, 3, side, side, generator=torch.Generator().manual_seed(1))


def sound(samples: int = 6400) -> Tensor:
    return torch.randn(2, 1, samples, generator=torch.Generator().manual_seed(1)) / 10


def small() -> zoo.ClipViT:
    torch.manual_seed(0)
    return zoo.tiny_vit(width=24, depth=2, heads=2)


def small_sound() -> zoo.SoundViT:
    torch.manual_seed(0)
    return zoo.tiny_sound_vit(width=24, depth=2, heads=2)


BOTH = [(small, clip), (small_sound, sound)]


def test_patches_are_cut_as_loops_would() -> None:
    x = torch.rand(2, 3, 5, 9, 8)
    first = Patches(3, (2, 4, 4), 12)
    assert first.grid(x.shape[2:]) == (2, 2, 2)
    cut = first.cut(x)
    assert cut.shape == (2, 8, 96)
    number = 0
    for t in range(2):
        for i in range(2):
            for j in range(2):
                patch = x[:, :, 2 * t : 2 * t + 2, 4 * i : 4 * i + 4, 4 * j : 4 * j + 4]
                torch.testing.assert_close(cut[:, number], patch.reshape(2, -1))
                number += 1
    weight = first.embed.weight.view(12, 3, 2, 4, 4)
    wanted = torch.nn.functional.conv3d(x[:, :, :4, :8], weight, stride=(2, 4, 4)).flatten(2).transpose(1, 2)
    torch.testing.assert_close(first(x), wanted + positions((2, 2, 2), 12), rtol=1e-4, atol=1e-5)


def test_positions_differ_on_any_grid_and_shift_with_it() -> None:
    for grid in ((8, 7, 7), (1, 14, 14), (12, 8)):
        p = positions(grid, 96)
        assert p.shape == (math.prod(grid), 96)
        assert torch.cdist(p, p).fill_diagonal_(1.0).min() > 0.1
    # a smaller grid has the positions of the corner of a larger one
    torch.testing.assert_close(
        positions((2, 3, 4), 24), positions((5, 6, 7), 24).view(5, 6, 7, 24)[:2, :3, :4].reshape(24, 24)
    )
    wave = positions((1, 1, 3), 12)[:, 8:]
    wanted = [[f(k * r) for f in (math.sin, math.cos) for r in (1.0, 0.01)] for k in range(3)]
    torch.testing.assert_close(wave, torch.tensor(wanted))
    assert positions((2, 2, 2), 25)[:, 24:].abs().max() == 0
    with pytest.raises(ValueError, match="dim 5"):
        positions((2, 2, 2), 5)


@pytest.mark.parametrize(("make", "x"), BOTH)
def test_all_patches_kept_in_order_is_the_whole_and_order_does_not_matter(make: type, x: type) -> None:
    encoder, inputs = make().eval(), x()
    cells = math.prod(encoder.grid(inputs.shape))
    with torch.no_grad():
        whole = encoder.encode(inputs)
        torch.testing.assert_close(encoder.encode(inputs, torch.arange(cells).expand(2, -1)), whole)
        order = torch.stack([torch.randperm(cells) for _ in range(2)])
        torch.testing.assert_close(encoder.encode(inputs, order), picked(whole, order), rtol=1e-4, atol=1e-4)
        last = encoder.last(inputs)
        assert last.shape[2:] == encoder.grid(inputs.shape)
        torch.testing.assert_close(last.flatten(2).transpose(1, 2), whole)
        torch.testing.assert_close(encoder.tokens(inputs), encoder.first(encoder.prepare(inputs)))


@pytest.mark.parametrize(("make", "x"), BOTH)
def test_hidden_patches_cannot_be_seen(make: type, x: type) -> None:
    """The gradient of features and of answers with respect to what is hidden is 0; of what is kept it is not."""
    encoder = make()
    decoder = PatchDecoder(encoder, width=16, depth=1, heads=2)
    inputs = x()
    cells = math.prod(encoder.grid(inputs.shape))
    keep = torch.stack([torch.randperm(cells)[: cells // 4].sort().values for _ in range(2)])
    prepared = encoder.prepare(inputs).detach().requires_grad_()
    encoder.prepare = lambda _: prepared  # type: ignore[method-assign]
    for answer in (encoder.encode(inputs, keep), decoder(encoder, inputs, keep=keep)):
        (gradient,) = torch.autograd.grad(answer.square().sum(), prepared)
        moved = encoder.first.cut(gradient).abs().sum(dim=2)
        kept = torch.zeros(2, cells, dtype=torch.bool).scatter_(1, keep, True)
        assert moved[~kept].abs().max() == 0
        assert moved[kept].min() > 0


def test_a_picture_is_the_same_as_the_picture_shown_for_a_tubelet() -> None:
    encoder, x = small().eval(), clip(1)
    with torch.no_grad():
        torch.testing.assert_close(encoder(x), encoder(x.expand(2, 4, 3, 24, 24)), rtol=1e-4, atol=1e-5)
        # clips whose frames do not fill the last tubelet
        long = clip(6)
        filled = torch.cat((long, long[:, -1:], long[:, -1:]), dim=1)
        torch.testing.assert_close(encoder(long), encoder(filled), rtol=1e-4, atol=1e-5)
        # and a network of pictures, whose weights are the sums over the tubelet
        flat = zoo.tiny_vit(width=24, depth=2, heads=2, tubelet=1).eval()
        state = dict(encoder.state_dict())
        state["net.patches.embed.weight"] = state["net.patches.embed.weight"].view(24, 3, 4, 64).sum(dim=2).flatten(1)
        flat.load_state_dict(state)
        torch.testing.assert_close(encoder(x), flat(x), rtol=1e-3, atol=1e-4)
    assert encoder.grid(x.shape) == flat.grid(x.shape) == (1, 3, 3)


def test_motion_and_places_are_seen() -> None:
    encoder, x = small().eval(), clip()
    with torch.no_grad():
        assert (encoder(x) - encoder(x.flip(1))).abs().max() > 1e-3
        assert (encoder(x) - encoder(x.roll(8, dims=3))).abs().max() > 1e-3


def test_networks_of_the_papers_have_their_sizes() -> None:
    with torch.device("meta"):
        sizes = {make: sum(p.numel() for p in make().parameters()) for make in (zoo.vit_small, zoo.vit_base)}
    # blocks of ViT-S and ViT-B without class token and classifier; the patch layer sees two frames
    assert sizes[zoo.vit_small] == 12 * (12 * 384**2 + 13 * 384) + 2 * 384 + 384 * (3 * 2 * 256 + 1)
    assert sizes[zoo.vit_base] == 12 * (12 * 768**2 + 13 * 768) + 2 * 768 + 768 * (3 * 2 * 256 + 1)


def test_the_decoder_answers_every_patch_and_starts_near_nothing() -> None:
    encoder = small()
    decoder = PatchDecoder(encoder, width=16, depth=1, heads=2)
    keep = torch.tensor([[0, 5], [3, 7]])
    answer = decoder(encoder, clip(), keep=keep)
    assert answer.shape == (2, 18, encoder.numbers)
    assert encoder.numbers == 3 * 4 * 64
    assert answer.detach().square().mean() < 0.05
    assert decoder(encoder, clip()).shape == answer.shape
    # the places are told apart, also those that are hidden
    assert (answer[0, 1] - answer[0, 2]).abs().max() > 1e-4


@pytest.mark.parametrize(("make", "x"), BOTH)
def test_weights_in_files(make: type, x: type, tmp_path: Path) -> None:
    encoder, inputs = make().eval(), x()
    zoo.save_encoder(encoder, tmp_path / "encoder.safetensors")
    again = zoo.load_encoder(tmp_path / "encoder.safetensors")
    assert isinstance(again, PatchEncoder)
    assert again.origin == encoder.origin
    with torch.no_grad():
        torch.testing.assert_close(again(inputs), encoder(inputs))


def test_errors_name_the_value() -> None:
    with pytest.raises(ValueError, match=r"\(4, 4, 24\) is smaller than a patch of \(4, 8, 8\)"):
        small()(torch.rand(1, 4, 3, 4, 24))
    with pytest.raises(ValueError, match="5 heads do not share 24"):
        zoo.tiny_vit(width=24, heads=5)
    with pytest.raises(ValueError, match="depth 0"):
        zoo.tiny_vit(depth=0)
    with pytest.raises(ValueError, match=r"tiny_resnet does not see patches.*tiny_vit"):
        PatchDecoder(zoo.tiny_resnet())
