"""A run folder as typed values. What is missing is empty, what is damaged is told; nothing here ever stops a report."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

__all__ = ["Draw", "Drawn", "Metrics", "Neighbours", "RunFiles", "read_draws", "read_run"]

Record: TypeAlias = Mapping[str, Any]
Array: TypeAlias = "np.ndarray[Any, Any]"


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """One clip that a sampler drew, as the training saw it: `video` (T, C, H, W), `audio` (A, N), cut at `times` (s).

    `sound` is (start, duration) in seconds of the file's clock. `other` and `other_sound` name the files that frames
    and sound come from where that is not the draw's own.
    """

    times: tuple[float, ...] = ()
    sound: tuple[float, float] | None = None
    video: Array | None = None
    audio: Array | None = None
    other: str = ""
    other_sound: str = ""


@dataclass(frozen=True, kw_only=True)
class Draw:
    """One example that a sampler drew: where its clips were cut and what is known of them.

    `duration` (s) is the file's, if the run wrote it down; else the time line ends at the last instant drawn.
    """

    path: str
    clips: tuple[Drawn, ...]
    labels: Mapping[str, object] = field(default_factory=dict)
    parameters: Mapping[str, object] = field(default_factory=dict)
    duration: float | None = None


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """The lines of metrics.jsonl by kind; `damaged` counts those that are none (a killed run leaves one)."""

    steps: tuple[Record, ...] = ()
    probes: tuple[Record, ...] = ()
    events: tuple[Record, ...] = ()
    times: tuple[Record, ...] = ()
    damaged: int = 0

    def curve(self, name: str) -> tuple[Array, Array]:
        """Steps and values (both float64) of a scalar of the training steps."""
        pairs = [(r["step"], r[name]) for r in self.steps if _is_number(r.get(name))]
        return np.array([p[0] for p in pairs], dtype=float), np.array([p[1] for p in pairs], dtype=float)

    @property
    def names(self) -> tuple[str, ...]:
        """The scalars that the training steps carry, in the order in which they first appear."""
        names = dict.fromkeys(k for r in self.steps for k, v in r.items() if _is_number(v))
        return tuple(n for n in names if n not in {"step", "epoch", "seconds"})

    def spent(self, *names: str) -> dict[str, float]:
        """The shares that some of what was timed has of all of them together; {} if nothing was timed."""
        sums = {n: sum(float(r[k]) for r in self.times if _is_number(r.get(k := f"{n}_seconds"))) for n in names}
        whole = sum(sums.values())
        return {n: s / whole for n, s in sums.items()} if whole > 0 else {}

    @property
    def seconds(self) -> float | None:
        """How long the training ran (s), over every resumption; a clock that goes back was started anew."""
        total, last = 0.0, 0.0
        found = [r["seconds"] for r in self.steps if _is_number(r.get("seconds"))]
        for value in found:
            if value < last:
                total += last
            last = value
        return total + last if found else None


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """Queries and their nearest clips: `strips` (Q, 1 + k, F, H, W, 3) uint8, the query first."""

    strips: Array
    labels: tuple[tuple[str, ...], ...]
    paths: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, kw_only=True)
class RunFiles:
    """Everything a report reads of a run; `problems` says what was there and could not be read."""

    folder: Path
    config: Record = field(default_factory=dict)
    metrics: Metrics = field(default_factory=Metrics)
    draws: tuple[Draw, ...] = ()
    scores: Record = field(default_factory=dict)
    confusion: Record = field(default_factory=dict)
    neighbours: Neighbours | None = None
    problems: tuple[str, ...] = ()


def read_run(folder: Path, *, pictures: bool = True) -> RunFiles:
    """Read what a run folder holds, without `pictures` neither draws nor neighbours.

    Raises:
        NotADirectoryError: there is no such folder.
    """
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder}: no such run folder; give the folder that a recipe's --train.out named")
    problems: list[str] = []
    config = _mapping(folder / "config.json", problems)
    scores = _mapping(folder / "scores.json", problems)
    return RunFiles(
        folder=folder,
        config=config,
        metrics=_metrics(folder / "metrics.jsonl", problems),
        draws=read_draws(folder, problems) if pictures else (),
        scores=_checked_scores(scores, problems),
        confusion=_confusion(folder / "confusion.json", problems),
        neighbours=_neighbours(folder, problems) if pictures else None,
        problems=tuple(problems),
    )


def read_draws(folder: Path, problems: list[str]) -> tuple[Draw, ...]:
    """The examples of draws.json with their pixels and sound; what cannot be read is appended to `problems`."""
    found = _json(folder / "draws.json", problems)
    if found is None:
        return ()
    if not isinstance(found, list):
        problems.append("draws.json: is not a list of draws")
        return ()
    draws = []
    for entry in found:
        try:
            draws.append(_draw(folder, entry, problems))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            problems.append(f"draws.json: an entry could not be read ({type(error).__name__}: {error})")
    return tuple(draws)


def _draw(folder: Path, entry: Record, problems: list[str]) -> Draw:
    arrays = _arrays(folder / str(entry.get("file", "")), problems)
    clips = []
    for i, span in enumerate(entry["spans"]):
        sound = span.get("sound")
        clips.append(
            Drawn(
                times=tuple(float(t) for t in span.get("times") or ()),
                sound=(float(sound[0]), float(sound[1])) if sound else None,
                video=_shaped(arrays.get(f"video_{i}"), 4),
                audio=_shaped(arrays.get(f"audio_{i}"), 2),
                other=_other(entry, span.get("file")),
                other_sound=_other(entry, span.get("sound_file")),
            )
        )
    duration = entry.get("duration")
    return Draw(
        path=str(entry.get("path", "")),
        clips=tuple(clips),
        labels=dict(entry.get("labels") or {}),
        parameters=dict(entry.get("parameters") or {}),
        duration=None if duration is None else float(duration),
    )


def _other(entry: Record, number: int | None) -> str:
    """The name of a further file of a draw; '' for the draw's own."""
    paths = entry.get("paths") or []
    return Path(str(paths[number])).name if number and number < len(paths) else f"file {number}" if number else ""


def _shaped(array: Array | None, ndim: int) -> Array | None:
    if array is not None and (array.ndim != ndim or 0 in array.shape):
        raise ValueError(f"an array of shape {array.shape} where {ndim} filled dimensions were expected")
    return array


def _json(path: Path, problems: list[str]) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        problems.append(f"{path.name}: could not be read ({error})")
        return None


def _mapping(path: Path, problems: list[str]) -> Record:
    found = _json(path, problems)
    if found is None or isinstance(found, dict):
        return found or {}
    problems.append(f"{path.name}: is not a JSON object")
    return {}


def _arrays(path: Path, problems: list[str]) -> dict[str, Array]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {k: archive[k] for k in archive.files}
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        problems.append(f"{path.name or 'npz file without a name'}: could not be read ({error})")
        return {}


def _metrics(path: Path, problems: list[str]) -> Metrics:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return Metrics()
    except OSError as error:
        problems.append(f"{path.name}: could not be read ({error})")
        return Metrics()
    steps: dict[int, Record] = {}
    probes: dict[tuple[str, int], Record] = {}
    events: list[Record] = []
    times: list[Record] = []
    damaged = 0
    for line in filter(str.strip, lines):
        try:
            record = json.loads(line)
            kind = record["kind"]
            if kind == "step":
                steps.pop(int(record["step"]), None)  # a resumed run writes some steps again: the last time counts
                steps[int(record["step"])] = record
            elif kind == "probe":
                float(record["value"])
                probes[str(record["name"]), int(record["step"])] = record
            elif kind == "time":
                times.append(record)
            else:
                events.append(record)
        except (ValueError, KeyError, TypeError):
            damaged += 1
    if damaged:
        what = "1 line is" if damaged == 1 else f"{damaged} lines are"
        problems.append(f"metrics.jsonl: {what} damaged and left out (a run that was killed leaves one at the end)")
    return Metrics(
        steps=tuple(steps.values()),
        probes=tuple(probes.values()),
        events=tuple(events),
        times=tuple(times),
        damaged=damaged,
    )


def _checked_scores(found: Record, problems: list[str]) -> Record:
    if not found:
        return found
    entries = found.get("scores")
    good = [
        s
        for s in (entries if isinstance(entries, list) else [])
        if isinstance(s, dict) and _is_number(s.get("value")) and "encoder" in s
    ]
    lost = len(entries) - len(good) if isinstance(entries, list) else 1
    if lost:
        problems.append(f"scores.json: {lost} entries without an encoder or a value are left out")
    return {**found, "scores": good}


def _confusion(path: Path, problems: list[str]) -> Record:
    found = _mapping(path, problems)
    if not found:
        return {}
    try:
        matrix = np.array(found["matrix"], dtype=float)
        labels = [str(x) for x in found["labels"]]
    except (KeyError, TypeError, ValueError) as error:
        problems.append(f"confusion.json: could not be read ({type(error).__name__}: {error})")
        return {}
    if not labels or matrix.shape != (len(labels), len(labels)):
        problems.append(f"confusion.json: a matrix of shape {matrix.shape} for {len(labels)} labels")
        return {}
    return {**found, "matrix": matrix, "labels": labels}


def _neighbours(folder: Path, problems: list[str]) -> Neighbours | None:
    if not (folder / "neighbours.npz").exists():
        return None
    strips = _arrays(folder / "neighbours.npz", problems).get("strips")
    words = _mapping(folder / "neighbours.json", problems)
    if strips is None:
        return None
    try:
        labels, paths = (tuple(tuple(str(x) for x in row) for row in words[k]) for k in ("labels", "paths"))
    except (KeyError, TypeError) as error:
        problems.append(f"neighbours.json: could not be read ({type(error).__name__}: {error})")
        return None
    shapes_agree = all(len(rows) == strips.shape[0] for rows in (labels, paths)) and strips.ndim == 6
    if not shapes_agree or any(len(row) != strips.shape[1] for rows in (labels, paths) for row in rows):
        problems.append(f"neighbours.json: does not name as many clips as strips of shape {strips.shape} hold")
        return None
    return Neighbours(strips=strips, labels=labels, paths=paths)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
