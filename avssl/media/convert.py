"""Crop, scale and convert one decoded frame to RGB in one call of libswscale, straight into the result.

PyAV's own reformatter cannot crop and allocates a frame each time, at several times the cost. libswscale is therefore
called through the extension module of PyAV that is linked with it: the same code, with the interpreter lock released.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import POINTER, c_char_p, c_int, c_int64, c_void_p
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import av.video.reformatter
import numpy as np
from av.video.format import VideoFormat
from av.video.frame import VideoFrame

__all__ = ["Converter", "line_bytes"]

Pointers: TypeAlias = c_void_p * 4  # type: ignore[valid-type]
Strides: TypeAlias = c_int * 4  # type: ignore[valid-type]

BILINEAR, AREA = 2, 0x20  # SWS_BILINEAR, SWS_AREA
EXACT = 0x40000 | 0x2000 | 0x4000  # SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP: no chroma is skipped
UNSPECIFIED, FULL_RANGE = 2, 2  # AVCOL_SPC_UNSPECIFIED, AVCOL_RANGE_JPEG
UNIT = 1 << 16  # 1.0 of contrast and saturation

ROOM = 64
"""FFmpeg lets its scaler write past the end of a line, up to the next multiple of so many bytes."""


@cache
def _function(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    library = ctypes.CDLL(av.video.reformatter.__file__)
    function = library[name]
    function.restype, function.argtypes = result, arguments
    return function


@cache
def _layout(name: str) -> tuple[int, int, int, bool]:
    """Number of a pixel format, log2 of its chroma subsampling across and down, and whether it can be cropped here."""
    number = int(_function("av_get_pix_fmt", c_int, c_char_p)(name.encode()))
    shape = VideoFormat(name, 64, 64)
    across, down = (
        6 - int(shape.chroma_width(64) or 64).bit_length() + 1,
        6 - int(shape.chroma_height(64) or 64).bit_length() + 1,
    )
    planes = 1 + max(c.plane for c in shape.components)
    plain = not (shape.has_palette or shape.is_bit_stream or shape.is_bayer) and (planes > 1 or across == down == 0)
    known = bool(_function("sws_isSupportedInput", c_int, c_int)(number))
    return number, across, down, plain and known


@cache
def line_bytes(name: str, width: int, plane: int) -> int:
    """How many bytes `width` pixels take in a line of a plane of a pixel format."""
    return max(0, int(_function("av_image_get_linesize", c_int, c_int, c_int, c_int)(_layout(name)[0], width, plane)))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Conversion:
    """How a crop of frames of one kind gets into pictures of one size."""

    scaler: int
    height: int
    """Lines of the crop."""
    corner: tuple[tuple[int, int], ...]
    """For each plane, where the crop begins: lines down, and bytes along the line."""
    room: np.ndarray | None
    """The pixels of a place with room behind each line, where the result is put first if the scaler needs any."""
    target: Pointers
    """Where the planes of that place begin."""
    lines: Strides
    """Bytes of a line of the result, for each plane."""


class Converter:
    """Fills (3, H, W) uint8 arrays with crops of frames; keeps one scaler for each kind of conversion.

    Shrinking averages over areas, enlarging is bilinear. The colours follow the matrix and the range that the frame
    tells; one that tells none is taken for BT.601 in limited range, as FFmpeg does (grey ones: full range). Alpha is
    dropped. Subsampled chroma stays in place at odd corners of a crop; odd sizes move it by half a pixel, at most.
    """

    def __init__(self) -> None:
        self._scalers: dict[tuple[int, ...], int] = {}
        self._conversions: dict[tuple[object, ...], _Conversion] = {}
        self._rooms: dict[tuple[int, int], np.ndarray] = {}
        self._free = _function("sws_freeContext", None, c_void_p)
        # these are made once, as what is called for each frame should do little else than call the scaler
        self._scale = _function("sws_scale", c_int, c_void_p, Pointers, Strides, c_int, c_int, Pointers, Strides)
        self._pointers, self._strides = Pointers(), Strides()

    def close(self) -> None:
        """Give back the scalers."""
        self._conversions.clear()
        while self._scalers:
            self._free(self._scalers.popitem()[1])

    def __del__(self) -> None:
        self.close()

    def __call__(self, frame: VideoFrame, crop: tuple[int, int, int, int], out: np.ndarray) -> None:
        """Write the pixels (top, left, height, width) of a frame, scaled, into `out` (3, H, W) uint8, contiguous.

        Raises:
            ValueError: libswscale cannot do that.
        """
        key = (frame.format.name, frame.colorspace, frame.color_range, crop, out.shape)
        how = self._conversions.get(key)
        if how is None:
            if not _layout(frame.format.name)[3]:
                self(frame.reformat(format="rgb24"), crop, out)
                return
            how = self._conversions[key] = self._conversion(frame, crop, *out.shape[1:])
        planes, pointers, strides = frame.planes, self._pointers, self._strides
        for i, (down, along) in enumerate(how.corner):
            plane = planes[i]
            strides[i] = line = plane.line_size
            pointers[i] = plane.buffer_ptr + down * line + along
        target = _planes(out) if how.room is None else how.target
        if self._scale(how.scaler, pointers, strides, 0, how.height, target, how.lines) < 0:
            raise ValueError(f"libswscale failed on a frame of {frame.height}×{frame.width} {frame.format.name}")
        if how.room is not None:
            out[...] = how.room

    def _conversion(self, frame: VideoFrame, crop: tuple[int, int, int, int], high: int, wide: int) -> _Conversion:
        top, left, height, width = crop
        number, across, down, _ = _layout(frame.format.name)
        corner = []
        for i in range(min(len(frame.planes), 4)):
            lines, columns = (top >> down, left >> across << across) if i in {1, 2} else (top, left)
            corner.append((lines, line_bytes(frame.format.name, columns, i)))
        phase = _chroma(left, width, across), _chroma(top, height, down)
        line = -(-wide // ROOM) * ROOM
        room = None if line == wide else self._rooms.setdefault((high, line), np.empty((3, high, line), np.uint8))
        return _Conversion(
            scaler=self._scaler(number, height, width, high, wide, *phase, frame.colorspace, _full(frame)),
            height=height,
            corner=tuple(corner),
            room=None if room is None else room[:, :, :wide],
            target=Pointers() if room is None else _planes(room),
            lines=Strides(line, line, line, 0),
        )

    def _scaler(self, *key: int) -> int:
        found = self._scalers.get(key)
        if found is None:
            found = self._scalers[key] = _new_scaler(*key)
        return found


def _planes(out: np.ndarray) -> Pointers:
    """Where green, blue and red begin in an array (3, H, W) of red, green and blue."""
    red, size = out.ctypes.data, out.strides[0]
    return Pointers(red + size, red + 2 * size, red, None)


def _chroma(offset: int, size: int, subsampling: int) -> int:
    """Where the first chroma sample of a crop [offset, offset + size) lies, in 1/256 of a pixel of the crop.

    The scaler stretches n chroma samples over the crop. Where they reach past its end, half of that is taken back.
    """
    step = 1 << subsampling
    middle = (128 << subsampling) - 128
    return middle - 256 * (offset % step) + 128 * (-size % step)


def _full(frame: VideoFrame) -> int:
    name = frame.format.name
    grey = name.startswith(("gray", "ya8", "ya16")) and frame.color_range == 0
    return int(frame.color_range == FULL_RANGE or name.startswith("yuvj") or grey)


def _new_scaler(
    number: int, height: int, width: int, high: int, wide: int, across: int, down: int, matrix: int, full: int
) -> int:
    """A libswscale context from a source of (height, width) pixels to planar RGB of (high, wide)."""
    shrinks = high <= height and wide <= width and (high, wide) != (height, width)
    scaler = _function("sws_alloc_context", c_void_p)()
    if not scaler:
        raise MemoryError("libswscale has no memory for a scaler")
    planar_rgb = _layout("gbrp")[0]
    settings = {
        "srcw": width,
        "srch": height,
        "src_format": number,
        "dstw": wide,
        "dsth": high,
        "dst_format": planar_rgb,
        "sws_flags": (AREA if shrinks else BILINEAR) | EXACT,
        "src_h_chr_pos": across,
        "src_v_chr_pos": down,
        "threads": 1,
    }
    put = _function("av_opt_set_int", c_int, c_void_p, c_char_p, c_int64, c_int)
    for name, value in settings.items():
        put(scaler, name.encode(), value, 0)
    table = _function("sws_getCoefficients", POINTER(c_int), c_int)
    details = _function(
        "sws_setColorspaceDetails", c_int, c_void_p, POINTER(c_int), c_int, POINTER(c_int), c_int, c_int, c_int, c_int
    )
    coefficients = table(matrix)
    details(scaler, coefficients, full, table(UNSPECIFIED), 1, 0, UNIT, UNIT)
    if _function("sws_init_context", c_int, c_void_p, c_void_p, c_void_p)(scaler, None, None) < 0:
        _function("sws_freeContext", None, c_void_p)(scaler)
        raise ValueError(f"libswscale cannot scale {height}×{width} pixels of format {number} to {high}×{wide}")
    return int(scaler)
