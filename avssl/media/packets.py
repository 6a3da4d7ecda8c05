"""The packets of a file, from one demuxing pass: when each is shown, where its bytes lie, who needs it."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

from av.audio.codeccontext import AudioCodecContext
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.codeccontext import VideoCodecContext

from avssl.media.files import Bytes, stamp_of
from avssl.media.patience import Patience
from avssl.media.table import Decoder
from avssl.media.units import B_VOP, KEPT, VOP, coded, droppable, starts_decoding, time_bits, vops

if TYPE_CHECKING:  # not there when running
    from av.packet import PktSideDataT

__all__ = ["FIRST", "AnyPacket", "Coding", "Row", "Track", "demux", "tracks"]

PATIENCE = 32
"""So many errors of the demuxer in a row are taken for the end of a damaged file."""

EMPTY = 10_000
"""So many packets without a byte in a row are, too."""

HEAD = 64
"""The bytes of a packet lie at most so far behind where the demuxer says that it begins, which may be its header."""

PIECE = 256 << 10
"""Bytes that are read at once to look for packets in."""

PLACEHOLDER = 19
"""Bytes, at most, of the packet that stands in for a frame that was packed into the one before (as in FFmpeg)."""

B_AFTER = 4
"""In place of a vop_coding_type: a B picture that was packed behind another one."""

NEEDED: tuple[PktSideDataT, ...] = ("new_extradata", "param_change", "palette")
"""Side data that a decoder must be given with the packet."""

FIRST, LAST = 32, 64
"""Packets that are kept at the beginning of a stream, and at the end of one of sound."""

MOST_KEPT = 32 << 20
"""Bytes of them, at most; single frames may have ten million."""

AnyPacket: TypeAlias = "Packet[Any]"

Coding: TypeAlias = tuple[str, Decoder]
"""A container and all that a decoder is told about what is in it."""


class Row(NamedTuple):
    """What the container says of one packet; times are ticks of the track."""

    pts: int | None
    dts: int | None
    duration: int
    size: int
    key: bool
    shown: bool
    skip: int
    """Samples at its beginning that are there for the decoder only."""
    position: int
    """Where its bytes begin in the file; -1: they are not contiguous there."""
    layer: int
    """What `droppable` says of it."""
    vop: int
    """vop_coding_type of a picture of MPEG-4 part 2 in AVI, else -1."""
    coded: bool = True
    """Whether it is a picture; else it only says that the one before is still shown."""


@dataclass(kw_only=True)
class Track:
    """The pictures or the sound of a file: its packets in decoding order."""

    path: Path
    stream: Stream
    tick: Fraction
    """Length of a tick, s."""
    format: str
    codec: str
    decoder: Decoder
    rows: list[Row] = field(default_factory=list)
    dts: list[int] = field(default_factory=list)
    """The decoding times of all packets, placeholders included."""
    raw: bool = True
    """Whether the bytes of every packet lie in the file as the decoder wants them, and need nothing else."""
    parted: bool = False
    """Whether some packets held several pictures, each of which has a row of its own."""
    steady: bool = True
    """Whether all packets can be decoded with the header that the stream has at its beginning."""
    time_bits: int = 0
    """What the header of MPEG-4 part 2 that was seen last says of the length of its times."""
    kept: dict[int, AnyPacket] = field(default_factory=dict)
    """Some packets at the beginning and at the end, by their row, with which to try the decoder."""

    @property
    def in_avi(self) -> bool:
        """Whether the container is AVI, which numbers packets in decoding order."""
        return "avi" in self.format

    @property
    def coding(self) -> Coding:
        """What streams have in common of which one is decoded rightly if another is."""
        return self.format, self.decoder

    def keep(self, packet: AnyPacket) -> None:
        """Keep a packet, of which the row comes next, and let go of one that is now in the middle."""
        row = len(self.rows)
        if row < FIRST and sum(p.size for p in self.kept.values()) < MOST_KEPT:
            self.kept[row] = packet
        elif row >= FIRST and self.stream.type == "audio":
            self.kept[row] = packet
            if row - LAST >= FIRST:
                self.kept.pop(row - LAST, None)


def demux(container: InputContainer, streams: list[Stream]) -> Iterator[AnyPacket]:
    """The packets of some streams; what the demuxer stumbles over is left out."""
    errors = empty = 0
    while errors < PATIENCE:
        try:
            # one that is only let go of, and not closed, loses some memory
            with closing(cast("Generator[AnyPacket, None, None]", container.demux(*streams))) as packets:
                for packet in packets:
                    if packet.size:  # the empty ones at the end only tell the decoder to flush
                        errors = empty = 0
                        yield packet
                    elif (empty := empty + 1) > EMPTY:
                        return
                return
        except FFmpegError:
            errors += 1
        except IndexError:  # PyAV stumbles over a stream that was not there at the beginning
            return


def tracks(path: Path, container: InputContainer, patience: Patience) -> tuple[Track | None, Track | None]:
    """The pictures and the sound of a file, each the first of its streams that has any; not the cover art.

    Raises:
        MediaError: what is behind some packet goes on and on without being anything.
    """
    covers = Disposition.attached_pic | Disposition.timed_thumbnails
    pictures = [s for s in container.streams.video if not s.disposition & covers and _decodable(s)]
    sounds = [s for s in container.streams.audio if _decodable(s)]
    found: dict[int, Track] = {}
    for stream in [*pictures, *sounds]:
        tick = stream.time_base
        assert tick is not None  # every stream of an opened file has one
        found[stream.index] = Track(
            path=path,
            stream=stream,
            tick=tick,
            format=container.format.name,
            codec=stream.codec_context.codec.canonical_name,
            decoder=_decoder(stream),
        )
    _fill(found, container, path, patience)
    first = [next((t for s in some if (t := found[s.index]).rows), None) for some in (pictures, sounds)]
    return first[0], first[1]


def _decodable(stream: Stream) -> bool:
    context = stream.codec_context
    return context is not None and context.is_decoder


def _decoder(stream: Stream) -> Decoder:
    context: Any = stream.codec_context
    try:
        tag = str(context.codec_tag)
        tag.encode("ascii")
    except (UnicodeError, ValueError):  # it is a number, not four letters
        tag = ""
    common = {"codec": context.name, "header": bytes(context.extradata or b""), "tag": tag if len(tag) == 4 else ""}
    if isinstance(context, VideoCodecContext):
        return Decoder(
            width=context.width,
            height=context.height,
            pix_fmt=context.pix_fmt or "",
            bits=int(context.bits_per_coded_sample or 0),
            matrix=int(context.colorspace),
            range=int(context.color_range),
            **common,
        )
    if isinstance(context, AudioCodecContext):
        sample_fmt = context.format.name if context.format else ""
        return Decoder(rate=context.sample_rate, layout=context.layout.name, sample_fmt=sample_fmt, **common)
    return Decoder(**common)


def _fill(found: dict[int, Track], container: InputContainer, path: Path, patience: Patience) -> None:
    with closing(Bytes(path, stamp_of(path))) as file:
        pieces = {index: _Piece(file) for index in found}
        for packet in demux(container, [t.stream for t in found.values()]) if found else ():
            patience.found(packet.size)
            _add(found[packet.stream_index], packet, pieces[packet.stream_index])
        patience.found()


def _add(track: Track, packet: AnyPacket, piece: _Piece) -> None:
    data = bytes(packet)
    if packet.dts is not None:
        track.dts.append(packet.dts)
    position = piece.position(packet.pos, data) if track.raw else -1
    track.steady = track.steady and not any(s.data_type in NEEDED for s in packet.iter_sidedata())
    track.keep(packet)
    track.raw = track.raw and position >= 0 and track.steady
    header = track.decoder.header
    # VP8 keeps pictures that only others refer to in packets of their own (RFC 6386, section 9.1: show_frame)
    hidden = track.codec == "vp8" and not data[0] & 0x10
    mpeg4 = track.codec == "mpeg4"
    if mpeg4 and (data[3:4] != VOP[3:] or not track.time_bits):  # where headers are sent, they come before the picture
        track.time_bits = time_bits(data) or track.time_bits or time_bits(header)
    skip = 0
    if not track.rows and packet.has_sidedata("skip_samples"):
        skip = int.from_bytes(bytes(packet.get_sidedata("skip_samples"))[:4], "little")
    parts = [(0, len(data), -1)]
    if mpeg4 and track.in_avi:
        if track.rows and track.rows[-1].vop == B_AFTER and len(data) <= PLACEHOLDER:
            return
        parts = _pictures(data)
        track.parted = track.parted or len(parts) > 1
    for begin, end, vop in parts:
        whole = len(parts) == 1
        track.rows.append(
            Row(
                pts=packet.pts if whole else None,
                dts=packet.dts if whole else None,
                duration=packet.duration or 0,
                size=end - begin,
                key=(packet.is_keyframe and starts_decoding(data, track.codec, header)) if vop < 0 else vop == 0,
                shown=not packet.is_discard and not hidden,
                skip=skip,
                position=position + begin if position >= 0 else -1,
                layer=droppable(data[begin:end], track.codec, header) if vop < 0 else 0 if vop == B_VOP else KEPT,
                vop=vop if whole or begin == 0 else B_AFTER,
                coded=not mpeg4 or coded(data[begin:end], track.time_bits),
            )
        )


def _pictures(data: bytes) -> list[tuple[int, int, int]]:
    """The pictures in a packet of MPEG-4 part 2: begin, end, and vop_coding_type."""
    found = vops(data)
    if not found:
        return [(0, len(data), -1)]
    begins = [0, *(at for at, _ in found[1:])]
    return [(b, e, kind) for b, e, (_, kind) in zip(begins, [*begins[1:], len(data)], found, strict=True)]


class _Piece:
    """A piece of the file where packets of a stream were found last: what comes next mostly lies in it, too."""

    def __init__(self, file: Bytes) -> None:
        self._file = file
        self._begin, self._data = 0, b""

    def position(self, said: int | None, packet: bytes) -> int:
        """Where the bytes of a packet lie in the file; -1: nowhere in one piece near where the demuxer says."""
        if said is None or said < 0:
            return -1
        until = said + HEAD + len(packet)
        if said < self._begin or until > self._begin + len(self._data):
            self._begin, self._data = said, self._file.read(max(PIECE, HEAD + len(packet)), said)
        at = self._data.find(packet, said - self._begin, until - self._begin)
        return -1 if at < 0 else self._begin + at
