"""Still pictures: one frame, upright, in the same form as a decoded video frame."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from avssl.core import MediaError
from avssl.media.ffmpeg_libraries import find_ffmpeg
from avssl.media.files import Stamp, read_whole, stamp_of

__all__ = ["load_picture", "picture_bytes"]

LARGEST = 1 << 30
"""Bytes of a file of pictures, at most: one that is larger is no picture, whatever its first bytes say."""


REMEDY = "leave it out or fetch it again"

ORIENTATION = 0x0112
"""The EXIF tag that says how a picture is turned."""

PLAIN = {"JPEG": {"RGB", "L"}, "WEBP": {"RGB", "RGBA"}}
"""Formats, and in Pillow's words the pixels, of which torchcodec makes the same to the bit, 1.2 to 3 times as fast."""


def picture_bytes(path: Path, stamp: Stamp | None = None) -> bytes:
    """The bytes of a picture or an animation; with its `stamp` the file need not be looked for.

    Raises:
        OSError: it may not be read.
        MediaError: it is too large for one, or has changed since that stamp.
    """
    stamp = stamp or stamp_of(path)
    if stamp.size > LARGEST:
        raise MediaError(path, f"{stamp.size} bytes are too many for a picture", REMEDY)
    return read_whole(path, stamp)


def load_picture(path: Path, stamp: Stamp | None = None) -> av.VideoFrame | None:
    """Decode a picture, turned upright as its EXIF says, to RGB; None if it is an animation.

    Sixteen-bit grey keeps its upper eight bits; alpha is dropped. With its `stamp` the file need not be looked for.

    Raises:
        MediaError: it cannot be decoded.
    """
    try:
        data = picture_bytes(path, stamp)
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


@cache
def _decode_image() -> Callable[..., Tensor] | None:
    """What torchcodec decodes pictures with, for which it needs no FFmpeg; None if it is not there."""
    if find_spec("torchcodec") is None:
        return None
    find_ffmpeg()  # whoever imports torchcodec first decides whether it finds any
    try:
        import torchcodec.decoders
    except (ImportError, OSError, RuntimeError):
        return None
    found: Callable[..., Tensor] | None = getattr(torchcodec.decoders, "decode_image", None)  # of 0.16 and later
    return found


def _plain(image: Image.Image, data: bytes) -> np.ndarray | None:
    """A plain picture by torchcodec, (H, W, 3); None of any other, or if it has something to object to."""
    decode = _decode_image() if image.mode in PLAIN.get(image.format or "", set()) else None
    if decode is None or not _told_by_exif(image):
        return None
    try:
        found = decode(data, mode="RGB")
    except (RuntimeError, ValueError):  # it is for Pillow to say what is wrong
        return None
    pixels: np.ndarray = found.permute(1, 2, 0).contiguous().numpy()
    return pixels


def _told_by_exif(image: Image.Image) -> bool:
    """Whether it is EXIF that says how the picture is turned, if anything does; Pillow takes it from XMP, too."""
    exif = Image.Exif()
    exif.load(image.info.get("exif") or b"")
    return bool(exif.get(ORIENTATION, 1) == image.getexif().get(ORIENTATION, 1))


def _any(upright: Image.Image) -> np.ndarray:
    """A picture that Pillow has decoded, (H, W, 3)."""
    if upright.mode.startswith("I"):
        upright = Image.fromarray((np.asarray(upright).astype(np.uint32) >> 8).astype(np.uint8))
    return np.array(upright.convert("RGB"))
