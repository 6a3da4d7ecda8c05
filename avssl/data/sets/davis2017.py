"""DAVIS 2017 (Pont-Tuset et al., arXiv 1704.00675, 2017): 60 + 30 sequences with the masks of objects.

Each sequence is an entry: its pictures, joined once into a film in the cache, of their own bytes. Columns: `frames` and
`masks`, the folders of the pictures and of the masks. A group is the sequence; there are no labels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from avssl.core import MediaError
from avssl.data.sets.common import Listing, Official, entry, lines, official
from avssl.data.sets.prepared import films

__all__ = ["masks", "read"]

PUT = (
    "put the frames as JPEGImages/480p/<sequence>/00000.jpg, …, the masks as Annotations/480p/<sequence>/00000.png, … "
    "and the lists as ImageSets/2017/train.txt and val.txt (DAVIS-2017-trainval-480p.zip), or all below DAVIS/"
)
RATE = 24


def read(folder: Path) -> Listing:
    """The sequences of the two official lists.

    Raises:
        MediaError: a list or all sequences are missing.
    """
    root = folder / "DAVIS" if (folder / "DAVIS").is_dir() else folder
    entries = []
    for split in ("train", "val"):
        for name in lines(official(root, f"ImageSets/2017/{split}.txt", put=PUT)):
            frames, truth = (root / part / "480p" / name for part in ("JPEGImages", "Annotations"))
            more = {"frames": str(frames), "masks": str(truth)}
            entries.append(entry(frames, split=split, group=name, more=more))
    known = Official(name="DAVIS 2017", put=PUT, counts={"train": 60, "val": 30})
    return known.listing(folder, films(entries, rate=RATE))


def masks(folder: Path) -> np.ndarray:
    """The masks (T, H, W) uint8 of a sequence: 0 is the background, k the k-th object.

    Raises:
        MediaError: there are none, they cannot be read, or not all are of one size.
    """
    try:
        found = [np.asarray(Image.open(p), np.uint8) for p in sorted(folder.glob("*.png"))]
    except (OSError, UnidentifiedImageError) as e:
        raise MediaError(folder, f"a mask cannot be read ({e})", PUT) from e
    if not found or len({m.shape for m in found}) > 1 or found[0].ndim != 2:
        raise MediaError(folder, "it has no masks of one size with an object's number in each pixel", PUT)
    return np.stack(found)
