"""Which backend is quicker for which kind of file, measured on files of the data set itself.

A GPU decodes few streams at a time and each with a delay, so that small clips may come quicker from the processor. The
processor stays the choice unless torchcodec was measured to be clearly quicker; whatever is chosen says why.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch

from avssl.core import MediaError, Span
from avssl.media.decoding import Backend, Decoding, device_of
from avssl.media.reader import open_media
from avssl.media.table import FileTable

__all__ = ["Kind", "Measured", "Timing", "kind_of", "measured", "timings"]

MARGIN = 1.2
"""torchcodec has to be so many times as quick to be chosen: a measurement of some seconds is no better than that."""

LINES = (240, 360, 480, 720, 1080, 2160)

FRAMES, STRIDE, SIZE = 16, 2, (112, 112)
"""The clip that is timed: a usual one."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Files that cost about the same to decode: of one codec and pixel format, with up to so many lines."""

    codec: str
    pix_fmt: str
    lines: int

    def __str__(self) -> str:
        return f"{self.codec}, {self.pix_fmt}, up to {self.lines} lines"


def kind_of(table: FileTable) -> Kind | None:
    """The kind of a file; None if there are no moving pictures in it."""
    if table.picture is None:
        return None
    told, short = table.picture.decoder, min(table.info.height, table.info.width)
    lines = next((n for n in LINES if short <= n), LINES[-1])
    return Kind(codec=told.codec, pix_fmt=told.pix_fmt, lines=lines)


@dataclass(frozen=True, kw_only=True)
class Timing:
    """What a clip of a kind of file cost, s: the median of `rounds`, over `files` files that are read at once."""

    kind: Kind
    files: int
    rounds: int
    pyav: float
    torchcodec: float | None
    """None: it cannot be had, as `why` says."""
    why: str = ""

    @property
    def taken(self) -> Backend:
        """The backend that is chosen: torchcodec where it is clearly quicker."""
        quicker = self.torchcodec is not None and self.torchcodec * MARGIN <= self.pyav
        return "torchcodec" if quicker else "pyav"

    def __str__(self) -> str:
        other = f"cannot ({self.why})" if self.torchcodec is None else f"{1e3 * self.torchcodec:.2f} ms"
        return (
            f"{self.kind}: pyav {1e3 * self.pyav:.2f} ms a clip, torchcodec {other} "
            f"({self.files} files, {self.rounds} rounds): {self.taken}"
        )


@dataclass(frozen=True, kw_only=True)
class Measured(Decoding):
    """A choice of backend by kind of file; kinds that were not measured are decoded by pyav."""

    timings: tuple[Timing, ...] = ()

    @property
    def told(self) -> str:
        """The choice in words."""
        if not self.timings:
            return "by pyav."
        return "as was measured:\n" + "\n".join(f"  {t}" for t in self.timings)

    def backend_for(self, table: FileTable | None) -> Backend:
        """The backend for a file; without its table nothing is known of it."""
        kind = None if table is None else kind_of(table)
        return next((t.taken for t in self.timings if t.kind == kind), "pyav")


def measured(files: Iterable[tuple[Path, FileTable]], device: str | torch.device, *, threads: int = 2) -> Measured:
    """The choice for some files and a device, by what `timings` measures.

    Without CUDA nothing is timed: torchcodec on the processor decodes with the same FFmpeg.
    """
    on = device_of(Decoding(device=str(device)).towards(device_of(device)).device)
    found = timings(files, on, threads=threads) if on.type == "cuda" else []
    return Measured(backend="auto", device=str(device), timings=tuple(found))


def timings(
    files: Iterable[tuple[Path, FileTable]], device: torch.device, *, threads: int = 2, each: int = 4, rounds: int = 5
) -> list[Timing]:
    """Time both backends by turns on `each` files of each kind, with as many threads as will read them.

    Kinds of which pyav can read none of those files are left out.
    """
    kinds: dict[Kind, list[tuple[Path, FileTable]]] = {}
    for path, table in files:
        if (kind := kind_of(table)) is not None and len(kinds.setdefault(kind, [])) < each:
            kinds[kind].append((path, table))
    with ThreadPoolExecutor(max(1, threads), "avssl-measure") as pool:
        found = [_timed(pool, kind, some, device, rounds) for kind, some in kinds.items()]
    return [t for t in found if t is not None]


def _timed(
    pool: ThreadPoolExecutor, kind: Kind, files: Sequence[tuple[Path, FileTable]], device: torch.device, rounds: int
) -> Timing | None:
    """Both backends on some files of a kind; None if pyav can read none of them."""
    found: dict[Backend, list[float]] = {"pyav": [], "torchcodec": []}
    why = ""
    for turn in range(rounds + 1):  # the first is there to warm up
        for backend, times in found.items():
            if backend == "torchcodec" and why:
                continue
            since = time.perf_counter()
            visits = list(pool.map(partial(_visit, backend=backend, device=device, turn=turn), files))
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            lasted = time.perf_counter() - since
            errors = [v for v in visits if v is not None]
            if errors and backend == "torchcodec":
                why = errors[0].what
            elif len(errors) == len(files):
                return None
            elif turn:
                times.append(lasted / len(files))
    other = None if why else median(found["torchcodec"])
    return Timing(kind=kind, files=len(files), rounds=rounds, pyav=median(found["pyav"]), torchcodec=other, why=why)


def _visit(file: tuple[Path, FileTable], *, backend: Backend, device: torch.device, turn: int) -> MediaError | None:
    """Read a clip somewhere in a file; where, depends on the turn alone."""
    path, table = file
    assert table.picture is not None
    count = len(table.picture.rows)
    room = max(0, count - FRAMES * STRIDE)
    numbers = np.minimum(room * turn * 7 // 10 % (room + 1) + STRIDE * np.arange(FRAMES), count - 1)
    span = Span(times=tuple(table.picture.instants(numbers).tolist()), size=SIZE)
    try:
        with open_media(path, table, backend=backend, device=device) as media:
            media.read([span])
    except MediaError as e:
        return e
    return None
