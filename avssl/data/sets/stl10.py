"""STL-10 (Coates et al., AISTATS 2011): 5,000 + 8,000 labelled and 100,000 unlabelled pictures of 96 × 96 pixels.

They come in a few binary files; the pictures are written once as PNG files into the cache. The column `folds` tells in
which of the 10 official training folds a picture is, parted by ';'.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from avssl.core import MediaError
from avssl.data.sets.common import Listing, Official, lines, official
from avssl.data.sets.prepared import Picture, pictures

__all__ = ["read"]

PUT = "unpack stl10_binary.tar.gz here: stl10_binary/train_X.bin, train_y.bin, test_X.bin, …"
SIDE = 96
COUNTS = {"train": 5_000, "test": 8_000, "unlabelled": 100_000}


def read(folder: Path) -> Listing:
    """The pictures of the three splits; the unlabelled ones may be absent.

    Raises:
        MediaError: a file is missing, or not of whole pictures, each with a label.
    """
    root = official(folder, "stl10_binary", put=PUT)
    words = official(root, "class_names.txt", put=PUT)
    names = lines(words)
    files = {split: official(root, f"{split}_X.bin", put=PUT) for split in ("train", "test")}
    told = {split: official(root, f"{split}_y.bin", put=PUT) for split in files}
    labels = {split: np.fromfile(path, np.uint8) for split, path in told.items()}
    if (root / "unlabeled_X.bin").is_file():
        files["unlabelled"] = root / "unlabeled_X.bin"
    folds = root / "fold_indices.txt"
    drawn = [set(map(int, line.split())) for line in lines(folds)] if folds.is_file() else []

    def shown() -> Iterator[Picture]:
        for split, path in files.items():
            taken = labels.get(split)
            for n, pixels in enumerate(_pixels(path, taken)):
                label = "" if taken is None else names[taken[n] - 1]
                among = [str(k) for k, fold in enumerate(drawn) if n in fold] if split == "train" else []
                yield Picture(pixels, {"label": label, "split": split, "folds": ";".join(among)})

    entries = pictures("stl10", [*files.values(), *told.values(), words, folds], shown())
    known = Official(name="STL-10", put=PUT, counts={k: COUNTS[k] for k in files}, classes=10)
    return known.listing(folder, entries)


def _pixels(path: Path, labels: np.ndarray | None) -> np.ndarray:
    """The pictures (N, 96, 96, 3) of a file, which has each channel column by column; they are not read but mapped."""
    size = 3 * SIDE * SIDE
    count, rest = divmod(path.stat().st_size, size)
    if not count or rest or (labels is not None and len(labels) != count):
        raise MediaError(path, f"it is no whole number of pictures of {size} bytes, each with a label", PUT)
    return np.memmap(path, np.uint8, "r", shape=(count, 3, SIDE, SIDE)).transpose(0, 3, 2, 1)
