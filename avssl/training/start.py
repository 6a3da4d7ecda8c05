"""What a run is, and what has to be settled before anything is built: seeds, ranks, folder, device."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import platform
import shlex
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from rich.console import Console

import avssl
from avssl.data import View
from avssl.training.choice import Train
from avssl.training.ranks import Ranks, join

__all__ = ["Run", "device_type", "hardware", "start"]


class HasTrain(Protocol):
    """The configuration of a recipe: a dataclass with a `train`."""

    @property
    def train(self) -> Train:
        """How to train."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training run: its folder, how it trains, where, and among which processes."""

    folder: Path
    train: Train
    device: torch.device
    ranks: Ranks

    @property
    def checkpoints(self) -> Path:
        """The folder of the states to resume from."""
        return self.folder / "checkpoints"

    @property
    def metrics(self) -> Path:
        """One JSON object a line: steps, probes, events."""
        return self.folder / "metrics.jsonl"


def start(config: HasTrain) -> Run:
    """Settle seeds, ranks, device and run folder, and write `config.json`; call it before anything is built.

    Raises:
        ValueError: CUDA is asked for and missing, or the run folder already holds a run and `resume` is not set.
    """
    train = config.train
    device = device_type(train.device)
    ranks = join(device)
    torch.manual_seed(train.seed)
    folder = Path(ranks.share(str(train.out or _fresh_folder()) if ranks.first else ""))
    run = Run(
        folder=folder,
        train=train,
        device=torch.device("cuda", ranks.local) if device == "cuda" else torch.device("cpu"),
        ranks=ranks,
    )
    if ranks.first:
        _prepare(run, config)
        Console().print(f"Run folder {folder}", highlight=False, markup=False, soft_wrap=True)
    ranks.wait()
    return run


def device_type(choice: str) -> str:
    """ "cuda" or "cpu", where "auto" takes CUDA if there is a device.

    Raises:
        ValueError: CUDA is asked for and missing.
    """
    if choice == "cuda" and not torch.cuda.is_available():
        raise ValueError("device 'cuda': torch sees no CUDA device; choose 'cpu' or 'auto'")
    return "cuda" if choice == "auto" and torch.cuda.is_available() else choice.replace("auto", "cpu")


def _recipe() -> Path:
    return Path(sys.argv[0] or "interactive")


def _fresh_folder() -> Path:
    """A new folder; made at once, so that runs that start in the same second have one each."""
    name = f"{_recipe().stem}-{time.strftime('%Y%m%d-%H%M%S')}"
    for count in itertools.count(1):
        folder = Path("runs") / (name if count == 1 else f"{name}-{count}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        break
    return folder


def _prepare(run: Run, config: HasTrain) -> None:
    if run.metrics.exists() and not run.train.resume:
        raise ValueError(
            f"{run.folder} already holds a run: go on with it (--train.resume), choose another folder (--train.out), "
            "or remove it"
        )
    run.checkpoints.mkdir(parents=True, exist_ok=True)
    about = {
        "recipe": _recipe().name,
        "command": shlex.join(["python", *sys.argv]),
        "avssl": avssl.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "hardware": hardware(run.device, ranks=run.ranks.world),
        "ranks": run.ranks.world,
        "started": time.strftime("%Y-%m-%d %H:%M:%S"),
    }
    content = plain(config) | {"run": about}
    if run.train.resume:
        _tell_changes(run.folder / "config.json", content)
    if isinstance(config, View):  # so that an evaluation cuts clips like those that the encoder knows
        content["view"] = {f.name: plain(getattr(config, f.name)) for f in dataclasses.fields(View)}
    (run.folder / "config.json").write_text(json.dumps(content, indent=2))


def _tell_changes(began: Path, content: dict[str, Any]) -> None:
    """Say with which other choices a run goes on than it began with, since then it is not as if never stopped."""
    if not began.is_file():
        return
    before, now = (dict(_leaves(c, "")) for c in (json.loads(began.read_text()), content))
    changed = sorted(k for k in before.keys() | now.keys() if before.get(k) != now.get(k) and _matters(k))
    if changed:
        console = Console(stderr=True)
        console.print(f"{began.parent} goes on with other choices than it began with:", style="bold", markup=False)
        for k in changed:
            console.print(f"  --{k.replace('_', '-')}: {before.get(k)} → {now.get(k)}", markup=False, highlight=False)


def _leaves(content: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Every choice by the name that it has on the command line."""
    if not isinstance(content, dict):
        yield name, content
        return
    for key, value in content.items():
        yield from _leaves(value, f"{name}.{key}" if name else key)


def _matters(choice: str) -> bool:
    """Whether what is learnt depends on a choice; where and how fast it is learnt does not."""
    return not choice.startswith(("run.", "view.")) and choice not in {
        "data.reading",
        "data.workers",
        "train.checkpoint_every",
        "train.compile",
        "train.device",
        "train.loggers",
        "train.out",
        "train.probe_every",
        "train.resume",
    }


def hardware(device: torch.device | str, *, ranks: int = 1) -> str:
    """What is computed on, in words."""
    if torch.device(device).type == "cuda":
        return f"{ranks} × {torch.cuda.get_device_name(device)}"
    return f"{os.cpu_count()} CPU cores ({platform.machine()}), {torch.get_num_threads()} threads"


def plain(value: Any) -> Any:
    """A configuration in the words of JSON."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)
