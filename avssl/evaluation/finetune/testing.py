"""What a recogniser answers for items: the mean over clips and crops, as its protocol says."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from avssl.core import MediaError, Sampler
from avssl.data import Clips, Damaged, Item, Loader, Reading
from avssl.evaluation.features import evaluating
from avssl.evaluation.finetune.protocol import ClipProtocol
from avssl.evaluation.finetune.recogniser import Recogniser
from avssl.samplers import RandomClips, SlidingClips, UniformClips
from avssl.training import Ranks
from avssl.transforms import (
    CentreCrop,
    ColourJitter,
    FiveCrop,
    HorizontalFlip,
    RandomCrop,
    RandomResizedCrop,
    ThreeCrop,
    Transform,
)

__all__ = ["Recognised", "averaged", "recognise", "test_clips", "training_clips", "write_predictions"]


@dataclass(frozen=True, kw_only=True)
class Recognised:
    """Probabilities (M, R, K) of the items of the numbers `index` (M,) by R classifiers, and what is damaged."""

    index: np.ndarray
    probabilities: np.ndarray
    skipped: tuple[MediaError, ...] = ()


def training_clips(
    protocol: ClipProtocol, items: Sequence[Item], *, workers: int, reading: Reading, damaged: Damaged
) -> Clips:
    """The clips that a protocol trains on."""
    view = protocol.view()
    sampler = view.cut(RandomClips(short="clamp"))
    look: Transform = RandomCrop(protocol.size, short_side=view.short_side)
    if protocol.crop == "resized":
        look = RandomResizedCrop(protocol.size, scale=(protocol.smallest, 1.0))
    if protocol.flip:
        look = look | HorizontalFlip()
    if protocol.jitter is not None:
        brightness, contrast, saturation, hue = protocol.jitter
        look = look | ColourJitter(
            brightness=brightness, contrast=contrast, saturation=saturation, hue=hue, p=protocol.jitter_p
        )
    clips = Clips.of(items, sampler, look, workers=workers, damaged=damaged)
    return replace(clips, reading=reading, repeats=protocol.clips if protocol.together else 1)


def test_clips(
    protocol: ClipProtocol, items: Sequence[Item], *, workers: int, reading: Reading, damaged: Damaged
) -> Clips:
    """The clips and crops on which a protocol tests; those of 10 crops are mirrored only in `recognise`."""
    view = protocol.view()
    sampler: Sampler = view.cut(SlidingClips())
    if protocol.test_clips is not None:
        sampler = view.cut(UniformClips(n=protocol.test_clips))
    look: Transform = CentreCrop(protocol.size, short_side=view.short_side)
    if protocol.test_crops == 3:
        look = ThreeCrop(protocol.size)
    elif protocol.test_crops > 1:
        look = FiveCrop(protocol.size, short_side=view.short_side)
    if protocol.test_clips is not None:
        clips = Clips.of(items, sampler, look, workers=workers, damaged=damaged)
    else:  # as many clips as the file is long, which `Clips.of` takes for files of another kind
        why = [(i, sampler.unfit(i.info)) for i in items]
        unfit = tuple(MediaError(i.path, w, "leave it out") for i, w in why if w)
        if unfit and (damaged == "stop" or len(unfit) == len(items)):
            raise unfit[0]
        fit = tuple(i for i, w in why if not w)
        clips = Clips(fit, sampler, look, unfit=unfit, workers=workers, damaged=damaged)
    return replace(clips, reading=reading)


test_clips.__test__ = False  # type: ignore[attr-defined]  # pytest takes it for a test wherever it is imported


def averaged(recogniser: Recogniser, videos: Sequence[Tensor], protocol: ClipProtocol) -> Tensor:
    """Probabilities (B, R, K): the mean over S clips (B, T, C, H, W), mirrored ones among them if the protocol says so.

    With "softmax" the mean is of probabilities, with "logits" of logits.
    """
    total: Tensor | None = None
    mirrored = protocol.test_crops == 10 and protocol.flip
    views = [v for video in videos for v in ((video, video.flip(-1)) if mirrored else (video,))]
    for view in views:
        y = recogniser(view).double()
        y = y.softmax(dim=-1) if protocol.average == "softmax" else y
        total = y if total is None else total + y
    if total is None:
        raise ValueError("no clips: give at least one for each item")
    mean = total / len(views)
    return mean if protocol.average == "softmax" else mean.softmax(dim=-1)


def recognise(
    recogniser: Recogniser,
    clips: Clips,
    *,
    protocol: ClipProtocol,
    device: torch.device | str = "cpu",
    ranks: Ranks | None = None,
) -> Recognised:
    """The answers for all items, on all ranks; each rank reads its share.

    Raises:
        MediaError: a file is damaged and `clips.damaged` is "stop", or all are.
    """
    ranks = ranks or Ranks()
    views = (protocol.test_clips or 0) * min(protocol.test_crops, 5)
    at_once = max(1, protocol.batch_size // views) if views else 1
    mine = range(ranks.rank, len(clips), ranks.world)
    chunks = [mine[i : i + at_once] for i in range(0, len(mine), at_once)]
    # of windows there may be thousands in an item, which is then read alone
    loader = Loader(clips, chunks, device=device, ahead=max(at_once, clips.workers) if views else 1)
    found: list[tuple[str, str]] = []
    with evaluating(recogniser), torch.inference_mode():
        for batch in loader:
            videos = [c.video for c in batch.clips if c.video is not None]
            means = averaged(recogniser, videos, protocol).cpu().tolist()
            found += [(str(int(i)), json.dumps(mean)) for i, mean in zip(batch.index, means, strict=True)]
    skipped = ranks.together([(e.path, e.what) for e in loader.skipped])
    answers = {int(i): json.loads(a) for i, a in ranks.together(found)}
    return Recognised(
        index=np.array(sorted(answers)),
        probabilities=np.array([answers[i] for i in sorted(answers)]),
        skipped=tuple(MediaError(p, w, "it is left out") for p, w in skipped),
    )


def write_predictions(
    path: Path,
    items: Sequence[Item],
    probabilities: np.ndarray,
    *,
    classes: Sequence[str],
    truth: Sequence[str],
    parts: Mapping[int, str] | None = None,
) -> None:
    """Write a line for each item: file, start, fold, truth, prediction, and up to five best classes with probabilities.

    `probabilities` are (M, K); `parts` names the fold of an item by its number.
    """
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, : min(5, len(classes))]
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", newline="", encoding="utf-8", errors="surrogateescape") as f:
        out = csv.writer(f)
        out.writerow(["index", "path", "start", "fold", "truth", "prediction", "probability", "best"])
        for item, row, order, true in zip(items, probabilities, best, truth, strict=True):
            named = ";".join(f"{classes[k]}={row[k]:.4f}" for k in order)
            first = order[0]
            if not math.isfinite(row[first]):
                raise ValueError(f"{item.path}: its probabilities are not finite; has training diverged?")
            fold = (parts or {}).get(item.index, "")
            out.writerow([item.index, item.path, item.start, fold, true, classes[first], f"{row[first]:.6f}", named])
    partial.replace(path)
