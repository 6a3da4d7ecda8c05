"""Something-Something V2 (Goyal et al., ICCV 2017; the second release, 2018): 220,847 videos of 174 templates.

Left and right are in the labels ("Pushing something from left to right"), so a flip makes them wrong: the column `flip`
says no. The test split has no labels; papers score "val" (`--split.test val`). Who filmed is not told: no groups.
"""

from __future__ import annotations

from pathlib import Path

from avssl.core import MediaError
from avssl.data.sets.common import NO_FLIP, Listing, Official, entry, official, tree

__all__ = ["read"]

PUT = (
    "put the videos as 20bn-something-something-v2/<id>.webm and the lists as something-something-v2-train.json, "
    "-validation.json and -test.json, or as labels/train.json, …"
)
COUNTS = {"train": 168_913, "val": 24_777, "test": 27_157}


def read(folder: Path) -> Listing:
    """The videos of the three official lists; a label is the template without its brackets.

    Raises:
        MediaError: a list or all videos are missing, or a list is not of the official form.
    """
    entries = []
    for split, part in {"train": "train", "val": "validation", "test": "test"}.items():
        path = official(folder, f"something-something-v2-{part}.json", f"labels/{part}.json", put=PUT)
        try:
            for row in tree(path):
                label = row.get("template", "").replace("[", "").replace("]", "")
                video = folder / "20bn-something-something-v2" / f"{row['id']}.webm"
                entries.append(entry(video, label=label, split=split, more=NO_FLIP))
        except (TypeError, KeyError, AttributeError) as e:
            raise MediaError(path, "not a list of objects with id and template", PUT) from e
    known = Official(name="Something-Something V2", put=PUT, counts=COUNTS, classes=174)
    return known.listing(folder, entries)
