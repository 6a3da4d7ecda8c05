"""Several processes that encode; whatever finishes first, results come in order, and no crash takes the run with it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import torch

from avssl.packing.clip import Job, Made

__all__ = ["made_in_order"]

AHEAD = 32
"""Jobs under way or waiting for their turn, for each process."""


def made_in_order(jobs: Sequence[Job], *, workers: int, work: Callable[[Job], Made]) -> Iterator[Made]:
    """What is made of jobs, in their order. An item on which a process dies is done again alone, and is then damaged.

    Raises:
        OSError: a clip cannot be written.
    """
    if workers <= 1:
        yield from map(work, jobs)
        return
    upcoming = iter(jobs)
    pending: deque[tuple[Job, Future[Made]]] = deque()
    pool = _pool(workers)
    try:
        for _ in jobs:
            while len(pending) < AHEAD * workers and (job := next(upcoming, None)) is not None:
                pending.append((job, _submitted(pool, work, job)))
            job, future = pending.popleft()
            try:
                yield future.result()
            except BrokenProcessPool:
                pool.shutdown(wait=True)
                pool = _pool(workers)
                yield _alone(job, work)
                pending = deque((j, f if _done(f) else _submitted(pool, work, j)) for j, f in pending)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _submitted(pool: ProcessPoolExecutor, work: Callable[[Job], Made], job: Job) -> Future[Made]:
    """The future of a job; of a pool that has broken meanwhile, one that says so when its turn comes."""
    try:
        return pool.submit(work, job)
    except BrokenProcessPool as e:
        future: Future[Made] = Future()
        future.set_exception(e)
        return future


def _done(future: Future[Made]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def _alone(job: Job, work: Callable[[Job], Made]) -> Made:
    pool = _pool(1)
    try:
        return pool.submit(work, job).result()
    except BrokenProcessPool:
        what, remedy = "the process that encoded it died", "leave it out, or give the process more memory"
        return Made(index=job.item.index, error=(str(job.item.path), what, remedy))
    finally:
        pool.shutdown(wait=True)


def _pool(workers: int) -> ProcessPoolExecutor:
    # no fork of this process: it may have threads that hold locks of FFmpeg's or torch's
    if "forkserver" in multiprocessing.get_all_start_methods():
        context: Any = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])  # which takes seconds, and so is done once for all
    else:
        context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, context, initializer=_begin)


def _begin() -> None:
    """One thread for each process; and none of them goes on when the run is killed."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who stops the run stops it here, too, when the clip is done
    parent = multiprocessing.parent_process()
    assert parent is not None  # a worker has one

    def leave() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=leave, daemon=True).start()
