"""ImageNet, ILSVRC 2012 (Russakovsky et al., IJCV 2015): 1,281,167 + 50,000 pictures of 1,000 classes.

Papers score the split "val" (`--split.test val`); the labels are WordNet ids.
"""

from __future__ import annotations

import re
from pathlib import Path

from avssl.core import MediaError
from avssl.data.sets.common import Listing, Official, entry, official

__all__ = ["read"]

PUT = "put the pictures as train/<wnid>/*.JPEG and val/<wnid>/*.JPEG, such as train/n01440764/n01440764_18.JPEG"
WNID = re.compile(r"n\d{8}$")


def read(folder: Path) -> Listing:
    """The pictures of both splits.

    Raises:
        MediaError: a split is missing or not sorted into one folder for each class.
    """
    entries = []
    for split in ("train", "val"):
        place = official(folder, split, put=PUT)
        classes = sorted(p for p in place.iterdir() if WNID.match(p.name))
        if not classes:
            what = f"{split} has no folder named as a class is, such as n01440764"
            raise MediaError(folder, what, f"{PUT}; the validation archive has to be sorted by its ground truth first")
        entries += [
            entry(path, label=c.name, split=split)
            for c in classes
            for path in sorted(c.iterdir())
            if path.suffix.lower() in {".jpeg", ".jpg"}
        ]
    known = Official(name="ImageNet", put=PUT, counts={"train": 1_281_167, "val": 50_000}, classes=1000)
    return known.listing(folder, entries, there=True)
