"""Contrast: values at chance, symmetries, policies pair by pair, the queue, and the slow copy."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from avssl.core import Clip, Example
from avssl.encoders import Projector, sound_vgg, tiny_resnet
from avssl.losses import InfoNCE, Margin, info_nce
from avssl.tasks import Contrast, Momentum, Queue, QueueMemory, Records, cross_modal, instances, synchronised


def views(batch: int, clips: int = 2, *, seed: int = 0, first: int = 0, sound: bool = False) -> Example:
    rng = torch.Generator().manual_seed(seed)
    made = tuple(
        Clip(
            video=torch.randint(0, 256, (batch, 1, 3, 16, 16), dtype=torch.uint8, generator=rng),
            audio=torch.randn(batch, 1, 4000, generator=rng) if sound else None,
        )
        for _ in range(clips)
    )
    return Example(clips=made, labels={}, parameters={}, index=torch.arange(first, first + batch))


def records(example: list[int], clip: list[int], modality: list[int], in_sync: list[int]) -> Records:
    columns = [torch.tensor(column) for column in (example, clip, modality, in_sync)]
    return Records(example=columns[0], clip=columns[1], modality=columns[2], labels={"in_sync": columns[3]})


def simclr(**knobs) -> Contrast:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    return Contrast(tiny_resnet(width=8, norm="group"), Projector(64, 16, norm="none"), **knobs)


# Two examples, two clips each, in video and sound; clip 0 of each is in sync.
ALL = records([0, 0, 1, 1] * 2, [0, 1] * 4, [0] * 4 + [1] * 4, [1, 0] * 4)


def test_policies_pair_by_pair() -> None:
    for i in range(8):
        for j in range(8):
            same = bool(ALL.example[i] == ALL.example[j])
            across = bool(ALL.modality[i] != ALL.modality[j])
            pair = same and across and bool(ALL.clip[i] == ALL.clip[j])
            sync = bool(ALL.labels["in_sync"][i])
            assert instances(ALL, ALL)[i, j] == (0 if i == j else 1 if same else -1)
            assert cross_modal(ALL, ALL)[i, j] == (0 if not across else 1 if same else -1)
            wanted = (1 if sync else -1) if pair else 0
            assert synchronised()(ALL, ALL)[i, j] == wanted
            assert synchronised(others="repel")(ALL, ALL)[i, j] == (-1 if across and not same else wanted)


def test_loss_of_the_task_is_the_loss_of_its_embeddings() -> None:
    task, batch = simclr(), views(4)
    z = [
        nn.functional.normalize(task.online.projectors["video"](task.encoders()["video"](c.video))) for c in batch.clips
    ]
    both = torch.cat(z)
    own = torch.arange(4).repeat(2)
    policy = torch.where(own[:, None] == own, 1, -1) - torch.eye(8, dtype=torch.long)
    torch.testing.assert_close(task(batch)["loss"], info_nce(both @ both.T, policy, temperature=0.1))


def test_embeddings_are_compared_in_full_precision_where_networks_are_not() -> None:
    task, batch = simclr(criterion=InfoNCE(0.01)), views(4)
    with torch.autocast("cpu", torch.bfloat16):
        found, z = task(batch)["loss"], task.online(batch.clips)
    own = torch.arange(4).repeat_interleave(2)
    policy = torch.where(own[:, None] == own, 1, -1) - torch.eye(8, dtype=torch.long)
    torch.testing.assert_close(found, info_nce(z @ z.T, policy, temperature=0.01), rtol=1e-5, atol=1e-6)


class Chance(nn.Module):
    """Embeddings in random directions of so many dimensions that all are about orthogonal."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.randn(
            *x.shape[:-1], 4096, generator=torch.Generator().manual_seed(int(1e6 * x.abs().sum()) % 2**31)
        )


def test_loss_at_chance_is_the_logarithm_of_the_candidates() -> None:
    encoder = tiny_resnet(width=8, norm="group")
    task = Contrast(encoder, Chance(), criterion=InfoNCE(1.0))
    assert float(task(views(12))["loss"]) == pytest.approx(math.log(2 * 12 - 1), abs=0.02)
    moco = Contrast(encoder, Chance(), criterion=InfoNCE(1.0), negatives=Queue(48, 4096), target=Momentum())
    for step in range(4):
        moco(views(12, seed=step, first=12 * step))
    assert float(moco(views(12, seed=9, first=100))["loss"]) == pytest.approx(math.log(48 + 1), abs=0.02)


def test_swapping_views_and_permuting_examples_changes_nothing() -> None:
    task, batch = simclr(), views(6)
    loss = task(batch)["loss"]
    swapped = Example(clips=batch.clips[::-1], labels={}, parameters={}, index=batch.index)
    torch.testing.assert_close(task(swapped)["loss"], loss, rtol=1e-4, atol=1e-5)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(1))
    clips = tuple(Clip(video=c.video[order]) for c in batch.clips if c.video is not None)
    permuted = Example(clips=clips, labels={}, parameters={}, index=batch.index[order])
    torch.testing.assert_close(task(permuted)["loss"], loss, rtol=1e-4, atol=1e-5)


def test_training_tells_examples_apart_and_spreads_them() -> None:
    task = simclr()
    base = views(8, 1).clips[0].video
    assert base is not None
    optimizer = torch.optim.AdamW(task.parameter_groups(), lr=3e-3)
    results = []
    for step in range(25):
        rng = torch.Generator().manual_seed(step)
        clips = tuple(
            Clip(video=(base / 255 + 0.1 * torch.rand(base.shape, generator=rng)).clamp(0, 1)) for _ in range(2)
        )
        result = task(Example(clips=clips, labels={}, parameters={}, index=torch.arange(8)))
        optimizer.zero_grad()
        result["loss"].backward()
        optimizer.step()
        results.append({name: float(value.detach()) for name, value in result.items()})
    assert results[-1]["loss"] < 0.5 * results[0]["loss"]
    assert results[-1]["accuracy"] == 1
    assert results[-1]["spread"] > results[0]["spread"]


def test_synchronised_margin_over_both_streams() -> None:
    task = Contrast(
        tiny_resnet(width=8),
        Projector(64, 16),
        sound=sound_vgg(width=8),
        sound_projector=Projector(64, 16),
        policy=synchronised(),
        criterion=Margin(),
    )
    batch = views(3, 2, sound=True)
    labelled = Example(clips=batch.clips, labels={"in_sync": torch.tensor([[1, 0], [0, 1], [1, 0]])}, parameters={},
                       index=batch.index)  # fmt: skip
    z = task.online(labelled.clips).detach()
    video, sound = z[:6].view(3, 2, -1), z[6:].view(3, 2, -1)
    distance = (video - sound).norm(dim=2)
    in_sync = labelled.labels["in_sync"] == 1
    wanted = torch.where(in_sync, distance**2, (0.99 - distance).clamp(min=0) ** 2).mean()
    result = task(labelled)
    torch.testing.assert_close(result["loss"].detach(), wanted, rtol=1e-4, atol=1e-5)
    result["loss"].backward()
    assert all(p.grad is not None for p in task.parameters())
    assert list(task.encoders()) == ["video", "sound"]


def test_cross_modal_needs_one_clip_only() -> None:
    task = Contrast(tiny_resnet(width=8), Projector(64, 16), sound=sound_vgg(width=8),
                    sound_projector=Projector(64, 16), policy=cross_modal)  # fmt: skip
    assert task(views(3, 1, sound=True))["loss"] > 0


def rows(values: list[int]) -> tuple[Tensor, Records]:
    n = len(values)
    about = records(values, [0] * n, [0] * n, [1] * n)
    return torch.tensor(values).float()[:, None].expand(n, 2), about


def test_the_queue_wraps_and_forgets_the_oldest() -> None:
    memory = QueueMemory(Queue(5, 2))
    assert not memory.entries().others.any()
    for values, kept, filled in (
        ([1, 2], {1, 2}, 2),
        ([3, 4], {1, 2, 3, 4}, 4),
        ([5, 6], {2, 3, 4, 5, 6}, 5),
        ([7, 8, 9, 10, 11, 12, 13], {9, 10, 11, 12, 13}, 5),
        ([14], {10, 11, 12, 13, 14}, 5),
    ):
        memory.push(*rows(values))
        found = memory.entries()
        embeddings, about, used = found.embeddings, found.about, found.others
        assert not found.own.any()
        assert int(used.sum()) == filled
        assert set(about.example[used].tolist()) == kept
        assert torch.equal(embeddings[used][:, 0].long(), about.example[used])
    labelled = QueueMemory(Queue(2, 2, labels=("in_sync",)))
    labelled.push(*rows([3]))
    assert labelled.entries().about.labels["in_sync"].tolist() == [1, 0]
    with pytest.raises(ValueError, match="size 3"):
        memory.push(torch.zeros(1, 3), rows([1])[1])


def test_the_queue_gives_negatives_that_are_filled_and_of_other_examples() -> None:
    task = simclr(negatives=Queue(10, 16), target=Momentum())
    first = task(views(4))
    assert float(first["loss"].detach()) == 0  # one positive, and nothing to tell it from
    assert float(task(views(4))["loss"].detach()) > 0
    alone = simclr(negatives=Queue(10, 16), target=Momentum())
    for _ in range(3):
        assert float(alone(views(1))["loss"].detach()) == 0  # the queue holds earlier embeddings of itself only
    task.eval()
    before = task.memory.state_dict()
    before = {name: value.clone() for name, value in before.items()}
    task(views(4, seed=5))
    assert all(torch.equal(before[name], value) for name, value in task.memory.state_dict().items())


@pytest.mark.parametrize("symmetric", [True, False])
def test_the_slow_copy_follows_and_gets_no_gradient(symmetric: bool) -> None:
    task = simclr(negatives=Queue(16, 16, with_batch=True), target=Momentum(0.75), symmetric=symmetric)
    assert task.target is not None
    with torch.no_grad():
        for p in task.online.parameters():
            p.add_(0.01 * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())))
    slow = [p.clone() for p in task.target.parameters()]
    task(views(4))["loss"].backward()
    assert all(p.grad is None and not p.requires_grad for p in task.target.parameters())
    assert all(p.grad is not None and bool(p.grad.any()) for p in task.online.parameters() if p.ndim > 1)
    assert all(torch.equal(p, s) for p, s in zip(task.target.parameters(), slow, strict=True))
    task.after_step(0.5)
    for p, s, fast in zip(task.target.parameters(), slow, task.online.parameters(), strict=True):
        torch.testing.assert_close(p, 0.75 * s + 0.25 * fast)
    trained = {id(p) for g in task.parameter_groups() for p in g["params"]}
    assert trained == {id(p) for p in task.online.parameters()}
    assert int(task.memory.filled) == (8 if symmetric else 4)


def test_decay_goes_along_a_cosine() -> None:
    momentum = Momentum(0.9, final=1.0)
    assert [momentum.at(p) for p in (0.0, 0.5, 1.0)] == pytest.approx([0.9, 0.95, 1.0])
    assert Momentum(0.9).at(0.7) == 0.9


def test_errors_name_the_value() -> None:
    with pytest.raises(ValueError, match="two clips"):
        simclr()(views(4, 1))
    with pytest.raises(ValueError, match="two clips"):
        simclr(target=Momentum())(views(4, 1))
    with pytest.raises(ValueError, match="both or neither"):
        simclr(sound=sound_vgg(width=8))
    with pytest.raises(ValueError, match=r"'in_sync'.*\[\]"):
        simclr(policy=synchronised())(views(4))
    with pytest.raises(ValueError, match=r"decay 1\.5"):
        Momentum(1.5)
