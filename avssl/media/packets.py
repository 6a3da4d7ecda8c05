"""The packets of a file: one demuxing pass says when each is shown, and hands them to a decoder later."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition, Stream

from avssl.media.files import open_container
from avssl.media.keys import starts_decoding

__all__ = ["Row", "Track", "demux", "tracks"]

HELD_BYTES = 64 << 20
"""The packets of a file are kept in memory up to this size; those of a larger one are demuxed again for each read."""

FAR_ROWS = 500
"""Packets further in than this are sought; nearer ones are demuxed and dropped, which is as fast and always right."""

PATIENCE = 32
"""So many errors of the demuxer in a row are taken for the end of a damaged file."""

AnyPacket: TypeAlias = "Packet[Any]"


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """What the container says of one packet; times are ticks of the track."""

    pts: int | None
    dts: int | None
    duration: int
    size: int
    key: bool
    shown: bool
    skip: int
    """Samples at its beginning that are there for the decoder only."""


@dataclass(kw_only=True)
class Track:
    """The pictures or the sound of a file: its packets in decoding order."""

    path: Path
    stream: Stream
    tick: Fraction
    """Length of a tick, s."""
    format: str
    codec: str
    header: bytes
    rows: list[Row] = field(default_factory=list)
    held: list[AnyPacket] | None = field(default_factory=list)

    def packets(self, first: int = 0) -> Iterator[tuple[int, AnyPacket]]:
        """The packets from row `first` on, with the numbers of their rows."""
        if self.held is not None:
            yield from zip(range(first, len(self.rows)), self.held[first:], strict=True)
            return
        with open_container(self.path) as container:
            stream = container.streams[self.stream.index]
            row, ahead = self._sought(container, stream, first) if first > FAR_ROWS else (0, None)
            if row > first or row < 0:  # landed behind it or nowhere known
                yield from self._counted(first)
                return
            packets = chain([] if ahead is None else [ahead], demux(container, [stream]))
            numbered = zip(range(row, len(self.rows)), packets, strict=False)
            yield from ((number, packet) for number, packet in numbered if number >= first)

    def _counted(self, first: int) -> Iterator[tuple[int, AnyPacket]]:
        """The packets from row `first` on, found by counting."""
        with open_container(self.path) as container:
            packets = demux(container, [container.streams[self.stream.index]])
            yield from ((row, p) for row, p in zip(range(len(self.rows)), packets, strict=False) if row >= first)

    def _sought(self, container: InputContainer, stream: Stream, first: int) -> tuple[int, AnyPacket | None]:
        """Seek to row `first`: the row of the packet that came, or -1 if it is not known, and that packet."""
        dts = self.rows[first].dts
        if dts is None:
            return -1, None
        try:
            container.seek(dts, stream=stream)
        except FFmpegError:
            return -1, None
        packet = next(demux(container, [stream]), None)
        if packet is None:
            return -1, None
        key = (packet.pts, packet.dts, packet.size)
        found = [i for i, r in enumerate(self.rows) if (r.pts, r.dts, r.size) == key]
        return (found[0], packet) if len(found) == 1 else (-1, None)


def demux(container: InputContainer, streams: list[Stream]) -> Iterator[AnyPacket]:
    """The packets of some streams; what the demuxer stumbles over is left out."""
    errors = 0
    while errors < PATIENCE:
        try:
            for packet in container.demux(*streams):
                if packet.size:  # the empty ones at the end only tell the decoder to flush
                    errors = 0
                    yield packet
            return
        except FFmpegError:
            errors += 1


def tracks(path: Path, container: InputContainer) -> tuple[Track | None, Track | None]:
    """The pictures and the sound of a file, each the first of its streams that can be decoded; not the cover art."""
    covers = Disposition.attached_pic | Disposition.timed_thumbnails
    pictures = [s for s in container.streams.video if not s.disposition & covers and _decodable(s)]
    sounds = [s for s in container.streams.audio if _decodable(s)]
    found: dict[int, Track] = {}
    for stream in [*pictures[:1], *sounds[:1]]:
        tick = stream.time_base
        assert tick is not None  # every stream of an opened file has one
        found[stream.index] = Track(
            path=path,
            stream=stream,
            tick=tick,
            format=container.format.name,
            codec=stream.codec_context.codec.canonical_name,
            header=bytes(stream.codec_context.extradata or b""),
        )
    _fill(found, container)
    picture = found.get(pictures[0].index) if pictures else None
    sound = found.get(sounds[0].index) if sounds else None
    return picture if picture and picture.rows else None, sound if sound and sound.rows else None


def _decodable(stream: Stream) -> bool:
    context = stream.codec_context
    return context is not None and context.is_decoder


def _fill(found: dict[int, Track], container: InputContainer) -> None:
    held = 0
    streams = [t.stream for t in found.values()]
    for packet in demux(container, streams) if streams else ():
        track = found[packet.stream_index]
        codec, header = track.codec, track.header
        # VP8 keeps pictures that only others refer to in packets of their own (RFC 6386, section 9.1: show_frame)
        hidden = codec == "vp8" and not memoryview(packet)[0] & 0x10
        skip = 0
        if not track.rows and packet.has_sidedata("skip_samples"):
            skip = int.from_bytes(bytes(packet.get_sidedata("skip_samples"))[:4], "little")
        track.rows.append(
            Row(
                pts=packet.pts,
                dts=packet.dts,
                duration=packet.duration or 0,
                size=packet.size,
                key=packet.is_keyframe and starts_decoding(bytes(packet), codec, header),
                shown=not packet.is_discard and not hidden,
                skip=skip,
            )
        )
        held += packet.size
        if track.held is not None:
            track.held.append(packet)
        if held > HELD_BYTES:
            for t in found.values():
                t.held = None
