"""Networks and contexts that go along a sequence: what each step may depend on, and torch's own as the measure."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from avssl.encoders import Context, ConvGRU, MaskedRows, lstm, tiny_lstm


def moved(context: Context, x: Tensor, at: tuple[int, ...]) -> Tensor:
    """How much the context changes at each step and place, (L, H, W), if the maps are changed at one."""
    other = x.clone()
    other[(0, at[0], slice(None), *at[1:])] += 1
    with torch.no_grad():
        return (context(other) - context(x)).abs().amax(dim=(0, 2))


def test_a_recurrent_encoder_has_its_last_state_as_vector_and_never_looks_ahead() -> None:
    for encoder in (tiny_lstm(width=8, size=24), lstm(size=24, side=8)):
        x = torch.rand(2, 5, 3, 20, 20)
        with torch.no_grad():
            vector, sequence = encoder(x), encoder.sequence(x)
            part = encoder.sequence(x[:, :3])
        assert encoder.dim == 24
        assert sequence.shape == (2, 5, 24)
        torch.testing.assert_close(vector, sequence[:, -1])
        torch.testing.assert_close(part, sequence[:, :3])
        assert (sequence[:, 1:] - sequence[:, :-1]).abs().amin(dim=(0, 1)).max() > 1e-3
        assert encoder(x[:, :1].mean(dim=2, keepdim=True)).shape == (2, 24)  # one grey picture


def test_the_lstm_of_the_paper_sees_every_pixel_of_its_frames() -> None:
    encoder, x = lstm(size=8, side=4), torch.rand(1, 2, 3, 4, 4)
    with torch.no_grad():
        states, _ = encoder.net.states.cell(encoder.normalised(x).flatten(2))  # type: ignore[union-attr]
        torch.testing.assert_close(encoder.sequence(x), states)
        assert torch.equal(encoder(x), encoder(x.repeat_interleave(2, dim=3).repeat_interleave(2, dim=4)))


def test_a_gru_of_one_by_one_convolutions_is_torchs_gru_at_each_place() -> None:
    context, gru = ConvGRU(3, 5), nn.GRU(3, 5, batch_first=True)
    nn.init.normal_(context.seen.bias)
    nn.init.normal_(context.kept.bias)
    pairs = {"weight_ih_l0": context.seen.weight, "weight_hh_l0": context.kept.weight}
    pairs |= {"bias_ih_l0": context.seen.bias, "bias_hh_l0": context.kept.bias}
    gru.load_state_dict({name: value.detach().reshape(15, -1).squeeze(1) for name, value in pairs.items()})
    x = torch.randn(2, 4, 3, 2, 3)
    with torch.no_grad():
        places = gru(x.permute(0, 3, 4, 1, 2).flatten(0, 2))[0]
        wanted = places.view(2, 2, 3, 4, 5).permute(0, 3, 4, 1, 2)
        torch.testing.assert_close(context(x), wanted)
        torch.testing.assert_close(context.step(x[:, 3], wanted[:, 2]), wanted[:, 3])


def test_a_wider_gru_sees_beside_itself_as_time_goes_on_and_never_ahead() -> None:
    found = moved(ConvGRU(3, 4, kernel=3), torch.randn(1, 4, 3, 5, 5), (1, 2, 2))
    assert found[0].max() == 0
    assert [int((step > 0).sum()) for step in found[1:]] == [9, 25, 25]


def test_masked_rows_see_above_and_beside_and_never_below() -> None:
    torch.manual_seed(0)
    found = moved(MaskedRows(6, blocks=2), torch.randn(1, 6, 6, 1, 7), (2, 0, 3))[:, 0]
    assert found[:2].max() == 0
    assert found[5].max() == 0  # each block reaches one row up
    reached = {row: [int(k) for k in (found[row] > 0).nonzero()] for row in (2, 3, 4)}
    assert all(set(columns) <= {1, 2, 3, 4, 5} and 3 in columns for columns in reached.values())


def test_errors_name_the_value() -> None:
    with pytest.raises(ValueError, match="kernel 2"):
        ConvGRU(3, kernel=2)
    with pytest.raises(ValueError, match="width 12"):
        tiny_lstm(width=12)
    with pytest.raises(ValueError, match=r"\(1, 2, 4, 2, 2\)"):
        MaskedRows(4)(torch.zeros(1, 2, 4, 2, 2))
