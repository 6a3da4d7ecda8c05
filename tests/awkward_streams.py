"""Streams and containers that no encoder at hand writes, made by hand: bit by bit, or packet by packet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np

IDR, SLICE, SPS, PPS = 0x65, 0x41, 0x67, 0x68  # nal_ref_idc and nal_unit_type, ITU-T H.264 table 7-1
I_PCM, I_SLICE = 25, 7
NO_LACING, XIPH, FIXED, EBML = 0x00, 0x02, 0x04, 0x06  # bits of the flags of a block, RFC 9559 section 10.3
VOP = b"\0\0\1\xb6"
DIVX = b"\0\0\1\xb2DivX503b1393p"
"""User data by which encoders tell that B pictures are packed behind the picture that they need."""


class Bits:
    """Bits written one after another."""

    def __init__(self) -> None:
        self.text = ""

    def u(self, count: int, value: int) -> Bits:
        """A number of so many bits."""
        self.text += f"{value:0{count}b}"
        return self

    def ue(self, *values: int) -> Bits:
        """Exp-Golomb codes."""
        for value in values:
            code = f"{value + 1:b}"
            self.text += "0" * (len(code) - 1) + code
        return self

    def aligned(self, data: bytes) -> Bits:
        """Zeros up to the next byte, then bytes."""
        self.text += "0" * (-len(self.text) % 8) + "".join(f"{b:08b}" for b in data)
        return self

    def ended(self, first: str, then: str) -> bytes:
        """All as bytes, with some bits up to the next byte."""
        text = self.text + first
        text += then * (-len(text) % 8)
        return int(text, 2).to_bytes(len(text) // 8, "big")

    def unit(self, header: int) -> bytes:
        """A NAL unit of H.264 with its start code: a stop bit, and no start code inside."""
        out = bytearray()
        for byte in self.ended("1", "0"):
            if out[-2:] == b"\0\0" and byte <= 3:
                out.append(3)
            out.append(byte)
        return b"\0\0\0\1" + bytes([header]) + bytes(out)


def fields_of_h264(pictures: Sequence[np.ndarray], group: int = 8) -> list[bytes]:
    """Access units of H.264 in fields of I_PCM macroblocks, of grey pictures (H, W, 3): multiples of 32 × 16."""
    height, width = pictures[0].shape[:2]
    sps = Bits().u(8, 77).u(8, 0).u(8, 21).ue(0, 0, 0, 4, 1).u(1, 0).ue(width // 16 - 1, height // 32 - 1)
    pps = Bits().ue(0, 0).u(2, 0).ue(0, 0, 0).u(3, 0).ue(0, 0, 0).u(3, 0b100)
    headers = sps.u(5, 0b00100).unit(SPS) + pps.unit(PPS)
    units = []
    for k, picture in enumerate(pictures):
        first, n = k % group == 0, k % group
        parts = [headers] if first else []
        for bottom in (0, 1):
            idr = first and not bottom
            bits = Bits().ue(0, I_SLICE, 0).u(4, n).u(2, 2 + bottom)
            bits = bits.ue(k // group % 2) if idr else bits
            bits.u(8, 2 * n + bottom).u(2 if idr else 1, 0).ue(0, 1)
            luma = picture[bottom::2, :, 0]
            for y in range(0, height // 2, 16):
                for x in range(0, width, 16):
                    bits.ue(I_PCM).aligned(luma[y : y + 16, x : x + 16].tobytes() + bytes([128]) * 128)
            parts.append(bits.unit(IDR if idr else SLICE))
        units.append(b"".join(parts))
    return units


def not_coded(time_bits: int = 5) -> bytes:
    """A picture of MPEG-4 part 2 (an N-VOP) that only says that the one before is still shown."""
    return Bits().u(32, 0x1B6).u(2, 1).u(2, 0b01).u(time_bits, 0).u(2, 0b10).ended("0", "1")


def element(name: str, *content: bytes | int | str) -> bytes:
    """An element of EBML (RFC 8794); `name` is its ID in hexadecimal digits."""
    parts = [c.to_bytes(8, "big") if isinstance(c, int) else c.encode() if isinstance(c, str) else c for c in content]
    data = b"".join(parts)
    return bytes.fromhex(name) + (1 << 56 | len(data)).to_bytes(8, "big") + data


def laced(frames: Sequence[bytes], time: int, lacing: int, track: int = 1) -> bytes:
    """A SimpleBlock of Matroska with several frames; `time` (ms) is that of its cluster."""
    sizes = [len(f) for f in frames]
    told = b"" if lacing == NO_LACING else bytes([len(frames) - 1])
    if lacing == XIPH:
        told += b"".join(b"\xff" * (n // 255) + bytes([n % 255]) for n in sizes[:-1])
    if lacing == EBML:  # the first size, then by how much each differs from the one before, in three bytes
        steps = [b - a + (1 << 20) - 1 for a, b in pairwise(sizes[:-1])]
        told += b"".join((n | 1 << 21).to_bytes(3, "big") for n in (sizes[0], *steps))
    block = bytes([0x80 | track, 0, 0, 0x80 | lacing]) + told + b"".join(frames)
    return element("1f43b675", element("e7", time), element("a3", block))


def matroska(path: Path, codec: str, blocks: Iterable[bytes], track: bytes, duration: int = 0) -> Path:
    """A Matroska file with one track (type, details) and clusters; each frame lasts `duration` ns."""
    entry = element("d7", 1) + element("73c5", 1) + element("9c", 1) + element("86", codec) + track
    entry += element("23e383", duration) if duration else b""
    head = element("1a45dfa3", element("4282", "matroska"), element("4287", 4), element("4285", 2))
    info = element("1549a966", element("2ad7b1", 1_000_000))
    path.write_bytes(head + element("18538067", info, element("1654ae6b", element("ae", entry)), *blocks))
    return path


def film_track(height: int, width: int, *extra: bytes) -> bytes:
    """The details of a track of pictures."""
    return element("83", 1) + element("e0", element("b0", width), element("ba", height)) + b"".join(extra)


def sound_track(rate: int, channels: int, bits: int) -> bytes:
    """The details of a track of sound."""
    hertz = np.array([rate], ">f8").tobytes()
    return element("83", 2) + element("e1", element("b5", hertz), element("9f", channels), element("6264", bits))


def compressed(algorithm: int, settings: bytes = b"") -> bytes:
    """How the frames of a track are compressed: 0 zlib, 3 their common beginning is left out."""
    how = element("4254", algorithm) + (element("4255", settings) if settings else b"")
    return element(
        "6d80", element("6240", element("5031", 0), element("5032", 1), element("5033", 0), element("5034", how))
    )


def packets_of(path: Path) -> list[bytes]:
    """The bytes of the packets of the pictures of a file."""
    with av.open(str(path)) as container:
        return [bytes(p) for p in container.demux(container.streams.video[0]) if p.size]


def with_bytes(packet: av.Packet, data: bytes) -> av.Packet:
    """The same packet with other bytes."""
    copy = av.Packet(data)
    copy.pts, copy.dts, copy.time_base, copy.duration = packet.pts, packet.dts, packet.time_base, packet.duration
    copy.is_keyframe = packet.is_keyframe
    return copy


def remux(source: Path, path: Path, change: Callable[[int, av.Packet], av.Packet | None], **options: str) -> Path:
    """Copy the pictures of a file packet by packet, each changed or left out."""
    with av.open(str(source)) as a, av.open(str(path), "w", options=options) as b:
        stream = b.add_stream_from_template(a.streams.video[0])
        for number, packet in enumerate(a.demux(a.streams.video[0])):
            copy = change(number, packet) if packet.size else None
            if copy is not None:
                copy.stream = stream
                b.mux(copy)
    return path


def muxed(template: Path, path: Path, packets: Iterable[bytes], tick: Fraction, keys: Callable[[int], bool]) -> Path:
    """A file of the kind of stream that another has, with one packet a tick, in the order of showing."""
    with av.open(str(template)) as a, av.open(str(path), "w") as b:
        stream = b.add_stream_from_template(a.streams.video[0])
        for k, data in enumerate(packets):
            packet = av.Packet(data)
            packet.pts, packet.dts, packet.time_base, packet.duration = k, k, tick, 1
            packet.is_keyframe, packet.stream = keys(k), stream
            b.mux(packet)
    return path
