"""How a folder is read as splits and labels, and which splits may be pretrained on."""

from pathlib import Path

import pytest

from avssl.data import Data, entries


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def listed(root: Path) -> list[tuple[str, str]]:
    return [(e.split, e.label) for e in entries(root)]


def test_folders_named_as_splits_are_splits(tmp_path: Path) -> None:
    root = touch(tmp_path, "test/run/b.mp4", "train/run/a.mp4", "train/c.mp4", "validation/sit/deep/d.mp4")
    assert listed(root) == [("test", "run"), ("train", ""), ("train", "run"), ("val", "deep")]
    assert entries(root)[0].columns == {"label": "run", "split": "test"}


def test_one_folder_of_another_name_makes_all_of_them_labels(tmp_path: Path) -> None:
    assert listed(touch(tmp_path, "train/a.mp4", "trees/b.mp4")) == [("", "train"), ("", "trees")]
    assert listed(touch(tmp_path / "flat", "a.mp4")) == [("", "")]
    assert listed(touch(tmp_path / "mixed", "train/a.mp4", "b.mp4")) == [("", ""), ("", "train")]


def test_what_is_held_out_is_never_trained_on() -> None:
    with pytest.raises(ValueError, match=r"splits and held_out share \['test'\]"):
        Data(splits=("train", "test"))
    assert Data(splits=("train", "test"), held_out=()).held_out == ()
