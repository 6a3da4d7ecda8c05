"""Moments of films that were made at once: are they found in each other, and does it show which camera saw them?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from avssl.data import Clips, Data, View, batches
from avssl.encoders import Encoder
from avssl.encoders.weights import reinitialised
from avssl.evaluation.answers import Labelled
from avssl.evaluation.features import FeatureFunction, evaluating
from avssl.evaluation.head import unit_rows
from avssl.evaluation.linear import LinearProbe, linear_probe
from avssl.evaluation.splits import Unscorable
from avssl.samplers import UniformClips
from avssl.training import Run
from avssl.transforms import CentreCrop

__all__ = ["Moments", "alignment_error", "moments_of", "tell_moments"]

QUICK = LinearProbe(costs=(0.01,))


def alignment_error(a: np.ndarray, b: np.ndarray, *, at: np.ndarray, when: np.ndarray, duration: float) -> float:
    """Mean of |t − t'| / `duration` over the moments `at` (n,) s of one film, t' being that of its nearest in another.

    `a` (n, D) and `b` (m, D) are embeddings of the moments `at` and `when` (m,); the nearest has the highest cosine. 0
    is perfect; of times drawn uniformly it is 1/3. Sermanet et al., ICRA 2018, arXiv:1704.06888, section 4.1.
    """
    nearest = (unit_rows(a) @ unit_rows(b).T).argmax(axis=1)
    return float(np.abs(at - when[nearest]).mean() / duration)


@dataclass(frozen=True, kw_only=True)
class Moments:
    """What was found: the alignment error over ordered pairs of films of a scene, and how often a linear probe, fitted
    on half of the scenes, names the camera of a moment of the others (`chance`: the most frequent camera); None where
    the manifest does not tell several cameras apart."""

    alignment: float
    camera: float | None
    chance: float | None
    scenes: int


def moments_of(
    embed: FeatureFunction,
    clips: Clips,
    *,
    device: torch.device | str = "cpu",
    scene: str = "scene",
    camera: str = "camera",
    batch_size: int = 8,
) -> Moments:
    """Measure embeddings of the clips (S moments of each item), whose manifest says in columns which belong together.

    Raises:
        Unscorable: fewer than two scenes were filmed by two cameras or more.
    """
    embedded: dict[int, np.ndarray] = {}
    with evaluating(embed), torch.inference_mode():
        for batch in batches(clips, batch_size=batch_size, device=device):
            videos = [clip.video for clip in batch.clips if clip.video is not None]
            found = torch.stack([embed(v).float() for v in videos], dim=1).cpu().numpy()
            embedded |= dict(zip(batch.index.tolist(), found, strict=True))
    scenes: dict[str, list[int]] = {}
    for position, item in enumerate(clips.items):
        if item.columns.get(scene) and item.index in embedded:
            scenes.setdefault(item.columns[scene], []).append(position)
    films = [s for s in scenes.values() if len(s) > 1]
    if len(films) < 2:
        raise Unscorable(f"{len(films)} scenes of two films or more: name them in the manifest's column {scene!r}")
    times = {p: np.array([span.times[0] for span in clips.plan(p)[0].spans]) for s in films for p in s}
    rows = {p: embedded[clips.items[p].index] for s in films for p in s}
    errors = [
        alignment_error(rows[a], rows[b], at=times[a], when=times[b], duration=clips.items[b].info.duration)
        for s in films
        for a in s
        for b in s
        if a != b
    ]
    names = sorted({clips.items[p].columns.get(camera, "") for p in rows})
    camera_told, chance = _camera_told(films, rows, clips, camera, names)
    return Moments(alignment=float(np.mean(errors)), camera=camera_told, chance=chance, scenes=len(films))


def _camera_told(
    films: list[list[int]], rows: Mapping[int, np.ndarray], clips: Clips, camera: str, names: list[str]
) -> tuple[float | None, float | None]:
    half = [_labelled(part, rows, clips, camera, names) for part in (films[::2], films[1::2])]
    if len(np.unique(half[0].labels)) < 2:
        return None, None
    told = linear_probe(*half, choice=QUICK).correct["top-1"]
    return float(told.mean()), float(np.bincount(half[1].labels).max() / len(half[1].labels))


def _labelled(
    films: list[list[int]], rows: Mapping[int, np.ndarray], clips: Clips, camera: str, names: list[str]
) -> Labelled:
    """Every moment of these films, labelled with its camera."""
    positions = [p for s in films for p in s]
    labels = [names.index(clips.items[p].columns.get(camera, "")) for p in positions for _ in rows[p]]
    return Labelled(values=np.concatenate([rows[p] for p in positions]), labels=np.array(labels))


def tell_moments(run: Run, encoder: Encoder, projector: nn.Module, data: Data, view: View, *, n: int = 16) -> Run:
    """Measure what a run has learnt on `n` moments of each held-out film, show it and write `moments.json`.

    That is the embedding, the features that are kept, and those of the same network at random init. Where there are no
    films of one scene it says why and leaves the run as it is.
    """
    if not run.ranks.first or not run.train.epochs:
        return run
    sampler = view.cut(UniformClips(n=n))
    clips = data.clips(sampler, CentreCrop(view.size, short_side=view.short_side)).held_out
    console, fresh = Console(), reinitialised(encoder, run.train.seed).to(run.device)
    embeddings = {"embedding": nn.Sequential(encoder, projector), "features": encoder, "random init": fresh}
    try:
        if clips is None:
            raise Unscorable("no item is held out")
        found = {name: moments_of(embed, clips, device=run.device) for name, embed in embeddings.items()}
    except Unscorable as e:
        console.print(f"No moments are compared: {e}", markup=False, highlight=False, soft_wrap=True)
        return run
    table = Table("", "alignment error", "camera told", "chance", title="Moments of held-out scenes, %")
    for name, m in found.items():
        camera, chance = ("–" if x is None else f"{100 * x:.1f}" for x in (m.camera, m.chance))
        table.add_row(name, f"{100 * m.alignment:.1f}", camera, f"33.3 / {chance}")
    console.print(table)
    told = {name: asdict(m) for name, m in found.items()}
    (run.folder / "moments.json").write_text(json.dumps(told, indent=1), encoding="utf-8")
    return run
