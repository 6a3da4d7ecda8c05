"""Read files for a long time, and see whether memory, open files and threads stay as they were.

python tools/soak_media.py --reads 50000 --files 500

Files of ten kinds are made in a folder that is not kept. First this process reads them by threads, then a worker that
was forked and one that was spawned do; what a forked one inherits must refuse to be read. Exit status 1: not flat.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal

import av
import numpy as np
import torch
import tyro
from PIL import Image

from avssl.core import MediaError, Sound, Span
from avssl.media import look, open_media, packed, unpacked

START = Literal["fork", "spawn"]
FRAMES, RATE, HERTZ = 50, 25, 16000
KINDS: dict[str, tuple[str, str]] = {
    "h264.mp4": ("libx264", "aac"),
    "h264.mkv": ("libx264", "flac"),
    "h264.ts": ("libx264", "mp2"),
    "mpeg4.avi": ("mpeg4", "libmp3lame"),
    "mpeg2.mpg": ("mpeg2video", "mp2"),
    "vp9.webm": ("libvpx-vp9", "libopus"),
    "mjpeg.mov": ("mjpeg", "pcm_s16le"),
    "gif.gif": ("gif", ""),
    "sound.wav": ("", "pcm_s16le"),
    "still.png": ("", ""),
}
"""By the end of the name: the codecs of pictures and of sound."""


@dataclass(frozen=True, kw_only=True)
class Soak:
    """How long to read, and what counts as flat."""

    reads: int = 50_000
    """Reads in this process; each worker makes a fifth of them."""
    files: int = 500
    threads: int = 2
    rows: int = 10
    """How often to look at the process while it reads."""
    slack: float = 0.05
    """By how much the memory may differ from what it was after the first row."""
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class State:
    """What a process holds."""

    reads: int
    refused: int
    memory: float
    """Resident, MiB."""
    descriptors: int
    threads: int

    @staticmethod
    def of(reads: int, refused: int) -> State:
        """The state of this process, garbage aside."""
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return State(
            reads=reads,
            refused=refused,
            memory=pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
            descriptors=len(os.listdir("/proc/self/fd")),
            threads=len(os.listdir("/proc/self/task")),
        )


@dataclass(frozen=True, kw_only=True)
class File:
    """A file, and its table as the cache has it."""

    path: Path
    table: bytes


def main(choice: Soak) -> None:
    with tempfile.TemporaryDirectory(prefix="avssl-soak-") as folder:
        print(f"{choice.files} files are made", flush=True)
        files = [made(Path(folder), k) for k in range(choice.files)]
        flat = told("threads", soak(choice, files, print_row), choice)
        for start in ("fork", "spawn"):
            states = in_worker(start, choice, files)
            flat = told(start, states, choice) and flat
    sys.exit(0 if flat else 1)


def made(folder: Path, number: int) -> File:
    """Write a file and look into it; what is in it differs from number to number."""
    ending = list(KINDS)[number % len(KINDS)]
    path, rng = folder / f"{number:04}_{ending}", np.random.default_rng(number)
    if ending == "still.png":
        Image.fromarray(rng.integers(256, size=(48, 64, 3), dtype=np.uint8)).save(path)
    else:
        write(path, *KINDS[ending], rng)
    return File(path=path, table=packed(look(path)))


def write(path: Path, film: str, noise: str, rng: np.random.Generator) -> None:
    """A film of two seconds, with sound, with both."""
    with av.open(str(path), "w") as out:
        pictures = out.add_stream(film, rate=RATE, options={"g": "12"}) if film else None
        hertz = 48000 if noise == "libopus" else 44100 if noise in {"mp2", "libmp3lame"} else HERTZ
        sound = out.add_stream(noise, rate=hertz, layout="mono") if noise else None
        if pictures is not None:
            pictures.width, pictures.height = 64, 48
            pictures.pix_fmt = {"gif": "rgb8", "mjpeg": "yuvj420p"}.get(film, "yuv420p")
            pictures.codec_context.thread_count = 1
            still = rng.integers(256, size=(48, 64, 3), dtype=np.uint8)
            for k in range(FRAMES):
                frame = av.VideoFrame.from_ndarray(np.roll(still, k, 1), format="rgb24")
                frame = frame.reformat(format=pictures.pix_fmt)
                frame.pts, frame.time_base = k, Fraction(1, RATE)
                out.mux(pictures.encode(frame))
            out.mux(pictures.encode(None))
        if sound is not None:
            samples = rng.normal(0, 0.1, (1, hertz * FRAMES // RATE)).astype(np.float32)
            heard = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            heard.sample_rate, heard.pts, heard.time_base = hertz, 0, Fraction(1, hertz)
            out.mux(sound.encode(heard))
            out.mux(sound.encode(None))


def soak(choice: Soak, files: Sequence[File], report: Callable[[State], None]) -> list[State]:
    """Read, and look at the process from time to time."""
    states, refused, done = [], 0, 0
    with ThreadPoolExecutor(choice.threads) as pool:
        for row in range(1, choice.rows + 1):
            until = choice.reads * row // choice.rows
            refused += sum(pool.map(partial(visit, files, choice.seed), range(done, until)))
            done = until
            states.append(State.of(done, refused))
            report(states[-1])
    return states


def visit(files: Sequence[File], seed: int, number: int) -> bool:
    """One read of a file, whose table is sometimes made again; whether it was refused."""
    rng = np.random.default_rng((seed, number))
    file = files[int(rng.integers(len(files)))]
    try:
        with open_media(file.path, unpacked(file.table) if rng.random() < 0.9 else None) as media:
            info, spans = media.info, []
            if info.has_video:
                times = rng.uniform(0, 0.999, 8) * info.duration
                spans += [Span(times=tuple(times.tolist()), size=(24, 32)), Span(times=(0.0,))]
            if info.has_sound:
                spans.append(Span(sound=Sound(start=float(rng.uniform(0, 1.5)), duration=0.3)))
            media.read(spans)
    except MediaError as e:
        print(e, file=sys.stderr)
        return True
    return False


def in_worker(start: START, choice: Soak, files: Sequence[File]) -> list[State]:
    """The same in a process of its own."""
    context = multiprocessing.get_context(start)
    here, there = context.Pipe(duplex=False)
    with open_media(files[0].path) as inherited:
        handed = inherited if start == "fork" else None  # which nobody can send to another process
        worker = context.Process(target=work, args=(choice, files, handed, there))
        worker.start()
        there.close()
        states = []
        try:
            while True:
                states.append(here.recv())
                print_row(states[-1])
        except EOFError:
            worker.join()
    if worker.exitcode:
        sys.exit(f"the worker that was to {start} ended with status {worker.exitcode}")
    return states


def work(choice: Soak, files: Sequence[File], inherited: object, there: Connection) -> None:
    """What a worker does: it must not read what was opened before the fork, and may read all else."""
    torch.set_num_threads(1)
    if inherited is not None:
        try:
            inherited.read([Span(times=(0.0,))])  # type: ignore[attr-defined]
        except MediaError:
            pass
        else:
            sys.exit("a file that was opened before the fork can be read after it")
    fewer = Soak(reads=choice.reads // 5, threads=choice.threads, rows=choice.rows, seed=choice.seed + 1)
    soak(fewer, files, there.send)


def print_row(state: State) -> None:
    """A line of the table."""
    print(
        f"{state.reads:8} reads {state.refused:4} refused {state.memory:9.1f} MiB "
        f"{state.descriptors:4} descriptors {state.threads:4} threads",
        flush=True,
    )


def told(name: str, states: Sequence[State], choice: Soak) -> bool:
    """Say whether all stayed as it was after the first row, and whether every file could be read."""
    first, later = states[0], states[1:]
    memory = [s.memory / first.memory - 1 for s in later]
    flat = all(abs(m) <= choice.slack for m in memory) and not states[-1].refused
    flat = flat and all((s.descriptors, s.threads) == (first.descriptors, first.threads) for s in later)
    span = f"{min(memory):+.1%} to {max(memory):+.1%}"
    print(f"{name}: memory {span} of {first.memory:.1f} MiB: {'flat' if flat else 'NOT FLAT'}", flush=True)
    return flat


if __name__ == "__main__":
    main(tyro.cli(Soak))
