"""Cluster: k-means finds what is planted, who teaches whom, heads drawn anew, even visits, and a cross-modal signal."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from sklearn.metrics import normalized_mutual_info_score
from torch import Tensor, nn
from torch.nn import functional as F

from avssl.core import Clip, Example, generator
from avssl.encoders import Encoder, FrameEncoder, Modality, Origin, Trunk
from avssl.tasks import Cluster, Features, KMeans
from avssl.tasks.clustering import Clustering, evenly

ITEMS = 64


class Hearing(Encoder):
    """A linear layer over the samples themselves."""

    modality: ClassVar[Modality] = "sound"

    def prepare(self, x: Tensor) -> Tensor:
        return x[:, 0]

    def maps(self, y: Tensor, x: Tensor) -> Tensor:
        return y[:, :, None, None]


def sees() -> FrameEncoder:
    net = nn.Sequential()
    net.add_module("conv", nn.Sequential(nn.Conv2d(3, 16, 4), nn.ReLU()))
    return FrameEncoder(Trunk(net=net, stages={"conv": ("conv",)}, dim=16), origin=Origin.of(sees, {}))


def hears() -> Hearing:
    net = nn.Sequential()
    net.add_module("full", nn.Sequential(nn.Linear(8, 16), nn.ReLU()))
    return Hearing(Trunk(net=net, stages={"full": ("full",)}, dim=16), origin=Origin.of(hears, {}))


def world(seed: int = 0, first: int = 0) -> tuple[Example, Tensor]:
    """Items of two kinds, plainly heard, and little seen beside what else differs between them."""
    rng = torch.Generator().manual_seed(seed)
    kind, other = (torch.randint(2, (ITEMS,), generator=rng) for _ in range(2))
    patterns = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(99))
    sign, loud = (2.0 * x.float()[:, None, None, None] - 1 for x in (kind, other))
    seen = 0.5 + 0.05 * sign * patterns[0] + 0.15 * loud * patterns[1]
    seen = seen + 0.02 * torch.randn(seen.shape, generator=rng)
    tone = torch.randn(8, generator=torch.Generator().manual_seed(98))
    heard = sign[:, 0, 0] * tone + 0.3 * torch.randn(ITEMS, 8, generator=rng)
    clip = Clip(video=seen[:, None], audio=heard[:, None])
    index = torch.arange(first, first + ITEMS)
    return Example(clips=(clip,), labels={}, parameters={}, index=index), kind


CROSSED: dict[Modality, Modality] = {"video": "sound", "sound": "video"}


def task_of(**knobs: Any) -> Cluster:
    torch.manual_seed(0)
    settings: dict[str, Any] = {"clusters": KMeans(clusters=2, components=4), "items": ITEMS, "teachers": CROSSED}
    return Cluster(sees(), sound=hears(), **settings | knobs)


def pass_over(task: Cluster, batch: Example) -> Callable[[], Features]:
    def everything() -> Features:
        with torch.no_grad():
            return Features(index=batch.index, vectors={n: v.float() for n, v in task.embed(batch).items()})

    return everything


def blobs(count: int = 60) -> tuple[Tensor, Tensor]:
    """Four groups, told by two directions among eight, of which another has by far the largest numbers."""
    rng = torch.Generator().manual_seed(0)
    kind = torch.arange(count) % 4
    x = 0.05 * torch.randn(count, 8, generator=rng)
    x[:, 0] += (kind % 2).float() * 2 - 1
    x[:, 1] += (kind // 2).float() * 2 - 1
    x[:, 2] = 1e-7 * x[:, 2]
    return 5 + x, kind


def test_k_means_finds_planted_groups_and_keeps_them_by_number() -> None:
    x, kind = blobs()
    numbers = torch.arange(60) * 2  # as where other items have the numbers between
    found = Clustering(KMeans(clusters=4, components=2), items=130, dim=8)
    found.renew(numbers, x, seed=1)
    assert normalized_mutual_info_score(kind.numpy(), found.of(numbers).numpy()) == pytest.approx(1)
    assert found.of(numbers + 1).eq(-1).all()
    assert found.of(torch.tensor([129, 130, 10**6])).tolist() == [-1, -1, -1]
    assert torch.equal(found.nearest(x), found.of(numbers))  # what decides of new items decides alike of these
    assert (float(found.used), float(found.nmi)) == (4, 0)
    again = Clustering(KMeans(clusters=4, components=2), items=130, dim=8)
    again.load_state_dict(found.state_dict())
    again.renew(numbers, x, seed=2)
    assert float(again.nmi) == pytest.approx(1)
    assert not torch.equal(again.assigned, found.assigned)  # the same groups by other names
    found.renew(numbers, x, seed=2)
    assert torch.equal(again.assigned, found.assigned)


def test_features_are_whitened_and_constant_directions_are_left_out() -> None:
    x, _ = blobs()
    found = Clustering(KMeans(clusters=4, components=8), items=60, dim=8)
    found.renew(torch.arange(60), x, seed=0)
    white = (x - found.shift) @ found.turn
    covariance = torch.cov(white.T)
    torch.testing.assert_close(covariance[:7, :7], torch.eye(7), atol=1e-3, rtol=0)
    assert white[:, 7].eq(0).all()


def test_equal_items_give_fewer_clusters_and_the_others_stay_empty() -> None:
    found = Clustering(KMeans(clusters=5), items=20, dim=3)
    found.renew(torch.arange(20), torch.eye(3)[torch.arange(20) % 3], seed=0)
    assert float(found.used) == 3
    order = evenly(found.assigned.numpy(), generator(0))
    assert len(order) == 20


@pytest.mark.parametrize("seed", range(5))
def test_visits_are_even_over_clusters_and_over_the_items_of_each(seed: int) -> None:
    rng = np.random.default_rng(seed)
    assigned = rng.choice(6, size=200, p=[0.6, 0.2, 0.1, 0.06, 0.04, 0.0])
    assigned[:10] = -1
    visits = np.array(evenly(assigned, generator(seed)))
    assert len(visits) == 200
    used = np.unique(assigned[assigned >= 0])
    counts = [int((assigned[visits] == k).sum()) for k in used]
    assert sum(counts) == 200  # and none without a cluster
    assert max(counts) - min(counts) <= len(used)
    for k in used:
        of_each = np.bincount(visits, minlength=200)[assigned == k]
        assert of_each.max() - of_each.min() <= 2
    assert evenly(assigned, generator(seed)) == visits.tolist()
    assert evenly(assigned, generator(seed, 1)) != visits.tolist()


def test_each_stream_is_taught_the_clusters_of_its_teacher_by_cross_entropy() -> None:
    batch, _ = world()
    for cross in (True, False):
        task = task_of(teachers=CROSSED if cross else None)
        task.before_epoch(0, pass_over(task, batch))
        result = task(batch)
        wanted, hits = torch.zeros(()), []
        for pupil, other in (("video", "sound"), ("sound", "video")):
            logits = task.heads[pupil](task.embed(batch)[pupil])
            labels = task.clusters[other if cross else pupil].assigned
            wanted = wanted + F.cross_entropy(logits, labels)
            hits.append((logits.argmax(dim=1) == labels).float().mean())
        torch.testing.assert_close(result["loss"], wanted)
        torch.testing.assert_close(result["accuracy"], sum(hits) / 2)
        assert {"video clusters", "video nmi", "sound clusters", "sound nmi"} <= result.keys()
        result["loss"].backward()
        assert all(p.grad is not None for p in task.parameters())


def test_loss_at_initialisation_is_the_logarithm_of_the_clusters() -> None:
    batch, _ = world()
    task = task_of(clusters=KMeans(clusters=16, components=4))
    task.before_epoch(0, pass_over(task, batch))
    assert float(task(batch)["loss"].detach()) == pytest.approx(2 * math.log(16), abs=0.05)


def test_an_item_without_a_cluster_weighs_nothing_while_training() -> None:
    batch, _ = world()
    task = task_of()
    task.before_epoch(0, pass_over(task, batch))
    task.clusters["sound"].assigned[:40] = -1
    task.clusters["video"].assigned[:40] = -1
    rest = Example(
        clips=(Clip(video=batch.clips[0].video[40:], audio=batch.clips[0].audio[40:]),),
        labels={},
        parameters={},
        index=batch.index[40:],
    )
    torch.testing.assert_close(task(batch)["loss"], task(rest)["loss"])
    torch.testing.assert_close(task(batch)["accuracy"], task(rest)["accuracy"])
    task.clusters["sound"].assigned.fill_(-1)
    task.clusters["video"].assigned.fill_(-1)
    assert float(task(batch)["loss"].detach()) == 0


def test_heads_are_drawn_anew_with_the_clusters_and_told() -> None:
    batch, _ = world()
    task = task_of(every=3)
    with torch.no_grad():
        for p in task.heads.parameters():
            p.fill_(7.0)
    assert task.before_epoch(1, pass_over(task, batch)) == ()
    assert all(p.eq(7).all() for p in task.heads.parameters())
    told = task.before_epoch(3, pass_over(task, batch))
    assert {id(p) for p in told} == {id(p) for p in task.heads.parameters()}
    for p in told:
        assert float(p.detach().std()) == pytest.approx(0.01 if p.ndim > 1 else 0, abs=0.005)


def test_order_is_even_over_the_clusters_asked_for_by_the_items_numbers() -> None:
    task = task_of(even="sound", items=3 * ITEMS)
    numbers = range(1, 2 * ITEMS, 2)
    task.clusters["sound"].assigned[torch.tensor(numbers)] = (torch.arange(ITEMS) < 8).long()
    visits = np.array(task.order(numbers, generator(0)))
    assert abs(int((visits < 8).sum()) - ITEMS // 2) <= 1
    assert task_of().order(numbers, generator(0)) is None


def train(task: Cluster, batch: Example, *, epochs: int = 5, steps: int = 20) -> None:
    optimizer = torch.optim.Adam(task.parameters(), lr=0.03)
    for epoch in range(epochs):
        task.before_epoch(epoch, pass_over(task, batch))
        for _ in range(steps):
            optimizer.zero_grad()
            task(batch)["loss"].backward()
            optimizer.step()


@torch.no_grad()
def shared(task: Cluster, batch: Example, kind: Tensor) -> float:
    """How much clusters of video tell of the kind."""
    found = Clustering(KMeans(clusters=2, components=1), items=ITEMS, dim=16)
    found.renew(batch.index, task.embed(batch)["video"], seed=0)
    return float(normalized_mutual_info_score(kind.numpy(), found.assigned.numpy()))


@pytest.mark.parametrize("teacher", ["sound", "video"])
def test_what_is_heard_is_found_in_what_is_seen_if_sound_teaches_and_only_then(teacher: Modality) -> None:
    batch, kind = world()
    task = task_of(teachers={"video": teacher, "sound": "sound"}, clusters=KMeans(clusters=2, components=1))
    assert shared(task, batch, kind) < 0.1
    train(task, batch)
    task.eval()
    with torch.no_grad():
        new = task(world(seed=1, first=ITEMS)[0])  # items that have never been clustered
    assert float(new["accuracy"]) > 0.9
    assert (shared(task, batch, kind) > 0.8) == (teacher == "sound")


def test_held_out_items_have_no_clusters_before_there_are_any() -> None:
    batch, _ = world()
    task = task_of()
    task.eval()
    with torch.no_grad():
        result = task(batch)
    assert result.keys() == {"loss", "accuracy"}
    assert (float(result["loss"]), float(result["accuracy"])) == (0, 0)


def test_errors_name_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="100 clusters of 64 items"):
        task_of(clusters=KMeans(clusters=100))
    found = Clustering(KMeans(clusters=10), items=20, dim=3)
    with pytest.raises(ValueError, match="10 clusters of 5 items that could be read"):
        found.renew(torch.arange(5), torch.randn(5, 3), seed=0)
    with pytest.raises(ValueError, match="clusters 1"):
        KMeans(clusters=1)
    with pytest.raises(ValueError, match="every 0"):
        task_of(every=0)
    with pytest.raises(ValueError, match="even 'smell'"):
        task_of(even="smell")
    with pytest.raises(ValueError, match=r"teachers \{'video': 'sound'\}"):
        Cluster(sees(), items=9, clusters=KMeans(clusters=2), teachers={"video": "sound"})
    with pytest.raises(ValueError, match="video first"):
        Cluster(hears(), sound=hears(), items=9, clusters=KMeans(clusters=2))
