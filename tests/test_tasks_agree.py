"""Agree: values of unrelated embeddings, the formula with its stopped gradients, the slow copy, and collapse."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avssl.core import Clip, Example
from avssl.encoders import FrameEncoder, Origin, Projector, Trunk
from avssl.evaluation import Health, collapsed, health
from avssl.losses import negative_cosine, spread, unit_distance
from avssl.tasks import Agree, Momentum, SlowCopy
from avssl.training import Train
from avssl.training.optimisers import Optimisers


def one_layer() -> FrameEncoder:
    """48 features of pictures of 8 × 8 pixels."""
    net = nn.Sequential()
    net.add_module("conv", nn.Sequential(nn.Conv2d(3, 48, 8), nn.ReLU()))
    return FrameEncoder(Trunk(net=net, stages={"conv": ("conv",)}, dim=48), origin=Origin.of(one_layer, {}))


def task_of(norm: str = "batch", **knobs) -> Agree:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    projector = Projector(48, 32, hidden=64, norm=norm)  # type: ignore[arg-type]
    return Agree(one_layer(), projector, Projector(32, 32, hidden=16, norm=norm), **knobs)  # type: ignore[arg-type]


def views(count: int = 2, *, batch: int = 6, noise: float = 1.0, seed: int = 0) -> Example:
    """Views of the same pictures, each with noise of its own."""
    base = torch.rand(batch, 1, 3, 8, 8, generator=torch.Generator().manual_seed(99))
    rng = torch.Generator().manual_seed(seed)
    clips = tuple(Clip(video=(base + noise * torch.randn(base.shape, generator=rng)).clamp(0, 1)) for _ in range(count))
    return Example(clips=clips, labels={}, parameters={}, index=torch.arange(batch))


def test_unrelated_embeddings_are_orthogonal_and_equal_ones_agree() -> None:
    rng = torch.Generator().manual_seed(0)
    a, b = (torch.randn(256, 512, generator=rng) for _ in range(2))
    error = 4 / math.sqrt(256 * 512)
    assert float(negative_cosine(a, b)) == pytest.approx(0, abs=error)
    assert float(unit_distance(a, b)) == pytest.approx(2, abs=2 * error)
    assert float(negative_cosine(a, 3 * a)) == pytest.approx(-1)
    assert float(unit_distance(a, 3 * a)) == pytest.approx(0, abs=1e-6)
    x, y = F.normalize(a, dim=1), F.normalize(b, dim=1)
    torch.testing.assert_close(unit_distance(a, b), (x - y).square().sum(dim=1).mean())


def test_spread_is_one_of_the_whole_sphere_and_nothing_of_a_point() -> None:
    x = torch.randn(1024, 16, generator=torch.Generator().manual_seed(0))
    assert float(spread(x)) == pytest.approx(1, abs=0.02)
    assert float(spread(torch.ones(5, 16) * torch.arange(1, 6)[:, None])) == pytest.approx(0, abs=1e-3)
    assert float(spread(x)) == pytest.approx(health(x.numpy()).deviation, abs=0.02)  # the detector's own number


@pytest.mark.parametrize("stop", [True, False])
@pytest.mark.parametrize("count", [2, 3])
def test_loss_and_gradients_are_those_of_the_formula(stop: bool, count: int) -> None:
    task, batch = task_of("none", stop_gradient=stop), views(count)
    z = [task.online.projector(task.online.encoder(clip.video)) for clip in batch.clips]
    wanted = torch.zeros(())
    for i, z_i in enumerate(z):
        for j, z_j in enumerate(z):
            if i != j:
                p, t = F.normalize(task.predictor(z_i)), F.normalize(z_j.detach() if stop else z_j)
                wanted = wanted - (p * t).sum(dim=1).mean() / (count * (count - 1))
    result = task(batch)["loss"]
    torch.testing.assert_close(result, wanted)
    parameters = list(task.parameters())
    for a, b in zip(torch.autograd.grad(result, parameters), torch.autograd.grad(wanted, parameters), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-7)


def test_a_slow_copy_is_answered_and_follows_without_gradients() -> None:
    task, batch = task_of("none", criterion=unit_distance, target=Momentum(0.9, final=1.0)), views()
    assert isinstance(task.slow, SlowCopy)
    with torch.no_grad():
        for p in task.slow.copy.parameters():
            p.add_(0.1)
    first, second = (clip.video for clip in batch.clips)
    online, slow = (lambda m: lambda x: m.projector(m.encoder(x)))(task.online), task.slow.copy
    wanted = [
        (F.normalize(task.predictor(online(a))) - F.normalize(slow.projector(slow.encoder(b)))).square().sum(1).mean()
        for a, b in ((first, second), (second, first))
    ]
    loss = task(batch)["loss"]
    torch.testing.assert_close(loss, sum(wanted) / 2)
    loss.backward()
    assert all(p.grad is None for p in task.slow.parameters())
    assert all(p.grad is not None for p in (*task.online.parameters(), *task.predictor.parameters()))
    before = [p.clone() for p in slow.parameters()]
    task.after_step(1.0)
    assert all(torch.equal(a, b) for a, b in zip(before, slow.parameters(), strict=True))
    task.after_step(0.0)
    for old, p, fast in zip(before, slow.parameters(), task.online.parameters(), strict=True):
        torch.testing.assert_close(p, 0.9 * old + 0.1 * fast)
    task.before_training()
    assert all(torch.equal(a, b) for a, b in zip(slow.parameters(), task.online.parameters(), strict=True))


def test_a_steady_predictor_keeps_its_rate_and_decay_spares_its_biases() -> None:
    task = task_of(steady_predictor=True)
    optimisers = Optimisers(task, Train(optimizer="sgd", lr=0.1, weight_decay=0.5))
    optimisers.set_rate(0.01)
    predictor = {id(p) for p in task.predictor.parameters()}
    seen = set()
    for group in (g for member in optimisers.members for g in member.param_groups):
        for p in group["params"]:
            assert group["lr"] == (0.1 if id(p) in predictor else 0.01)
            assert group["weight_decay"] == (0.5 if p.ndim > 1 else 0.0)
            seen.add(id(p))
    assert seen == {id(p) for p in task.parameters()}


def embeddings(task: Agree) -> Health:
    """Of the pictures without noise."""
    task.eval()
    with torch.no_grad():
        z: Tensor = task.online(views(1, batch=16, noise=0).clips)
    task.train()
    return health(z[:, 0].numpy().astype(np.float64))


@pytest.mark.parametrize("method", ["simsiam", "byol", "no stop-gradient"])
def test_embeddings_collapse_without_the_stopped_gradient_and_only_then(method: str) -> None:
    knobs = {
        "byol": {"criterion": unit_distance, "target": Momentum(0.9)},
        "no stop-gradient": {"stop_gradient": False},
    }
    task = task_of(**knobs.get(method, {}))
    before = embeddings(task)
    optimizer = torch.optim.Adam(task.parameter_groups(), lr=0.1)
    for step in range(150):
        found = task(views(batch=16, noise=0.3, seed=step))
        optimizer.zero_grad()
        found["loss"].backward()
        optimizer.step()
        task.after_step(step / 150)
    after = embeddings(task)
    assert before.effective_rank > 10
    if method == "no stop-gradient":
        assert collapsed(after, before) is not None
        assert float(found["loss"].detach()) < -0.99
        assert float(found["spread"]) < 0.1
    else:
        assert collapsed(after, before) is None
        assert after.effective_rank > 6
        assert float(found["spread"]) > 0.8


def test_simsiams_output_is_normalised_and_its_last_layer_has_no_bias() -> None:
    projector = Projector(8, 4, normed_output=True)
    x = 5 + 3 * torch.randn(64, 2, 8, generator=torch.Generator().manual_seed(0))
    y = projector(x).flatten(0, 1)
    torch.testing.assert_close(y.mean(dim=0), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(y.std(dim=0, correction=0), torch.ones(4), atol=1e-3, rtol=0)
    assert [name for name, _ in projector.named_parameters()] == [
        f"layers.{n}" for n in ("0.weight", "1.weight", "1.bias", "3.weight")
    ]


def test_errors_name_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="two clips"):
        task_of()(views(1))
    with pytest.raises(ValueError, match="stop_gradient False"):
        task_of(target=Momentum(), stop_gradient=False)
