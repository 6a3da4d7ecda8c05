"""The process of one contender of `bench_media.py`: it waits to be told what to run."""

from __future__ import annotations

import contextlib
import resource
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench_worker import THREADS, Run

STATUS, FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
PEERLESS = ("ours", "against", "limit")


def _make(contender: str) -> tuple[Any, str]:
    """The contender, and the version of where it comes from."""
    # neither ours nor the peers are to count for the memory of the other
    if contender in PEERLESS:
        import bench_ours

        return bench_ours.Limit() if contender == "limit" else bench_ours.Ours(), ""
    import bench_peers

    kind, distribution = bench_peers.PEERS[contender]
    try:
        version = metadata.version(distribution)
    except metadata.PackageNotFoundError as e:
        raise ImportError(f"not installed: pip install {distribution}") from e
    return kind(), f"{distribution} {version}"


def _run(contender: Any, visits: Sequence[Any], *, first: bool) -> Run:
    read = contender.first if first else contender.read
    with contextlib.suppress(OSError):
        FORGET.write_text("5")  # the peak of memory counts from here on
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(abs, range(THREADS)))  # threads are there before the clock runs
        cpu, wall = time.process_time(), time.perf_counter()
        clips = sum(pool.map(lambda v: len(read(v)), visits))
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Run(clips=clips, wall=wall, cpu=cpu, peak=_status("VmHWM") - BARE)


def _status(what: str) -> float:
    """Resident memory, MB: VmHWM is its peak, VmRSS what is there."""
    if STATUS.exists():
        told = next((line for line in STATUS.read_text().splitlines() if line.startswith(what)), "")
        if told:
            return int(told.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


torch.set_num_threads(1)
BARE = _status("VmRSS")
"""Memory before any contender is there, torch included, MB."""


def _arrays(clip: tuple[Any, Any]) -> tuple[np.ndarray | None, np.ndarray | None]:
    video, sound = clip
    return (
        None if video is None else np.ascontiguousarray(video.numpy()),
        None if sound is None else np.ascontiguousarray(sound.numpy()),
    )


def _answer(contender: Any, message: tuple[Any, ...]) -> Any:
    match message:
        case ("prepare", paths):
            return contender.prepare(paths)
        case ("run", visits, first):
            return _run(contender, visits, first=first)
        case ("clips", visits):
            return [[_arrays(c) for c in contender.read(v)] for v in visits]
        case ("hears",):
            return contender.sound
    raise ValueError(f"no such message: {message[0]}")


def main(descriptor: str, name: str) -> None:
    connection = Connection(int(descriptor))
    contender, version, failed = None, "", ""
    try:
        contender, version = _make(name)
    except Exception as e:
        failed = f"{type(e).__name__}: {e}" if not isinstance(e, ImportError) else str(e)
    while True:
        try:
            message = connection.recv()
        except EOFError:
            return
        try:
            if message == ("start",):
                answer: tuple[bool, Any] = (not failed, failed or version)
            else:
                answer = (True, _answer(contender, message))
        except Exception as e:
            answer = (False, f"{type(e).__name__}: {e}")
        connection.send(answer)


if __name__ == "__main__":
    main(*sys.argv[1:])
