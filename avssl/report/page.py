"""The page of a run: reads the run folder, shapes what is shown, and fills the template."""

from __future__ import annotations

import shlex
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from avssl.report.curves import curve_panels, probe_panels, speed_panels
from avssl.report.hidden import shown
from avssl.report.pixels import data_uri, envelope, spectrogram, strip, thin_out
from avssl.report.reading import Draw, Metrics, RunFiles, read_run
from avssl.report.scores import Table, tables
from avssl.report.sheet import caption, extent, is_still, rate_of
from avssl.report.words import brief, duration, flatten, number, seconds

__all__ = ["write_report"]

_TIMED = {
    "time of training": ("step", "transform", "waiting"),
    "time of reading": ("decode", "convert", "sound", "other_reading"),
}
_MOST_SKIPPED = 100  # files listed one by one; a page that lists a million is not read


def write_report(run: Path) -> Path:
    """Write `report.html`, one page that needs nothing else, into a run folder and return its path.

    What the run folder lacks is named on the page together with the command that makes it.

    Raises:
        NotADirectoryError: there is no such folder.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    files = read_run(run)
    environment = Environment(
        loader=PackageLoader("avssl.report", package_path=""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("page.html").render(_content(files))
    out = run / "report.html"
    out.write_text(page, encoding="utf-8", errors="backslashreplace")  # a file may be called what is no text
    return out


def _content(files: RunFiles) -> dict[str, Any]:
    about = files.config.get("run") or {}
    about = about if isinstance(about, dict) else {}
    recipe = str(about.get("recipe") or "")
    metrics = files.metrics
    found = tables(files.scores.get("scores", []))
    speed = speed_panels(metrics)
    return {
        "name": files.folder.resolve().name,
        "recipe": recipe,
        "facts": _facts(files, about),
        "tiles": _tiles(metrics, found),
        "draws": [_draw(d) for d in files.draws],
        "curves": curve_panels(metrics),
        "probes": probe_panels(metrics),
        "speed": speed,
        "tables": found,
        "scored": {k: brief(files.scores[k], 300) for k in ("command", "data", "hardware") if files.scores.get(k)},
        "neighbours": _neighbours(files),
        "confusion": _confusion(files),
        **_events(metrics),
        "settings": flatten({k: v for k, v in files.config.items() if k != "run"}),
        "problems": files.problems,
        "commands": _commands(files.folder, recipe),
        "read": bool(metrics.steps),
    }


def _commands(folder: Path, recipe: str) -> dict[str, str]:
    """The commands that make what is missing."""
    quoted, script = shlex.quote(str(folder)), f"recipes/{recipe or 'RECIPE.py'}"
    script = shlex.quote(script)
    return {
        "train": f"python {script} --train.out {quoted}",
        "draws": f"python tools/inspect_sampler.py {script} --out sheet.png",
        "probes": f"python {script} --train.probe-every 5",
        "evaluate": f"python tools/evaluate.py {quoted}",
    }


def _facts(files: RunFiles, about: dict[str, Any]) -> list[tuple[str, str, bool]]:
    """(name, value, whether it is code) for the head of the page."""
    facts: list[tuple[str, str, bool]] = []
    if about.get("command"):
        facts.append(("command", str(about["command"]), True))
    started = next((about[k] for k in ("started", "date", "time") if about.get(k)), None)
    if started is not None:
        facts.append(("started", str(started), False))
    elif files.metrics.steps:
        written = time.localtime((files.folder / "metrics.jsonl").stat().st_mtime)
        facts.append(("metrics last written", time.strftime("%Y-%m-%d %H:%M", written), False))
    if files.metrics.seconds is not None:
        facts.append(("trained for", duration(files.metrics.seconds), False))
    for what, names in _TIMED.items():
        if shares := files.metrics.spent(*names):
            parts = " · ".join(f"{n.replace('_', ' ')} {100 * share:.0f} %" for n, share in shares.items())
            facts.append((what, parts, False))
    if about.get("hardware"):
        facts.append(("hardware", brief(about["hardware"], 200), False))
    versions = [f"{k} {about[k]}" for k in ("avssl", "torch", "python") if about.get(k)]
    if versions:
        facts.append(("versions", " · ".join(versions), False))
    told = {"recipe", "command", "started", "date", "time", "hardware", "avssl", "torch", "python"}
    facts += [(str(k), brief(v, 200), False) for k, v in about.items() if k not in told]
    return facts


def _tiles(metrics: Metrics, found: list[Table]) -> list[tuple[str, str, str]]:
    """(what, number, remark) of what one wants to know first."""
    tiles = []
    if metrics.steps:
        epochs = {r.get("epoch") for r in metrics.steps}
        tiles.append(("steps", f"{len(metrics.steps):,}", f"in {len(epochs)} epoch{'s' if len(epochs) > 1 else ''}"))
        _, loss = metrics.curve("loss")
        good = loss[np.isfinite(loss)]
        if len(good):
            last = float(np.mean(good[-max(1, len(good) // 20) :]))
            lost = len(loss) - len(good)
            remark = f"from {number(float(good[0]))}" + (f", not finite in {lost} steps" if lost else "")
            tiles.append(("loss", number(last), remark))
        _, speed = metrics.curve("clips_per_second")
        _, waiting = metrics.curve("waiting")
        if len(speed):
            remark = f"waiting for data {100 * float(np.nanmedian(waiting)):.0f} %" if len(waiting) else "median"
            tiles.append(("clips / s", number(float(np.nanmedian(speed))), remark))
    for table in found[:1]:
        ours = next((r for r in table.rows if r.kind == "pretrained"), None)
        rival = next((r for r in table.rows if r.kind == "random"), None)
        if ours is not None:
            beside = f"random init {rival.text}" if rival else "no random init beside it"
            tiles.append((f"{table.label} {table.metric}, {table.protocol}".strip(), ours.text, beside))
    return tiles


@dataclass(frozen=True, kw_only=True)
class _Clip:
    """One clip of a draw, ready to be shown: data URIs, captions, and marks on the time line (percent)."""

    number: int
    caption: str
    frames: str
    width: int
    count: int
    wave: str
    spectrum: str
    nyquist: str
    marks: tuple[str, ...]
    bar: tuple[str, str] | None


def _draw(draw: Draw) -> dict[str, Any]:
    left, right = extent(draw)
    clips = [_clip(draw, i, left, right) for i in range(len(draw.clips))]
    return {
        "name": Path(draw.path).name or "file without a name",
        "path": draw.path,
        "labels": [(k, brief(v)) for k, v in draw.labels.items()],
        "parameters": [(k, brief(v)) for k, v in draw.parameters.items()],
        "clips": clips,
        "short": all(c.video is None or len(c.video) <= 4 for c in draw.clips),
        "still": is_still(draw),
        "left": seconds(left),
        "right": seconds(right),
        "file": (f"{100 * -left / (right - left):.2f}", f"{100 * (draw.duration or right) / (right - left):.2f}"),
        "known": draw.duration is not None,
        "spoken": f"Time line from {seconds(left)} to {seconds(right)} s. "
        + " ".join(caption(c, i) + "." for i, c in enumerate(draw.clips)),
    }


def _clip(draw: Draw, index: int, left: float, right: float) -> _Clip:
    clip = draw.clips[index]

    def place(t: float) -> str:
        return f"{100 * (t - left) / (right - left):.3f}"

    frames, width, count, wave, spectrum, nyquist = "", 0, 0, "", "", ""
    if clip.video is not None:
        pictures = shown(draw, index)
        picture, count = strip(pictures), len(pictures)
        # each frame is shown 66 pixels high in long strips and 104 in short ones
        frames, width = data_uri(picture), round(picture.shape[1] * (104 if len(clip.video) <= 4 else 66) / 112)
    if clip.audio is not None:
        low, high = envelope(clip.audio)
        ends = [f"{i},{50 - 48 * v:.1f}" for i, v in enumerate(high)]
        ends += [f"{i},{50 - 48 * v:.1f}" for i, v in reversed(list(enumerate(low)))]
        wave, rate = " ".join(ends), rate_of(clip)
        spectrum, nyquist = data_uri(spectrogram(clip.audio, rate)), f"{number(rate / 2000)} kHz"
    return _Clip(
        number=index,
        caption=caption(clip, index),
        frames=frames,
        width=width,
        count=count,
        wave=wave,
        spectrum=spectrum,
        nyquist=nyquist,
        marks=tuple(place(t) for t in clip.times),
        bar=(place(clip.sound[0]), f"{100 * clip.sound[1] / (right - left):.3f}") if clip.sound else None,
    )


def _neighbours(files: RunFiles) -> list[dict[str, Any]]:
    if files.neighbours is None:
        return []
    found, rows = files.neighbours, []
    for strips, labels, paths in zip(found.strips, found.labels, found.paths, strict=True):
        kept = thin_out(strips.shape[1], 4)  # more would be too small to be seen beside one another
        pictures = [data_uri(strip(np.asarray(frames[kept], dtype=np.uint8), height=88)) for frames in strips]
        nearest = [
            {"label": label, "path": path, "picture": picture, "same": label == labels[0], "rank": i + 1}
            for i, (label, path, picture) in enumerate(zip(labels[1:], paths[1:], pictures[1:], strict=True))
        ]
        hits = sum(n["same"] is True for n in nearest)
        rows.append(
            {
                "count": len(kept),
                "label": labels[0],
                "path": paths[0],
                "picture": pictures[0],
                "nearest": nearest,
                "hits": hits,
            }
        )
    return rows


def _confusion(files: RunFiles) -> dict[str, Any] | None:
    if not files.confusion:
        return None
    matrix, labels = files.confusion["matrix"], files.confusion["labels"]
    totals = matrix.sum(axis=1)
    shares = matrix / np.maximum(totals, 1e-12)[:, None]
    off = [(matrix[i, j], labels[i], labels[j]) for i in range(len(labels)) for j in range(len(labels)) if i != j]
    worst = [(f"{n:g}", a, b) for n, a, b in sorted(off, key=lambda x: -x[0])[:5] if n > 0]
    right, total = float(np.trace(matrix)), float(matrix.sum())
    rows = [
        (labels[i], f"{totals[i]:g}", [(f"{100 * s:.0f}" if s else "", f"{s:.3f}", f"{n:g}") for s, n in cells])
        for i, cells in enumerate(zip(a, b, strict=True) for a, b in zip(shares, matrix, strict=True))
    ]
    return {
        "labels": labels,
        "rows": rows,
        "worst": worst,
        "right": f"{100 * right / total:.1f} %" if total else "none",
        "count": f"{right:g} of {total:g}",
        "more": [(k, brief(v, 200)) for k, v in files.confusion.items() if k not in {"labels", "matrix"}],
    }


def _events(metrics: Metrics) -> dict[str, Any]:
    """Files that were skipped, once each with how often, and whatever else happened."""
    skipped = [e for e in metrics.events if e.get("path")]
    counts = Counter((str(e["path"]), str(e.get("why", "")), str(e.get("what", "skipped"))) for e in skipped)
    others = [e for e in metrics.events if not e.get("path")]
    return {
        "skipped": [(*key, n) for key, n in counts.most_common(_MOST_SKIPPED)],
        "skipped_more": max(0, len(counts) - _MOST_SKIPPED),
        "skipped_total": len(counts),
        "skipped_reasons": Counter(why for _, why, _ in counts).most_common(8),
        "events": [
            (brief(e.get("step", "–")), brief({k: v for k, v in e.items() if k not in {"kind", "step"}}, 200))
            for e in others[:_MOST_SKIPPED]
        ],
    }
