"""The packet table of a file: all that reading needs to know, so that no visit has to open or demux the file again.

It is kept as bytes that can be mapped: a header in JSON, then the columns. Looking up a frame touches a few of them, so
that a visit costs the same whether the file lasts ten seconds or two hours.
"""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from fractions import Fraction
from typing import Any, cast

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.codec import CodecContext
from av.codec.context import ThreadType
from av.video.codeccontext import VideoCodecContext

from avssl.core import MediaInfo
from avssl.media.files import Stamp
from avssl.media.turn import Turn

__all__ = ["DECODERS", "Decoder", "FileTable", "PictureTable", "SoundTable", "packed", "unpacked"]

DECODERS = f"PyAV {av.__version__}"
"""On whose version it depends what can be decoded, and how."""

MAGIC = b"avssl\1"
ALIGNED = 8
START = struct.Struct("<6sxxII")  # magic, length and checksum of the header
UNSIGNED, SIGNED = ("|u1", "<u2", "<u4", "<u8"), "<i8"


@dataclass(frozen=True, kw_only=True)
class Decoder:
    """How to make a decoder without the container: the parameters that its demuxer gave."""

    codec: str
    header: bytes = b""
    tag: str = ""
    width: int = 0
    height: int = 0
    pix_fmt: str = ""
    bits: int = 0
    matrix: int = 2
    range: int = 0
    rate: int = 0
    layout: str = ""
    sample_fmt: str = ""

    def context(self) -> CodecContext:
        """A new decoder, of one thread: files are what is worked on in parallel."""
        context = CodecContext.create(self.codec, "r")
        if self.header:
            context.extradata = self.header
        if self.tag:
            context.codec_tag = self.tag
        if isinstance(context, VideoCodecContext):
            context.width, context.height = self.width, self.height
            if self.pix_fmt:
                context.pix_fmt = self.pix_fmt
            context.colorspace, context.color_range = self.matrix, self.range  # where the stream itself says none
            if self.bits:
                cast(Any, context).bits_per_coded_sample = self.bits
        elif isinstance(context, AudioCodecContext):
            context.sample_rate, context.layout = self.rate, cast(Any, self.layout)
            if self.sample_fmt:
                context.format = cast(Any, self.sample_fmt)
        if self.codec == "h264":
            # a demuxer has seen how far pictures are out of order, a bare decoder has not: it is to wait for the most
            context.options = {"strict": "1"}
        # frame threads hang when reading stops before the end
        context.thread_type, context.thread_count = ThreadType.NONE, 1
        return context


@dataclass(frozen=True, kw_only=True)
class _StreamTable:
    """The packets of a stream in decoding order: where in the file the bytes of each lie, and how many they are.

    Where they are not contiguous, or a decoder needs more of the container than them, `position` is empty and packets
    come from the demuxer; `dts` (ticks) then says where to seek to.
    """

    stream: int
    decoder: Decoder
    tick: Fraction
    size: np.ndarray
    position: np.ndarray
    dts: np.ndarray

    @property
    def raw(self) -> bool:
        """Whether packets can be read as bytes of the file."""
        return len(self.position) > 0


@dataclass(frozen=True, kw_only=True)
class PictureTable(_StreamTable):
    """The frames of a file in the order in which they are shown.

    Frame k begins to be shown `ticks[k]` ticks after the first and is packet `rows[k]`; decoding has to start at packet
    `starts[k]` for it. Packets that are `droppable` are needed for no other frame; `keys` are key frames.
    """

    ticks: np.ndarray
    rows: np.ndarray
    starts: np.ndarray
    droppable: np.ndarray
    keys: np.ndarray
    intra: bool
    """Whether every frame is coded alone."""
    paired: int
    """1 where a frame may be two packets, a field each, of which the first is its row; else 0."""
    zero: Fraction
    """The instant of the first shown frame on the clock of the container, s."""
    duration: float
    fps: float
    turn: Turn

    def instants(self, numbers: np.ndarray) -> np.ndarray:
        """When frames of these numbers begin to be shown (s)."""
        found: np.ndarray = self.ticks[numbers] * float(self.tick)
        return found


@dataclass(frozen=True, kw_only=True)
class SoundTable(_StreamTable):
    """Where the packets of a sound track lie, in samples of its clock.

    `ends` (n,) are the samples at which what the packets hold ends; it is empty where the lengths of the packets are
    not known exactly, and the track is then always decoded from its start. Samples [begin, end) are heard.
    """

    ends: np.ndarray
    rate: int
    channels: int
    begin: int
    end: int
    shift: int
    """The sample at the 0 of the file's clock."""


@dataclass(frozen=True, kw_only=True)
class FileTable:
    """What a file holds, and where."""

    stamp: Stamp
    info: MediaInfo
    picture: PictureTable | None = None
    sound: SoundTable | None = None


def packed(table: FileTable) -> bytes:
    """The table as bytes."""
    columns: list[np.ndarray] = []

    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            low = value.min(initial=0)
            column = value.astype(SIGNED if low < 0 else _smallest(int(value.max(initial=0))))
            columns.append(column)
            return [column.dtype.str, len(column)]
        if isinstance(value, Fraction):
            return [value.numerator, value.denominator]
        if isinstance(value, bytes):
            return base64.b64encode(value).decode()
        if isinstance(value, Decoder | Turn | Stamp):
            return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
        return value

    def stream(part: PictureTable | SoundTable | None) -> dict[str, Any] | None:
        return None if part is None else {f.name: plain(getattr(part, f.name)) for f in fields(part)}

    content = {
        "stamp": plain(table.stamp),
        "info": asdict(table.info),
        "picture": stream(table.picture),
        "sound": stream(table.sound),
    }
    header = json.dumps(content).encode()
    parts = [START.pack(MAGIC, len(header), zlib.crc32(header)), header]
    size = sum(map(len, parts))
    for column in columns:
        gap = -size % ALIGNED
        parts += [bytes(gap), column.tobytes()]
        size += gap + column.nbytes
    return b"".join([*parts, bytes(-size % ALIGNED)])


def _smallest(most: int) -> str:
    return next(kind for kind in UNSIGNED if most <= np.iinfo(np.dtype(kind)).max)


def unpacked(data: bytes | memoryview) -> FileTable:
    """The table that `packed` made bytes of; its columns are views of the data.

    Raises:
        ValueError: these are not the bytes of a table of this version, or some are missing.
    """
    view = memoryview(data)
    if len(view) < START.size:
        raise ValueError(f"{len(view)} bytes are too few for a packet table")
    magic, length, checksum = START.unpack_from(view)
    header = bytes(view[START.size : START.size + length])
    if magic != MAGIC or len(header) < length or zlib.crc32(header) != checksum:
        raise ValueError("these bytes are not a packet table of this version")
    at = START.size + length

    def column(told: list[Any]) -> np.ndarray:
        nonlocal at
        kind, count = told
        if kind not in {*UNSIGNED, SIGNED}:
            raise ValueError(f"a packet table has no column of {kind!r}")
        at += -at % ALIGNED
        found: np.ndarray = np.frombuffer(view, kind, count, at)  # ValueError where bytes are missing
        at += found.nbytes
        return found

    content = json.loads(header)
    picture = _stream(PictureTable, content["picture"], column)
    sound = _stream(SoundTable, content["sound"], column)
    info: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in content["info"].items()}
    return FileTable(
        stamp=Stamp(**content["stamp"]),
        info=MediaInfo(**info),
        picture=cast("PictureTable | None", picture),
        sound=cast("SoundTable | None", sound),
    )


def _stream(kind: type[PictureTable] | type[SoundTable], content: Mapping[str, Any] | None, column: Any) -> object:
    if content is None:
        return None
    values: dict[str, Any] = {}
    for f in fields(kind):  # in the order in which they were written, as the columns follow one another
        value = content[f.name]
        if f.type == "np.ndarray":
            value = column(value)
        elif f.type == "Fraction":
            value = Fraction(*value)
        elif f.type == "Turn":
            value = Turn(**value)
        elif f.type == "Decoder":
            value = replace(Decoder(codec=value["codec"]), **value | {"header": base64.b64decode(value["header"])})
        values[f.name] = value
    return kind(**values)
