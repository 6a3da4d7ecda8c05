"""CIFAR-10 and CIFAR-100 (Krizhevsky, technical report, 2009): 50,000 + 10,000 pictures of 32 × 32 pixels.

They come in a few files of records; the pictures are written once as PNG files into the cache. Of CIFAR-100 the label
is the fine class, and the column `coarse` one of 20 groups of classes. The binary version is read, for to open the
Python version is to run what is in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from avssl.core import MediaError
from avssl.data.sets.common import Listing, Official, lines, official
from avssl.data.sets.prepared import Picture, pictures

__all__ = ["read"]

SIDE = 32


def read(folder: Path, *, classes: Literal[10, 100]) -> Listing:
    """The pictures of both splits.

    Raises:
        MediaError: a file is missing, or not of whole records.
    """
    inside = "cifar-10-batches-bin" if classes == 10 else "cifar-100-binary"
    put = f"unpack the binary version here, cifar-{classes}-binary.tar.gz: {inside}/"
    root = official(folder, inside, put=put)
    train = [f"data_batch_{n}.bin" for n in range(1, 6)] if classes == 10 else ["train.bin"]
    test = "test_batch.bin" if classes == 10 else "test.bin"
    files = [(official(root, name, put=put), "train") for name in train] + [(official(root, test, put=put), "test")]
    kinds = ("batches.meta.txt",) if classes == 10 else ("coarse_label_names.txt", "fine_label_names.txt")
    words = [official(root, name, put=put) for name in kinds]
    names = [lines(path) for path in words]

    def shown() -> Iterator[Picture]:
        for path, split in files:
            for record in _records(path, labels=len(names)):
                *above, label = (known[n] for known, n in zip(names, record, strict=False))
                pixels = record[len(names) :].reshape(3, SIDE, SIDE).transpose(1, 2, 0)
                yield Picture(pixels, {"label": label, "split": split, "coarse": "".join(above)})

    entries = pictures(f"cifar{classes}", [*(path for path, _ in files), *words], shown())
    known = Official(name=f"CIFAR-{classes}", put=put, counts={"train": 50_000, "test": 10_000}, classes=classes)
    return known.listing(folder, entries)


def _records(path: Path, *, labels: int) -> np.ndarray:
    data = np.fromfile(path, np.uint8)
    size = labels + 3 * SIDE * SIDE
    if not len(data) or len(data) % size:
        raise MediaError(path, f"its {len(data)} bytes are no whole records of {size}", "unpack it again")
    return data.reshape(-1, size)
