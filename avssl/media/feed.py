"""Packets for a decoder: bytes of the file where the table says where they lie, and else from the demuxer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, cast

import numpy as np
from av.codec import CodecContext
from av.codec.context import ThreadType
from av.error import FFmpegError
from av.packet import Packet, PacketSideData

from avssl.media.files import Bytes, Stamp, open_container
from avssl.media.packets import AnyPacket, Track, demux
from avssl.media.table import PictureTable, SoundTable

__all__ = ["Feed", "KeptFeed", "RawFeed", "feed"]

FAR_ROWS = 500
"""Packets further on than this are sought; nearer ones are demuxed and dropped, which is as fast and always right."""

GAP = 16 << 10
"""Bytes of other streams between packets, each on the average, that are rather read with them than skipped."""


AT_ONCE, LARGEST_READ = 256, 16 << 20
"""Packets, and bytes, that are read in one go at most."""


class Feed(ABC):
    """A decoder, and the packets of its stream; each call asks for later packets than the one before."""

    context: CodecContext
    broken: bool = False
    """Whether packets have failed to decode since the last that gave something."""

    @abstractmethod
    def packets(self, rows: np.ndarray) -> Iterator[tuple[int, AnyPacket]]:
        """The packets of some rows in rising order, with the numbers of their rows."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the file."""


def feed(path: Path, table: PictureTable | SoundTable, stamp: Stamp) -> Feed:
    """Open a file to feed a decoder of one of its streams.

    Raises:
        MediaError: the file has changed since its table was built, or is gone.
    """
    made: Feed = RawFeed(path, table, stamp) if table.raw else DemuxedFeed(path, table, stamp)
    return made


class RawFeed(Feed):
    """Reads the bytes of packets where they lie in the file."""

    def __init__(self, path: Path, table: PictureTable | SoundTable, stamp: Stamp) -> None:
        self._table = table
        self._keys = table.keys if isinstance(table, PictureTable) else None  # of sound, all packets are
        self._bytes = Bytes(path, stamp)
        try:
            self.context = table.decoder.context()
        except BaseException:
            self.close()
            raise

    def packets(self, rows: np.ndarray) -> Iterator[tuple[int, AnyPacket]]:
        """The packets of some rows in rising order, with the numbers of their rows."""
        for some in np.array_split(rows, range(AT_ONCE, len(rows), AT_ONCE)):
            begin, size = self._table.position[some].astype(np.int64), self._table.size[some].astype(np.int64)
            first, last = int(begin.min()), int((begin + size).max())
            together = last - first <= min(int(size.sum()) + GAP * len(some), LARGEST_READ)
            data = memoryview(self._bytes.read(last - first, first)) if together else memoryview(b"")
            for row, at, count in zip(some.tolist(), begin.tolist(), size.tolist(), strict=True):
                part = data[at - first : at - first + count] if together else memoryview(self._bytes.read(count, at))
                if len(part):
                    yield row, _packet(part, key=self._keys is None or bool(self._keys[row]))

    def close(self) -> None:
        """Let go of the file."""
        self._bytes.close()


def _packet(data: memoryview, *, key: bool) -> AnyPacket:
    """A packet with a copy of the bytes: decoders read on behind the end, where FFmpeg keeps zeros for them."""
    packet: AnyPacket = Packet(len(data))
    packet.update(cast(Any, data))  # which takes any buffer
    packet.is_keyframe = key
    return packet


class KeptFeed(Feed):
    """Gives the packets of a track that are kept in memory to the decoder of the container that they came from."""

    def __init__(self, track: Track) -> None:
        self._kept = track.kept
        context = track.stream.codec_context
        assert context is not None  # tracks have decoders
        self.context = context
        if context.is_open:
            context.flush_buffers()
        else:
            context.thread_type, context.thread_count = ThreadType.NONE, 1

    def packets(self, rows: np.ndarray) -> Iterator[tuple[int, AnyPacket]]:
        """The packets of some rows in rising order, with the numbers of their rows."""
        for row in rows.tolist():
            yield row, self._kept[row]

    def close(self) -> None:
        """The container is closed by who has opened it."""


class DemuxedFeed(Feed):
    """Takes packets from the demuxer, and counts them."""

    def __init__(self, path: Path, table: PictureTable | SoundTable, stamp: Stamp) -> None:
        Bytes(path, stamp).close()  # or it has changed
        self._path, self._table, self._stamp = path, table, stamp
        # one container keeps the decoder, another gives packets: it can be opened again when a seek has gone astray
        self._keeper = open_container(path, stamp)
        self.context = self._keeper.streams[table.stream].codec_context
        self.context.thread_type, self.context.thread_count = ThreadType.NONE, 1
        self._header: PacketSideData | None = None
        self._open()

    def _open(self) -> None:
        self._container = open_container(self._path, self._stamp)
        self._stream = self._container.streams[self._table.stream]
        self._packets, self._next = demux(self._container, [self._stream]), 0

    def packets(self, rows: np.ndarray) -> Iterator[tuple[int, AnyPacket]]:
        """The packets of some rows in rising order, with the numbers of their rows."""
        if int(rows[0]) - self._next > FAR_ROWS:
            self._seek(int(rows[0]))
        wanted, last = set(rows.tolist()), int(rows[-1])
        while self._next <= last:
            packet = next(self._packets, None)
            if packet is None:
                return
            row, self._next = self._next, self._next + 1
            if packet.has_sidedata("new_extradata"):  # which holds for all packets from here on
                self._header = packet.get_sidedata("new_extradata")
            if row in wanted:
                if self._header is not None:
                    packet.set_sidedata(self._header)
                    self._header = None
                yield row, packet

    def _seek(self, first: int) -> None:
        """Go on at row `first` or before it, where the demuxer can and says where it has come to."""
        if first >= len(self._table.dts):
            return
        here = self._next
        row, packet = self._sought(first)
        if packet is not None and here <= row <= first:
            self._packets, self._next = chain([packet], demux(self._container, [self._stream])), row
            return
        self._container.close()
        self._open()
        for _ in range(here):
            next(self._packets, None)
        self._next = here

    def _sought(self, first: int) -> tuple[int, AnyPacket | None]:
        """The row of the packet that comes after a seek, or -1 if it is not known, and that packet."""
        try:
            self._container.seek(int(self._table.dts[first]), stream=self._stream)
        except FFmpegError:
            return -1, None
        packet = next(demux(self._container, [self._stream]), None)
        if packet is None or packet.dts is None:
            return -1, None
        found = np.flatnonzero((self._table.dts == packet.dts) & (self._table.size == packet.size))
        return (int(found[0]), packet) if len(found) == 1 else (-1, None)

    def close(self) -> None:
        """Let go of the file."""
        self._container.close()
        self._keeper.close()
