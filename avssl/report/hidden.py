"""What of a clip was hidden: holes and patches, as the draws of a run tell them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from avssl.report.pixels import frames_of
from avssl.report.reading import Array, Draw

__all__ = ["hidden", "shown"]

DARK = 0.25
"""How much of the light of what is hidden is shown."""


def shown(draw: Draw, clip: int) -> Array:
    """The frames (F, H, W, 3) uint8 to show of a clip, with what was hidden darkened."""
    video = draw.clips[clip].video
    assert video is not None  # the caller has looked
    frames, index = frames_of(video)
    covered = hidden(draw.parameters, clip, (len(video), *frames.shape[1:3]))
    if covered is None:
        return frames
    return np.where(covered[index][..., None], (frames * DARK).astype(frames.dtype), frames)


def hidden(parameters: Mapping[str, object], clip: int, shape: tuple[int, int, int]) -> Array | None:
    """Whether each pixel (T, H, W) of a clip was hidden; None if nothing tells.

    Told by `<name>.boxes` (S, n, 4), relative top, left, height and width, or by `<name>.hide` (S, k), the numbers of
    patches of `<name>.grid` (S, 3): time, height, width; of several the first. What cannot be read so is not shown.
    """
    for name, value in parameters.items():
        try:
            if name.endswith(".boxes"):
                return _in_boxes(np.asarray(value, float)[clip], shape)
            if name.endswith(".hide"):
                grid = np.asarray(parameters[name.removesuffix("hide") + "grid"], int)[clip]
                return _in_patches(np.asarray(value, int)[clip], grid, shape)
        except (KeyError, IndexError, ValueError, TypeError):
            continue
    return None


def _in_boxes(boxes: Array, shape: tuple[int, int, int]) -> Array:
    _, height, width = shape
    found = np.zeros(shape, bool)
    for top, left, tall, wide in boxes:
        rows = slice(round(top * height), round((top + tall) * height))
        found[:, rows, round(left * width) : round((left + wide) * width)] = True
    return found


def _in_patches(numbers: Array, grid: Array, shape: tuple[int, int, int]) -> Array:
    steps, rows, columns = (int(n) for n in grid)
    flat = np.zeros(steps * rows * columns, bool)
    flat[numbers] = True
    cells = flat.reshape(steps, rows, columns)
    frames = np.arange(shape[0]) // -(-shape[0] // steps)
    tall, wide = shape[1] // rows, shape[2] // columns  # what is left over at an edge belongs to no patch
    patches = cells[frames].repeat(tall, axis=1).repeat(wide, axis=2)
    found = np.zeros(shape, bool)
    found[:, : patches.shape[1], : patches.shape[2]] = patches
    return found
