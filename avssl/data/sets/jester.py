"""Jester (Materzynska et al., ICCV Workshops 2019): 148,092 clips of 27 hand gestures before a webcam, 12 frames a s.

The clips come as folders of pictures; each is joined once into a film in the cache, of the pictures' own bytes. Left
and right are in the labels, so a flip makes them wrong: the column `flip` says no. The test split has no labels;
papers score "val" (`--split.test val`). Who filmed is not told: no groups.
"""

from __future__ import annotations

from pathlib import Path

from avssl.data.sets.common import NO_FLIP, Listing, Official, entry, official, rows
from avssl.data.sets.prepared import films

__all__ = ["read"]

PUT = (
    "put the frames as 20bn-jester-v1/<id>/00001.jpg, … and the lists as jester-v1-train.csv, jester-v1-validation.csv "
    "and jester-v1-test.csv (<id>;<label> a line), beside it or below annotations/"
)
COUNTS = {"train": 118_562, "val": 14_787, "test": 14_743}
RATE = 12


def read(folder: Path) -> Listing:
    """The clips of the three official lists.

    Raises:
        MediaError: a list or all clips are missing.
    """
    entries = []
    for split, part in {"train": "train", "val": "validation", "test": "test"}.items():
        name = f"jester-v1-{part}.csv"
        path = official(folder, name, f"annotations/{name}", put=PUT)
        for row in rows(path, ("id", "label"), header=False, delimiter=";"):
            frames = folder / "20bn-jester-v1" / row["id"]
            entries.append(entry(frames, label=row["label"], split=split, more=NO_FLIP))
    known = Official(name="Jester", put=PUT, counts=COUNTS, classes=27)
    return known.listing(folder, films(entries, rate=RATE))
