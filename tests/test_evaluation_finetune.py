"""Protocols that train on clips: their numbers, what they cut, how they average, and that they learn labels."""

import csv
import importlib.util
import json
import math
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import tyro
from media_files import Film, write
from safetensors.torch import load_file
from torch import Tensor, nn

from avssl.core import Clip, Example, MediaError, MediaInfo, generator
from avssl.data import Item, catalogue, collate
from avssl.encoders import Encoder, c3d, load_encoder, save_encoder, tiny_r2plus1d, tiny_resnet, tiny_sound
from avssl.evaluation import (
    ClipProtocol,
    ClipProtocols,
    FineTune,
    LinearClipProtocols,
    Recogniser,
    Split,
    Unscorable,
    apply_recogniser,
    fine_tune,
    load_recogniser,
    read_scores,
    shortened,
)
from avssl.evaluation.answers import Labelled
from avssl.evaluation.finetune.choice import parts_of
from avssl.evaluation.finetune.once import Training
from avssl.evaluation.finetune.recogniser import check_fits
from avssl.evaluation.finetune.task import Recognise, mixed
from avssl.evaluation.finetune.testing import averaged, recognise, test_clips, training_clips
from avssl.evaluation.finetune.training import Selection, held_out, train_choice
from avssl.samplers import RandomClips, SlidingClips
from avssl.training import Train
from avssl.training.optimisers import Optimisers
from avssl.training.schedules import rate
from avssl.transforms import FiveCrop

TINY = ClipProtocol(
    name="tiny",
    source="made up for these tests",
    frames=4,
    size=16,
    batch_size=8,
    epochs=6,
    optimizer="adamw",
    lr=1e-2,
    weight_decay=0.0,
    test_clips=2,
)
COLOURS = {"red": (200, 60, 60), "blue": (60, 60, 200)}


def film(path: Path, colour: tuple[int, int, int], seed: int, frames: int = 12) -> Path:
    """Noise around a colour."""
    rng = np.random.default_rng(seed)
    pictures = [np.clip(rng.normal(colour, 40, (24, 32, 3)), 0, 255).astype(np.uint8) for _ in range(frames)]
    return write(path, Film(frames=frames, height=24, width=32, pictures=pictures, codec="mpeg4"))


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 films to train and 32 to test, two of a group; `noise` is a label that nothing in them tells."""
    folder = tmp_path_factory.mktemp("films")
    noise = ["a", "b"] * 28
    np.random.default_rng(3).shuffle(noise)
    with (folder / "all.csv").open("w", newline="") as f:
        out = csv.writer(f)
        out.writerow(["path", "label", "noise", "split", "group", "fold", "room"])
        for n in range(56):
            name, split = ("red", "blue")[n % 2], "train" if n < 24 else "test"
            film(folder / f"{n}.mp4", COLOURS[name], n)
            out.writerow([f"{n}.mp4", name, noise[n], split, f"g{n // 2}", n % 4 // 2, f"r{n // 6}"])
    return folder / "all.csv"


@pytest.fixture(scope="module")
def items(manifest: Path) -> tuple[Item, ...]:
    return catalogue(manifest).items


@pytest.fixture
def encoder() -> Encoder:
    return tiny_r2plus1d(width=8)


@pytest.fixture(scope="module")
def tool() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("tool", Path(__file__).parent.parent / "tools" / "finetune.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["tool"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["tool"]


# the numbers of the papers

TABLE: dict[str, dict[str, Any]] = {
    "vcop": {
        "frames": 16, "size": 112, "step": 1, "clips": 1, "test_clips": 10, "test_crops": 1, "epochs": 150,
        "optimizer": "sgd", "lr": 1e-3, "trunk_lr": 1.0, "weight_decay": 5e-4, "batch_size": 8, "schedule": "constant",
        "choose_epoch": True, "average": "softmax",
    },
    "coclr": {
        "frames": 32, "size": 128, "step": 1, "clips": 1, "test_clips": None, "test_crops": 10, "epochs": 500,
        "optimizer": "adam", "lr": 1e-3, "trunk_lr": 0.1, "weight_decay": 1e-3, "milestones": (400, 450), "gamma": 0.1,
        "dropout": 0.9, "average": "softmax",
    },
    "avid": {
        "frames": 32, "rate": 16.0, "size": 224, "clips": 5, "test_clips": 10, "test_crops": 1, "epochs": 16,
        "head_first": 5, "optimizer": "adam", "lr": 1e-4, "milestones": (6, 10, 14), "gamma": 0.3, "batch_size": 32,
        "weight_decay": 0.0, "average": "softmax",
    },
    "gdt": {
        "frames": 32, "size": 112, "clips": 10, "test_clips": 10, "test_crops": 3, "epochs": 12, "optimizer": "sgd",
        "lr": 2.5e-3, "trunk_lr": 0.1, "gamma": 0.05, "milestones": (6, 10), "warmup": 2, "weight_decay": 5e-3,
    },
    "videomae": {
        "frames": 16, "size": 224, "step": 4, "clips": 2, "together": True, "test_clips": 5, "test_crops": 3,
        "epochs": 100, "optimizer": "adamw", "lr": 5e-4, "lr_per": 256, "layer_decay": 0.7, "weight_decay": 0.05,
    },
    "videomae_hmdb": {
        "step": 2, "test_clips": 10, "test_crops": 3, "epochs": 50, "lr": 1e-3, "layer_decay": 0.7,
    },
    "severe": {
        "frames": 32, "rate": 16.0, "size": 112, "clips": 10, "test_clips": 10, "test_crops": 1, "epochs": 16,
        "optimizer": "adam", "lr": 1e-4, "gamma": 0.3, "milestones": (6, 10, 14), "batch_size": 32, "head_first": 0,
    },
    "severe_ssv2": {"clips": 2, "epochs": 22, "flip": False},
}  # fmt: skip

LINEAR: dict[str, dict[str, Any]] = {
    "coclr": {
        "linear": True, "unit": True, "norm": True, "dropout": 0.0, "lr": 0.1, "weight_decay": 1e-3, "epochs": 100,
        "milestones": (60, 80),
    },
    "avid": {
        "linear": True, "stages": True, "norm": True, "optimizer": "adam", "lr": 1e-4, "epochs": 12,
    },
}  # fmt: skip


@pytest.mark.parametrize(("protocols", "table"), [(ClipProtocols, TABLE), (LinearClipProtocols, LINEAR)])
def test_the_numbers_are_those_of_the_papers(
    protocols: type[ClipProtocols] | type[LinearClipProtocols], table: dict[str, dict[str, Any]]
) -> None:
    assert {p.name for p in protocols} == set(table)
    for p in protocols:
        protocol: ClipProtocol = p.value
        assert {n: getattr(protocol, n) for n in table[p.name]} == table[p.name], p.name
        assert protocol.source
        assert protocol.departures or p.name == "severe_ssv2"
        assert protocol.linear == (protocols is LinearClipProtocols)


def test_the_loop_is_told_the_rates_of_the_papers() -> None:
    train = Train(device="cpu")
    gdt = train_choice(ClipProtocols.gdt.value, train, items=9537)
    assert (gdt.epochs, gdt.milestones, gdt.warmup, gdt.batch_size) == (120, (60, 100), 20, 32)
    assert rate(gdt, 60.5) == pytest.approx(2.5e-3 * 0.05)
    videomae = train_choice(ClipProtocols.videomae.value, train, items=9537)
    assert (videomae.epochs, videomae.batch_size) == (100, 256)  # 128 videos twice
    assert videomae.lr == pytest.approx(5e-4 * 128 / 256)
    parted = train_choice(ClipProtocols.videomae.value, Train(accumulate=3, batch_size=3), items=9537, world=4)
    assert parted.batch_size == 240  # 12 parts of 10 videos twice
    few = train_choice(ClipProtocols.videomae.value, train, items=10)
    assert few.batch_size == 20
    assert few.lr == pytest.approx(5e-4 * 10 / 256)
    first = train_choice(ClipProtocols.avid.value, train, items=99, probes=True, head_first=True)
    assert (first.epochs, first.schedule, first.lr) == (25, "constant", 1e-4)
    assert train_choice(ClipProtocols.vcop.value, train, items=99, probes=True).probe_every == 1


def test_what_is_shortened_is_told_and_milestones_go_with_the_epochs() -> None:
    protocol, told = shortened(ClipProtocols.gdt.value, {"epochs": 6, "size": 56, "frames": 32})
    assert told == {"epochs": "12 → 6", "size": "112 → 56"}
    assert (protocol.milestones, protocol.warmup, protocol.name) == ((3, 5), 1, "gdt")
    assert shortened(protocol, {}) == (protocol, {})
    for wrong in ({"epoch": 3}, {"name": "x"}):
        with pytest.raises(ValueError, match="has no number"):
            shortened(protocol, wrong)


def test_adam_decays_by_the_gradient() -> None:
    """A decay of w moves Adam by its rate whatever its strength, and AdamW hardly."""
    moved = {}
    for name in ("adam", "adamw"):
        recogniser = Recogniser(tiny_resnet(width=8), classes=2, protocol=TINY)
        task = Recognise(recogniser, {0: 0}, protocol=replace(TINY, weight_decay=0.01))
        optimizer = Optimisers(task, Train(optimizer=name, lr=1e-3, weight_decay=0.01))  # type: ignore[arg-type]
        weight = next(recogniser.encoder.parameters())
        before = weight.detach().clone()
        for p in task.parameters():
            p.grad = torch.zeros_like(p)
        optimizer.step()
        moved[name] = float((weight - before).abs().median().detach())
    assert moved["adam"] == pytest.approx(1e-3, rel=0.01)
    assert moved["adamw"] < 1e-5


# what is cut


def info(frames: int, height: int = 48, width: int = 64) -> MediaInfo:
    return MediaInfo(duration=frames / 25, fps=25.0, frames=frames, height=height, width=width)


def test_windows_overlap_by_half() -> None:
    sampler = SlidingClips(frames=4)
    starts = [s.times[0] * 25 - 0.5 for s in sampler(info(13), generator(0)).spans]
    assert starts == pytest.approx([0, 2, 4, 6, 8])
    assert len(sampler(info(4000), generator(0)).spans) == 64
    short = sampler(info(2), generator(0)).spans
    assert [t * 25 - 0.5 for t in short[0].times] == pytest.approx([0, 1, 1, 1])
    assert len(short) == 1


def test_training_repeats_the_last_frame_of_what_is_too_short_only_when_asked() -> None:
    assert RandomClips(frames=4).unfit(info(2))
    clamped = RandomClips(frames=4, short="clamp")
    assert not clamped.unfit(info(2))
    assert [t * 25 - 0.5 for t in clamped(info(2), generator(0)).spans[0].times] == pytest.approx([0, 1, 1, 1])
    assert clamped(info(9), generator(5)) == RandomClips(frames=4)(info(9), generator(5))


def test_five_crops_are_the_corners_and_the_middle() -> None:
    plan = FiveCrop(42, short_side=48).draw(RandomClips(frames=4)(info(9), generator(0)), info(9), generator(0))
    boxes = [s.boxes[0] for s in plan.spans]
    places = [(round(b.top * 48), round(b.left * 64)) for b in boxes]
    assert places == [(0, 0), (0, 22), (6, 0), (6, 22), (3, 11)]
    assert all((round(b.height * 48), round(b.width * 64)) == (42, 42) for b in boxes)


@pytest.mark.parametrize(("clips", "crops", "spans"), [(9, 1, 9), (5, 3, 15), (3, 5, 15), (2, 10, 10), (None, 10, 25)])
def test_each_protocol_tests_on_its_clips_and_crops(
    items: tuple[Item, ...], clips: int | None, crops: int, spans: int
) -> None:
    protocol = replace(TINY, test_clips=clips, test_crops=crops)  # type: ignore[arg-type]
    cut = test_clips(protocol, items[:2], workers=0, reading="threads", damaged="stop")
    plan, _ = cut.plan(0)
    assert len(plan.spans) == spans  # the mirrored half of ten crops is made of these
    assert len({(s.times[0], s.boxes[0].top, s.boxes[0].left) for s in plan.spans}) == spans


# how it answers


class Rows(nn.Module):
    """Logits that are the mean colours of the left and the right half of a clip, times a factor."""

    readouts = ("feature",)

    def forward(self, x: Tensor) -> Tensor:
        y = x.float() / 255
        half = y.shape[-1] // 2
        return 5 * torch.cat([y[..., :half].mean((1, 3, 4)), y[..., half:].mean((1, 3, 4))], dim=1).unsqueeze(1)


@pytest.mark.parametrize("average", ["softmax", "logits"])
@pytest.mark.parametrize(("crops", "flip"), [(10, True), (10, False), (3, True)])
def test_answers_are_averaged_over_clips_and_crops(average: Any, crops: Any, flip: bool) -> None:
    rng = torch.Generator().manual_seed(0)
    videos = [torch.randint(0, 256, (3, 4, 3, 8, 8), dtype=torch.uint8, generator=rng) for _ in range(4)]
    protocol = replace(TINY, average=average, test_crops=crops, flip=flip)
    got = averaged(Rows(), videos, protocol)  # type: ignore[arg-type]
    for b in range(3):
        rows = []
        for video in videos:
            for mirrored in (False, True) if crops == 10 and flip else (False,):
                x = video[b].numpy()[..., ::-1] if mirrored else video[b].numpy()
                logits = [5 * x[:, c, :, h : h + 4].mean() / 255 for h in (0, 4) for c in range(3)]
                powers = [math.exp(v) for v in logits]
                rows.append([p / sum(powers) for p in powers] if average == "softmax" else logits)
        mean = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
        powers = [math.exp(v) for v in mean]
        wanted = mean if average == "softmax" else [p / sum(powers) for p in powers]
        assert got[b, 0].tolist() == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("clips", [2, None])
def test_answers_for_files_are_those_of_their_examples(items: tuple[Item, ...], clips: int | None) -> None:
    protocol = replace(TINY, test_clips=clips, test_crops=5)
    cut = test_clips(protocol, items[:5], workers=0, reading="threads", damaged="stop")
    found = recognise(Rows(), cut, protocol=protocol)  # type: ignore[arg-type]
    assert found.index.tolist() == [i.index for i in items[:5]]
    for n in range(5):
        example = collate([cut.example(n)])
        rows = [Rows()(c.video).softmax(dim=-1)[0] for c in example.clips if c.video is not None]
        assert torch.stack(rows).mean(dim=0).tolist()[0] == pytest.approx(found.probabilities[n, 0].tolist(), abs=1e-6)


def test_mixtures_have_the_shares_that_their_targets_say() -> None:
    """Of clips that are black or white, the mean of a mixture is the share of the white one."""
    video = torch.zeros(4, 2, 3, 16, 16)
    video[2:] = 1
    for mixup, cutmix in ((0.8, 0.0), (0.0, 1.0)):
        seen = set()
        for seed in range(20):
            torch.manual_seed(seed)
            x, partner, own = mixed(video, mixup=mixup, cutmix=cutmix)
            assert partner.tolist() == [3, 2, 1, 0]
            assert x[2:].mean((1, 2, 3, 4)).tolist() == pytest.approx(own[2:].tolist(), abs=1e-5)
            assert x[:2].mean((1, 2, 3, 4)).tolist() == pytest.approx((1 - own[:2]).tolist(), abs=1e-5)
            seen.add(round(float(own[0]), 3))
        assert len(seen) > 10


# what is trained, and how fast


def batch() -> Example:
    video = torch.randint(0, 256, (4, 4, 3, 16, 16), dtype=torch.uint8)
    return Example(clips=(Clip(video=video),), labels={}, parameters={}, index=torch.tensor([7, 2, 7, 5]))


def test_labels_are_looked_up_by_the_number_of_the_item(encoder: Encoder) -> None:
    task = Recognise(Recogniser(encoder, classes=3, protocol=TINY), {7: 2, 2: 0, 5: 1}, protocol=TINY).eval()
    example = batch()
    assert example.clips[0].video is not None
    logits = task.recogniser(example.clips[0].video)[:, 0]
    wanted = nn.functional.cross_entropy(logits, torch.tensor([2, 0, 2, 1]))
    assert float(task(example)["loss"].detach()) == pytest.approx(float(wanted.detach()), rel=1e-5)
    with pytest.raises(ValueError, match="item 3 has no label"):
        task(replace(example, index=torch.tensor([7, 3, 7, 5])))


def test_stages_decay_from_the_classifier_down(encoder: Encoder) -> None:
    protocol = replace(TINY, layer_decay=0.7, trunk_lr=0.5, decay_all=False)
    task = Recognise(Recogniser(encoder, classes=3, protocol=protocol), {0: 0}, protocol=protocol)
    scale = {id(p): g["lr_scale"] for g in task.parameter_groups() for p in g["params"]}
    decays = {id(p): "weight_decay" not in g for g in task.parameter_groups() for p in g["params"]}
    assert len(scale) == len(list(task.parameters()))
    for name, p in task.recogniser.named_parameters():
        stage = ["stem", "stage1", "stage2", "stage3", "stage4"]
        below = next((5 - d for d, s in enumerate(stage) if f".{s}." in name), None)
        assert scale[id(p)] == pytest.approx(1.0 if below is None else 0.5 * 0.7**below), name
        assert decays[id(p)] == (p.ndim > 1), name


@pytest.mark.parametrize(("trunk", "weights", "statistics"), [("frozen", 0, 0), ("kept", 0, 1), ("trained", 1, 1)])
def test_a_trunk_moves_as_far_as_it_may(encoder: Encoder, trunk: Any, weights: int, statistics: int) -> None:
    task = Recognise(Recogniser(encoder, classes=3, protocol=TINY), {7: 2, 2: 0, 5: 1}, protocol=TINY, trunk=trunk)
    before = {n: v.clone() for n, v in encoder.state_dict().items()}
    optimizer = torch.optim.SGD(task.parameter_groups(), lr=0.1)
    task.eval()
    task.train()
    task(batch())["loss"].backward()
    optimizer.step()
    changed = {n for n, v in encoder.state_dict().items() if not torch.equal(v, before[n])}
    assert any(n.endswith("weight") for n in changed) == bool(weights)
    assert any("running" in n for n in changed) == bool(statistics)


def test_an_encoder_takes_other_clips_than_it_was_trained_on_or_says_why_not() -> None:
    for frames, size in ((2, 24), (16, 56), (5, 33)):
        assert check_fits(tiny_r2plus1d(width=8), replace(TINY, frames=frames, size=size)) == {"feature": 64}
    with pytest.raises(ValueError, match=r"cannot take 4 frames of 16 pixels.*choose other --frames"):
        check_fits(c3d(width=8), TINY)
    with pytest.raises(ValueError, match="an encoder of sound"):
        check_fits(tiny_sound(), TINY)


# all of it


def test_labels_are_learned_where_there_is_signal(
    items: tuple[Item, ...], manifest: Path, tool: ModuleType, tmp_path: Path, encoder: Encoder
) -> None:
    """By the tool, with a paper's name and other numbers, and applied again without training."""
    save_encoder(encoder, tmp_path / "encoder.safetensors")
    out = tmp_path / "out"
    changes = "--epochs 6 --size 16 --frames 4 --lr 0.02 --test-clips 2 --held-out 0.2 --batch-size 8"
    words = f"{tmp_path / 'encoder.safetensors'} --data {manifest} --out {out} --device cpu --workers 0 {changes}"
    tool.main(tyro.cli(tool.Choice, args=words.split()))
    scores = {s.encoder: s for s in read_scores(out / "scores.json")}
    assert set(scores) == {"pretrained", "random init"}
    for score in scores.values():
        assert score.value > 0.5 + 5 * math.sqrt(0.25 / 32)
        assert score.protocol == "fine-tune vcop (shortened)"
        assert score.settings["shortened"]["epochs"] == "150 → 6"
        assert (score.n_train, score.n_test, score.chance) == (18, 32, 0.5)  # 3 of 12 groups are held out
        assert set(score.found["per class"]) == {"blue", "red"}
        assert score.found["held out"] == 6
    told = (out / "pretrained" / "predictions.csv").read_text()
    rows = list(csv.DictReader(told.splitlines()))
    assert np.mean([r["truth"] == r["prediction"] for r in rows]) == pytest.approx(scores["pretrained"].value)
    matrix = np.array(json.loads((out / "confusion.json").read_text())["matrix"])
    assert np.trace(matrix) / matrix.sum() == pytest.approx(scores["pretrained"].value)

    again = apply_recogniser(out / "pretrained" / "recogniser.safetensors", items, folder=tmp_path / "again", workers=0)
    assert again.scores[0].value == scores["pretrained"].value
    assert (tmp_path / "again" / "predictions.csv").read_text() == told.replace("train → test", "")
    recogniser, card = load_recogniser(out / "pretrained" / "recogniser.safetensors")
    assert card.classes == ("blue", "red")
    lines = [json.loads(line) for line in (out / "pretrained" / "metrics.jsonl").read_text().splitlines()]
    losses = [line["value"] for line in lines if line.get("name") == "held-out loss"]
    assert len(losses) == 7  # before the first epoch and after each
    assert scores["pretrained"].found["held-out loss"] == min(losses)
    best = load_file(out / "pretrained" / "best.safetensors")
    assert all(torch.equal(v, best[n]) for n, v in recogniser.state_dict().items())
    kept = load_encoder(out / "pretrained" / "encoder.safetensors").state_dict()
    assert all(torch.equal(v, kept[n]) for n, v in recogniser.encoder.state_dict().items())


def test_labels_that_nothing_tells_stay_at_chance(items: tuple[Item, ...], tmp_path: Path, encoder: Encoder) -> None:
    choice = FineTune(protocol=replace(TINY, epochs=4), label="noise", workers=0, train=Train(device="cpu"))
    choice = replace(choice, random_init=False)
    found = fine_tune(encoder, items, choice=choice, folder=tmp_path)
    assert abs(found.scores[0].value - 0.5) < 3 * math.sqrt(0.25 / 32)


def test_a_training_that_was_stopped_goes_on_as_if_never_stopped(
    items: tuple[Item, ...], tmp_path: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    protocol = replace(TINY, epochs=3, held_out=0.2, choose_epoch=True, mixup=0.8, dropout=0.5, head_first=1)
    choice = FineTune(protocol=protocol, workers=0, random_init=False, train=Train(device="cpu"))
    fine_tune(encoder, items, choice=choice, folder=tmp_path / "whole")
    weight = next(n for n, p in encoder.named_parameters() if p.ndim > 1)
    first, last = (tmp_path / "whole" / "pretrained" / n / "encoder.safetensors" for n in ("head-first", "."))
    assert torch.equal(load_encoder(first).state_dict()[weight], encoder.state_dict()[weight])
    assert not torch.equal(load_encoder(last).state_dict()[weight], encoder.state_dict()[weight])
    looks: list[int] = []
    look = Selection.__call__

    def stopped(self: Selection, encoders: Any) -> Any:
        looks.append(1)
        if len(looks) == 3:
            raise KeyboardInterrupt
        return look(self, encoders)

    monkeypatch.setattr(Selection, "__call__", stopped)
    with pytest.raises(KeyboardInterrupt):
        fine_tune(encoder, items, choice=choice, folder=tmp_path / "parted")
    goes_on = replace(choice, train=Train(device="cpu", resume=True, out=tmp_path))
    fine_tune(encoder, items, choice=goes_on, folder=tmp_path / "parted")
    one, other = ((tmp_path / n / "pretrained" / "predictions.csv").read_text() for n in ("whole", "parted"))
    assert one == other


def test_a_head_that_has_learned_nothing_is_never_the_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([0.1, float("nan"), 0.9, 0.7, 0.8])
    monkeypatch.setattr(Selection, "_measured", lambda *_: (np.array([next(losses)]), np.array([0.5])))
    monkeypatch.setattr("avssl.evaluation.finetune.training.save_weights", lambda *_: None)
    network: Any = type("Network", (), {"readouts": ("last",)})()
    clips: Any = None
    look = Selection(network, clips, {}, protocol=TINY, folder=tmp_path, device="cpu", keep=True)
    best = []
    for _ in range(5):
        look({})
        best.append(look.found["held-out loss"])
    assert best[0] == float("inf")  # before the first step, however low its loss
    assert best[2:] == [0.9, 0.7, 0.7]


def test_every_stage_is_scored_where_each_has_a_classifier(
    items: tuple[Item, ...], tmp_path: Path, encoder: Encoder
) -> None:
    protocol = replace(LinearClipProtocols.avid.value, frames=4, size=16, epochs=2, batch_size=8, lr=1e-2, test_clips=1)
    choice = FineTune(protocol=protocol, split=Split(folds="fold"), workers=0, train=Train(device="cpu"), shares=(0.5,))
    before = {n: v.clone() for n, v in encoder.state_dict().items()}
    found = fine_tune(encoder, items, choice=replace(choice, random_init=False), folder=tmp_path)
    assert [s.protocol for s in found.scores] == [
        f"linear probe on clips avid, 50 % of labels, stage{n}" for n in (1, 2, 3, 4)
    ]
    assert all(s.n_test == 56 for s in found.scores)
    assert {s.n_train for s in found.scores} == {12}  # 7 of 14 groups, one of which is held out
    chosen = np.array([s.found["chosen on held-out items"] for s in found.scores])
    assert chosen.sum(axis=0).tolist() == [1, 1]
    recogniser, _ = load_recogniser(tmp_path / "50-percent" / "pretrained" / "fold-1" / "recogniser.safetensors")
    assert all(torch.equal(v, before[n]) for n, v in recogniser.encoder.state_dict().items())


def test_what_is_held_out_is_of_every_class_and_of_no_group_that_is_trained_on() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), 12)
    groups = tuple(f"{k}-{g}" for k, g in zip(labels, np.tile(np.repeat(np.arange(6), 2), 10), strict=True))
    order = rng.permutation(120)
    train = Labelled(values=np.zeros((120, 1)), labels=labels, groups=groups).where(order)
    away = held_out(train, share=0.17, seed=0)
    assert not {g for g, a in zip(train.groups, away, strict=True) if a} & set(np.array(train.groups)[~away])
    assert np.bincount(train.labels[away], minlength=10).tolist() == [2] * 10
    assert not np.array_equal(away, held_out(train, share=0.17, seed=1))
    assert not held_out(train, share=0.0, seed=0).any()
    single = Labelled(values=np.zeros((20, 1)), labels=np.repeat(np.arange(10), 2), groups=groups[::6])
    single = replace(single, groups=tuple(str(k) for k in single.labels))
    assert not held_out(single, share=0.2, seed=0).any()  # every class has one group, which training needs


def test_what_is_kept_apart_is_so_inside_the_training_part_too(items: tuple[Item, ...], encoder: Encoder) -> None:
    choice = FineTune(protocol=replace(TINY, held_out=0.25), split=Split(apart=("room",)))
    parts = parts_of(items, choice)
    training = Training(
        encoder, parts, parts.folds[0], choice, share=0.6, seed=0, begins="pretrained", folder=Path("none"), data=None
    )
    rooms = [{parts.items[p].columns["room"] for p in part} for part in (training.train, training.held)]
    assert rooms[0]
    assert rooms[1]
    assert not rooms[0] & rooms[1]
    assert len(training.train) + len(training.held) == 18  # 3 of 4 rooms have 60 % of each class


def test_a_damaged_file_is_left_out_and_told(items: tuple[Item, ...], tmp_path: Path, encoder: Encoder) -> None:
    kept = [i for n, i in enumerate(items) if n < 8 or 24 <= n < 32]
    bad = tmp_path / "bad.mp4"
    content = items[30].path.read_bytes()
    bad.write_bytes(content[: len(content) // 2])
    kept = [replace(i, path=bad, table=None) if i is items[30] else i for i in kept]
    choice = FineTune(protocol=replace(TINY, epochs=1), workers=0, random_init=False, train=Train(device="cpu"))
    found = fine_tune(encoder, kept, choice=choice, folder=tmp_path / "out")
    assert [e.path for e in found.left_out] == [str(bad)]
    assert found.scores[0].n_test == 7
    with pytest.raises(MediaError, match=r"bad\.mp4"):
        fine_tune(encoder, kept, choice=replace(choice, damaged="stop"), folder=tmp_path / "stops")


def test_leaks_are_caught_before_anything_is_decoded(items: tuple[Item, ...], tmp_path: Path, encoder: Encoder) -> None:
    leaky = (replace(items[0], group="g20"), *items[1:])
    with pytest.raises(Unscorable, match=r"share 1 groups: g20 \(0\.mp4 trains, 40\.mp4 tests\)"):
        fine_tune(encoder, leaky, choice=FineTune(protocol=TINY), folder=tmp_path)
    assert not list(tmp_path.iterdir())


def test_nothing_is_mirrored_where_labels_tell_left_from_right(
    items: tuple[Item, ...], tmp_path: Path, encoder: Encoder
) -> None:
    told = [replace(i, columns={**i.columns, "flip": "no"}) for i in (*items[:8], *items[24:28])]
    choice = FineTune(protocol=replace(TINY, epochs=1), workers=0, random_init=False, train=Train(device="cpu"))
    found = fine_tune(encoder, told, choice=choice, folder=tmp_path)
    assert found.scores[0].settings["protocol"]["flip"] is False
    draws = json.loads((tmp_path / "pretrained" / "draws.json").read_text())
    assert draws
    assert all("horizontal_flip.on" not in d["parameters"] for d in draws)


def test_a_linear_probe_on_clips_is_only_had_of_papers_that_have_one(tool: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="vcop has no linear probe on clips; coclr, avid have"):
        tool.main(tyro.cli(tool.Choice, args=[str(tmp_path), "--linear"]))


def test_clips_of_training_are_random_mirrored_and_of_the_wanted_size(items: tuple[Item, ...]) -> None:
    protocol = replace(ClipProtocols.videomae.value, frames=4, size=16, step=1)
    clips = training_clips(protocol, items[:4], workers=0, reading="threads", damaged="stop")
    assert clips.repeats == 2
    plans = [clips.plan(0, epoch)[0] for epoch in range(12)]
    assert {p.spans[0].size for p in plans} == {(16, 16)}
    assert len({p.spans[0].boxes[0] for p in plans}) == 12
    assert {bool(p.parameters["horizontal_flip.on"][0]) for p in plans} == {True, False}
    still = training_clips(replace(protocol, flip=False), items[:4], workers=0, reading="threads", damaged="stop")
    assert "horizontal_flip.on" not in still.plan(0)[0].parameters
