"""All frames of an item, for what is measured frame by frame."""

from __future__ import annotations

from torch import Tensor

from avssl.core import MediaError, Span
from avssl.data.items import Item
from avssl.media import open_media, unpacked
from avssl.samplers.grid import grid_of

__all__ = ["whole_video"]


def whole_video(item: Item, *, size: tuple[int, int] | None = None, frames: int | None = None) -> Tensor:
    """Every frame of an item, (T, 3, H, W) uint8, or the first `frames`; `size` (H, W) squeezes them, None: as it is.

    Raises:
        MediaError: the file is damaged, or has no frames.
    """
    if not item.info.has_video:
        raise MediaError(item.path, "has no frames", "leave the file out")
    grid = grid_of(item.info)
    count = grid.count if frames is None else min(frames, grid.count)
    times = (0.0,) if item.info.is_picture else tuple(grid.middle(k) for k in range(count))
    span = Span(times=times, size=size).shifted([item.start])
    table = None if item.table is None else unpacked(item.table)
    with open_media(item.path, table) as media:
        (clip,) = media.read([span])
    assert clip.video is not None  # times were asked for
    return clip.video
