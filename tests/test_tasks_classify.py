"""Classify: what it may learn it learns, what it cannot know stays at chance, and labels fit answers."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from avssl.core import Clip, Example
from avssl.encoders import ConcatHead, EachHead, FusionHead, PairwiseHead, sound_vgg, tiny_r2plus1d, tiny_resnet
from avssl.tasks import Classify


def batch_of(videos: list[Tensor], labels: Mapping[str, Tensor], sounds: list[Tensor] | None = None) -> Example:
    audio = sounds or [None] * len(videos)
    clips = tuple(Clip(video=v, audio=a) for v, a in zip(videos, audio, strict=True))
    return Example(clips=clips, labels=labels, parameters={}, index=torch.arange(len(videos[0])))


def noise(seed: int, batch: int = 16, clips: int = 2, side: int = 16) -> list[Tensor]:
    rng = torch.Generator().manual_seed(seed)
    shape = (batch, 4, 3, side, side)
    return [torch.randint(0, 256, shape, dtype=torch.uint8, generator=rng) for _ in range(clips)]


def train(task: Classify, batches: list[Example], steps: int) -> None:
    optimizer = torch.optim.AdamW(task.parameter_groups(), lr=3e-3, weight_decay=1e-4)
    task.train()
    for step in range(steps):
        optimizer.zero_grad()
        task(batches[step % len(batches)])["loss"].backward()
        optimizer.step()


@pytest.mark.parametrize(("classes", "clips"), [(2, 1), (6, 3), (12, 4)])
def test_loss_at_the_start_is_the_logarithm_of_the_classes(classes: int, clips: int) -> None:
    torch.manual_seed(0)
    encoder = tiny_r2plus1d(width=8)
    head = ConcatHead(encoder.dim, classes, clips=clips) if clips < 2 else PairwiseHead(64, classes, clips=clips)
    labels = torch.arange(32) % classes
    result = Classify(encoder, head)(batch_of(noise(0, 32, clips), {"order": labels}))
    assert float(result["loss"].detach()) == pytest.approx(math.log(classes), rel=0.15)
    assert set(result) == {"loss", "accuracy"}
    assert result["loss"].requires_grad
    assert not result["accuracy"].requires_grad


def planted(seed: int, *, brighter: bool) -> Example:
    """Noise in two clips; with `brighter` the first is brighter where the label is 1."""
    videos = noise(seed)
    label = torch.randint(0, 2, (16,), generator=torch.Generator().manual_seed(seed + 1000))
    if brighter:
        first = torch.where(label.view(-1, 1, 1, 1, 1) == 1, videos[0] // 2 + 127, videos[0] // 2)
        videos = [first.to(torch.uint8), (videos[1] // 2) + 64]
    return batch_of(videos, {"order": label})


def test_a_planted_signal_is_learnt_and_noise_stays_at_chance() -> None:
    accuracy = {}
    for brighter in (True, False):
        torch.manual_seed(0)
        task = Classify(tiny_resnet(width=8, norm="group"), ConcatHead(64, 2, clips=2))
        train(task, [planted(seed, brighter=brighter) for seed in range(6)], 24)
        with torch.no_grad():
            held_out = [task.eval()(planted(seed, brighter=brighter))["accuracy"] for seed in range(100, 116)]
        accuracy[brighter] = float(torch.stack(held_out).mean())
    assert accuracy[True] > 0.95
    assert abs(accuracy[False] - 0.5) < 3 * 0.5 / math.sqrt(16 * 16)


def test_answers_for_each_clip_use_the_labels_in_their_order() -> None:
    class First(EachHead):
        """Looks at nothing but the mean of the features."""

        def forward(self, x: Tensor) -> Tensor:
            s = torch.arange(x.shape[1]).expand(x.shape[:2])
            return 20.0 * torch.nn.functional.one_hot(s, 4) + 0 * x.sum()

    task = Classify(tiny_resnet(width=8), First(64, 4), label="rotation")
    right = torch.arange(4).expand(2, 4)
    videos = noise(0, 2, 4)
    assert float(task(batch_of(videos, {"rotation": right}))["accuracy"]) == 1
    assert float(task(batch_of(videos, {"rotation": right.flip(1)}))["accuracy"]) == 0


@pytest.mark.parametrize("shape", [(16,), (16, 1)])
def test_one_clip_takes_a_label_of_either_shape(shape: tuple[int, ...]) -> None:
    task = Classify(tiny_resnet(width=8), EachHead(64, 4), label="pace")
    assert task(batch_of(noise(0, 16, 1), {"pace": torch.zeros(shape, dtype=torch.long)}))["loss"] > 0


@pytest.mark.parametrize("over_time", [True, False])
def test_two_streams_both_get_gradients(over_time: bool) -> None:
    video, sound = tiny_r2plus1d(width=8), sound_vgg(width=8)
    head = FusionHead(64, 64, width=16) if over_time else EachHead(128, 2)
    task = Classify(video, head, label="in_sync", sound=sound)
    sounds = [torch.randn(2, 1, 4000), torch.randn(2, 1, 4000)]
    task(batch_of(noise(0, 2, 2), {"in_sync": torch.tensor([[1, 0], [0, 1]])}, sounds))["loss"].backward()
    assert all(p.grad is not None for p in task.parameters())
    assert task.encoders() == {"video": video, "sound": sound}


def test_sound_alone() -> None:
    encoder = sound_vgg(width=8)
    task = Classify(encoder, ConcatHead(64, 2, clips=1))
    clip = Clip(audio=torch.randn(3, 1, 4000))
    batch = Example(clips=(clip,), labels={"order": torch.tensor([0, 1, 0])}, parameters={}, index=torch.arange(3))
    assert task(batch)["loss"].isfinite()
    assert task.encoders() == {"sound": encoder}


def test_clips_of_several_sizes_are_encoded_one_by_one() -> None:
    task = Classify(tiny_resnet(width=8, norm="group"), ConcatHead(64, 2, clips=2)).eval()
    small, large = noise(0, 2, 1, 16)[0], noise(1, 2, 1, 24)[0]
    batch = batch_of([small, large], {"order": torch.tensor([0, 1])})
    x = torch.stack((task.encoder(small), task.encoder(large)), dim=1)
    torch.testing.assert_close(task.logits(batch), task.head(x))


def test_groups_hold_every_parameter_once_and_decay_weights_only() -> None:
    task = Classify(tiny_r2plus1d(width=8), ConcatHead(64, 2))
    weights, others = task.parameter_groups()
    assert others["weight_decay"] == 0
    assert "weight_decay" not in weights
    assert {id(p) for p in task.parameters()} == {id(p) for g in (weights, others) for p in g["params"]}
    assert all(p.ndim > 1 for p in weights["params"])
    norms = [p for m in task.modules() if isinstance(m, torch.nn.BatchNorm3d) for p in m.parameters()]
    assert {id(p) for p in norms} <= {id(p) for p in others["params"]}


def test_errors_name_the_value() -> None:
    task = Classify(tiny_resnet(width=8), EachHead(64, 4), label="pace")
    with pytest.raises(ValueError, match=r"'pace'.*'order'"):
        task(batch_of(noise(0, 2, 1), {"order": torch.zeros(2)}))
    with pytest.raises(ValueError, match=r"\(2,\).*\(2, 2\)"):
        task(batch_of(noise(0, 2, 2), {"pace": torch.zeros(2)}))
    with pytest.raises(ValueError, match="has sound"):
        Classify(sound_vgg(width=8), EachHead(64, 4))(batch_of(noise(0, 2, 1), {"order": torch.zeros(2)}))
    with pytest.raises(ValueError, match="encoder of sound with sound encoder of video"):
        Classify(sound_vgg(width=8), EachHead(64, 4), sound=tiny_resnet(width=8))
