"""A made-up run folder with the content of a real one; the report's tests read it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

CLASSES = ["circle", "slide", "bounce", "zigzag", "grow", "spin", "still", "drift"]


def moving_blob(times: np.ndarray, *, hue: float = 0.6, size: int = 64, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Frames (T, C, H, W) uint8 of a soft disc that circles over a textured ground."""
    noise = np.random.default_rng(seed).random((8, 8))
    ground = 40 + 60 * np.kron(noise, np.ones((size // 8, size // 8)))
    yy, xx = np.mgrid[0:size, 0:size] / size
    frames = []
    for t in times:
        x, y = 0.5 + 0.3 * np.cos(2 * t), 0.5 + 0.3 * np.sin(2 * t)
        disc = 1 / (1 + np.exp(80 * (np.hypot(xx - x, yy - y) - 0.14)))
        tint = 128 + 120 * np.cos(2 * np.pi * (hue + np.arange(3) / 3))
        frames.append(ground[None] * (1 - disc) + tint[:, None, None] * disc)
    return np.clip(np.stack(frames), 0, 255).astype(np.uint8)[:, :channels]


def chirp(start: float, length: float, rate: int = 16000) -> np.ndarray:
    """A rising tone with pulses, (1, N) float32."""
    t = start + np.arange(round(length * rate)) / rate
    tone = np.sin(2 * np.pi * (300 * t + 450 * t**2)) * (0.15 + 0.8 * np.exp(-((t * 3 % 1) * 5)))
    return (0.7 * tone).astype(np.float32)[None]


def add_draw(run: Path, draws: list[dict[str, Any]], path: str, clips: list[dict[str, Any]], **more: Any) -> None:
    """One draw: each clip gives times and/or sound, and optionally how its pixels look."""
    file = f"draws/{len(draws):03d}.npz"
    arrays, spans = {}, []
    for i, clip in enumerate(clips):
        times, sound = clip.get("times", []), clip.get("sound")
        if len(times):
            arrays[f"video_{i}"] = moving_blob(np.asarray(times), seed=len(draws), **clip.get("look", {}))
        if sound:
            arrays[f"audio_{i}"] = chirp(*sound)
        spans.append({"times": [float(t) for t in times], "sound": sound, "file": 0, "sound_file": 0})
    (run / "draws").mkdir(exist_ok=True)
    np.savez_compressed(run / file, **arrays)
    draws.append(
        {"file": file, "path": path, "paths": [path], "spans": spans} | {"labels": {}, "parameters": {}} | more
    )


def write_draws(run: Path) -> None:
    """Draws of every kind: frames, clips, clips with sound, sound alone, a picture."""
    draws: list[dict[str, Any]] = []
    add_draw(
        run,
        draws,
        "/media/toybox/train/slide_0007.mp4",
        [{"times": [t]} for t in (0.62, 1.18, 0.9)],
        duration=3.2,
        labels={"in_order": 0},
        parameters={"flip": [1, 1, 1], "channel": [0, 2, 1]},
    )
    add_draw(
        run,
        draws,
        "/media/toybox/train/circle_0012.mp4",
        [
            {"times": np.arange(16) / 25 * p + s, "look": {"hue": 0.1, "size": 112}}
            for p, s in ((1, 0.1), (2, 0.9), (4, 1.1))
        ],
        duration=4.0,
        labels={"pace": [1, 2, 4]},
        parameters={"colour": np.random.default_rng(0).random((3, 16, 4)).tolist()},
    )
    add_draw(
        run,
        draws,
        "/media/toybox/train/bounce_0003.mp4",
        [{"times": np.arange(12) / 12 + 0.5, "sound": [1.6, 1.0], "look": {"hue": 0.35}}],
        duration=3.0,
        labels={"offset": 1.1},
    )
    add_draw(run, draws, "/media/esc/rain_0001.wav", [{"sound": [0.25, 2.0]}], duration=5.0, labels={"index": 3})
    add_draw(
        run,
        draws,
        "/media/pictures/cat.png",
        [{"times": [0.0], "look": {"size": 96}}],
        duration=0.0,
        labels={"rotation": 90},
        parameters={"quarter_turns": [1]},
    )
    (run / "draws.json").write_text(json.dumps(draws))


def write_metrics(run: Path, steps: int = 200) -> None:
    """Steps, probes and events of a short run, the last line cut off as by a kill."""
    rng = np.random.default_rng(1)
    lines: list[dict[str, Any]] = [
        {"kind": "event", "step": 0, "what": "left out", "path": "/media/a.mp4", "why": "1.2 s is shorter than 2 s"},
        {"kind": "event", "step": 40, "what": "skipped", "path": "/media/b.mp4", "why": "no frame could be decoded"},
        {"kind": "event", "step": 80, "what": "skipped", "path": "/media/b.mp4", "why": "no frame could be decoded"},
    ]
    for step in range(steps):
        loss = 0.45 + 1.2 * np.exp(-step / 60) + 0.06 * rng.standard_normal()
        lines.append(
            {
                "kind": "step",
                "step": step,
                "epoch": step // 20,
                "seconds": 0.31 * (step + 1),
                "loss": loss,
                "accuracy": float(np.clip(1 - loss / 2.2 + 0.03 * rng.standard_normal(), 0, 1)),
                "lr": 0.5e-3 * (1 + np.cos(np.pi * step / steps)),
                "clips_per_second": 310 + 12 * rng.standard_normal(),
                "waiting": float(np.clip(0.08 + 0.5 * np.exp(-step / 5) + 0.02 * rng.random(), 0, 1)),
            }
        )
    for epoch in range(0, 11, 2):
        rise = 1 - np.exp(-epoch / 4)
        for name, low, gain in (
            ("motion linear-probe", 0.31, 0.34),
            ("motion kNN", 0.25, 0.27),
            ("appearance linear-probe", 0.58, -0.12),
        ):
            value = low + gain * rise
            lines.append({"kind": "probe", "step": epoch * 20, "epoch": epoch, "name": name, "value": value})
    text = "\n".join(json.dumps(line) for line in lines)
    (run / "metrics.jsonl").write_text(text + '\n{"kind": "step", "step": 200, "lo')


def score(encoder: str, value: float, half: float | None = 0.06, **more: Any) -> dict[str, Any]:
    """One score of scores.json."""
    known = {"low": value - half, "high": value + half} if half is not None else {}
    return {
        "encoder": encoder, "protocol": "linear probe", "metric": "top-1", "label": "motion", "value": value, **known,
        "interval": "bootstrap over test items", "n_train": 600, "n_test": 200, "chance": 0.125, "seed": 0,
        "settings": {"clips": 4},
    } | more  # fmt: skip


def write_evaluation(run: Path) -> None:
    """scores.json, confusion.json and the neighbours."""
    scores = [
        score("random init", 0.347),
        score("pretrained", 0.652),
        score("mean colour", 0.14, None),
        *(
            score("pretrained", 0.41, label="appearance", metric="top-1"),
            score("random init", 0.44, label="appearance"),
        ),
        score("pretrained", 0.53, protocol="kNN", settings={"k": 20}),
        score("random init", 0.47, protocol="kNN", settings={"k": 20}),
        score("pretrained", 0.62, protocol="retrieval", metric="R@1", n_train=600),
        score("random init", 0.31, protocol="retrieval", metric="R@1"),
    ]
    about = {"command": f"python tools/evaluate.py {run}", "data": "toybox, 600 + 200 clips", "hardware": "8 CPU cores"}
    (run / "scores.json").write_text(json.dumps(about | {"scores": scores}))
    rng = np.random.default_rng(3)
    matrix = rng.poisson(0.9, (8, 8)) + np.diag(rng.integers(10, 22, 8))
    matrix[1, 3] = 9
    (run / "confusion.json").write_text(json.dumps({"labels": CLASSES, "matrix": matrix.tolist()}))
    strips, labels, paths = [], [], []
    for q in range(4):
        names = [CLASSES[q]] + [CLASSES[q] if rng.random() < 0.65 else CLASSES[(q + 3) % 8] for _ in range(5)]
        hues = [CLASSES.index(n) / 8 for n in names]
        strips.append(
            [
                moving_blob(np.arange(4) / 3 + i, hue=h, seed=10 * q + i).transpose(0, 2, 3, 1)
                for i, h in enumerate(hues)
            ]
        )
        labels.append(names)
        paths.append([f"{n}_{rng.integers(1000):04d}.mp4" for n in names])
    np.savez_compressed(run / "neighbours.npz", strips=np.array(strips))
    (run / "neighbours.json").write_text(json.dumps({"labels": labels, "paths": paths}))


def write_config(run: Path) -> None:
    """config.json as `start` writes it."""
    about = {
        "recipe": "pace.py", "command": f"python recipes/pace.py --train.epochs 10 --train.out {run}",
        "avssl": "0.1.0", "torch": "2.14.1", "python": "3.11.9", "ranks": 1,
        "hardware": "8 CPU cores (x86_64), 8 threads", "started": "2026-02-03 04:05:06",
    }  # fmt: skip
    content = {
        "data": {"root": None, "split": "train"},
        "train": {"epochs": 10, "lr": 1e-3, "milestones": []},
        "frames": 16,
    }
    (run / "config.json").write_text(json.dumps(content | {"run": about}))


def make_run(folder: Path) -> Path:
    """A whole run folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_config(folder)
    write_metrics(folder)
    write_draws(folder)
    write_evaluation(folder)
    return folder
