"""Still pictures: one frame, upright, in the same form as a decoded video frame."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageOps

from avssl.core import MediaError
from avssl.media.files import read_whole

__all__ = ["load_picture"]


def load_picture(path: Path) -> av.VideoFrame | None:
    """Decode a picture, turned upright as its EXIF says, to RGB; None if it is an animation.

    Sixteen-bit grey keeps its upper eight bits; alpha is dropped.

    Raises:
        MediaError: it cannot be decoded.
    """
    try:
        with Image.open(io.BytesIO(read_whole(path)), formats=["JPEG", "PNG", "WEBP", "BMP", "GIF"]) as image:
            if getattr(image, "is_animated", False) and image.format != "MPO":  # the rest of an MPO are previews
                return None
            image.load()
            upright = ImageOps.exif_transpose(image)
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as e:
        raise MediaError(path, f"this picture cannot be decoded ({e})", "leave it out or fetch it again") from e
    if upright.mode.startswith("I"):
        upright = Image.fromarray((np.asarray(upright).astype(np.uint32) >> 8).astype(np.uint8))
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(upright.convert("RGB")), format="rgb24")
