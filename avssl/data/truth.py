"""What is known of the pixels of an item: the masks of its objects, the joints of a body, the boxes of what sounds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from avssl.core import MediaError
from avssl.data.items import Item
from avssl.data.sets import davis2017, jhmdb
from avssl.media import toybox

__all__ = ["has_boxes", "has_joints", "has_masks", "joints_of", "masks_of", "sounding_at"]


def has_masks(item: Item) -> bool:
    """Whether there are masks: a column `masks`, as DAVIS 2017 has it, or a clip of a toybox."""
    return bool(item.columns.get("masks")) or toybox.in_toybox(item.path)


def has_joints(item: Item) -> bool:
    """Whether there are joints: a column `joints`, as JHMDB has it."""
    return bool(item.columns.get("joints"))


def has_boxes(item: Item) -> bool:
    """Whether it is known where what sounds is: a column `boxes`, or a clip of a toybox that has sound."""
    return bool(item.columns.get("boxes")) or (toybox.in_toybox(item.path) and item.info.has_sound)


def masks_of(item: Item) -> np.ndarray:
    """The masks (T, H, W) uint8 of an item: 0 is the background, k the k-th object.

    Raises:
        MediaError: there are none, or they cannot be read.
    """
    if folder := item.columns.get("masks"):
        return davis2017.masks(Path(folder))
    return toybox.masks(item.path)


def joints_of(item: Item) -> np.ndarray:
    """The joints (T, 15, 2) of an item: x and y in pixels, where 0 is the middle of the first.

    Raises:
        MediaError: there are none, or they cannot be read.
    """
    if not (path := item.columns.get("joints")):
        raise MediaError(item.path, "has no column 'joints'", "give a data set with joints, such as jhmdb:FOLDER")
    return jhmdb.joints(Path(path)) - 1  # the file counts pixels from 1


def sounding_at(item: Item, instant: float) -> np.ndarray:
    """Where what sounds is at an instant (s): a map (H, W) float32 in 0…1, of the whole frame as it is shown.

    Of a column `boxes`, "left top right bottom" in parts of the frame, several parted by ';': 1 in any of them, as in
    VGG-SS (Chen et al., CVPR 2021, arXiv:2104.02691). A column `annotators` says how many people drew them: where it is
    above 1, the map is half the number of boxes over a pixel, at most 1, as for Flickr-SoundNet (Senocak et al., CVPR
    2018, arXiv:1803.03849). Of a toybox, the box of the thing.

    Raises:
        MediaError: it is not known, or `boxes` is of another form.
    """
    if boxes := item.columns.get("boxes"):
        several = item.columns.get("annotators", "1") not in {"", "1"}
        return boxes_map(_numbers(item.path, boxes), (item.info.height, item.info.width), several=several)
    shown = toybox.masks(item.path)
    mask = shown[min(max(int((item.start + instant) * item.info.fps), 0), len(shown) - 1)]
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    truth = np.zeros(mask.shape, np.float32)
    if len(rows):
        truth[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = 1
    return truth


def boxes_map(boxes: np.ndarray, size: tuple[int, int], *, several: bool = False) -> np.ndarray:
    """Boxes (n, 4) of left, top, right, bottom in parts of the frame, as a map (H, W); see `sounding_at`."""
    count = np.zeros(size, np.float32)
    for left, top, right, bottom in np.clip(boxes, 0, 1):
        count[int(top * size[0]) : int(bottom * size[0]), int(left * size[1]) : int(right * size[1])] += 1
    return np.minimum(count / 2, 1) if several else np.minimum(count, 1)


def _numbers(path: Path, text: str) -> np.ndarray:
    try:
        boxes = np.array([[float(x) for x in box.split()] for box in text.split(";")])
        if boxes.shape[1:] != (4,) or not np.isfinite(boxes).all():
            raise ValueError(f"shape {boxes.shape}")
    except ValueError as e:
        remedy = "give 'left top right bottom' in parts of the frame, several parted by ';'"
        raise MediaError(path, f"boxes {text!r} cannot be understood ({e})", remedy) from e
    return boxes
