"""Evaluations of run folders: right after pretraining, and of several runs (seeds) together."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from rich.console import Console

from avssl.core import MediaError
from avssl.data import Catalogue, Data, View, catalogue
from avssl.encoders import Encoder, load_encoder
from avssl.evaluation.evaluate import Evaluation, Findings, evaluate
from avssl.evaluation.scores import Score, scores_table
from avssl.training import Run

__all__ = ["Trained", "evaluate_runs", "load_trained", "transfer"]

Choice = Literal["video", "sound", "both"]


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What a run folder, or a single file of weights, offers to an evaluation."""

    folder: Path
    """Where the findings go."""
    encoders: Mapping[str, Encoder]
    view: View
    data: Data


def load_trained(path: Path) -> Trained:
    """Read the encoders of a run folder with their view and data, or one encoder from a .safetensors file.

    The view and the data of a file are those of the run folder that it lies in, if it does; its findings go into a
    folder of its own beside it.

    Raises:
        MediaError: there is no encoder.
    """
    folder = path if path.is_dir() else path.parent
    files = sorted(folder.glob("*encoder.safetensors")) if path.is_dir() else [path]
    if not files or not all(f.is_file() for f in files):
        raise MediaError(path, "no encoder.safetensors here", "give the folder of a finished run, or a file of weights")
    loaded = {f: load_encoder(f) for f in files}
    encoders = {
        (e.modality if f.stem == "encoder" or not path.is_dir() else f.stem.removesuffix("_encoder")): e
        for f, e in loaded.items()
    }
    config = folder / "config.json"
    values: dict[str, Any] = json.loads(config.read_text(encoding="utf-8")) if config.is_file() else {}
    return Trained(
        folder=path if path.is_dir() else path.with_name(f"{path.stem}-evaluation"),
        encoders=encoders,
        view=View.from_json(values.get("view", {})),
        data=Data.from_json(values.get("data", {})),
    )


def evaluate_runs(
    runs: Sequence[Path],
    *,
    data: Path | None = None,
    choice: Evaluation,
    modality: Choice = "both",
    view: Mapping[str, Any] | None = None,
    device: torch.device | str = "cpu",
    out: str = "",
    command: str = "",
    progress: bool = True,
) -> list[list[Score]]:
    """The scores of every run, also written into its folder, or into the folder `out` inside it.

    `data` None is what each run was trained on; `view` holds fields that replace the run's own. The i-th run is set
    beside random inits of its own, so that several runs spread over as many.

    Raises:
        ValueError: no run is given, or one has no encoder of the modality.
    """
    if not runs:
        raise ValueError("no run to evaluate: give run folders, or .safetensors files of encoders")
    found = []
    for n, path in enumerate(runs):
        trained = load_trained(path)
        encoders = {k: e for k, e in trained.encoders.items() if modality in {"both", e.modality}}
        if not encoders:
            raise ValueError(f"{path} has no encoder of {modality}; it has {', '.join(trained.encoders)}")
        seeds = tuple(s + n * len(choice.probe_seeds) for s in choice.probe_seeds)
        source = data if data is not None else trained.data.source()
        findings = evaluate(
            encoders,
            catalogue(source, workers=max(2, choice.workers)).items,
            view=replace(trained.view, **(view or {})),
            choice=replace(choice, probe_seeds=seeds),
            device=device,
            progress=progress,
        )
        findings.write(trained.folder / out, command=command, data=str(source), hardware=hardware(device))
        found.append(list(findings.scores))
    return found


def transfer(run: Run, encoders: Mapping[str, Encoder], data: Data, view: View) -> Run:
    """Evaluate what a run has learnt on the labelled train and test splits of its own data, and write the scores.

    Of the toybox the labels are motion (`label`) and appearance, and timbre where the view has sound; of other data,
    `label`. Where there are no labels or no test split, it says so and leaves the run as it is.
    """
    if not run.ranks.first or not run.train.epochs:  # nothing was learnt; the draws are all that was asked for
        return run
    everything = data.catalogue()
    console = Console()
    if why := _lacks(everything):
        console.print(f"No transfer scores: {why}.", markup=False, highlight=False, soft_wrap=True)
        return run
    names = ["label"]
    if data.root is None:
        names += ["appearance", *(["timbre"] if view.sound else [])]
    choice = Evaluation(label=tuple(names), workers=data.workers, probe_seeds=(run.train.seed,))
    findings = evaluate(encoders, everything.items, view=view, choice=choice, device=run.device)
    _show(findings, console)
    findings.write(run.folder, command="after pretraining", data=str(everything.source), hardware=hardware(run.device))
    return run


def _lacks(everything: Catalogue) -> str:
    """Why there is nothing to evaluate, or ''."""
    labelled = {i.split for i in everything if i.label}
    if len({i.label for i in everything if i.label}) < 2:
        return f"{everything.source} has no labels"
    if missing := {"train", "test"} - labelled:
        return f"{everything.source} has no labelled items of split {' or '.join(sorted(missing))}"
    return ""


def _show(findings: Findings, console: Console) -> None:
    for error in findings.left_out[:5]:
        console.print(f"Left out: {error}", markup=False, highlight=False, soft_wrap=True)
    if len(findings.left_out) > 5:
        console.print(f"Left out: {len(findings.left_out) - 5} more")
    console.print(scores_table(findings.scores, title="Transfer"))


def hardware(device: torch.device | str) -> str:
    """What the features were computed on."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{os.cpu_count()} CPU cores ({platform.machine()}), {torch.get_num_threads()} threads"
