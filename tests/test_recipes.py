"""Every recipe runs bare on a toybox, trains, transfers and leaves a page; its paper preset can be built."""

import importlib.util
import json
import math
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from avssl.cli import cli
from avssl.core import Clip, Example, MediaInfo
from avssl.data import Data
from avssl.encoders import FramesDecoder, Projector, SoundNet, VideoNet, load_encoder, lstm
from avssl.evaluation import few_masks
from avssl.media.toybox import Toybox
from avssl.samplers import RandomClips
from avssl.tasks import Continuation, Contrast, KMeans, Restore, Task
from avssl.training import Ranks, Run, Train
from avssl.training.optimisers import Optimisers
from avssl.training.schedules import rate

RECIPES = sorted((Path(__file__).parent.parent / "recipes").glob("*.py"))


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"recipe_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


FEW = replace(few_masks(), videos=2, frames=4)
"""What the recipes that carry masks on show of it."""

SMALL: dict[str, dict[str, Any]] = {
    "pace": {"frames": 4},
    "vcop": {"frames": 4, "gap": 2},
    "shuffle_and_learn": {"longest": 0.5, "shortest": 0.125},
    "multisensory": {"frames": 8, "sound": 0.5, "shift": 0.5},
    "avts": {"frames": 8, "sound": 0.5, "shift": 0.5, "hard_from": 1},
    "moco": {"queue": 16},
    "frame_prediction": {"frames": 4, "ahead": 4},
    "dpc": {"frames": 2, "step": 1, "blocks": 4, "ahead": 1},
    "crw": {"dense": FEW},
    "tracking_by_colorization": {"dense": FEW},
    "deepcluster": {"clusters": KMeans(clusters=4)},
    "xdc": {"frames": 4, "sound": 0.5, "clusters": KMeans(clusters=4)},
    "flow_prediction": {"frames": 4},
    "vjepa": {"frames": 8},
    "tcn": {"moments": 2},
}

FILMED = {"ego_motion", "tcn"}
"""Recipes that ask for poses or for several cameras."""


def small(module: ModuleType, name: str, out: Path) -> Any:
    """A recipe's configuration cut down to seconds."""
    toybox = Toybox(train=24, test=24, seconds=2.0, size=40)
    if name in FILMED:
        # of two motions, so that the few scenes of each split have every shape
        filmed = {"cameras": 2, "moving_camera": True, "silent": True}
        toybox = replace(toybox, train=12, test=12, motions=("bounce", "grow"), **filmed)  # type: ignore[arg-type]
    train = Train(epochs=2, batch_size=8, out=out, device="cpu", probe_every=0)
    return replace(module.Config(**SMALL.get(name, {})), data=Data(toybox=toybox), train=train, size=32)


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_a_recipe_trains_and_transfers(
    path: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AVSSL_CACHE", str(cache))
    module = load(path)
    run: Run = module.main(small(module, path.stem, tmp_path / "run"))
    steps = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert len([s for s in steps if s["kind"] == "step"]) == 6
    scores = json.loads((run.folder / "scores.json").read_text())["scores"]
    assert {"pretrained", "random init"} <= {s["encoder"] for s in scores}
    assert {"label", "appearance"} <= {s["label"] for s in scores}
    assert (run.folder / "encoder.safetensors").exists()
    carried = {s["encoder"] for s in scores if s["protocol"] == "label propagation"}
    assert carried == ({"pretrained", "random init", "identity"} if "dense" in SMALL.get(path.stem, {}) else set())


def test_a_masked_autoencoder_learns_from_sound(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVSSL_CACHE", str(cache))
    module = load(next(p for p in RECIPES if p.stem == "mae"))
    monkeypatch.setattr(module, "transfer", lambda run, *_: run)
    config = small(module, "mae", tmp_path / "run")
    run: Run = module.main(replace(config, modality="audio", train=replace(config.train, epochs=1)))
    steps = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert steps[0]["loss"] == pytest.approx(1.0, abs=0.05)  # the mean of every patch is told
    assert load_encoder(run.folder / "sound_encoder.safetensors").modality == "sound"


@pytest.mark.parametrize("name", ["colorization", "tracking_by_colorization"])
def test_who_was_never_shown_a_colour_is_measured_without(name: str) -> None:
    module = load(next(p for p in RECIPES if p.stem == name))
    picture = torch.rand(1, 1, 3, 67, 67, generator=torch.Generator().manual_seed(0))
    tinted = picture + torch.tensor([0.587, -0.299, 0.0]).view(3, 1, 1)  # as bright
    for config in (module.Config(), module.PAPER):
        encoder = config.encoder.build().eval()
        with torch.no_grad():
            torch.testing.assert_close(encoder(tinted), encoder(picture), rtol=1e-3, atol=1e-4)


Numbers = dict[str, Any]

# What the papers say, as the project's dossiers have it (shared/methods, by file and section). What a preset has in
# another way than its paper is told beside PAPER in the recipe.
PAPERS: dict[str, tuple[Numbers, Numbers]] = {
    "aet": (  # image.md 3.15
        {"size": 32, "frames": 1, "hidden": None, "encoder": VideoNet.resnet18_small},
        {
            "optimizer": "sgd",
            "nesterov": True,
            "lr": 0.1,
            "weight_decay": 5e-4,
            "batch_size": 512,
            "schedule": "steps",
            "milestones": (240, 480, 640, 800),
            "gamma": 0.2,
            "epochs": 1500,
        },
    ),
    "ego_motion": (  # video_audio.md 2.13
        {
            "size": 227,
            "frames": 1,
            "axes": ("x", "z", "yaw"),
            "longest": 0.7,
            "bins": 20,
            "reach": 0,
            "encoder": VideoNet.alexnet_pool5,
        },
        {"optimizer": "sgd"},
    ),
    "tcn": (  # video_audio.md 2.11
        {"size": 299, "frames": 1, "moments": 18, "radius": 0.2, "loss": "triplet", "encoder": VideoNet.resnet50},
        {"optimizer": "adam", "lr": 1e-3, "batch_size": 1},
    ),
    "shuffle_and_learn": (  # video_audio.md 2.2
        {
            "size": 227,
            "encoder": VideoNet.caffenet,
            "longest": 60 / 25,  # frames of UCF101
            "shortest": 15 / 25,
            "positives": 0.25,
        },
        {
            "optimizer": "sgd",
            "nesterov": False,
            "lr": 1e-3,
            "weight_decay": 5e-4,
            "batch_size": 128,
            "schedule": "steps",
            "milestones": (1080,),
            "epochs": 1350,
            "gamma": 0.1,
        },
    ),
    "vcop": (  # video_audio.md 2.5
        {"frames": 16, "step": 1, "size": 112, "clips": 3, "gap": 8, "encoder": VideoNet.r2plus1d_10},
        {
            "optimizer": "sgd",
            "nesterov": False,
            "lr": 1e-3,
            "weight_decay": 5e-4,
            "batch_size": 8,
            "schedule": "constant",
            "epochs": 300,
        },
    ),
    "pace": (  # video_audio.md 2.9
        {
            "frames": 16,
            "step": 1,
            "size": 112,
            "paces": (1, 2, 3, 4),
            "jitter": "frame",
            "encoder": VideoNet.r2plus1d_10,
        },
        {
            "optimizer": "sgd",
            "nesterov": False,
            "lr": 1e-3,
            "weight_decay": 5e-3,
            "batch_size": 30,
            "schedule": "steps",
            "milestones": (60, 120),
            "epochs": 180,
            "gamma": 0.1,
        },
    ),
    "multisensory": (  # video_audio.md 3.2
        {
            "frames": 125,
            "step": 1,
            "rate": 29.97,
            "size": 224,
            "sound": 4.2,
            "sample_rate": 21000,
            "shift": 2.2,
            "encoder": VideoNet.r3d_18,
            "sound_encoder": SoundNet.sound_resnet18,
        },
        {
            "optimizer": "sgd",
            "nesterov": False,
            "lr": 1e-2,
            "weight_decay": 1e-5,
            "clip_norm": 5.0,
            "batch_size": 5,
            "schedule": "constant",
        },
    ),
    "avts": (  # video_audio.md 3.4
        {
            "frames": 25,
            "step": 1,
            "rate": 30.0,
            "size": 224,
            "sound": 1.0,
            "shift": 0.5,
            "hard_from": 50,
            "encoder": VideoNet.mc3_18,
            "sound_encoder": SoundNet.sound_vgg_64,
        },
        {"optimizer": "sgd", "nesterov": False, "epochs": 90},
    ),
    "colorization": (  # image.md 3.10
        {"frames": 1, "spacing": 10.0, "uniform": 0.5},
        {
            "optimizer": "adam",
            "betas": (0.9, 0.99),
            "lr": 3e-5,
            "weight_decay": 1e-3,
            "schedule": "steps",
        },
    ),
    "context_encoder": (  # image.md 3.8; the features of its table come of squared error alone
        {"frames": 1, "place": "blocks", "adversary": 0.0, "encoder": VideoNet.alexnet_pool5},
        {"optimizer": "adam", "betas": (0.5, 0.999), "lr": 2e-3, "weight_decay": 0.0},
    ),
    "flow_prediction": (  # video_audio.md 2.12: 40 motions
        {"frames": 1, "directions": 13, "speeds": (0.01, 0.03, 0.08)},
        {"optimizer": "sgd", "nesterov": False},
    ),
    "moving_objects": (  # video_audio.md 2.14
        {"frames": 1, "size": 227, "shrink": 4, "reach": 3, "encoder": VideoNet.alexnet_pool5},
        {"optimizer": "sgd", "nesterov": False},
    ),
    "rotnet": (  # image.md 3.14
        {"frames": 1, "size": 224, "encoder": VideoNet.alexnet_rotnet, "hidden": None},
        {
            "optimizer": "sgd",
            "nesterov": True,
            "lr": 1e-2,
            "weight_decay": 5e-4,
            "batch_size": 192,
            "schedule": "steps",
            "milestones": (15, 30, 45),
            "epochs": 50,
            "gamma": 0.1,
        },
    ),
    "frame_prediction": (  # video_audio.md 2.1, patches of UCF101
        {"frames": 10, "ahead": 10, "size": 32, "encoder": VideoNet.lstm, "moving": False},
        # its code bounds each weight's step, not the gradient: github.com/mansimov/unsupervised-videos, util.py
        {"optimizer": "adamw", "lr": 1e-4, "weight_decay": 1e-4, "clip_norm": None, "batch_size": 100},
    ),
    "dpc": (  # video_audio.md 2.10
        {"frames": 5, "step": 3, "rate": 30.0, "size": 128, "blocks": 8, "ahead": 3},
        {"optimizer": "adam", "lr": 1e-3, "weight_decay": 1e-5, "epochs": 300},
    ),
    "cpc": (  # image.md 3.6, its first version
        {"modality": "video", "frames": 1, "size": 256, "patch": 64, "steps": (2, 3, 4, 5)},
        {"optimizer": "adam", "lr": 2e-4},
    ),
    "simclr": (  # image.md 3.20; the rate is 0.3 for each 256 examples
        {
            "frames": 1,
            "size": 224,
            "encoder": VideoNet.resnet50,
            "temperature": 0.1,
            "smallest": 0.08,
            "blur": 0.5,
            "hidden": 1,
        },
        {
            "optimizer": "lars",
            "lr": 0.3 * 4096 / 256,
            "weight_decay": 1e-6,
            "batch_size": 4096,
            "schedule": "cosine",
            "warmup": 10,
            "epochs": 100,
        },
    ),
    "simsiam": (  # image.md 3.22; the rate is 0.05 for each 256 examples
        {
            "frames": 1,
            "size": 224,
            "encoder": VideoNet.resnet50,
            "embedding": 2048,
            "layers": 3,
            "bottleneck": 512,
            "blur": 0.5,
            "stop_gradient": True,
        },
        {
            "optimizer": "sgd",
            "nesterov": False,
            "lr": 0.05 * 512 / 256,
            "weight_decay": 1e-4,
            "batch_size": 512,
            "schedule": "cosine",
            "warmup": 0,
            "epochs": 100,
        },
    ),
    "byol": (  # image.md 6; the paper's section 3.3, its rate 0.2 for each 256 examples
        {
            "frames": 1,
            "size": 224,
            "encoder": VideoNet.resnet50,
            "views": 2,
            "widths": (4096, 256),
            "momentum": 0.996,
            "smallest": 0.08,
            "blur": 0.5,
        },
        {
            "optimizer": "lars",
            "lr": 0.2 * 4096 / 256,
            "weight_decay": 1.5e-6,
            "batch_size": 4096,
            "schedule": "cosine",
            "warmup": 10,
            "epochs": 1000,
        },
    ),
    "deepcluster": (  # image.md 3.18
        {
            "frames": 1,
            "size": 224,
            "encoder": VideoNet.alexnet_sobel,
            "clusters": KMeans(clusters=10000, components=256, iterations=20),
            "every": 1,
            "smallest": 0.08,  # of its code
        },
        {
            "optimizer": "sgd",
            "nesterov": False,
            "lr": 0.05,
            "weight_decay": 1e-5,
            "batch_size": 256,
            "schedule": "constant",
            "epochs": 500,
        },
    ),
    "xdc": (  # video_audio.md 3.8
        {
            "frames": 32,
            "step": 1,
            "rate": 30.0,
            "size": 112,
            "sound": 2.0,
            "encoder": VideoNet.r2plus1d_18,
            "sound_encoder": SoundNet.sound_resnet18,
            "clusters": KMeans(clusters=64),
            "every": 1,
            "own": False,
        },
        {"optimizer": "sgd"},
    ),
    "moco": (  # image.md 3.21; group normalisation for the shuffled one: 8.9
        {
            "frames": 1,
            "size": 224,
            "encoder": VideoNet.resnet50_gn,
            "temperature": 0.2,
            "queue": 65536,
            "momentum": 0.999,
            "blur": 0.5,
        },
        {
            "optimizer": "sgd",
            "nesterov": False,
            "lr": 0.03,
            "weight_decay": 1e-4,
            "batch_size": 256,
            "schedule": "cosine",
            "warmup": 0,
            "epochs": 200,
        },
    ),
    "mae": (  # image.md 6; the rate is 1.5e-4 for each 256 examples
        {
            "frames": 1,
            "size": 224,
            "encoder": VideoNet.vit_base_picture,
            "ratio": 0.75,
            "smallest": 0.2,
            "decoder": (512, 8, 16),
        },
        {
            "optimizer": "adamw",
            "lr": 1.5e-4 * 4096 / 256,
            "betas": (0.9, 0.95),
            "weight_decay": 0.05,
            "batch_size": 4096,
            "schedule": "cosine",
            "warmup": 40,
            "epochs": 800,
        },
    ),
    "vjepa": (  # video_audio.md 2.18
        {
            "frames": 16,
            "step": 4,
            "size": 224,
            "encoder": VideoNet.vit_base,
            "momentum": 0.998,
            "predictor": (384, 12, 12),
        },
        {"optimizer": "adamw", "lr": 6.25e-4, "batch_size": 3072, "schedule": "cosine"},
    ),
}

PAPERS |= {
    "crw": (  # video_audio.md 2.15; the size, rate and milestones are of its code
        {
            "frames": 4,
            "step": 1,
            "rate": 8.0,
            "size": 256,
            "temperature": 0.05,
            "dropout": 0.1,
            "patch": 64,
            "encoder": VideoNet.resnet18_fine,
        },
        {
            "optimizer": "adamw",  # which is Adam without weight decay
            "lr": 1e-4,
            "weight_decay": 0.0,
            "batch_size": 20,
            "schedule": "steps",
            "milestones": (20,),
            "gamma": 0.3,
            "epochs": 25,
        },
    ),
    "tracking_by_colorization": (  # video_audio.md 2.15, which has nothing of its optimisation
        {
            "frames": 4,
            "step": 1,
            "rate": 6.0,
            "size": 256,
            "clusters": 16,
            "encoder": VideoNet.resnet18_fine_grey,
        },
        {"optimizer": "adam", "weight_decay": 0.0, "batch_size": 32},
    ),
}

# The second paper of a recipe, whose flags its docstring gives.
# The second paper of a recipe, whose flags its docstring gives; a further one is numbered.
SECOND_PAPERS: dict[str, tuple[Numbers, Numbers]] = {
    "context_encoder": (  # its pictures, image.md 3.8
        {"size": 128, "place": "centre", "adversary": 1e-3, "overlap": 4},
        {"optimizer": "adam", "betas": (0.5, 0.999), "lr": 2e-3},
    ),
    "rotnet": (  # 3D-RotNet, video_audio.md 2.8
        {"frames": 16, "step": 2, "size": 112, "encoder": VideoNet.r3d_18, "hidden": 64},
        {"optimizer": "sgd", "nesterov": False, "lr": 0.1, "weight_decay": 1e-3, "batch_size": 32},
    ),
    "byol": (  # ρ-BYOL, video_audio.md 2.17
        {
            "frames": 8,
            "step": 8,
            "size": 224,
            "encoder": VideoNet.r3d_50,
            "views": 4,
            "widths": (4096, 256),
            "momentum": 0.996,
            "smallest": 0.2,
            "blur": 0.0,
        },
        {
            "optimizer": "lars",
            "lr": 1.2,
            "weight_decay": 1e-6,
            "batch_size": 512,
            "schedule": "cosine",
            "warmup": 35,
            "epochs": 200,
        },
    ),
    "simclr": (  # CVRL, video_audio.md 2.17
        {
            "frames": 16,
            "step": 2,
            "size": 224,
            "encoder": VideoNet.r3d_50,
            "temperature": 0.1,
            "smallest": 0.3,
            "hidden": 3,
        },
        {
            "optimizer": "sgd",
            "nesterov": False,
            "lr": 0.32,
            "weight_decay": 1e-6,
            "batch_size": 1024,
            "schedule": "cosine",
            "warmup": 5,
            "epochs": 200,
        },
    ),
    "mae": (  # VideoMAE, video_audio.md 2.18; the rate is 1.5e-4 for each 256 examples
        {
            "frames": 16,
            "step": 4,
            "size": 224,
            "encoder": VideoNet.vit_base,
            "ratio": 0.9,
            "decoder": (384, 4, 6),
        },
        {"optimizer": "adamw", "lr": 1.5e-4 * 1024 / 256, "weight_decay": 0.05, "batch_size": 1024, "warmup": 40},
    ),
    "mae 2": (  # AudioMAE, video_audio.md 4; the rate is 2e-4 for each 256 examples
        {"modality": "audio", "sound": 10.0, "sound_encoder": SoundNet.sound_vit_base, "ratio": 0.8},
        {
            "optimizer": "adamw",
            "lr": 2e-4 * 512 / 256,
            "weight_decay": 1e-4,
            "batch_size": 512,
            "warmup": 3,
            "epochs": 33,
        },
    ),
}


def chosen(module: ModuleType, monkeypatch: pytest.MonkeyPatch, *flags: str) -> Any:
    """What a recipe is called with, given flags."""
    seen: list[Any] = []

    def main(c: Any) -> Run:
        seen.append(c)
        # not the first rank: there is no run to write a page of
        return Run(folder=Path(), train=c.train, device=torch.device("cpu"), ranks=Ranks(rank=1))

    main.__module__ = module.__name__
    monkeypatch.setattr(sys, "argv", ["recipe.py", *flags])
    cli(main, module.Config, paper=module.PAPER)
    return seen[0]


def have(config: Any, paper: tuple[Numbers, Numbers]) -> None:
    """Fail where a configuration differs from a paper."""
    own, train = paper
    assert {name: getattr(config, name) for name in own} == own
    found = {name: getattr(config.train, name) for name in train}
    assert found == {name: pytest.approx(n) if isinstance(n, float) else n for name, n in train.items()}


def test_every_paper_preset_is_in_the_table() -> None:
    assert set(PAPERS) == {p.stem for p in RECIPES}


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_the_paper_preset_has_the_papers_numbers(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load(path)
    have(module.PAPER, PAPERS[path.stem])
    have(chosen(module, monkeypatch, "--preset", "paper"), PAPERS[path.stem])


@pytest.mark.parametrize("name", SECOND_PAPERS)
def test_the_flags_of_a_second_paper_have_its_numbers(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stem, _, number = name.partition(" ")
    module = load(next(p for p in RECIPES if p.stem == stem))
    flags = re.findall(r"`(--preset paper [^`]+)`", str(module.__doc__))[int(number or 1) - 1]
    have(chosen(module, monkeypatch, *flags.split()), SECOND_PAPERS[name])


def test_the_preset_of_frame_prediction_moves_its_weights() -> None:
    preset = load(next(p for p in RECIPES if p.stem == "frame_prediction")).PAPER.train
    torch.manual_seed(0)
    encoder, world = lstm(size=64, side=8), Continuation.telling("composite", shown=3, ahead=3)
    decoder = FramesDecoder(encoder.dim, 8, told=world.told)
    task = Restore(encoder, decoder, riddle=world.puzzle, measure=world.measure)
    batch = Example(clips=(Clip(video=torch.rand(8, 6, 3, 8, 8)),), labels={}, parameters={}, index=torch.arange(8))
    optimisers, losses = Optimisers(task, preset), []
    for _ in range(20):
        optimisers.zero_grad()
        loss = task(batch)["loss"]
        loss.backward()
        nn.utils.clip_grad_norm_(task.parameters(), preset.clip_norm or math.inf)
        optimisers.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.99 * losses[0]


def test_the_clips_of_audioset_are_long_enough_for_its_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    module = load(next(p for p in RECIPES if p.stem == "mae"))
    flags = re.findall(r"`(--preset paper [^`]+)`", str(module.__doc__))[1]
    ten_seconds = MediaInfo(duration=10.0, sample_rate=16000, channels=1, sound_duration=10.0)
    assert chosen(module, monkeypatch, *flags.split()).cut(RandomClips()).unfit(ten_seconds) == ""


def test_pixels_that_the_crop_is_cut_from_are_the_papers() -> None:
    sides = {p.stem: load(p).PAPER.short_side for p in RECIPES}
    # video_audio.md 2.5 (128 × 171) and 3.2 (256); Shuffle & Learn has 256 (2.2), as its recipe tells
    assert sides["vcop"] == sides["pace"] == 128
    assert sides["multisensory"] == sides["avts"] == sides["rotnet"] == 256
    assert sides["shuffle_and_learn"] == 259


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_schedule_and_optimizer_of_a_paper_can_be_changed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = ["--preset", "paper", "--train.schedule", "cosine", "--train.optimizer", "adamw"]
    c = chosen(load(path), monkeypatch, *flags)
    assert (c.train.schedule, c.train.optimizer) == ("cosine", "adamw")
    assert [rate(c.train, e) for e in (c.train.warmup, c.train.epochs)] == pytest.approx([c.train.lr, 0])


TaskOf = Callable[[ModuleType, Any], Task]


@pytest.fixture
def task_of(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TaskOf:
    """The task that a recipe makes of the encoders in a configuration; it is not trained."""

    def build(module: ModuleType, config: Any) -> Task:
        seen: list[Task] = []
        monkeypatch.setenv("AVSSL_CACHE", str(cache))
        monkeypatch.setattr(module, "fit", lambda run, task, clips, **_: seen.append(task))
        monkeypatch.setattr(module, "transfer", lambda *_: None)
        encoders = {n: getattr(config, n) for n in ("encoder", "sound_encoder") if hasattr(config, n)}
        name = module.__name__.removeprefix("recipe_")
        module.main(replace(small(module, name, tmp_path / str(len(list(tmp_path.iterdir())))), **encoders))
        return seen[0]

    return build


@pytest.mark.parametrize("preset", ["laptop", "paper"])
def test_moco_cannot_tell_its_positives_by_the_statistics_of_their_batch(preset: str, task_of: TaskOf) -> None:
    module = load(next(p for p in RECIPES if p.stem == "moco"))
    task = task_of(module, module.PAPER if preset == "paper" else module.Config())
    assert not [m for m in task.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]


@pytest.mark.parametrize(("preset", "wide"), [("laptop", 128), ("paper", 512)])
def test_embeddings_of_avts_are_as_wide_as_in_the_paper(preset: str, wide: int, task_of: TaskOf) -> None:
    module = load(next(p for p in RECIPES if p.stem == "avts"))
    task = task_of(module, module.PAPER if preset == "paper" else module.Config())
    assert isinstance(task, Contrast)
    heads = [m for m in task.online.modules() if isinstance(m, Projector)]
    assert [list(h.parameters())[-1].shape[0] for h in heads] == [wide, wide]  # video_audio.md 3.4


def test_masks_are_measured_against_what_was_drawn(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AVSSL_CACHE", str(cache))
    recipe = load(next(p for p in RECIPES if p.stem == "moving_objects"))
    monkeypatch.setattr(recipe, "transfer", lambda run, *_: run)
    config = small(recipe, "moving_objects", tmp_path / "run")
    run: Run = recipe.main(replace(config, train=replace(config.train, epochs=1)))
    tool = load(RECIPES[0].parent.parent / "tools" / "measure_masks.py")
    tool.main(tool.Choice(data=config.data, size=36, run=run.folder))
    program, network, disc = capsys.readouterr().out.splitlines()[-3:]
    assert float(program.split()[2]) > 0.4  # on pictures of 36 pixels
    assert network.split()[0] == "network"
    assert float(disc.split()[2]) < 0.2


def test_the_command_line_takes_presets_and_flags(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = load(next(p for p in RECIPES if p.stem == "pace"))
    seen: list[Any] = []

    def main(c: Any) -> Run:
        seen.append(c)
        run: Run = module.main(small(module, "pace", tmp_path / f"run{len(seen)}"))
        return run

    main.__module__ = module.__name__
    monkeypatch.setenv("AVSSL_CACHE", str(cache))
    flags = ["--frames", "8", "--train.lr", "0.5", "--data.root", "/videos", "--encoder", "c3d"]
    monkeypatch.setattr(sys, "argv", ["pace.py", "--preset", "paper", *flags])
    run = cli(main, module.Config, paper=module.PAPER)
    (c,) = seen
    assert (c.frames, c.train.lr, c.train.optimizer, c.data.root) == (8, 0.5, "sgd", Path("/videos"))
    assert c.encoder.name == "c3d"
    assert (run.folder / "report.html").exists()
    assert "report.html" in capsys.readouterr().out.replace("\n", "")


def test_an_unknown_preset_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    module = load(RECIPES[0])
    monkeypatch.setattr(sys, "argv", ["recipe.py", "--preset=huge"])
    with pytest.raises(SystemExit, match="huge"):
        cli(module.main, module.Config, paper=module.PAPER)


def test_training_with_labels_learns_them_and_only_through_the_item_numbers(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AVSSL_CACHE", str(cache))
    module = load(RECIPES[0].parent.parent / "tools" / "supervised.py")
    run: Run = module.main(small(module, "supervised", tmp_path / "run"))
    steps = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert steps[0]["loss"] == pytest.approx(math.log(10), abs=0.8)  # ten motions, guessed
    assert json.loads((run.folder / "draws.json").read_text())[0]["labels"] == {}
    assert (run.folder / "scores.json").exists()
