"""Which test items were right, kept beside a score in few characters, so that two runs can be compared item by item."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["kept"]


def kept(correct: np.ndarray, *, truth: np.ndarray, groups: Sequence[str] = ()) -> dict[str, Any]:
    """The entry `answers` of `Score.found`: of `correct` (M,) the bits, the number of each item's group, and a mark.

    The mark is equal where labels and groups of the test items are, in their order. Nothing is kept of what is not
    right or wrong, such as a rank.
    """
    if not np.isin(correct, (0, 1)).all():
        return {}
    names, member = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    grouped = len(groups) == len(correct) and 5 <= len(names) < len(correct) and "" not in names  # as in `bootstrap`
    mark = zlib.crc32("\0".join([*(str(t) for t in truth), *groups]).encode("utf-8", "surrogateescape"))
    bits = np.packbits(correct.astype(np.uint8)).tobytes().hex()
    numbers = " ".join(map(str, member)) if grouped else None  # as a string: JSON would put each on a line of its own
    return {"answers": {"right": bits, "groups": numbers, "test": f"{mark:08x}"}}
