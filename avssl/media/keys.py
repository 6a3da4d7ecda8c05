"""Whether decoding can start at a packet that is flagged as a key frame."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["starts_decoding"]

IDR, SEI = 5, 6  # nal_unit_type, ITU-T H.264 table 7-1
RECOVERY_POINT = 6  # payloadType, ITU-T H.264 D.1.1


def starts_decoding(packet: bytes, codec: str, header: bytes) -> bool:
    """Whether what is flagged as a key frame is one; `header` is the extradata of the stream.

    Encoders that refresh the picture bit by bit flag H.264 recovery points. Only after as many frames as such a point
    tells, or more, is the picture whole (ITU-T H.264 D.2.8, recovery_frame_cnt): with a count above 0 it is no start.
    """
    if codec != "h264":
        return True
    for unit in _units(packet, (header[4] & 3) + 1 if header[:1] == b"\1" and len(header) > 4 else 0):
        kind = unit[0] & 31
        if kind == IDR:
            return True
        if kind == SEI and _waits(unit[1:]):
            return False
    return True


def _units(packet: bytes, length_bytes: int) -> Iterator[bytes]:
    """The NAL units of a packet, which have lengths before them or, with `length_bytes` 0, start codes."""
    if length_bytes:
        at = 0
        while at + length_bytes < len(packet):
            size = int.from_bytes(packet[at : at + length_bytes], "big")
            at += length_bytes
            if size:
                yield packet[at : at + size]
            at += size
    else:
        yield from (part for part in packet.split(b"\0\0\1")[1:] if part)


def _waits(messages: bytes) -> bool:
    """Whether an SEI unit holds a recovery point with a count above 0."""
    at = 0
    while at + 2 < len(messages):
        fields = []
        for _ in range(2):  # type and size: bytes of 255 add up until a smaller one ends them
            value = 0
            while at < len(messages) - 1 and messages[at] == 255:
                value, at = value + 255, at + 1
            fields.append(value + messages[at])
            at += 1
            if at >= len(messages):
                return False
        kind, size = fields
        if kind == RECOVERY_POINT and size:
            return messages[at] < 128  # Exp-Golomb: 0 is a single set bit
        at += size
    return False
