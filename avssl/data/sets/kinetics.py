"""Kinetics-400 (Kay et al., arXiv 1705.06950, 2017), -600 (Carreira et al., arXiv 1808.01340, 2018), -700 (Carreira et
al., arXiv 1907.06987, 2019): stretches of 10 s of YouTube videos; about 306,000, 496,000 and 650,000 were published.

Videos vanish from YouTube, and lists of several ages go about, so that only the number of classes is compared and what
is missing is counted. A group is the YouTube video. Papers score the split "val" (`--split.test val`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from avssl.core import MediaError
from avssl.data.sets.common import Listing, Official, by_stem, entry, official, rows

__all__ = ["read"]


def read(folder: Path, *, classes: Literal[400, 600, 700]) -> Listing:
    """The clips of the lists `train.csv`, `val.csv` (or `validate.csv`) and, if it is there, `test.csv`.

    Raises:
        MediaError: a list or all videos are missing, or a time is no number.
    """
    put = (
        "put the lists as train.csv, val.csv and test.csv (or below annotations/) and the cut videos anywhere below, "
        "named <youtube_id>_<start>_<end>.mp4 with six digits each, such as abc_000010_000020.mp4"
    )
    lists = {
        "train": official(folder, "train.csv", "annotations/train.csv", put=put),
        "val": official(folder, "val.csv", "validate.csv", "annotations/val.csv", "annotations/validate.csv", put=put),
    }
    for name in ("test.csv", "annotations/test.csv"):
        if (folder / name).is_file():
            lists["test"] = folder / name
    files = by_stem(folder)
    entries = []
    for split, path in lists.items():
        for row in rows(path, ("youtube_id", "time_start", "time_end")):
            try:
                stem = f"{row['youtube_id']}_{int(float(row['time_start'])):06}_{int(float(row['time_end'])):06}"
            except ValueError as e:
                raise MediaError(path, f"{row} has a time that is no number", "fetch the official list again") from e
            video = files.get(stem, folder / f"{stem}.mp4")
            entries.append(entry(video, label=row.get("label", ""), split=split, group=row["youtube_id"]))
    return Official(name=f"Kinetics-{classes}", put=put, classes=classes).listing(folder, entries)
