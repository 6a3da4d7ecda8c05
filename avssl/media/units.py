"""What a packet says of itself: whether decoding can start at it, and whether any other picture refers to it."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["KEPT", "TOLD", "VOP", "coded", "droppable", "starts_decoding", "time_bits", "vops"]

IDR, SEI = 5, 6  # nal_unit_type, ITU-T H.264 table 7-1
RECOVERY_POINT = 6  # payloadType, ITU-T H.264 D.1.1
B_VOP, B_PICTURE = 2, 3  # vop_coding_type, ISO 14496-2 table 6-20; picture_coding_type, ISO 13818-2 table 6-12
VOP, PICTURE = b"\0\0\1\xb6", b"\0\0\1\0"
VOLS = range(0x20, 0x30)  # video_object_layer_start_code, ISO 14496-2 table 6-3
WORD = 19  # bytes, at most, of a picture of MPEG-4 part 2 that is not coded
EXTENDED_SHAPE = 15  # aspect_ratio_info, ISO 14496-2 table 6-12
IRAP = range(16, 24)  # nal_unit_type of intra random access point pictures, ITU-T H.265 table 7-1

TOLD = frozenset({"h264", "hevc", "mpeg4", "mpeg1video", "mpeg2video", "vp8"})
"""Codecs whose packets say themselves whether decoding can start at them."""

KEPT = -1
"""Of a picture of layer 0 that others refer to, or may."""


def starts_decoding(packet: bytes, codec: str, header: bytes) -> bool:
    """Whether what is flagged as a key frame is one, as far as the codec is known; `header` is the stream's extradata.

    Some containers flag every packet. Encoders that refresh the picture bit by bit flag H.264 recovery points. Only
    after as many frames as such a point tells, or more, is the picture whole (ITU-T H.264 D.2.8, recovery_frame_cnt):
    with a count above 0 it is no start.
    """
    if codec == "h264":
        units = list(_units(packet, codec, header))
        return any(u[0] & 31 == IDR for u in units) or not any(u[0] & 31 == SEI and _waits(u[1:]) for u in units)
    if codec == "hevc":
        kinds = [u[0] >> 1 & 63 for u in _units(packet, codec, header) if u[0] >> 1 & 63 < 32]
        return all(k in IRAP for k in kinds)
    if codec == "mpeg4":
        return all(kind == 0 for _, kind in vops(packet)[:1])
    if codec in {"mpeg1video", "mpeg2video"}:
        return all(p[1] >> 3 & 7 == 1 for p in packet.split(PICTURE)[1:2] if len(p) > 1)
    return codec != "vp8" or not packet[0] & 1


def droppable(packet: bytes, codec: str, header: bytes) -> int:
    """The temporal layer of a picture that no other of its layer or of a lower one refers to; of any other, −1 − layer.

    Known of H.264 (nal_ref_idc 0), HEVC (sub-layer non-reference pictures, ITU-T H.265 table 7-1), MPEG-4 part 2 and
    MPEG-1/2 (B pictures); all but HEVC have one layer. The pictures of the highest layer can then be left out, and the
    others come out the same to the bit.
    """
    if codec == "h264":
        slices = [u[0] for u in _units(packet, codec, header) if 1 <= u[0] & 31 <= 5]
        return 0 if slices and not any(first & 0x60 for first in slices) else KEPT
    if codec == "hevc":
        pictures = [u[:2] for u in _units(packet, codec, header) if len(u) > 1 and u[0] >> 1 & 63 < 32]
        unused = all((p[0] >> 1 & 63) < 16 and not p[0] >> 1 & 1 for p in pictures)
        layer = (pictures[0][1] & 7) - 1 if pictures else 0
        return layer if pictures and unused else KEPT - layer
    if codec == "mpeg4":
        kinds = [kind for _, kind in vops(packet)]
        return 0 if kinds and all(k == B_VOP for k in kinds) else KEPT
    if codec in {"mpeg1video", "mpeg2video"}:
        kinds = [p[1] >> 3 & 7 for p in packet.split(PICTURE)[1:] if len(p) > 1]
        return 0 if kinds and all(k == B_PICTURE for k in kinds) else KEPT
    return KEPT


def vops(packet: bytes) -> list[tuple[int, int]]:
    """Where the pictures of an MPEG-4 part 2 packet begin, and their vop_coding_type (0 I, 1 P, 2 B, 3 S)."""
    found, at = [], packet.find(VOP)
    while at >= 0 and at + len(VOP) < len(packet):
        found.append((at, packet[at + len(VOP)] >> 6))
        at = packet.find(VOP, at + len(VOP))
    return found


def time_bits(data: bytes) -> int:
    """The length of vop_time_increment behind a header of MPEG-4 part 2 (ISO 14496-2, 6.2.3); 0: there is none."""
    at = data.find(b"\0\0\1")
    while 0 <= at < len(data) - 3 and data[at + 3] not in VOLS:
        at = data.find(b"\0\0\1", at + 3)
    bits = _Bits(data[at + 4 : at + 40] if at >= 0 else b"")
    bits.skip(1 + 8)  # random_accessible_vol, video_object_type_indication
    if bits.take(1):  # is_object_layer_identifier
        bits.skip(4 + 3)
    if bits.take(4) == EXTENDED_SHAPE:
        bits.skip(8 + 8)
    if bits.take(1):  # vol_control_parameters
        bits.skip(2 + 1)
        if bits.take(1):  # vbv_parameters
            bits.skip(79)
    if bits.take(2):  # a shape that is no rectangle, which nobody decodes
        return 0
    bits.skip(1)
    return (bits.take(16) - 1).bit_length() if bits.left > 16 else 0


def coded(picture: bytes, time_bits: int) -> bool:
    """Whether a picture of MPEG-4 part 2 is one, not only a word that the one before is still shown (vop_coded)."""
    at = picture.find(VOP)
    if at < 0 or len(picture) - at > WORD:
        return True
    bits = _Bits(picture[at + len(VOP) : at + len(VOP) + 16])
    bits.skip(2)  # vop_coding_type
    while bits.left and bits.take(1):  # modulo_time_base
        pass
    bits.skip(1 + max(time_bits, 1) + 1)
    return not bits.left or bool(bits.take(1))


class _Bits:
    """Bits of a header, taken one after another."""

    def __init__(self, data: bytes) -> None:
        self.left, self._value = 8 * len(data), int.from_bytes(data, "big")

    def skip(self, count: int) -> None:
        """Go on behind some bits; behind the last there are none."""
        self.left = max(0, self.left - count)

    def take(self, count: int) -> int:
        """The number that the next bits are; missing ones are zeros."""
        value = self._value << max(0, count - self.left) >> max(0, self.left - count)
        self.skip(count)
        return value & (1 << count) - 1


def _units(packet: bytes, codec: str, header: bytes) -> Iterator[bytes | memoryview]:
    """The NAL units of a packet, which have lengths before them where the header says so, else start codes."""
    size_at = {"h264": 4, "hevc": 21}[codec]  # lengthSizeMinusOne, ISO 14496-15 sections 5.3.3.1 and 8.3.3.1
    if header[:1] != b"\1" or len(header) <= size_at:
        yield from (part for part in packet.split(b"\0\0\1")[1:] if part)
        return
    length_bytes, at = (header[size_at] & 3) + 1, 0
    view = memoryview(packet)  # units are looked at, not copied
    while at + length_bytes < len(packet):
        size = int.from_bytes(view[at : at + length_bytes], "big")
        at += length_bytes
        if size:
            yield view[at : at + size]
        at += size


def _waits(messages: bytes | memoryview) -> bool:
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
