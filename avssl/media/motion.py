"""How much changes when, told from the sizes of packets without decoding any."""

from __future__ import annotations

import numpy as np

from avssl.media.table import PictureTable

__all__ = ["motion"]

SLICES = 16
"""Equal parts of the duration for which the motion is told."""


def motion(table: PictureTable, keys: np.ndarray) -> tuple[float, ...]:
    """The mean size (bytes) of the predicted frames in each of 16 equal slices of the duration; () if there are none.

    An encoder spends bits on what it cannot predict from other frames, so the size of a predicted frame grows with what
    moves in it. Key frames (`keys`, of the packets), which are coded whole, and files of key frames only say nothing.
    """
    predicted = ~keys[table.rows]
    if not predicted.any():
        return ()
    size = table.size[table.rows][predicted].astype(float)
    times = table.instants(np.arange(len(table.rows)))[predicted]
    place = np.minimum((times / table.duration * SLICES).astype(int), SLICES - 1)
    count = np.bincount(place, minlength=SLICES)
    total = np.bincount(place, weights=size, minlength=SLICES)
    mean = np.where(count > 0, total / np.maximum(count, 1), size.mean())
    return tuple(float(round(m, 1)) for m in mean)
