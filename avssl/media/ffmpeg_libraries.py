"""FFmpeg's shared libraries for packages that bring none: where the system has no FFmpeg, those inside the `av` wheel.

The wheel hides them behind names with a checksum (libavcodec-5e6b81c2.so.62.28.102), so that nobody who needs
libavcodec.so.62 finds one. But a library that is in memory already is found by the name that it gives itself: an empty
library is written for each, which calls itself libavcodec.so.62 and needs nothing but the hidden one. The loader then
finds the symbols in what the empty one needs. Linux with glibc only; elsewhere FFmpeg has to be installed.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
import tempfile
from functools import cache
from pathlib import Path

import av

__all__ = ["find_ffmpeg"]

LIBRARIES = ("avutil", "swresample", "swscale", "avcodec", "avformat", "avfilter", "avdevice")
"""Each needs only those before it."""

MAJORS = range(56, 62)
"""Of libavutil, from FFmpeg 4 to 9: what torchcodec 0.17 can use."""

MACHINES = {"x86_64": 62, "aarch64": 183}  # e_machine: EM_X86_64, EM_AARCH64

HEADER, SEGMENT, TAG, SYMBOL, HASH = 64, 56, 16, 24, 20
"""Bytes of the parts of a 64-bit ELF file."""


@cache
def find_ffmpeg() -> str:
    """Make FFmpeg's libraries loadable by their plain names; says where they are from: "system", "av" or "".

    It has to be called before what needs them is imported. Nothing is done where the system has FFmpeg.
    """
    for major in MAJORS:
        try:
            ctypes.CDLL(f"libavutil.so.{major}")
        except OSError:
            continue
        return "system"
    hidden = _hidden()
    try:
        for name, path in hidden.items():
            _alias(name, path)
    except OSError:  # as where nothing may be loaded from the folder of temporary files
        return ""
    return "av" if hidden else ""


def _hidden() -> dict[str, Path]:
    """The plain name of each library → where it lies in the wheel; none where this cannot work."""
    if not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc" or platform.machine() not in MACHINES:
        return {}
    folder = Path(av.__file__).parent.parent / "av.libs"
    found = {}
    for library in LIBRARIES:
        for path in folder.glob(f"lib{library}-*.so.*"):
            found[f"lib{library}.so.{path.name.split('.so.')[1].split('.')[0]}"] = path
    return found if len(found) == len(LIBRARIES) else {}


def _alias(name: str, path: Path) -> None:
    """Load an empty library of that name which needs the one at `path`."""
    ctypes.CDLL(str(path))
    file, written = tempfile.mkstemp(suffix=".so")
    try:
        with os.fdopen(file, "wb") as out:
            out.write(_empty_library(name, path.name))
        ctypes.CDLL(written)
    finally:
        os.unlink(written)


def _empty_library(name: str, needed: str) -> bytes:
    """A shared library (System V ABI, ELF-64) with a name, one library that it needs, and no symbols."""
    strings = b"\0" + name.encode() + b"\0" + needed.encode() + b"\0"
    tags = HEADER + 3 * SEGMENT
    symbols = tags + 8 * TAG
    hashes = symbols + SYMBOL
    at = -(-(hashes + HASH) // 8) * 8
    size = at + len(strings)
    machine = MACHINES[platform.machine()]
    # class 64, little endian, version 1; a shared object (ET_DYN) with three program headers and no sections
    header = b"\x7fELF\2\1\1" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 3, machine, 1, 0, HEADER, 0, 0, HEADER, SEGMENT, 3, 0, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 6, 0, 0, 0, size, size, 1 << 16)
    dynamic = struct.pack("<IIQQQQQQ", 2, 6, tags, tags, tags, 8 * TAG, 8 * TAG, 8)
    stack = struct.pack("<IIQQQQQQ", 0x6474E551, 6, 0, 0, 0, 0, 0, 16)  # PT_GNU_STACK: not to be executed
    told = {
        1: 1 + len(name) + 1,  # DT_NEEDED
        14: 1,  # DT_SONAME
        4: hashes,  # DT_HASH
        5: at,  # DT_STRTAB
        6: symbols,  # DT_SYMTAB
        10: len(strings),  # DT_STRSZ
        11: SYMBOL,  # DT_SYMENT
        0: 0,  # DT_NULL
    }
    entries = b"".join(struct.pack("<qQ", tag, value) for tag, value in told.items())
    nobody = bytes(SYMBOL) + struct.pack("<5I", 1, 1, 0, 0, 0)
    body = header + load + dynamic + stack + entries + nobody
    return body + bytes(at - len(body)) + strings
