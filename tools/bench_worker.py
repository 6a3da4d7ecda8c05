"""A contender in a process of its own, so that its memory is its own, that waits to be told what to run."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from multiprocessing.connection import Pipe
from pathlib import Path
from typing import Any

THREADS = 2
PATIENCE = 300.0
"""A contender that is silent for so long (s) has hung."""

SERVE = Path(__file__).with_name("bench_serve.py")


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one run has cost: s of wall and of all threads, and the peak of memory over that of torch alone, MB."""

    clips: int
    wall: float
    cpu: float
    peak: float


class Worker:
    """The process of a contender; `python_path` is where it finds avssl, if not where we do."""

    def __init__(self, contender: str, log: Path, *, python_path: str | None = None) -> None:
        self._mine, theirs = Pipe()
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        if python_path is not None:
            environment["PYTHONPATH"] = python_path
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "ignore", str(SERVE), str(theirs.fileno()), contender],
                pass_fds=[theirs.fileno()],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
        theirs.close()

    def tell(self, *message: Any) -> Any:
        """Have something done.

        Raises:
            RuntimeError: it failed, hung or crashed; the message says which.
        """
        try:
            self._mine.send(message)
            if not self._mine.poll(PATIENCE):
                self.close()
                raise RuntimeError(f"hung for {PATIENCE:.0f} s")
            fine, answer = self._mine.recv()
        except (EOFError, OSError) as e:
            self._process.wait()
            raise RuntimeError(f"crashed (status {self._process.returncode})") from e
        if not fine:
            raise RuntimeError(answer)
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._mine.close()
