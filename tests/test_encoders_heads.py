"""Heads: shapes, what shares weights with what, and what each of them can tell apart."""

from __future__ import annotations

import pytest
import torch

from avssl.encoders import ConcatHead, EachHead, FusionHead, PairwiseHead, Projector


def test_shapes() -> None:
    x = torch.rand(2, 3, 8)
    assert ConcatHead(8, 5, clips=3, hidden=4, dropout=0.5)(x).shape == (2, 5)
    assert PairwiseHead(8, 6, clips=3, hidden=4)(x).shape == (2, 6)
    assert EachHead(8, 4, hidden=6)(x).shape == (2, 3, 4)
    assert Projector(8, 7, hidden=5, layers=3)(x).shape == (2, 3, 7)
    assert FusionHead(8, 6, classes=3, width=16)(torch.rand(2, 3, 4, 8), torch.rand(2, 3, 11, 6)).shape == (2, 3, 3)


def test_pairwise_head_is_its_formula() -> None:
    head = PairwiseHead(4, 24, clips=4, hidden=5).eval()
    x = torch.randn(2, 4, 4)
    pairs = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    hidden = [torch.relu(torch.cat([x[:, i], x[:, j]], 1) @ head.pair.weight.T + head.pair.bias) for i, j in pairs]
    torch.testing.assert_close(head(x), head.layers[-1](torch.cat(hidden, 1)))


def test_each_head_answers_for_each_clip_alone() -> None:
    head, x = EachHead(8, 4), torch.randn(2, 3, 8)
    torch.testing.assert_close(head(x)[:, 1:2], head(x[:, 1:2]))


def test_fusion_head_sees_the_time_between_streams() -> None:
    head = FusionHead(8, 8, width=16).eval()
    video, sound = torch.zeros(1, 1, 16, 8), torch.zeros(1, 1, 16, 8)
    video[..., 8, 0] = sound[..., 8, 0] = 1
    with torch.no_grad():
        together, apart = head(video, sound), head(video, sound.roll(4, dims=2))
    assert (together - apart).abs().max() > 1e-4


def test_errors_name_the_value() -> None:
    with pytest.raises(ValueError, match=r"\(2, 2, 8\).*S = 3"):
        ConcatHead(8, 2, clips=3)(torch.rand(2, 2, 8))
    with pytest.raises(ValueError, match="kernel 4"):
        FusionHead(8, 8, kernel=4)
    with pytest.raises(ValueError, match="classes 1"):
        EachHead(8, 1)
