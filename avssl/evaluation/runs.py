"""Evaluations of run folders: right after pretraining, and of several runs (seeds) together."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from rich.console import Console

from avssl.core import MediaError
from avssl.data import Catalogue, Data, View, catalogue
from avssl.encoders import Encoder, Foreign, load_encoder, load_foreign
from avssl.encoders.foreign import HOW
from avssl.evaluation.evaluate import Evaluation, Findings, evaluate
from avssl.evaluation.extraction import ALONE
from avssl.evaluation.scores import Score, scores_table
from avssl.evaluation.splits import Split, Unscorable
from avssl.training import Ranks, Run, hardware

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
    """Read the encoders of a run folder with their view and data, or one encoder from a file of weights.

    A .safetensors file of avssl names its network; any other is told as `NETWORK=FILE` (see `Foreign`), and
    `torchvision:NAME` alone means torchvision's own weights, where they are on this machine already. The view and the
    data of a file are those of the run folder that it lies in, if it does; its findings go into a folder of its own
    beside it.

    Raises:
        MediaError: there is no encoder.
        ValueError: weights that do not fit their network; says which keys.
    """
    foreign = None if path.exists() else Foreign.parse(str(path))
    if foreign is not None:
        file = foreign.file or Path(f"{foreign.network.replace(':', '-')}.pth")
        values = _configured(file.parent)
        encoder = load_foreign(foreign, sample_rate=View.from_json(values.get("view", {})).sample_rate)
        return _trained(file.with_name(f"{file.stem}-evaluation"), {encoder.modality: encoder}, values)
    folder = path if path.is_dir() else path.parent
    files = sorted(folder.glob("*encoder.safetensors")) if path.is_dir() else [path]
    if not files or not all(f.is_file() for f in files):
        raise MediaError(path, "no encoder.safetensors here", "give the folder of a finished run, or a file of weights")
    if files[0].suffix != ".safetensors":
        raise MediaError(path, "does not name its network", HOW)
    loaded = {f: load_encoder(f) for f in files}
    encoders = {
        (e.modality if f.stem == "encoder" or not path.is_dir() else f.stem.removesuffix("_encoder")): e
        for f, e in loaded.items()
    }
    out = path if path.is_dir() else path.with_name(f"{path.stem}-evaluation")
    return _trained(out, encoders, _configured(folder))


def _configured(folder: Path) -> dict[str, Any]:
    config = folder / "config.json"
    values: dict[str, Any] = json.loads(config.read_text(encoding="utf-8")) if config.is_file() else {}
    return values


def _trained(folder: Path, encoders: Mapping[str, Encoder], values: Mapping[str, Any]) -> Trained:
    view, data = View.from_json(values.get("view", {})), Data.from_json(values.get("data", {}))
    return Trained(folder=folder, encoders=encoders, view=view, data=data)


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
    ranks: Ranks = ALONE,
) -> list[list[Score]]:
    """The scores of every run, also written into its folder, or into the folder `out` inside it.

    `data` None is what each run was trained on; `view` holds fields that replace the run's own. The i-th run is set
    beside random inits of its own, so that several runs spread over as many. With ranks, each extracts its share of the
    features, and the first alone scores and writes.

    Raises:
        ValueError: no run is given, or one has no encoder of the modality.
        Unscorable: the labels or splits allow no score.
    """
    if not runs:
        raise ValueError("no run to evaluate: give run folders, or files of weights")
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
            catalogue(source, damaged=choice.damaged, workers=max(2, choice.workers)).items,
            view=replace(trained.view, **(view or {})),
            choice=replace(choice, probe_seeds=seeds),
            device=device,
            progress=progress,
            ranks=ranks,
        )
        if not ranks.first:
            continue
        _tell_left_out(findings, Console(stderr=True))
        findings.write(trained.folder / out, command=command, data=str(source), hardware=hardware(device))
        found.append(list(findings.scores))
    return found


def transfer(run: Run, encoders: Mapping[str, Encoder], data: Data, view: View) -> Run:
    """Evaluate what a run has learnt on the labelled train and test splits of its own data, and write the scores.

    Of the toybox the labels are motion (`label`) and appearance, and timbre where sound is heard; of other data,
    `label`. A split "val" stands in where there is no "test". Where the labels or splits allow no score, it says why
    and leaves the run as it is: what was learnt is kept, and `tools/evaluate.py` can be told better.
    """
    if not run.ranks.first or not run.train.epochs:  # nothing was learnt; the draws are all that was asked for
        return run
    everything = data.catalogue()
    console = Console()
    names = ["label"]
    if data.root is None:
        heard = bool(view.sound) or any(encoder.modality == "sound" for encoder in encoders.values())
        names += ["appearance", *(["timbre"] if heard else [])]
    try:
        split = _split(everything)
        choice = Evaluation(
            label=tuple(names),
            split=split,
            workers=data.workers,
            reading=data.reading,
            probe_seeds=(run.train.seed,),
            damaged=data.damaged,
        )
        findings = evaluate(encoders, everything.items, view=view, choice=choice, device=run.device)
    except Unscorable as e:
        console.print(f"No transfer scores: {e}", markup=False, highlight=False, soft_wrap=True)
        return run
    _tell_left_out(findings, console)
    console.print(scores_table(findings.scores, title="Transfer"))
    findings.write(run.folder, command="after pretraining", data=str(everything.source), hardware=hardware(run.device))
    return run


def _split(everything: Catalogue) -> Split:
    """The splits to train and to test a probe on.

    Raises:
        Unscorable: there are no labels, or no labelled items of the splits.
    """
    labelled = {i.split for i in everything if i.label}
    if len({i.label for i in everything if i.label}) < 2:
        raise Unscorable(f"{everything.source} has no labels")
    test = "test" if "test" in labelled or "val" not in labelled else "val"
    if missing := {"train", test} - labelled:
        raise Unscorable(f"{everything.source} has no labelled items of split {' or '.join(sorted(missing))}")
    return Split(test=test)


def _tell_left_out(findings: Findings, console: Console, *, most: int = 5) -> None:
    for error in findings.left_out[:most]:
        console.print(f"Left out: {error}", markup=False, highlight=False, soft_wrap=True)
    if len(findings.left_out) > most:
        console.print(f"Left out: {len(findings.left_out) - most} more")
