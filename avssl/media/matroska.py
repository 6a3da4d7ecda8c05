"""A run of packets as a small Matroska file in memory, for decoders that take nothing but files.

It holds the packets that are needed and no others, in decoding order, each at an instant that tells its place: whatever
a container says wrongly (edit lists, decoding times of AVI, key frames that are none) stays outside. Element numbers
are those of RFC 9559 and of the Matroska codec registry.
"""

from __future__ import annotations

from collections.abc import Iterable

from avssl.media.table import Decoder

__all__ = ["CODECS", "STEP", "film_of"]

CODECS = {
    "h264": "V_MPEG4/ISO/AVC",
    "hevc": "V_MPEGH/ISO/HEVC",
    "mpeg4": "V_MPEG4/ISO/ASP",
    "mpeg2video": "V_MPEG2",
    "mpeg1video": "V_MPEG1",
    "vp8": "V_VP8",
    "vp9": "V_VP9",
    "av1": "V_AV1",
    "mjpeg": "V_MJPEG",
    "ffv1": "V_FFV1",
}
"""What FFmpeg calls a codec → what Matroska calls it."""

STEP = 40
"""Packet n lies at n × STEP ms: at the told rate, so that FFmpeg has nothing to guess."""

BLOCKS = 32767 // STEP  # the times of blocks are 16-bit numbers from the beginning of their cluster on
KEY = 0x80


def film_of(codec: str, decoder: Decoder, packets: Iterable[tuple[bytes, bool]]) -> bytes:
    """The file with those packets (their bytes, and whether each is a key frame); `codec` is one of `CODECS`."""
    head = _element(
        0x1A45DFA3,
        _number(0x4286, 1) + _number(0x42F7, 1) + _number(0x42F2, 4) + _number(0x42F3, 8),
        _element(0x4282, b"matroska") + _number(0x4287, 4) + _number(0x4285, 2),
    )
    picture = _element(0xE0, _number(0xB0, max(1, decoder.width)) + _number(0xBA, max(1, decoder.height)))
    track = _element(
        0xAE,
        _number(0xD7, 1) + _number(0x73C5, 1) + _number(0x83, 1) + _number(0x23E383, STEP * 1_000_000),
        _element(0x86, CODECS[codec].encode()),
        _element(0x63A2, decoder.header) if decoder.header else b"",
        picture,
    )
    blocks = [
        _element(0xA3, b"\x81" + (n % BLOCKS * STEP).to_bytes(2, "big") + bytes([KEY * key]), data)
        for n, (data, key) in enumerate(packets)
    ]
    clusters = [
        _element(0x1F43B675, _number(0xE7, first * STEP), *blocks[first : first + BLOCKS])
        for first in range(0, len(blocks), BLOCKS)
    ]
    info = _element(0x1549A966, _number(0x2AD7B1, 1_000_000))
    return head + _element(0x18538067, info, _element(0x1654AE6B, track), *clusters)


def _element(number: int, *content: bytes) -> bytes:
    body = b"".join(content)
    return number.to_bytes(-(-number.bit_length() // 8), "big") + (1 << 56 | len(body)).to_bytes(8, "big") + body


def _number(number: int, value: int) -> bytes:
    return _element(number, value.to_bytes(max(1, -(-value.bit_length() // 8)), "big"))
