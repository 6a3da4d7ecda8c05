"""Every recipe runs bare on a toybox, trains, transfers and leaves a page; its paper preset can be built."""

import importlib.util
import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from avssl.cli import cli
from avssl.data import Data
from avssl.media.toybox import Toybox
from avssl.training import Run, Train

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


SMALL: dict[str, dict[str, Any]] = {
    "pace": {"frames": 4},
    "vcop": {"frames": 4, "gap": 2},
    "shuffle_and_learn": {"longest": 0.5, "shortest": 0.125},
    "multisensory": {"frames": 8, "sound": 0.5, "shift": 0.5},
    "avts": {"frames": 8, "sound": 0.5, "shift": 0.5, "hard_from": 1},
    "moco": {"queue": 16},
}


def small(module: ModuleType, name: str, out: Path) -> Any:
    """A recipe's configuration cut down to seconds."""
    toybox = Toybox(train=24, test=24, seconds=2.0, size=40)
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


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_the_paper_preset_can_be_built(path: Path) -> None:
    module = load(path)
    assert module.PAPER.train.epochs >= 18
    assert module.PAPER.size >= 112
    assert module.PAPER.encoder.build().dim >= 512


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
