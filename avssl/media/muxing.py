"""Writing one film, or one sound, whose times are told exactly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.codec.context import ThreadType
from av.container import OutputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from avssl.core import MediaError

__all__ = ["USUAL_RATE", "FilmTrack", "SoundTrack", "Writer"]

LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
"""What FLAC has for each number of channels; AAC knows some others."""

AAC_LAYOUTS = LAYOUTS | {4: "4.0"}

AAC_BITS = 64_000
"""Bits a second of AAC, for each channel."""

NO_LIMIT = 1 << 30

WORST = 8
"""Of MPEG-4: the quality falls no lower for want of bits."""

WORSE, BUFFER = 8, 4
"""Of H.264: how much higher than its level the quantiser may be, and over how many seconds bits may be lent."""

BT601, LIMITED = 6, 1  # AVCOL_SPC_SMPTE170M, AVCOL_RANGE_MPEG

USUAL_RATE = 25
"""Hz that encoders are told; their rate control is off, and the container tells the times."""

LARGEST = 1.0 - 2.0**-15
"""The largest sample of 16 bits."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FilmTrack:
    """The pictures to write: frame k is shown from `times[k]` on, the last until `end`, in units of 1/timescale s."""

    height: int
    width: int
    codec: str
    level: int
    """The best quality, on the codec's own scale."""
    bits: int
    """Bits a second, at most, as encoders count them (`USUAL_RATE`), and about; 0: whatever the quality takes."""
    gop: int
    times: np.ndarray
    end: int
    timescale: int


@dataclass(frozen=True, kw_only=True)
class SoundTrack:
    """The sound to write, whose first sample lies `begin` samples after 0."""

    channels: int
    rate: int
    codec: str
    begin: int = 0


class Writer:
    """Writes an mp4, or a FLAC file where there are no pictures; what is not closed is not finished.

    Raises:
        MediaError: the encoder cannot take this.
        OSError: it cannot be written.
    """

    def __init__(self, path: Path, out: Path, film: FilmTrack | None, noise: SoundTrack | None) -> None:
        self._path, self._out, self._film, self._noise = path, out, film, noise
        self._heard = noise.begin if noise else 0
        options = {"fflags": "+bitexact", "movflags": "+negative_cts_offsets"}
        if film:
            options["video_track_timescale"] = str(film.timescale)
        if noise:
            options["movie_timescale"] = str(noise.rate)  # or the start of a track is rounded to a millisecond
        kind = "flac" if film is None and noise is not None and noise.codec == "flac" else "mp4"
        with self._writing():
            self._container: OutputContainer = av.open(str(out), "w", format=kind, container_options=options)
        with self._encoding():
            self._pictures = _add_film(self._container, film) if film else None
            self._sounds = _add_noise(self._container, noise) if noise else None

    def frame(self, number: int, pixels: np.ndarray) -> None:
        """Encode the frame (3, H, W) uint8 of a number; they come in order."""
        with self._encoding():
            shown = VideoFrame.from_ndarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)), format="rgb24")
            shown = shown.reformat(
                format="yuv420p", dst_colorspace=BT601, dst_color_range=LIMITED, interpolation="BICUBIC"
            )
            shown.pts, shown.time_base = number, Fraction(1, USUAL_RATE)
            packets = cast(VideoStream, self._pictures).encode(shown)
        self._place(packets)

    def sound(self, samples: np.ndarray) -> None:
        """Encode the next samples (A, N) float32."""
        if not samples.size or self._noise is None:
            return
        stream = cast(AudioStream, self._sounds)
        with self._encoding():
            whole = np.round(np.clip(samples, -1.0, LARGEST) * 32768).astype(np.int16)
            frame = AudioFrame.from_ndarray(whole.T.reshape(1, -1), format="s16", layout=_layout(self._noise))
            frame.sample_rate = self._noise.rate
            frame.pts, frame.time_base = self._heard, Fraction(1, self._noise.rate)
            packets = stream.encode(frame)
        self._heard += samples.shape[1]
        with self._writing():
            self._container.mux(packets)

    def close(self) -> None:
        """Write what the encoders still hold, and the end of the file."""
        if self._pictures is not None:
            with self._encoding():
                packets = self._pictures.encode(None)
            self._place(packets)
        if self._sounds is not None:
            with self._encoding():
                heard = self._sounds.encode(None)
            with self._writing():
                self._container.mux(heard)
        with self._writing():
            self._container.close()

    def _place(self, packets: list[Any]) -> None:
        """Give the packets their times; without B frames they come in the order in which they are shown."""
        film = cast(FilmTrack, self._film)
        for packet in packets:
            k = round(packet.pts * packet.time_base * USUAL_RATE)
            begin = int(film.times[k])
            packet.pts = packet.dts = begin
            packet.duration = (int(film.times[k + 1]) if k + 1 < len(film.times) else film.end) - begin
            packet.time_base = Fraction(1, film.timescale)
            with self._writing():
                self._container.mux(packet)

    @contextmanager
    def _encoding(self) -> Iterator[None]:
        try:
            yield
        except (FFmpegError, ValueError, KeyError) as e:
            raise MediaError(self._path, f"it cannot be encoded ({e})", "pack it with --codec copy") from e

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except FFmpegError as e:  # so that nobody takes the source for damaged
            raise OSError(e.errno, e.strerror, str(self._out)) from e

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self._abandon()

    def _abandon(self) -> None:
        try:
            self._container.close()
        except (FFmpegError, OSError):  # there is an error already
            return


def _add_film(container: OutputContainer, film: FilmTrack) -> VideoStream:
    if film.codec == "mpeg4":
        stream: Any = container.add_stream("mpeg4", rate=USUAL_RATE)
    else:
        parameters = f"keyint={film.gop}:bframes=0:open-gop=0:qpmax={min(51, film.level + WORSE)}"
        if film.bits:
            parameters += f":vbv-maxrate={film.bits // 1000 + 1}:vbv-bufsize={BUFFER * film.bits // 1000 + 1}"
        options = {"crf": str(film.level), "preset": "medium", "tune": "fastdecode", "x264-params": parameters}
        stream = container.add_stream("libx264", rate=USUAL_RATE, options=options)
    stream.height, stream.width, stream.pix_fmt = film.height, film.width, "yuv420p"
    stream.time_base = Fraction(1, film.timescale)
    context = stream.codec_context
    context.time_base = Fraction(1, USUAL_RATE)
    context.gop_size, context.max_b_frames = film.gop, 0
    if film.codec == "mpeg4":
        # its rate control asks for as many bits as it may, and the best quality says when that is enough
        context.bit_rate = film.bits or NO_LIMIT
        context.qmin, context.qmax = film.level, max(film.level, WORST) if film.bits else film.level
    context.colorspace, context.color_range = BT601, LIMITED
    context.thread_type, context.thread_count = ThreadType.NONE, 1
    return cast(VideoStream, stream)


def _add_noise(container: OutputContainer, noise: SoundTrack) -> AudioStream:
    stream: Any = container.add_stream(noise.codec, rate=noise.rate, layout=_layout(noise))
    stream.codec_context.format = "s16" if noise.codec == "flac" else "fltp"
    stream.codec_context.thread_count = 1
    if noise.codec == "aac":
        stream.bit_rate = AAC_BITS * noise.channels
    stream.time_base = Fraction(1, noise.rate)
    return cast(AudioStream, stream)


def _layout(noise: SoundTrack) -> str:
    return (AAC_LAYOUTS if noise.codec == "aac" else LAYOUTS)[noise.channels]
