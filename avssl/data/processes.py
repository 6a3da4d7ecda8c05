"""Processes that read visits: what they are asked, how examples come back, and what is said when one dies.

Each process has two lines to this one, and each line a thread here that asks and waits: while one thread takes over an
example, the process reads for the other. Nothing is shared but the two ends of a line, so that a process can be killed
at any instant without leaving a lock behind; its lines then end, and whoever waits is told at once.

The processes are not forked from this one: torch's and FFmpeg's threads do not survive a fork, but the locks that they
held do. On Linux they are forked from a server that has only imported what they need; elsewhere each starts afresh.
"""

from __future__ import annotations

import multiprocessing
import pickle
import queue
import signal
import sys
import traceback
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing.connection import Connection, wait
from typing import Any

import numpy as np
import torch

from avssl.core import MediaError
from avssl.data.exchange import Block, Sight, pack, unpack
from avssl.data.visit import Cutter, Visit, Visited

__all__ = ["Crew", "ReaderDied"]

LINES = 2
GRACE = 5.0
"""Seconds that a process has to end when it is told to, before it is killed."""

_GUARD = "begin the script's own work under `if __name__ == '__main__':`, as every recipe does"


class ReaderDied(RuntimeError):
    """A process that reads has been ended: for lack of memory, by a codec that crashed, or by somebody."""


class Crew:
    """A number of processes that read visits.

    Raises:
        RuntimeError: they cannot be started.
    """

    def __init__(self, workers: int) -> None:
        server = sys.platform == "linux"
        context = multiprocessing.get_context("forkserver" if server else "spawn")
        if server:
            context.set_forkserver_preload(["__main__", __name__])
        self._idle: queue.SimpleQueue[_Line] = queue.SimpleQueue()
        self._failed: ReaderDied | None = None
        self._stopped = False
        self._lines: list[_Line] = []
        self._processes: list[Any] = []
        self.at_once = LINES * workers
        try:
            for n in range(workers):
                self._start(context, n)
        except (OSError, EOFError) as e:
            self.close()
            raise RuntimeError(f"no process can be started to read ({e!r}): {_GUARD}, or read in threads") from e
        for nth in range(LINES):  # so that all processes have something to do before one has two things
            for line in self._lines[nth::LINES]:
                self._idle.put(line)

    def _start(self, context: Any, n: int) -> None:
        ours, theirs = zip(*(context.Pipe() for _ in range(LINES)), strict=True)
        process = context.Process(target=_serve, args=(theirs,), name=f"avssl-read-{n}", daemon=True)
        try:
            process.start()
        finally:
            for end in theirs:  # of which only the process is to have one: then a line ends when the process does
                end.close()
        self._processes.append(process)
        self._lines += [_Line(process, end) for end in ours]

    def read(self, visit: Visit, cutter: Cutter) -> Visited:
        """Have a visit made; as many threads as `at_once` may ask at the same time.

        Raises:
            MediaError: a file of the visit is damaged.
            ReaderDied: the process has been ended.
        """
        self.check()
        line = self._idle.get()
        line.visit = visit
        try:
            found = line.ask(visit, cutter)
        except (EOFError, OSError):
            if self._failed is None:  # the first tells what it was; the others are asked no more
                self._failed = self._why(line)
            raise self._failed from None
        finally:
            self._idle.put(line)
        line.visit, line.answered = None, True
        if isinstance(found, BaseException):
            raise found
        return found

    def check(self) -> None:
        """Raise `ReaderDied` if a process has been ended."""
        if self._failed is not None and not self._stopped:
            raise self._failed

    def stop(self) -> None:
        """End the processes, at once: they hold nothing that could be lost. Whoever waits for one is told."""
        self._stopped = True
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join(GRACE)
            if process.is_alive():
                process.kill()
                process.join()

    def close(self) -> None:
        """End the processes, and give back what they shared; nobody is to wait for one any more."""
        self.stop()
        for line in self._lines:
            line.close()

    def _why(self, line: _Line) -> ReaderDied:
        process = line.process
        if self._stopped:
            return ReaderDied("the processes that read were stopped")
        process.join(GRACE)
        code = process.exitcode or 0
        names = {s.value: s.name for s in signal.Signals}
        how = f"by {names.get(-code, f'signal {-code}')}" if code < 0 else f"with exit code {code}"
        lines = [other for other in self._lines if other.process is process]
        if code > 0 and not any(other.answered for other in lines):
            return ReaderDied(f"a process that was to read ended {how}, and said why: {_GUARD}, or read in threads")
        asked = ", or ".join(str(other.visit) for other in lines if other.visit is not None)
        return ReaderDied(
            f"{asked}: process {process.pid} was ended {how} while it read this. By SIGKILL: memory has run out, as a "
            "rule; take fewer workers, smaller batches, or read in threads, which need less. By SIGSEGV, SIGBUS or "
            "SIGABRT: a codec has crashed on the file; leave it out or encode it again"
        )


class _Line:
    """One of the lines to a process, with the shared memory that examples come through."""

    def __init__(self, process: Any, end: Connection) -> None:
        self.process, self._end = process, end
        self._block: Block | None = None
        self.visit: Visit | None = None
        self.answered = False

    def ask(self, visit: Visit, cutter: Cutter) -> Visited | BaseException:
        """What became of a visit."""
        block = None if self._block is None else self._block.name
        try:
            how = pickle.dumps(cutter, pickle.HIGHEST_PROTOCOL)
        except (pickle.PicklingError, AttributeError, TypeError) as e:
            raise TypeError(
                f"{cutter} cannot be sent to another process ({e}): define its classes at the top of a module, or read "
                "in threads"
            ) from e
        self._end.send_bytes(pickle.dumps(_Request(how, visit, block), pickle.HIGHEST_PROTOCOL))
        answer: _Answer | BaseException = pickle.loads(self._end.recv_bytes())
        if isinstance(answer, BaseException):
            return answer
        if answer.shared:
            assert self._block is not None
            data = self._block.copied(answer.size)
        else:
            data = np.empty(answer.size, np.uint8)
            self._end.recv_bytes_into(data.data)
            if self._block is not None:
                self._block.close()
            self._block = Block.of(answer.size)
        found: Visited = unpack(answer.words, data)
        return found

    def close(self) -> None:
        """End the line."""
        self._end.close()
        if self._block is not None:
            self._block.close()
            self._block = None


@dataclass(frozen=True)
class _Request:
    cutter: bytes
    visit: Visit
    block: str | None


@dataclass(frozen=True)
class _Answer:
    """The words are a pickle whose arrays are `size` bytes in the block of the line, or else the next message."""

    words: bytes
    size: int
    shared: bool


_cutter = lru_cache(maxsize=16)(pickle.loads)


def _serve(ends: tuple[Connection, ...]) -> None:
    """Answer until all lines have ended, which they do when the process at their other end does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; who started this process ends it
    torch.set_num_threads(1)
    sights = {end: Sight() for end in ends}
    while sights:
        for end in wait(list(sights)):
            assert isinstance(end, Connection)
            try:
                _answer(end, sights[end])
            except (EOFError, OSError):
                sights.pop(end).close()
                end.close()


def _answer(end: Connection, sight: Sight) -> None:
    request: _Request = pickle.loads(end.recv_bytes())
    try:
        visited = _cutter(request.cutter).visited(request.visit)
    except Exception as e:
        end.send_bytes(_told(e))
        return
    packed = pack(visited)
    shared = sight.show(packed, request.block)
    end.send_bytes(pickle.dumps(_Answer(packed.words, packed.size, shared), pickle.HIGHEST_PROTOCOL))
    if not shared:
        data = np.empty(packed.size, np.uint8)
        packed.write(data)
        end.send_bytes(data.data)


def _told(error: Exception) -> bytes:
    """An error, as it can be sent."""
    if not isinstance(error, MediaError):
        error.add_note("in a process that reads:\n" + "".join(traceback.format_exception(error)))
    try:
        sent = pickle.dumps(error, pickle.HIGHEST_PROTOCOL)
        pickle.loads(sent)
    except Exception:  # whatever can be wrong with pickling somebody else's error
        return pickle.dumps(RuntimeError("".join(traceback.format_exception(error))))
    return sent
