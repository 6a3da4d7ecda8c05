"""A folder with damaged files among the good: the run names each, counts them, and goes on or stops as told."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from test_recipes import RECIPES, load

from avssl.cli import cli
from avssl.core import MediaError
from avssl.data import Data
from avssl.media.toybox import Toybox, make_toybox
from avssl.training import Run, Train

BAD = ("empty.mp4", "cut.mp4", "text.mp4", "noise.mp4", "gone.mp4")


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_toybox(Toybox(train=12, test=12, seconds=2.0, size=40), tmp_path_factory.mktemp("toys"))


@pytest.fixture
def folder(toys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """12 good files, one without sound, and five that are damaged each in its own way."""
    monkeypatch.setenv("AVSSL_CACHE", str(tmp_path / "cache"))
    there = tmp_path / "media"
    there.mkdir()
    good = sorted((toys / "clips").glob("train-*.mp4"))
    for path in good:
        shutil.copy(path, there)
    (there / "empty.mp4").write_bytes(b"")
    mute(good[0], there / "cut.mp4")  # its index comes last
    (there / "cut.mp4").write_bytes((there / "cut.mp4").read_bytes()[:3000])
    (there / "text.mp4").write_text("not a video, whatever my name says\n" * 50)
    (there / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(20_000))
    (there / "gone.mp4").symlink_to(there / "nowhere.mp4")
    mute(good[1], there / "mute.mp4")
    return there


def mute(source: Path, target: Path) -> None:
    """The same file without its sound."""
    with av.open(str(source)) as given, av.open(str(target), "w") as out:
        stream = out.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)


def run_recipe(name: str, folder: Path, out: Path, **data: str) -> Run:
    module = load(next(p for p in RECIPES if p.stem == name))
    train = Train(epochs=1, batch_size=4, out=out, device="cpu", probe_every=0)
    knobs = {"frames": 4, "size": 32} | ({"sound": 0.5, "shift": 0.5, "step": 1} if name == "multisensory" else {})
    config = replace(module.Config(**knobs), data=Data(root=folder, **data), train=train)  # type: ignore[arg-type]
    run: Run = module.main(config)
    return run


def test_a_run_names_and_counts_the_damaged_and_goes_on(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_recipe("pace", folder, tmp_path / "run")
    said = capsys.readouterr().err
    assert "5 of 18 files are left out" in said
    assert all(name in said for name in BAD)
    metrics = (run.folder / "metrics.jsonl").read_text()
    assert metrics.count('"kind": "step"') == 3  # 13 good files, 4 to a batch
    assert metrics.count('"what": "left out"') == 5
    assert all(name in metrics for name in BAD)


def test_a_run_stops_at_the_damaged_where_told_to(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(MediaError) as stopped:
        run_recipe("pace", folder, tmp_path / "run", damaged="stop")
    assert Path(stopped.value.path).name in BAD


def test_a_file_without_sound_is_named_where_sound_is_asked_for(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_recipe("multisensory", folder, tmp_path / "run")
    said = capsys.readouterr().err
    assert "1 of 13 files cannot be cut and are left out" in said
    assert "mute.mp4: has no sound" in said
    assert '"what": "left out"' in (run.folder / "metrics.jsonl").read_text()


def test_a_folder_of_nothing_but_damaged_files_is_an_error(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        if path.name not in BAD:
            path.unlink()
    with pytest.raises(MediaError, match="none of its 5 files can be read"):
        run_recipe("pace", folder, tmp_path / "run")


def test_the_command_line_says_it_too(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = load(next(p for p in RECIPES if p.stem == "rotnet"))
    flags = ["--data.root", str(folder), "--train.epochs", "1", "--train.batch-size", "4", "--size", "32"]
    monkeypatch.setattr(sys, "argv", ["rotnet.py", *flags, "--train.device", "cpu", "--train.out", str(tmp_path / "r")])
    cli(module.main, module.Config, paper=module.PAPER)
    said = capsys.readouterr()
    assert "5 of 18 files are left out" in said.err
    assert "No transfer scores" in said.out
