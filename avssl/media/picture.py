"""Still pictures: one frame, upright, in the same form as a decoded video frame."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from avssl.core import MediaError
from avssl.media.files import read_whole
from avssl.media.turn import Turn

__all__ = ["load_picture"]

REMEDY = "leave it out or fetch it again"

ORIENTATION = 0x0112
"""The EXIF tag that says how a picture is turned."""

TURNS = {
    2: Turn(left_right=True),
    3: Turn(upside_down=True, left_right=True),
    4: Turn(upside_down=True),
    5: Turn(swap=True),
    6: Turn(swap=True, left_right=True),
    7: Turn(swap=True, upside_down=True, left_right=True),
    8: Turn(swap=True, upside_down=True),
}
"""What each value of that tag asks for (EXIF 2.3, table 6); 1 and unknown ones: nothing."""

PLAIN = {"JPEG": {"RGB", "L"}, "WEBP": {"RGB", "RGBA"}}
"""Formats, and in Pillow's words the pixels, of which torchvision makes the same to the bit, 1.2 to 3 times as fast.

Not PNG: there a damaged file ends the process (torchvision 0.29).
"""


def load_picture(path: Path) -> av.VideoFrame | None:
    """Decode a picture, turned upright as its EXIF says, to RGB; None if it is an animation.

    Sixteen-bit grey keeps its upper eight bits; alpha is dropped.

    Raises:
        MediaError: it cannot be decoded.
    """
    try:
        data = read_whole(path)
        with Image.open(io.BytesIO(data), formats=["JPEG", "PNG", "WEBP", "BMP", "GIF"]) as image:
            if getattr(image, "is_animated", False) and image.format != "MPO":  # the rest of an MPO are previews
                return None
            pixels = _plain(image, data)
            if pixels is None:
                image.load()
                pixels = _any(ImageOps.exif_transpose(image))
    except UnidentifiedImageError as e:  # which names the object that it was given
        raise MediaError(path, "this picture cannot be decoded (its header makes no sense)", REMEDY) from e
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as e:
        raise MediaError(path, f"this picture cannot be decoded ({e})", REMEDY) from e
    return av.VideoFrame.from_numpy_buffer(pixels, format="rgb24")


def _plain(image: Image.Image, data: bytes) -> np.ndarray | None:
    """A plain picture by torchvision, (H, W, 3); None of any other, or if it has something to object to."""
    if image.mode not in PLAIN.get(image.format or "", set()):
        return None
    from torchvision.io import ImageReadMode, decode_image  # takes half a second to import

    try:
        found = decode_image(torch.frombuffer(bytearray(data), dtype=torch.uint8), ImageReadMode.RGB)
    except RuntimeError:  # it is for Pillow to say what is wrong
        return None
    if found.dtype != torch.uint8 or (found.shape[2], found.shape[1]) != image.size:
        return None
    upright = TURNS.get(image.getexif().get(ORIENTATION, 1), Turn()).apply(found)
    return upright.permute(1, 2, 0).contiguous().numpy()


def _any(upright: Image.Image) -> np.ndarray:
    """A picture that Pillow has decoded, (H, W, 3)."""
    if upright.mode.startswith("I"):
        upright = Image.fromarray((np.asarray(upright).astype(np.uint32) >> 8).astype(np.uint8))
    return np.array(upright.convert("RGB"))
