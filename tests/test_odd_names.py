"""Files whose names are bytes that are no text: a run, its neighbours, page and sheet take them as any other."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from media_files import Film, write

from avssl.data import Data
from avssl.encoders import EachHead, tiny_r2plus1d
from avssl.evaluation.answers import Labelled
from avssl.evaluation.neighbours import picture_neighbours
from avssl.report import read_run, write_contact_sheet, write_report
from avssl.samplers import Pace
from avssl.tasks import Classify
from avssl.training import Train, fit, start
from avssl.transforms import RandomCrop

ODD, BAD = os.fsdecode(b"caf\xe9.mp4"), os.fsdecode(b"kaputt\xff.mp4")


@dataclass(frozen=True, kw_only=True)
class Config:
    train: Train


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four videos, of which one has an odd name, and a damaged file that has one, too."""
    monkeypatch.setenv("AVSSL_CACHE", str(tmp_path / "cache"))
    there = tmp_path / os.fsdecode(b"m\xe9dias")
    there.mkdir()
    for name in ("a", "b", "c"):
        write(there / f"{name}.mp4", Film(frames=16))
    try:
        (there / "c.mp4").rename(there / ODD)
        (there / BAD).write_bytes(b"")
    except OSError:
        pytest.skip("this file system wants names that are text")
    return there


def test_a_run_takes_names_that_are_no_text(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):  # looked into, and from the cache
        clips = Data(root=folder).clips(Pace(frames=2, paces=(1, 2)), RandomCrop(24, short_side=32))
        assert [i.path.name for i in clips.items] == ["a.mp4", "b.mp4", ODD]
    assert "kaputt" in capfd.readouterr().err
    run = start(Config(train=Train(out=tmp_path / "run", batch_size=3, epochs=1, device="cpu", probe_every=0)))
    encoder = tiny_r2plus1d(width=8)
    fit(run, Classify(encoder, EachHead(encoder.dim, 2), label="pace"), clips)

    features = Labelled(values=np.eye(3, dtype=np.float32), labels=np.arange(3))
    near = picture_neighbours(
        clips, train=clips.items, test=clips.items, parts=(features, features), classes=("x", ODD, "z"), k=2
    )
    near.write(run.folder)
    files = read_run(run.folder)
    assert files.problems == ()
    assert {Path(d.path).name for d in files.draws} == {"a.mp4", "b.mp4", ODD}
    assert files.neighbours is not None
    assert files.neighbours.paths == near.paths
    assert files.neighbours.labels == near.labels
    page = write_report(run.folder).read_text(encoding="utf-8")
    assert r"caf\udce9.mp4" in page
    assert r"kaputt\udcff.mp4" in page
    sheet = write_contact_sheet(run.folder, tmp_path / "sheet.png")
    assert sheet.stat().st_size > 0
