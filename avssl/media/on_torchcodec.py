"""Frames by torchcodec, on the processor or on a GPU, from the packets that our table says are needed.

torchcodec takes files only, so it is given one in memory with just those packets (`matroska`): it cannot seek wrongly,
stumble over an edit list or decode what nobody wants, and no decoder outlives the read that needs it. NVDEC's own
decoders, which are costly to make, torchcodec keeps itself, at most 20 for each GPU.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import cache
from itertools import islice
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any

import numpy as np
import torch
from av.codec import Codec
from torch import Tensor

from avssl.core import MediaError
from avssl.media.clips import Crop, Shot
from avssl.media.feed import feed
from avssl.media.ffmpeg_libraries import find_ffmpeg
from avssl.media.film import Film, numbers_of
from avssl.media.frames import runs
from avssl.media.matroska import CODECS, STEP, film_of
from avssl.media.packets import NEEDED
from avssl.media.planes import Planes, rgb
from avssl.media.table import FileTable, PictureTable

__all__ = ["Fallbacks", "TorchcodecFilm", "fallbacks", "torchcodec_decoders"]

AT_ONCE, PIXELS = 32, 1 << 26
"""Frames, and pixels, that are converted in one go at most: what a clip of a usual length has, and 0.3 GB as floats."""

REMEDY = "choose backend pyav"

MATRICES = {1: "bt709", 4: "fcc", 7: "smpte240m", 9: "bt2020nc", 10: "bt2020c"}
"""AVColorSpace → its name, of those that are not BT.601."""

UNTOLD, FULL = 2, 2  # AVCOL_SPC_UNSPECIFIED, AVCOL_RANGE_JPEG
COLOURED = ("rgb", "bgr", "gbr", "argb", "abgr", "0rgb", "0bgr")


@cache
def torchcodec_decoders() -> ModuleType:
    """The module `torchcodec.decoders`, with FFmpeg found for it.

    Raises:
        ImportError: it is not installed, is too old, or finds no FFmpeg.
    """
    find_ffmpeg()
    import torchcodec.decoders

    if not hasattr(torchcodec.decoders, "Demuxer"):
        raise ImportError("this torchcodec has no packet decoders, as 0.17 has")
    if getattr(torchcodec, "ffmpeg_major_version", None) is None:
        raise ImportError("torchcodec finds no FFmpeg: install FFmpeg 4 to 9, or import avssl before torchcodec")
    found: ModuleType = torchcodec.decoders
    return found


class Fallbacks:
    """Kinds of streams that torchcodec decodes on the processor although a GPU was asked for, and how many reads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._reasons: dict[tuple[object, ...], str] = {}
        self.reads: dict[str, int] = {}
        """What was told, in words → how many reads it holds for."""

    def note(self, decoders: ModuleType, kind: tuple[object, ...], data: bytes, device: torch.device) -> None:
        """Count a read of a stream of some kind; the first of a kind is looked into, and told if it falls back."""
        with self._lock:
            known = self._reasons.get(kind)
        if known is None:
            status = decoders.VideoDecoder(data, device=device).cpu_fallback
            known = f"torchcodec decodes {kind[0]} of {kind[1]}×{kind[2]} ({kind[3]}) on the processor, not on {device}"
            known = f"{known}: {status}" if status else ""
            with self._lock:
                first = kind not in self._reasons
                self._reasons[kind] = known
            if known and first:
                warnings.warn(f"{known}. {REMEDY.capitalize()} for files like this one.", RuntimeWarning, stacklevel=2)
        if known:
            with self._lock:
                self.reads[known] = self.reads.get(known, 0) + 1


@cache
def fallbacks() -> Fallbacks:
    """What has been decoded by the processor in this process although a GPU was asked for."""
    return Fallbacks()


class TorchcodecFilm(Film):
    """Frames by torchcodec on the device, and there they stay.

    Raises:
        MediaError: torchcodec cannot be used, or not for such a stream.
    """

    def __init__(self, path: Path, table: FileTable, device: torch.device) -> None:
        super().__init__(path, table, device)
        try:
            self._decoders = torchcodec_decoders()
        except ImportError as e:
            raise MediaError(path, f"torchcodec cannot be used ({e})", f"install avssl[torchcodec], or {REMEDY}") from e
        self._codec = Codec(table.picture.decoder.codec, "r").canonical_name if table.picture else ""
        if table.picture and self._codec not in CODECS:
            raise self._cannot(f"cannot be given {self._codec} pictures")

    def _cannot(self, what: str) -> MediaError:
        return MediaError(self.path, f"backend torchcodec {what}", REMEDY)

    def _shots(self, shots: Sequence[Shot]) -> list[Tensor]:
        missing = set(numbers_of(shots))
        films: dict[int, Tensor] = {}
        ready: dict[int, Planes] = {}
        for number, frame in self._decoded(self._picture, np.array(sorted(missing))):
            if number in missing:
                missing.discard(number)
                ready[number] = frame
            if len(ready) == AT_ONCE or len(ready) * frame.size[0] * frame.size[1] >= PIXELS:
                self._place(films, shots, ready)
                ready = {}
        self._place(films, shots, ready)
        if missing:
            raise self._cannot(f"does not give frame {min(missing)}")
        return [films[s] for s in range(len(shots))]

    def _place(self, films: dict[int, Tensor], shots: Sequence[Shot], ready: dict[int, Planes]) -> None:
        """Put the frames that are ready into the clips that show them."""
        since = time.perf_counter()
        turn = self._picture.turn
        for s, shot in enumerate(shots):
            places = [t for t, number in enumerate(shot.numbers) if number in ready]
            frames = [ready[shot.numbers[t]] for t in places]
            crops: list[Crop] = []
            for t, frame in zip(places, frames, strict=True):
                crop = shot.crop(t, *turn.shown_size(*frame.size))
                films[s] = shot.film(self.path, films.get(s), crop, self.device)
                crops.append(turn.undo(crop, frame.size))
            if places:
                film = films[s]
                found = turn.apply(rgb(frames, crops, turn.swapped(*film.shape[2:])))
                if len(places) == len(film):
                    films[s] = found.contiguous()
                else:
                    film[places] = found
        self.spent.convert += time.perf_counter() - since

    def _decoded(self, table: PictureTable, numbers: np.ndarray) -> Iterator[tuple[int, Planes]]:
        number = dict(zip(table.rows[numbers].tolist(), numbers.tolist(), strict=True))
        data, fed = self._file(table, runs(table, numbers))
        rows = [row for run in fed for row in run]
        try:
            demuxer = self._decoders.Demuxer(data)
            decoder = demuxer.streams[0].make_decoder(self.device)
            if self.device.type == "cuda":
                told = table.decoder
                kind = (self._codec, told.width, told.height, told.pix_fmt, self.device.index)
                fallbacks().note(self._decoders, kind, data, self.device)
            for i, run in enumerate(fed):
                if i:
                    decoder.reset()
                for packet in islice(demuxer, len(run)):
                    yield from self._told(_given(decoder, packet), rows, number, table)
                yield from self._told(decoder.drain(), rows, number, table)
        except (torch.OutOfMemoryError, torch.AcceleratorError):  # no fault of the file, which is not to be left out
            raise
        except (RuntimeError, ValueError) as e:
            what = str(e).strip().partition("\n")[0]
            raise self._cannot(f"does not decode {self._codec} of {table.decoder.pix_fmt} ({what})") from e

    def _file(self, table: PictureTable, stretches: Sequence[np.ndarray]) -> tuple[bytes, list[list[int]]]:
        """The packets of some stretches as a file, and the rows of those that each stretch gives."""
        fed: list[list[int]] = []

        def packets() -> Iterator[tuple[bytes, bool]]:
            for run in stretches:
                fed.append([])
                for row, packet in source.packets(run):
                    if any(packet.has_sidedata(n) for n in NEEDED):
                        raise self._cannot("cannot be given headers that change")
                    fed[-1].append(row)
                    yield bytes(packet), bool(table.keys[row])

        with closing(feed(self.path, table, self._table.stamp)) as source:
            return film_of(self._codec, table.decoder, packets()), fed

    def _told(
        self, frames: Sequence[Any], rows: Sequence[int], number: dict[int, int], table: PictureTable
    ) -> Iterator[tuple[int, Planes]]:
        """The wanted ones of some frames, with their numbers."""
        for raw in frames:
            row = rows[min(max(round(raw.pts_seconds * 1000 / STEP), 0), len(rows) - 1)]
            if row in number:
                yield number[row], self._planes(raw, table)

    def _planes(self, raw: Any, table: PictureTable) -> Planes:
        name = str(raw.pixel_format)
        if name.endswith("be"):
            raise self._cannot(f"cannot be used for frames of {name}")
        planes: tuple[Tensor, ...] = raw.planes
        grey = name.startswith(("gray", "ya"))
        full = raw.color_range == "pc" if table.decoder.range == 0 else table.decoder.range == FULL
        untold = raw.color_range not in {"pc", "tv"}
        told = MATRICES.get(table.decoder.matrix, "") if table.decoder.matrix not in {0, UNTOLD} else raw.color_space
        return Planes(
            planes=planes[:1] if grey else planes[:3],
            bits=16 if name.startswith(("p0", "p2", "p4")) else int(raw.bit_depth),  # these have theirs at the top
            matrix=told,
            full=full or name.startswith("yuvj") or (grey and untold),
            coloured=name.startswith(COLOURED),
        )


def _given(decoder: Any, packet: Any) -> list[Any]:
    """What comes out for a packet; a damaged one gives nothing and does not end the decoding."""
    try:
        found: list[Any] = decoder.decode(packet)
    except RuntimeError as e:
        if "Failed to send packet" not in str(e):
            raise
        return []
    return found
