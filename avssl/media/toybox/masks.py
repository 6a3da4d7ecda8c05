"""Where the thing is in a clip of a toybox, pixel by pixel, drawn again from the choices that the clip was made of."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from avssl.core import MediaError
from avssl.media.toybox.choice import Toybox
from avssl.media.toybox.drawing import Role, cast, draw_scene
from avssl.media.toybox.making import toybox_of
from avssl.media.toybox.picture import mask

__all__ = ["in_toybox", "masks"]


def in_toybox(clip: Path) -> bool:
    """Whether a path is that of a clip of a toybox."""
    return clip.parent.name == "clips" and (clip.parent.parent / "toybox.json").is_file()


def masks(clip: Path) -> npt.NDArray[np.uint8]:
    """The masks (T, H, W) of a clip, by its path: 1 where the thing covers half of a pixel or more, 0 elsewhere.

    Raises:
        MediaError: the clip is none of a toybox.
    """
    if not in_toybox(clip):
        raise MediaError(clip, "is no clip of a toybox", "ask for a clip that make_toybox made")
    toybox, roles = _known(clip.parent.parent)
    if clip.stem not in roles:
        raise MediaError(clip, "its toybox has no such clip", "ask for a clip that make_toybox made")
    covered: npt.NDArray[np.uint8] = (mask(draw_scene(toybox, roles[clip.stem]), toybox) >= 0.5).astype(np.uint8)
    return covered


@lru_cache(maxsize=4)
def _known(folder: Path) -> tuple[Toybox, dict[str, Role]]:
    """The choices of a toybox, and the role of each of its clips by the name of the file."""
    toybox = toybox_of(folder)
    return toybox, {r.stem: r for r in cast(toybox)}
