"""The command line of the recipes: help, presets, and how a run that cannot go on ends."""

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import pytest
from test_recipes import RECIPES, load

from avssl.cli import cli
from avssl.core import MediaError
from avssl.data import Data
from avssl.training import Ranks, Run, Train


@dataclass(frozen=True, kw_only=True)
class Config:
    data: Data = field(default_factory=Data)
    train: Train = field(default_factory=Train)


PAPER = Config(train=Train(optimizer="sgd", lr=0.1))


def told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *flags: str) -> Config:
    """What a recipe is called with, given flags."""
    seen: list[Config] = []

    def main(c: Config) -> Run:
        seen.append(c)
        # not the first rank: there is no run to write a page of
        return Run(folder=tmp_path, train=c.train, device=Any, ranks=Ranks(rank=1))  # type: ignore[arg-type]

    monkeypatch.setattr(sys, "argv", ["recipe.py", *flags])
    cli(main, Config, paper=PAPER)
    return seen[0]


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_help_says_what_the_recipe_is_and_what_every_choice_means(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = load(path)
    monkeypatch.setattr(sys, "argv", [str(path), "--help"])
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as ended:
        cli(module.main, module.Config, paper=module.PAPER)
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert module.__doc__.strip().splitlines()[0] in said
    assert f"python recipes/{path.name}" in said
    for flag in ("--preset {laptop,paper}", "--data.root", "--data.toybox.train", "--train.epochs", "--encoder"):
        assert flag in said
    assert "what to do about damaged files" in said


def test_help_comes_before_anything_heavy_is_imported() -> None:
    heavy = "{'torchaudio', 'decord', 'matplotlib', 'jinja2'}"
    script = (
        "import runpy, sys\n"
        f"sys.argv = ['pace.py', '--help']\n"
        f"try:\n    runpy.run_path({str(next(p for p in RECIPES if p.stem == 'pace'))!r}, run_name='__main__')\n"
        f"except SystemExit:\n    print(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("flags", [["--preset", "paper"], ["--preset=paper"]])
def test_flags_go_on_top_of_the_preset_wherever_it_stands(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flags: list[str]
) -> None:
    for given in ([*flags, "--train.lr", "0.5"], ["--train.lr", "0.5", *flags]):
        c = told(monkeypatch, tmp_path, *given)
        assert (c.train.optimizer, c.train.lr) == ("sgd", 0.5)
    assert told(monkeypatch, tmp_path).train == Train()


@pytest.mark.parametrize("flags", [["--preset"], ["--preset="], ["--preset", "huge"]])
def test_a_preset_that_there_is_not_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flags: list[str]
) -> None:
    with pytest.raises(SystemExit, match="the presets are laptop and paper"):
        told(monkeypatch, tmp_path, *flags)


def test_tuples_and_paths_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    flags = [
        "--data.root",
        "a/b",
        "--data.splits",
        "x",
        "y",
        "--train.schedule",
        "steps",
        "--train.milestones",
        "1",
        "2.5",
    ]
    c = told(monkeypatch, tmp_path, *flags)
    assert (c.data.root, c.data.splits, c.train.milestones) == (Path("a/b"), ("x", "y"), (1.0, 2.5))


def ending(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> SystemExit:
    def main(c: Config) -> NoReturn:
        raise error

    monkeypatch.setattr(sys, "argv", ["recipe.py"])
    with pytest.raises(SystemExit) as ended:
        cli(main, Config, paper=PAPER)
    return ended.value


def test_media_that_cannot_be_used_end_the_run_with_the_reason_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (
        ending(monkeypatch, MediaError("a.mp4", "is empty", "copy it again")).code == "a.mp4: is empty; copy it again"
    )


def test_a_run_that_is_stopped_by_hand_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ending(monkeypatch, KeyboardInterrupt()).code == 130
    assert "--train.resume" in capsys.readouterr().err


def test_a_mistake_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def main(c: Config) -> NoReturn:
        raise RuntimeError("a bug")

    monkeypatch.setattr(sys, "argv", ["recipe.py"])
    with pytest.raises(RuntimeError, match="a bug"):
        cli(main, Config, paper=PAPER)


def test_resuming_without_a_folder_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises((SystemExit, ValueError)) as ended:
        told(monkeypatch, tmp_path, "--train.resume")
    assert "--train.out" in capsys.readouterr().err + str(ended.value)
