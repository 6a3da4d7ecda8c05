"""Run folders as a comparison reads them: what was trained how, every score with its conditions, held-out curves."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from avssl.report.compare_statistics import Answered, Sample
from avssl.report.reading import Record, RunFiles, read_run

__all__ = ["ON_SOUND", "SHARE", "Compared", "Measured", "Pair", "read_compared", "read_pairs"]

ON_SOUND = " on sound"
"""Ends the names of protocols that were given sound."""
COUNTED = {"too short", "damaged", "recogniser"}
"""Settings that are facts of the files: what they change shows in the numbers of items."""
SHARE = re.compile(r", (\d[\d.e-]*) (% of labels|of the labels)")
"""Where the name of a protocol tells the share of the labels."""
HEARD = {"sound", "sample_rate"}
"""What of a view counts for protocols on sound; the rest counts for the others."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One score of one run, and under which conditions it was measured."""

    encoder: str
    protocol: str
    metric: str
    label: str
    seed: str
    n_train: int | None
    n_test: int | None
    chance: float | None
    sample: Sample
    conditions: Mapping[str, Any]
    """What must be equal for two scores to stand in one column, data included."""
    found: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Equal for scores that may stand in one column."""
        told = [self.label, self.protocol, self.metric, self.conditions]
        return json.dumps(told, sort_keys=True, default=str)

    @property
    def on_sound(self) -> bool:
        """Whether the protocol was given sound."""
        return self.protocol.endswith(ON_SOUND)

    @property
    def share(self) -> float | None:
        """The share of the labels that trained it, as its settings or its name tell; None where nothing is told."""
        told = self.conditions.get("share of labels")
        if isinstance(told, int | float):
            return float(told)
        found = SHARE.search(self.protocol)
        return float(found[1]) / (100 if found[2] == "% of labels" else 1) if found else None


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One run folder; `pretext` maps what was held out during pretraining to its (epoch, value) pairs."""

    folder: Path
    recipe: str
    config: Record
    seed: str
    scores: tuple[Measured, ...]
    commands: tuple[str, ...]
    curves: Mapping[str, tuple[tuple[float, float], ...]] = field(default_factory=dict)
    parameters: Mapping[str, int] = field(default_factory=dict)
    """Trained numbers of each file of weights, by its name."""
    command: str = ""
    """What makes the scores, where there are none."""
    problems: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.folder.resolve().name


@dataclass(frozen=True, kw_only=True)
class Pair:
    """How alike the features of two runs are on the same items: linear CKA and representational similarity (RSA)."""

    a: str
    b: str
    cka: float | None
    rsa: float | None
    items: int


def read_compared(folder: Path) -> Compared:
    """Read a run folder: `scores.json` in it and in the folders inside it, where `--out` and fine-tuning put theirs.

    Raises:
        NotADirectoryError: there is no such folder.
    """
    files = read_run(folder, pictures=False)
    problems = list(files.problems)
    parts = [(".", files.scores)]
    for path in sorted(folder.glob("*/scores.json")):
        inner = read_run(path.parent, pictures=False)
        parts.append((path.parent.name, inner.scores))
        problems += [f"{path.parent.name}: {p}" for p in inner.problems]
    scores: list[Measured] = []
    seen: dict[tuple[str, str, str], str] = {}
    for place, part in parts:
        data = str(part.get("data") or "data not told")
        again = 0
        for score in (_measured(s, data, problems) for s in part.get("scores", [])):
            if score is None:
                continue
            # several scores of one encoder and seed in one file are of several random inits, in two files one twice
            if seen.setdefault((score.encoder, score.key, score.seed), place) == place:
                scores.append(score)
            else:
                again += 1
        if again:
            problems.append(f"{place}/scores.json: {again} scores that stand elsewhere in the folder are left out")
    about = files.config.get("run")
    about = about if isinstance(about, Mapping) else {}
    return Compared(
        folder=folder,
        recipe=str(about.get("recipe") or ""),
        config={k: v for k, v in files.config.items() if k not in {"run", "view"}},
        seed=_seed(files.config),
        scores=tuple(scores),
        commands=tuple(dict.fromkeys(str(p["command"]) for _, p in parts if p.get("command"))),
        curves=_curves(files),
        parameters=_parameters(folder, problems),
        command="" if scores else _command(folder, str(about.get("command") or "")),
        problems=tuple(f"{folder.name}: {p}" for p in problems),
    )


def read_pairs(path: Path) -> list[Pair]:
    """The pairs of a file `{"items": M, "pairs": [{"a": RUN, "b": RUN, "cka": 0.9, "rsa": 0.8}, …]}`.

    Raises:
        ValueError: the file is none of that.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        items = int(found["items"])
        return [
            Pair(
                a=Path(str(p["a"])).name,
                b=Path(str(p["b"])).name,
                cka=_number(p.get("cka")),
                rsa=_number(p.get("rsa")),
                items=items,
            )
            for p in found["pairs"]
        ]
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        wanted = '{"items": M, "pairs": [{"a": RUN, "b": RUN, "cka": 0.9, "rsa": 0.8}]}'
        raise ValueError(f"{path}: no similarities of runs ({type(error).__name__}: {error}); give {wanted}") from error


def _measured(score: Record, data: str, problems: list[str]) -> Measured | None:
    found = score.get("found")
    found = found if isinstance(found, Mapping) else {}
    settings = score.get("settings")
    settings = settings if isinstance(settings, Mapping) else {}
    value = _number(score.get("value"))
    name = f"{score.get('encoder')}, {score.get('protocol')}"
    if value is None:
        problems.append(f"scores.json: the value of {name} is not finite, and left out")
        return None
    n_train, n_test = (int(n) if (n := _number(score.get(k))) is not None else None for k in ("n_train", "n_test"))
    chance = _number(score.get("chance"))
    protocol = str(score.get("protocol") or "score")
    low, high = _number(score.get("low")), _number(score.get("high"))
    sample = Sample(
        value=value,
        below=None if low is None else max(0.0, value - low),
        above=None if high is None else max(0.0, high - value),
        seed=str(score.get("seed", "")),
        how=str(score.get("interval") or ""),
        answered=_answered(found.get("answers"), n_test, name, problems),
    )
    measured = Measured(
        encoder=str(score["encoder"]),
        protocol=protocol,
        metric=str(score.get("metric") or "value"),
        label=str(score.get("label") or "no label"),
        seed=sample.seed,
        n_train=n_train,
        n_test=n_test,
        chance=chance,
        sample=sample,
        conditions={k: v for k, v in settings.items() if k not in COUNTED} | {"data": data, "test items": n_test},
        found={k: v for k, v in found.items() if k != "answers"},
    )
    return _with_parts(measured)


def _with_parts(score: Measured) -> Measured:
    """With the part of the view it was given and the folds; its training items and chance unless seeds draw them."""
    conditions = dict(score.conditions)
    if isinstance(view := conditions.get("view"), Mapping):
        conditions["view"] = {k: v for k, v in view.items() if (k in HEARD) == score.on_sound}
    if folds := sorted(k for k, v in score.found.items() if isinstance(v, Mapping) and score.metric in v):
        conditions["folds"] = folds
    drawn = (
        (score.share or 1.0) < 1
        or "held out" in score.found
        or any(isinstance(v, Mapping) and "held out" in v for v in score.found.values())
    )
    if not drawn:
        conditions["training items"] = score.n_train
        conditions["chance"] = None if score.chance is None else round(score.chance, 4)
    return Measured(**{**score.__dict__, "conditions": conditions})


def _answered(told: object, n: int | None, name: str, problems: list[str]) -> Answered | None:
    """Which test items were right: `{"right": packed bits, in hex, "groups": "0 0 1 …" or null, "test": mark}`."""
    if not isinstance(told, Mapping) or n is None:
        return None
    try:
        bits = np.unpackbits(np.frombuffer(bytes.fromhex(str(told["right"])), dtype=np.uint8))
        groups = None if told.get("groups") is None else np.array(str(told["groups"]).split(), dtype=np.int64)
        if len(bits) < n or (groups is not None and groups.shape != (n,)):
            raise ValueError(f"answers for {len(bits)} items, of {n}")
        return Answered(right=bits[:n].astype(np.float64), groups=groups, test=str(told["test"]))
    except (KeyError, TypeError, ValueError) as error:
        problems.append(f"scores.json: the answers of {name} could not be read ({type(error).__name__}: {error})")
        return None


def _curves(files: RunFiles) -> dict[str, tuple[tuple[float, float], ...]]:
    found: dict[str, list[tuple[float, float]]] = {}
    for probe in files.metrics.probes:
        epoch, value = _number(probe.get("epoch")), _number(probe.get("value"))
        if epoch is not None and value is not None:
            found.setdefault(str(probe["name"]), []).append((epoch, value))
    return {name: tuple(sorted(dict(points).items())) for name, points in found.items()}


def _parameters(folder: Path, problems: list[str]) -> dict[str, int]:
    """Numbers in each file of an encoder that training moves: what batch norm counts along the way is left out."""
    sizes = {}
    for path in sorted(folder.glob("*encoder.safetensors")):
        try:
            with path.open("rb") as file:
                size = int.from_bytes(file.read(8), "little")
                if size > 100_000_000:
                    raise ValueError(f"a header of {size} bytes")
                header = json.loads(file.read(size))
            shapes = {k: v["shape"] for k, v in header.items() if k != "__metadata__"}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            problems.append(f"{path.name}: its header could not be read ({type(error).__name__}: {error})")
            continue
        kept = [s for k, s in shapes.items() if not k.endswith(("running_mean", "running_var", "num_batches_tracked"))]
        sizes[path.stem] = sum(math.prod(s) for s in kept)
    return sizes


def _seed(config: Record) -> str:
    train = config.get("train")
    return str(train["seed"]) if isinstance(train, Mapping) and "seed" in train else ""


def _command(folder: Path, made: str) -> str:
    """What makes the scores of a run that has none."""
    if any(folder.glob("*encoder.safetensors")):
        return f"python tools/evaluate.py {shlex.quote(str(folder))}"
    return f"{made} --train.resume" if made else f"python recipes/RECIPE.py --train.out {shlex.quote(str(folder))}"


def _number(value: object) -> float | None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if good else None  # type: ignore[arg-type]
