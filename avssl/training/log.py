"""What a run tells: `metrics.jsonl`, one object a line, and further loggers where asked for."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from avssl.training.start import Run

__all__ = ["Log"]

_Value = float | int | str


class Log:
    """Writes the lines of a run; only the first rank does."""

    def __init__(self, run: Run, *, step: int) -> None:
        self._writing = run.ranks.first
        self._sinks: list[_Sink] = []
        if not self._writing:
            return
        self._sinks = [_opened(name, run) for name in run.train.loggers]
        _forget_after(run, step)
        self._file = run.metrics.open("a", encoding="utf-8")

    def step(self, values: Mapping[str, _Value]) -> None:
        """One training step."""
        self._line({"kind": "step", **values})
        numbers = {k: float(v) for k, v in values.items() if isinstance(v, float)}
        for sink in self._sinks:
            sink.write(int(values["step"]), numbers)

    def probe(self, *, step: int, epoch: int, name: str, value: float) -> None:
        """One number of a probe during pretraining."""
        self._line({"kind": "probe", "step": step, "epoch": epoch, "name": name, "value": value})
        for sink in self._sinks:
            sink.write(step, {f"probe/{name}": value})

    def times(self, values: Mapping[str, _Value]) -> None:
        """Where the time of an epoch went."""
        self._line({"kind": "time", **values})

    def event(self, values: Mapping[str, _Value]) -> None:
        """Something to be told, such as a file that was skipped."""
        self._line({"kind": "event", **values})

    def flush(self) -> None:
        """Bring the lines to the disk."""
        if self._writing:
            self._file.flush()

    def close(self) -> None:
        """Finish the file and the further loggers."""
        if self._writing:
            self._file.close()
        for sink in self._sinks:
            sink.close()

    def _line(self, values: Mapping[str, _Value]) -> None:
        if self._writing:
            self._file.write(json.dumps(values) + "\n")


def _forget_after(run: Run, step: int) -> None:
    """Lines later than the checkpoint that a run resumes from will be written again."""
    if not run.metrics.exists():
        return
    kept = []
    for line in run.metrics.read_text(encoding="utf-8").splitlines():
        try:
            value = json.loads(line)
        except ValueError:  # the line at which the run was killed
            continue
        if value.get("step", 0) < step or (value["kind"] == "probe" and value["step"] <= step):
            kept.append(line + "\n")
    run.metrics.write_text("".join(kept), encoding="utf-8")


@dataclass(frozen=True)
class _Sink:
    """A further logger: what takes the numbers of a step, and what brings the last of them home."""

    write: Callable[[int, Mapping[str, float]], None]
    close: Callable[[], None]


def _opened(name: str, run: Run) -> _Sink:
    # these libraries are extras: they are imported by name, and only when asked for
    try:
        return _tensorboard(run) if name == "tensorboard" else _wandb_like(name, run)
    except ModuleNotFoundError as e:
        remedy = f"install it (pip install 'avssl[{name}]') or leave out --train.loggers {name}"
        raise ModuleNotFoundError(f"logger {name!r}: {e}; {remedy}", name=e.name) from e


def _tensorboard(run: Run) -> _Sink:
    writer: Any = importlib.import_module("torch.utils.tensorboard").SummaryWriter(str(run.folder / "tensorboard"))

    def write(step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            writer.add_scalar(name, value, step)

    return _Sink(write, writer.close)


def _wandb_like(module: str, run: Run) -> _Sink:
    """Weights & Biases, or trackio, which speaks its language."""
    library: Any = importlib.import_module(module)
    config = json.loads((run.folder / "config.json").read_text())
    library.init(project="avssl", name=run.folder.name, config=config)
    return _Sink(lambda step, values: library.log(dict(values), step=step), library.finish)
