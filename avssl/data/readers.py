"""Who reads the visits of a loader: threads of this process, or processes of their own."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Self

from avssl.data.clips import Clips, Reading
from avssl.data.processes import Crew
from avssl.data.visit import Cutter, Visit, Visited
from avssl.media import device_of

__all__ = ["Readers"]

MANY = 4
"""From so many workers on, where there is a core for each, `auto` reads in processes."""


class Readers:
    """Reads visits, several at once.

    Decoders and scalers work without the interpreter lock; planning, finding packets and handing frames over need it:
    nearly half of a visit to tiny videos (the toybox), a sixth of one to 640 × 480. Threads therefore keep two to six
    cores busy and no more, and the lock is then not free for the step that trains. Processes keep any number busy, but
    take seconds to start, hundreds of MB each, and a copy of each example. On two cores they were as fast as each
    other; so `auto` takes processes from four workers on where there are as many cores, and else threads.

    Raises:
        RuntimeError: the processes cannot be started.
    """

    def __init__(self, workers: int, reading: Reading = "threads") -> None:
        self._crew = Crew(workers) if workers and in_processes(workers, reading) else None
        self.at_once = workers if self._crew is None else self._crew.at_once
        """How many visits are read at the same time, by as many threads that call `read`; 0: by whoever iterates."""

    @staticmethod
    def of(clips: Clips) -> Readers:
        """As many, and as they are asked for; frames that come on CUDA are read by threads.

        Raises:
            ValueError: such frames are asked of processes.
        """
        if device_of(clips.decoding.device).type != "cuda":
            return Readers(clips.workers, clips.reading)
        if clips.reading == "processes":
            raise ValueError(
                f"frames on device {clips.decoding.device!r} cannot come from other processes: read in threads, or "
                "decode for device 'cpu'"
            )
        return Readers(clips.workers, "threads")

    def read(self, visit: Visit, cutter: Cutter) -> Visited:
        """Make a visit.

        Raises:
            MediaError: a file of the visit is damaged.
            ReaderDied: the process that was to read it has been ended.
        """
        return cutter.visited(visit) if self._crew is None else self._crew.read(visit, cutter)

    def check(self) -> None:
        """Raise `ReaderDied` if a process has been ended, whatever it was reading."""
        if self._crew is not None:
            self._crew.check()

    def stop(self) -> None:
        """End the processes, also where threads wait for them, who are told."""
        if self._crew is not None:
            self._crew.stop()

    def close(self) -> None:
        """End the processes when no thread waits for them any more."""
        if self._crew is not None:
            self._crew.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def in_processes(workers: int, reading: Reading) -> bool:
    """Whether processes read."""
    return reading == "processes" or (reading == "auto" and workers >= MANY and cores() >= workers)


def cores() -> int:
    """The cores that this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1
