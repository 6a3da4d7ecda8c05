"""What the sampler draws, written once at the start of a run, so that one sees what the task will see."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from avssl.core import Example, Plan
from avssl.data import Clips, Loader, epoch_order

__all__ = ["write_draws"]


def write_draws(folder: Path, clips: Clips, *, count: int = 8) -> None:
    """Write the first examples of the first epoch, transformed, as `draws.json` and `draws/*.npz`."""
    clips = replace(clips, reading="threads", repeats=1)  # so few are read before any process has started
    positions = epoch_order(len(clips), seed=clips.seed, epoch=0)[:count]
    loader = Loader(clips, [[p] for p in positions])  # of damaged files, which the policy skips, there is no draw
    (folder / "draws").mkdir(exist_ok=True)
    rows: list[dict[str, Any]] = []
    by_index = {clips.items[p].index: p for p in positions}
    for n, example in enumerate(loader):
        name = f"draws/{n:03d}.npz"
        np.savez_compressed(folder / name, **_arrays(example))
        position = by_index[int(example.index[0])]
        plan, files = clips.plan(position)
        rows.append(_row(name, plan, [str(f.path) for f in files], clips.items[position].info.duration, example))
    (folder / "draws.json").write_text(json.dumps(rows, indent=1))


def _arrays(example: Example) -> dict[str, Any]:
    arrays: dict[str, Any] = {}
    for s, clip in enumerate(example.clips):
        if clip.video is not None:
            video = clip.video[0]
            pixels = (video * 255).round().clamp(0, 255).byte() if video.is_floating_point() else video
            arrays[f"video_{s}"] = pixels.numpy()
        if clip.audio is not None:
            arrays[f"audio_{s}"] = clip.audio[0].numpy()
    return arrays


def _row(file: str, plan: Plan, paths: list[str], duration: float, example: Example) -> dict[str, Any]:
    def listed(tensors: dict[str, Tensor]) -> dict[str, Any]:
        return {k: v[0].tolist() for k, v in tensors.items()}

    spans = [
        {
            "times": list(s.times),
            "sound": None if s.sound is None else [s.sound.start, s.sound.duration],
            "file": s.files[0],
            "sound_file": s.files[1],
        }
        for s in plan.spans
    ]
    return {
        "file": file,
        "path": paths[0],
        "paths": paths,
        "duration": duration,
        "labels": listed(dict(example.labels)),
        "parameters": listed(dict(example.parameters)),
        "spans": spans,
    }
