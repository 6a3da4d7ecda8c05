"""ESC-50 (Piczak, ACM Multimedia 2015): 2,000 sounds of 5 s of 50 classes in 5 official folds; ESC-10 is a part of it.

There are no splits: score the folds with `--split.folds fold`. A group is the recording that sounds were cut from, of
which each is in one fold.
"""

from __future__ import annotations

from pathlib import Path

from avssl.data.sets.common import Listing, Official, entry, official, rows

__all__ = ["read"]

PUT = "put the list as meta/esc50.csv and the sounds as audio/<filename>.wav (ESC-50-master.zip)"


def read(folder: Path, *, ten: bool = False) -> Listing:
    """The sounds of the official list, or those of ESC-10.

    Raises:
        MediaError: the list or all sounds are missing.
    """
    path = official(folder, "meta/esc50.csv", "ESC-50-master/meta/esc50.csv", put=PUT)
    entries = [
        entry(
            path.parent.parent / "audio" / row["filename"],
            label=row["category"],
            group=row["src_file"],
            more={"fold": row["fold"]},
        )
        for row in rows(path, ("filename", "fold", "category", "esc10", "src_file"))
        if not ten or row["esc10"] == "True"
    ]
    size, classes = (400, 10) if ten else (2000, 50)
    known = Official(name="ESC-10" if ten else "ESC-50", put=PUT, counts={"": size}, classes=classes)
    return known.listing(folder, entries)
