"""Losses over pairs against independent renderings, at chance, and at their corners."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from avssl.losses import InfoNCE, Margin, gathered, info_nce, margin, mean_over_ranks, retrieved


def unit(n: int, d: int, seed: int) -> Tensor:
    z = torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return F.normalize(z, dim=1)


def drawn(n: int, m: int, seed: int) -> Tensor:
    return torch.randint(-1, 2, (n, m), generator=torch.Generator().manual_seed(seed))


def nt_xent(a: Tensor, b: Tensor, temperature: float) -> float:
    """Chen et al. 2020, eq. 1, with two loops."""
    z = [*a, *b]
    n, total = len(a), 0.0
    for i in range(2 * n):
        j = (i + n) % (2 * n)
        weights = [math.exp(float(z[i] @ z[k]) / temperature) for k in range(2 * n)]
        total -= math.log(weights[j] / (sum(weights) - weights[i]))
    return total / (2 * n)


def two_views(n: int) -> Tensor:
    own = torch.arange(n).repeat(2)
    policy = torch.where(own[:, None] == own[None, :], 1, -1)
    return policy - torch.eye(2 * n, dtype=torch.long)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_info_nce_is_nt_xent(temperature: float) -> None:
    a, b = unit(5, 6, 1), unit(5, 6, 2)
    z = torch.cat((a, b))
    value = info_nce(z @ z.T, two_views(5), temperature=temperature)
    assert float(value) == pytest.approx(nt_xent(a, b, temperature), rel=1e-5)


@pytest.mark.parametrize("n", [2, 8, 33])
def test_info_nce_of_equal_similarities_is_the_logarithm_of_the_candidates(n: int) -> None:
    assert float(info_nce(torch.zeros(2 * n, 2 * n), two_views(n))) == pytest.approx(math.log(2 * n - 1), rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 6), m=st.integers(1, 7), seed=st.integers(0, 10_000))
def test_info_nce_and_margin_against_loops(n: int, m: int, seed: int) -> None:
    similarity, policy = 2 * torch.rand(n, m, generator=torch.Generator().manual_seed(seed)) - 1, drawn(n, m, seed)
    rows, pairs = [], []
    for s, p in zip(similarity.tolist(), policy.tolist(), strict=True):
        weights = [math.exp(x / 0.2) for x in s]
        pos = sum(w for w, sign in zip(weights, p, strict=True) if sign == 1)
        every = sum(w for w, sign in zip(weights, p, strict=True) if sign != 0)
        if pos > 0:
            rows.append(-math.log(pos / every))
        for x, sign in zip(s, p, strict=True):
            d = math.sqrt(2 - 2 * x)
            if sign:
                pairs.append(d**2 if sign == 1 else max(0.0, 0.99 - d) ** 2)
    mean = sum(rows) / max(len(rows), 1)
    assert float(info_nce(similarity, policy, temperature=0.2)) == pytest.approx(mean, rel=1e-4, abs=1e-5)
    assert float(margin(similarity, policy)) == pytest.approx(sum(pairs) / max(len(pairs), 1), rel=1e-4, abs=1e-5)
    assert int(InfoNCE().terms(policy)) == len(rows)
    assert int(Margin().terms(policy)) == len(pairs)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_order_of_anchors_and_candidates_does_not_matter(seed: int) -> None:
    similarity, policy = unit(5, 4, seed) @ unit(7, 4, seed + 1).T, drawn(5, 7, seed)
    rows = torch.randperm(5, generator=torch.Generator().manual_seed(seed))
    columns = torch.randperm(7, generator=torch.Generator().manual_seed(seed))
    for f in (info_nce, margin, retrieved):
        value = f(similarity, policy)
        torch.testing.assert_close(f(similarity[rows][:, columns], policy[rows][:, columns]), value)


@pytest.mark.parametrize("loss", [info_nce, margin])
def test_ignored_pairs_and_empty_rows_get_no_gradient_and_no_nan(loss) -> None:  # type: ignore[no-untyped-def]
    similarity = torch.tensor([[0.9, 0.7, -1.0], [0.3, 0.2, 0.1], [0.9, 1.0, 0.9]], requires_grad=True)
    policy = torch.tensor([[1, -1, 0], [0, 0, 0], [0, 1, 0]])
    loss(similarity, policy).backward()
    assert similarity.grad is not None
    assert similarity.grad.isfinite().all()
    assert (similarity.grad[policy == 0] == 0).all()
    assert (similarity.grad[0, :2] != 0).all()
    nothing = loss(similarity, torch.zeros(3, 3))
    assert float(nothing.detach()) == 0


def test_margin_gradient_is_finite_for_equal_embeddings() -> None:
    z = F.normalize(torch.ones(2, 3), dim=1).requires_grad_()
    margin(z @ z.T, torch.full((2, 2), -1)).backward()
    assert z.grad is not None
    assert z.grad.isfinite().all()


def test_attracting_falls_and_repelling_rises_with_similarity() -> None:
    near, far = torch.tensor([[0.9, 0.0]]), torch.tensor([[0.8, 0.0]])
    for f in (info_nce, margin):
        assert f(near, torch.tensor([[1, -1]])) < f(far, torch.tensor([[1, -1]]))
    assert margin(near, torch.tensor([[-1, 0]])) > margin(far, torch.tensor([[-1, 0]]))
    assert margin(torch.tensor([[0.5]]), torch.tensor([[-1]])) == 0  # d = 1 > 0.99


def test_accuracies() -> None:
    similarity = torch.tensor([[0.9, 0.1, 1.0], [0.2, 0.8, 0.1], [0.5, 0.5, 0.5]])
    policy = torch.tensor([[1, -1, 0], [1, -1, -1], [0, 0, 0]])
    assert float(retrieved(similarity, policy)) == 0.5
    # Margin: d < 0.495 is "near", so cosines above 0.877 are: right are (0,0), (0,1), (1,1), (1,2), wrong is (1,0).
    assert float(Margin().accuracy(similarity, policy)) == pytest.approx(4 / 5)


def test_errors_name_the_value() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(3, 2\)"):
        info_nce(torch.zeros(2, 3), torch.zeros(3, 2))
    with pytest.raises(ValueError, match="temperature 0"):
        InfoNCE(0)
    with pytest.raises(ValueError, match="margin 3"):
        Margin(3)


def test_one_process_gathers_itself() -> None:
    x = torch.rand(3, 2, requires_grad=True)
    assert gathered(x) is x
    assert torch.equal(mean_over_ranks(x), x)
