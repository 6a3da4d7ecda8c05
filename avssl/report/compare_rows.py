"""Who is compared: runs of one recipe and configuration as seeds of one method, beside floors and the ceiling."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Literal, TypeAlias

import numpy as np

from avssl.report.compare_reading import SHARE, Compared, Measured
from avssl.report.compare_statistics import Sample, half_of_mean
from avssl.report.words import brief, flatten

__all__ = ["Kind", "Row", "at_equal_schedule", "base_name", "grouped", "merged", "rows_of", "short_data"]

Kind: TypeAlias = Literal["method", "supervised", "random", "naive"]
BESIDE = {"train.seed", "train.out", "train.resume", "train.device", "train.loggers", "train.checkpoint_every",
          "train.probe_every", "data.workers", "data.reading"}  # fmt: skip
"""Settings that change nothing of what is learnt."""
OFF = {"false", "null", "none", "", "[]", "{}"}
"""What a setting says that is not used: a version that did not know the setting meant the same."""
MOST_TOLD = 4
PLUS = " + "
SEEN = ("frames", "step", "rate", "size")
SCHEDULE = ("train.epochs", "train.batch_size")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table: `samples` maps a column's key to one score for each seed, in the order of `runs`."""

    kind: Kind
    name: str
    runs: tuple[Compared, ...]
    samples: Mapping[str, tuple[Sample, ...]]
    floors: Mapping[str, tuple[Sample, ...]]
    """For each column the random init of each seed's own run, where every run has one."""
    measured: Mapping[str, tuple[Measured, ...]]
    """The scores behind, by column."""
    encoder: str
    epochs: str = ""
    data: str = ""
    parameters: str = ""
    seeds: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def has_network_of(self, floor: Row) -> bool:
        """Whether a row of random init is of a network of this one."""
        return floor.encoder in self.encoder.split(PLUS)


def grouped(runs: Sequence[Compared]) -> dict[str, list[Compared]]:
    """The runs of each method by its name: the recipe and, where its configurations differ, in what."""
    groups: dict[tuple[str, str], list[Compared]] = {}
    for run in runs:
        told = json.dumps(_settings(run), sort_keys=True) if run.config else str(run.folder.resolve())
        groups.setdefault((run.recipe, told), []).append(run)
    alike: dict[str, dict[str, list[list[Compared]]]] = {}
    for (recipe, _), members in groups.items():
        of_data = alike.setdefault(recipe.removesuffix(".py") or members[0].name, {})
        of_data.setdefault(_data(members[0]), []).append(members)
    named: dict[str, list[Compared]] = {}
    for name, of_data in alike.items():
        for data, several in of_data.items():
            for members, told in zip(several, _differences([_settings(g[0]) for g in several]), strict=True):
                full = f"{name} on {data}" if len(of_data) > 1 else name
                full += f" · {told}" if told else ""
                while full in named:
                    full += f" ({members[0].name})"
                named[full] = members
    return named


def rows_of(runs: Sequence[Compared]) -> list[Row]:
    """The methods, then supervised training, random init of each network, and the naive features."""
    rows = [row for name, members in grouped(runs).items() for row in _trained(name, members)]
    kinds: dict[tuple[Kind, str], dict[str, dict[str, tuple[Compared, list[Measured]]]]] = {}
    for run in runs:
        for score in run.scores:
            if (kind := _kind(score)) in {"random", "naive"}:
                name = score.encoder if kind == "naive" else f"{score.encoder}, {_encoder(run, sound=score.on_sound)}"
                of_runs = kinds.setdefault((kind, name), {}).setdefault(score.key, {})
                of_runs.setdefault(str(run.folder.resolve()), (run, []))[1].append(score)
    rows += [_floor(kind, name, cells) for (kind, name), cells in kinds.items()]
    order = ("method", "supervised", "random", "naive")
    return sorted(rows, key=lambda r: order.index(r.kind))


def merged(samples: Sequence[Sample], *, spread: bool = True) -> Sample:
    """Several scores of one seed as one: the mean value, and the mean distances to the ends of the intervals.

    With `spread`, what differs between scores of several draws makes a further interval.
    """
    if len(samples) == 1:
        return samples[0]
    below, above = [s.below for s in samples], [s.above for s in samples]
    answered = [s.answered for s in samples]
    first, together = answered[0], None
    if first is not None and all(a is not None and a.test == first.test for a in answered):
        together = replace(first, right=np.mean([a.right for a in answered if a is not None], axis=0))
    draws = np.array([np.mean([s.value for s in samples if s.seed == d]) for d in {s.seed: 0 for s in samples}])
    known = [s.drawn for s in samples if s.drawn is not None]
    return Sample(
        value=float(np.mean([s.value for s in samples])),
        below=None if None in below else float(np.mean([b for b in below if b is not None])),
        above=None if None in above else float(np.mean([a for a in above if a is not None])),
        drawn=half_of_mean(draws) if spread and len(draws) > 1 else float(np.mean(known)) if known else None,
        seed=samples[0].seed,
        how=" / ".join(dict.fromkeys(s.how for s in samples if s.how)) + f" (mean of {len(samples)})",
        answered=together,
    )


def short_data(data: str) -> str:
    """The end of a path that names a data set."""
    parts = PurePath(data).parts
    return "/".join(parts[-2:]) if parts[-1:] and "." in parts[-1] else (parts[-1] if parts else data)


def base_name(protocol: str) -> str:
    """The protocol without the share of the labels that its name tells."""
    return SHARE.sub("", protocol)


def at_equal_schedule(rows: Sequence[Row]) -> list[str]:
    """A sentence for each method that has no supervised training of the same network at its schedule beside it."""
    ceilings = [r for r in rows if r.kind == "supervised"]
    told = []
    for row in (r for r in rows if r.kind == "method" and r.runs[0].config):
        mine = dict(flatten(row.runs[0].config))
        networks = row.encoder.split(PLUS)
        same = [c for c in ceilings if c.encoder in networks and _source(c.runs[0]) == _source(row.runs[0])]
        if any(all(dict(flatten(c.runs[0].config)).get(k) == mine.get(k) for k in SCHEDULE) for c in same):
            continue
        if "VideoNet" not in row.encoder:
            told.append(f"{row.name}: supervised training of sound alone is not built; its ceiling is not known.")
            continue
        root = _root(row.runs[0])
        words = [f"--{k.replace('_', '-')} {mine[k]}" for k in (*SCHEDULE, *SEEN) if mine.get(k, "null") != "null"]
        data = f"--data.root {shlex.quote(root)} " if root else ""
        there = "no supervised training" if not same else "supervised training at another schedule only"
        told.append(f"{row.name}: {there} beside it; make it by: python tools/supervised.py {data}{' '.join(words)}")
    return told


def _kind(score: Measured) -> Kind:
    name = score.encoder.lower()
    return "method" if name.startswith("pretrained") else "random" if name.startswith("random") else "naive"


def _settings(run: Compared) -> dict[str, str]:
    unused = "data.toybox." if _root(run) else "\0"
    return {k: v for k, v in flatten(run.config) if k not in BESIDE and v not in OFF and not k.startswith(unused)}


def _differences(settings: Sequence[Mapping[str, str]]) -> list[str]:
    """For each of several configurations what sets it apart from the others; '' if there is only one."""
    names = list(dict.fromkeys(k for s in settings for k in s))
    varied = [n for n in names if len({s.get(n) for s in settings}) > 1]
    told = []
    for s in settings:
        words = [f"{n.removeprefix('train.')} {brief(s[n], 40) if n in s else 'off'}" for n in varied]
        more = f" and {len(words) - MOST_TOLD} more" if len(words) > MOST_TOLD else ""
        told.append(", ".join(words[:MOST_TOLD]) + more)
    return told


def _trained(name: str, members: Sequence[Compared]) -> list[Row]:
    """The rows of one method: one, or more where a run has several encoders of one kind."""
    marks: dict[str, dict[str, dict[str, list[Measured]]]] = {}
    floors: dict[str, dict[str, dict[str, list[Measured]]]] = {}
    for run in members:
        for score in run.scores:
            if (what := _kind(score)) != "naive":
                mark = score.encoder.removeprefix("pretrained").removeprefix("random init").strip()
                found = marks if what == "method" else floors
                found.setdefault(mark, {}).setdefault(score.key, {}).setdefault(_unit(run), []).append(score)
    kind: Kind = "supervised" if members[0].recipe == "supervised.py" else "method"
    return [
        _method_row(kind, f"{name}, {mark}" if mark else name, members, marks.get(mark, {}), floors.get(mark, {}))
        for mark in (marks or [""])
    ]


def _method_row(
    kind: Kind,
    name: str,
    members: Sequence[Compared],
    scores: Mapping[str, Mapping[str, list[Measured]]],
    floors: Mapping[str, Mapping[str, list[Measured]]],
) -> Row:
    units = list(dict.fromkeys(_unit(r) for r in members))
    twice = {u: [r.name for r in members if _unit(r) == u] for u in units}
    notes = [f"{', '.join(n)} are of one seed ({u}) and count as one" for u, n in twice.items() if len(n) > 1]
    first = members[0]
    counts = {f"{n:,}" for r in members if (n := sum(r.parameters.values()))}
    return Row(
        kind=kind,
        name=name,
        runs=tuple(members),
        samples={k: tuple(merged([s.sample for s in u]) for u in cells.values()) for k, cells in scores.items()},
        floors={
            k: tuple(merged([s.sample for s in floors[k][u]]) for u in cells)
            for k, cells in scores.items()
            if k in floors and all(u in floors[k] for u in cells)
        },
        measured={k: tuple(s for u in cells.values() for s in u) for k, cells in scores.items()},
        encoder=_encoder(first),
        epochs=_setting(first, "train.epochs"),
        data=_data(first),
        parameters=" / ".join(sorted(counts)),
        seeds=tuple(units),
        notes=tuple(notes),
    )


def _floor(kind: Kind, name: str, cells: Mapping[str, Mapping[str, tuple[Compared, list[Measured]]]]) -> Row:
    """Random init of one network, or one naive feature: equal scores of several runs are one and the same.

    A naive feature has no seeds: what differs between runs is how its probe was regularised, so they are averaged.
    """
    samples: dict[str, tuple[Sample, ...]] = {}
    measured: dict[str, tuple[Measured, ...]] = {}
    runs: dict[str, Compared] = {}
    for key, of_runs in cells.items():
        different: dict[tuple[tuple[str, float], ...], list[Measured]] = {}
        for folder, (run, scores) in of_runs.items():
            runs[folder] = run
            told = sorted((s.seed if kind == "random" else "", s.sample.value) for s in scores)
            different.setdefault(tuple(told), scores)
        found = tuple(merged([s.sample for s in scores]) for scores in different.values())
        samples[key] = found if kind == "random" else (merged(found, spread=False),)
        measured[key] = tuple(s for scores in different.values() for s in scores)
    seeds = dict.fromkeys(s.seed for scores in measured.values() for s in scores)
    return Row(
        kind=kind,
        name=name,
        runs=tuple(runs.values()),
        samples=samples,
        floors={},
        measured=measured,
        encoder=name.partition(", ")[2] if kind == "random" else "no network",
        epochs="0" if kind == "random" else "",
        seeds=tuple(seeds) if kind == "random" else (),
    )


def _unit(run: Compared) -> str:
    return run.seed or run.name


def _encoder(run: Compared, *, sound: bool | None = None) -> str:
    """The network of a run: of sound, of video, or (None) all of them."""
    told = {k: brief(v) for k, v in run.config.items() if k in {"encoder", "sound_encoder"}}
    if not told:
        return f"the network of {run.name}"
    if sound is None:
        return PLUS.join(told.values())
    return told.get("sound_encoder" if sound else "encoder") or next(iter(told.values()))


def _setting(run: Compared, name: str) -> str:
    return dict(flatten(run.config)).get(name, "")


def _root(run: Compared) -> str:
    data = run.config.get("data")
    return str(data.get("root") or "") if isinstance(data, Mapping) else ""


def _source(run: Compared) -> str:
    """What it was trained on: the root or, without one, the settings of the toybox."""
    data = run.config.get("data")
    told = data.get("toybox") if isinstance(data, Mapping) else None
    return _root(run) or json.dumps(told, sort_keys=True)


def _data(run: Compared) -> str:
    """What it was pretrained on; the toybox without a root."""
    if not run.config:
        return ""
    return short_data(_root(run)) if _root(run) else "toybox"
