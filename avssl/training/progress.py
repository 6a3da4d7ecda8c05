"""The line that a run shows while it trains."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

__all__ = ["TrainingProgress"]


class TrainingProgress:
    """A bar with loss, clips/s, share of time waiting for data, and time left; a line an epoch where it is not live."""

    def __init__(self, *, steps: int, done: int, shown: bool) -> None:
        self._console = Console(stderr=True, quiet=not shown)
        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[said]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not (shown and self._console.is_terminal),
        )
        self._id = self._bar.add_task("train", total=steps, completed=done, epoch=0, said="")
        self._since = time.perf_counter()

    def __enter__(self) -> TrainingProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def update(self, *, step: int, epoch: int, loss: float, rate: float, waiting: float) -> None:
        """Move the bar to `step`; `rate` is clips/s, `waiting` the share of time spent waiting for data."""
        said = f"loss {loss:.4f}  {rate:,.0f} clips/s  waiting {waiting:.0%}"
        self._bar.update(self._id, completed=step, epoch=epoch, said=said)

    def epoch_done(self, *, epoch: int, epochs: int, means: Mapping[str, float], times: Mapping[str, float]) -> None:
        """One line for the epoch, of the means over its steps and of where its time went."""
        said = [f"{name} {means[name]:.4f}" for name in ("loss", "accuracy") if name in means]
        if "clips_per_second" in means:
            said.append(f"{means['clips_per_second']:,.0f} clips/s")
        if "waiting" in means:
            said.append(f"waiting {means['waiting']:.0%}")
        if whole := sum(times[f"{name}_seconds"] for name in ("waiting", "transform", "step")):
            said.append(f"transform {times['transform_seconds'] / whole:.0%}")
        reading = {name: times[f"{name}_seconds"] for name in ("decode", "convert", "sound", "other_reading")}
        if whole := sum(reading.values()):
            parts = ", ".join(f"{name} {reading[name] / whole:.0%}" for name in ("decode", "convert", "sound"))
            said.append(f"reading: {parts}")
        said.append(f"{time.perf_counter() - self._since:.0f} s")
        self._line(f"epoch {epoch + 1}/{epochs}  {'  '.join(said)}")

    def skipped(self, path: str, why: str) -> None:
        """One line for a file that turned out damaged."""
        self._line(f"  skipped {path}: {why}")

    def probed(self, said: str) -> None:
        """One line for what the probes found."""
        self._line(f"  probes: {said}")

    def _line(self, said: str) -> None:
        self._console.print(said, highlight=False, markup=False, soft_wrap=True)
