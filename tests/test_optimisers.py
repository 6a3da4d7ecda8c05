"""Optimisers: the choice makes the one it names, and LARS is its formula, resumes and comes down."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

from avssl.encoders import EachHead, tiny_resnet
from avssl.tasks import Classify
from avssl.training import Train
from avssl.training.lars import LARS
from avssl.training.optimisers import Optimisers


def task() -> Classify:
    encoder = tiny_resnet(width=8)
    return Classify(encoder, EachHead(encoder.dim, 4), label="rotation")


@pytest.mark.parametrize(
    ("train", "kind", "wanted"),
    [
        (Train(), torch.optim.AdamW, {"betas": (0.9, 0.999)}),
        (Train(optimizer="adam", betas=(0.5, 0.9)), torch.optim.Adam, {"betas": (0.5, 0.9)}),
        (Train(optimizer="sgd"), torch.optim.SGD, {"momentum": 0.9, "nesterov": False}),
        (Train(optimizer="sgd", nesterov=True), torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
        (Train(optimizer="lars"), LARS, {"momentum": 0.9, "trust": 1e-3}),
        (Train(optimizer="adamw", nesterov=True), torch.optim.AdamW, {}),  # a paper's preset with another optimizer
    ],
)
def test_the_choice_makes_the_optimiser_it_names(train: Train, kind: type, wanted: dict[str, Any]) -> None:
    (found,) = Optimisers(task(), train).members
    assert type(found) is kind
    assert [g["weight_decay"] for g in found.param_groups] == [train.weight_decay, 0.0]
    for group in found.param_groups:
        assert group["lr"] == train.lr
        assert {name: group[name] for name in wanted} == wanted


def stepped(weight: Tensor, *gradients: list[Any], **knobs: float) -> Tensor:
    """The weight after a step for each gradient."""
    parameter = nn.Parameter(weight.clone())
    optimizer = LARS([parameter], **knobs)
    for gradient in gradients:
        parameter.grad = torch.tensor(gradient)
        optimizer.step()
    return parameter.detach()


def test_steps_of_lars_are_those_computed_by_hand() -> None:
    knobs = {"lr": 2.0, "momentum": 0.9, "weight_decay": 0.1, "trust": 0.01}
    weight, slope = torch.tensor([[3.0, 4.0]]), [[0.6, 0.8]]
    # ‖w‖ = 5, ‖g‖ = 1, so λ = 0.01 · 5 / (1 + 0.1 · 5) = 1/30, and v = 2 · 1/30 · (0.6 + 0.3, 0.8 + 0.4)
    torch.testing.assert_close(stepped(weight, slope, **knobs), torch.tensor([[3 - 0.06, 4 - 0.08]]))
    # then ‖w‖ = 4.9: v = 0.9 · (0.06, 0.08) + 2 · 0.049 / 1.49 · (0.6 + 0.294, 0.8 + 0.392) = (0.1128, 0.1504)
    wanted = torch.tensor([[3 - 0.06 - 0.1128, 4 - 0.08 - 0.1504]])
    torch.testing.assert_close(stepped(weight, slope, slope, **knobs), wanted)


def test_one_dimension_has_neither_scale_nor_decay() -> None:
    knobs = {"lr": 0.5, "momentum": 0.9, "weight_decay": 0.1}
    found = stepped(torch.tensor([3.0, 4.0]), [0.6, 0.8], [0.6, 0.8], **knobs)
    torch.testing.assert_close(found, torch.tensor([3 - 0.3 - (0.27 + 0.3), 4 - 0.4 - (0.36 + 0.4)]))


def test_zero_weights_and_zero_slopes_take_plain_steps() -> None:
    torch.testing.assert_close(stepped(torch.zeros(1, 2), [[0.6, 0.8]], lr=0.5), torch.tensor([[-0.3, -0.4]]))
    still = torch.tensor([[3.0, 4.0]])
    torch.testing.assert_close(stepped(still, [[0.0, 0.0]], lr=0.5), still)
    torch.testing.assert_close(stepped(still, [[0.0, 0.0]], lr=0.5, weight_decay=0.1), 0.95 * still)


def test_a_weight_without_gradient_stays_and_a_closure_is_called() -> None:
    moved, kept = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2, 2))
    optimizer = LARS([moved, kept], lr=1.0)

    def closure() -> float:
        loss = moved.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    assert optimizer.step(closure) == 4.0
    assert not torch.equal(moved, kept)
    assert torch.equal(kept, torch.ones(2, 2))


def trained(model: nn.Module, optimizer: torch.optim.Optimizer, *, first: int, last: int) -> Tensor:
    """All weights after steps `first` to `last` − 1, each with its own data."""
    for step in range(first, last):
        x = torch.randn(8, 5, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def fresh(seed: int) -> tuple[nn.Module, LARS]:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(5, 4), nn.LayerNorm(4), nn.Linear(4, 3))
    return model, LARS(model.parameters(), lr=1.0, weight_decay=1e-2)


def test_lars_resumes_from_its_state() -> None:
    model, optimizer = fresh(0)
    trained(model, optimizer, first=0, last=3)
    weights, state = copy.deepcopy((model.state_dict(), optimizer.state_dict()))
    again, resumed = fresh(1)
    again.load_state_dict(weights)
    resumed.load_state_dict(state)
    assert torch.equal(trained(again, resumed, first=3, last=6), trained(model, optimizer, first=3, last=6))


def test_lars_resumes_from_a_checkpoint() -> None:
    model, optimizer = fresh(0)
    before = copy.deepcopy(model.state_dict())
    get_state_dict(model, optimizer)  # which makes the state by a step of no length
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    trained(model, optimizer, first=0, last=3)
    weights, state = copy.deepcopy(get_state_dict(model, optimizer))
    again, resumed = fresh(1)
    set_state_dict(again, resumed, model_state_dict=weights, optim_state_dict=state)
    assert torch.equal(trained(again, resumed, first=3, last=6), trained(model, optimizer, first=3, last=6))


def test_lars_finds_the_minimum_of_a_quadratic() -> None:
    weight = nn.Parameter(torch.tensor([[4.0, -3.0], [2.0, 5.0]]))
    goal, steepness = torch.tensor([[1.0, 2.0], [-1.0, 3.0]]), torch.tensor([[1.0, 3.0], [10.0, 0.5]])
    optimizer = LARS([weight], lr=1.0, trust=0.1)

    def loss() -> Tensor:
        return (steepness * (weight - goal).square()).sum()

    before = float(loss().detach())
    for step in range(300):
        optimizer.param_groups[0]["lr"] = 1 - step / 300
        optimizer.zero_grad()
        loss().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert float(loss().detach()) < 1e-3 * before
    torch.testing.assert_close(weight.detach(), goal, rtol=0.05, atol=0.05)


def test_numbers_out_of_range_are_errors() -> None:
    weight = [nn.Parameter(torch.zeros(1, 1))]
    for knobs in ({"lr": -1.0}, {"lr": 1.0, "momentum": 1.0}, {"lr": 1.0, "trust": 0.0}):
        with pytest.raises(ValueError, match=r"lr .*momentum .*trust"):
            LARS(weight, **knobs)
