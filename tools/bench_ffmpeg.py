"""Lets peers that look for FFmpeg on the system run on the one inside the `av` wheel (Linux with glibc, 64 bit).

The wheel names its libraries with a hash, such as libavcodec-5e6b81c2.so.62. A program that needs libavcodec.so.62
finds it once an empty library of that name is loaded which itself needs the one with the hash: symbols are looked up
there.
"""

from __future__ import annotations

import ctypes
import platform
import re
import struct
import tempfile
from pathlib import Path

LIBRARIES = ("avutil", "swresample", "swscale", "avcodec", "avformat", "avfilter", "avdevice")
MACHINES = {"x86_64": 62, "aarch64": 183}  # e_machine: EM_X86_64, EM_AARCH64

HEADER, SEGMENT, ENTRY, SYMBOL = 64, 56, 16, 24  # sizes in an ELF file of 64 bit
PAGE = 0x10000
LOAD, DYNAMIC, STACK = 1, 2, 0x6474E551  # p_type
NULL, NEEDED, HASH, STRTAB, SYMTAB, STRSZ, SYMENT, SONAME = 0, 1, 4, 5, 6, 10, 11, 14  # d_tag


def offer_ffmpeg_of_av() -> str:
    """Load the FFmpeg of the `av` wheel under its plain names; says what is in the way, or nothing."""
    if platform.system() != "Linux" or platform.machine() not in MACHINES:
        return "needs Linux on x86-64 or aarch64"
    import av

    folder = Path(av.__file__).parent.parent / "av.libs"
    for name in LIBRARIES:
        found = sorted(folder.glob(f"lib{name}-*.so.*"))
        if not found:
            return f"{folder} has no lib{name}"
        major = re.search(r"\.so\.(\d+)", found[0].name)
        assert major is not None
        ctypes.CDLL(str(found[0]))
        with tempfile.TemporaryDirectory() as place:
            stub = Path(place) / f"lib{name}.so.{major[1]}"
            stub.write_bytes(_empty_library(stub.name, found[0].name))
            ctypes.CDLL(str(stub), mode=ctypes.RTLD_GLOBAL)
    return ""


def _empty_library(name: str, needed: str) -> bytes:
    """A shared library without code, called `name`, that needs another."""
    strings = b"".join(s.encode() + b"\0" for s in ("", name, needed))
    dynamic_at = HEADER + 3 * SEGMENT
    symbols_at = dynamic_at + 8 * ENTRY
    hash_at = symbols_at + SYMBOL
    buckets = struct.pack("<4I", 1, 1, 0, 0)  # one bucket, one symbol: none
    strings_at = hash_at + len(buckets)
    size = strings_at + len(strings)
    tags = {
        NEEDED: 2 + len(name),
        SONAME: 1,
        HASH: hash_at,
        STRTAB: strings_at,
        SYMTAB: symbols_at,
        STRSZ: len(strings),
        SYMENT: SYMBOL,
        NULL: 0,
    }
    dynamic = b"".join(struct.pack("<qQ", tag, value) for tag, value in tags.items())
    machine = MACHINES[platform.machine()]
    ident = b"\x7fELF\2\1\1".ljust(16, b"\0")
    sizes = (HEADER, SEGMENT, 3, 0, 0, 0)
    header = ident + struct.pack("<HHIQQQI6H", 3, machine, 1, 0, HEADER, 0, 0, *sizes)
    segments = [
        (LOAD, 6, 0, size, PAGE),
        (DYNAMIC, 6, dynamic_at, len(dynamic), 8),
        (STACK, 6, 0, 0, 16),  # readable and writable, not executable
    ]
    table = b"".join(struct.pack("<IIQQQQQQ", k, flags, at, at, at, n, n, align) for k, flags, at, n, align in segments)
    return header + table + dynamic + bytes(SYMBOL) + buckets + strings
