"""Pairs of encoders on the clips of items: embeddings of video and of sound at its lags, and maps of what sounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from avssl.core import Box, Clip, Example, MediaError
from avssl.data import Clips, batches
from avssl.data.truth import sounding_at
from avssl.evaluation.crossmodal import CrossModal, cross_modal
from avssl.evaluation.localisation import Localisation, centre_blob, localisation
from avssl.evaluation.measured import Measured
from avssl.evaluation.pair import Pair
from avssl.evaluation.synchrony import SyncCurve, Synchrony, sync_curve, synchrony
from avssl.evaluation.tracking import Key

__all__ = ["BLOB", "Located", "Trials", "embedded", "foreign", "located", "retrieved", "timed"]

BLOB: Key = ("centre blob", 0)
"""What expects sound in the middle of every frame."""


@dataclass(frozen=True, kw_only=True)
class Trials:
    """Embeddings of `n` clips of M items: `video` (M, n, D), `sound` (M, n, O, D); `index` (M,) are the items' numbers.

    `skipped` are items that turned out damaged.
    """

    video: np.ndarray
    sound: np.ndarray
    index: np.ndarray
    skipped: tuple[MediaError, ...] = ()


def embedded(
    pairs: Mapping[Key, Pair], clips: Clips, *, n: int, device: torch.device | str = "cpu", batch_size: int = 32
) -> dict[Key, Trials]:
    """The embeddings by several pairs of clips that `offset_clips` made, in one pass over the files.

    Raises:
        MediaError: a file is damaged and `clips.damaged` is "stop", or all are.
    """
    video: dict[Key, list[torch.Tensor]] = {name: [] for name in pairs}
    sound: dict[Key, list[torch.Tensor]] = {name: [] for name in pairs}
    index = []
    loader = batches(clips, batch_size=batch_size, device=device)
    for batch in loader:
        index.append(batch.index.cpu())
        trials = _trials(batch, n)
        for name, pair in pairs.items():
            rows = [pair.embed("video", _video(frames)).cpu() for frames, _ in trials]
            video[name].append(torch.stack(rows, dim=1))
            heard = [torch.stack([pair.embed("sound", _sound(s)).cpu() for s in sounds], dim=1) for _, sounds in trials]
            sound[name].append(torch.stack(heard, dim=1))
    numbers, skipped = torch.cat(index).numpy(), tuple(loader.skipped)
    return {
        name: Trials(
            video=torch.cat(video[name]).numpy(), sound=torch.cat(sound[name]).numpy(), index=numbers, skipped=skipped
        )
        for name in pairs
    }


def foreign(trials: Trials) -> Trials:
    """The same sound beside the frames of another item, the one after it: what the lags alone give away.

    The true lag is in the middle of those that are tried, and what is heard in the middle of a file differs from what
    is heard at its ends. So a score may single the true lag out without looking at the frames.

    Raises:
        ValueError: there is one item only.
    """
    if len(trials.video) < 2:
        raise ValueError("one item has no other whose frames could stand in: give two or more")
    return replace(trials, video=np.roll(trials.video, 1, axis=0))


def timed(
    trials: Trials, groups: Mapping[int, str], *, choice: Synchrony
) -> tuple[Measured, SyncCurve, tuple[str, ...]]:
    """Synchrony of trials at the lags of the choice, each clip a trial, its curve, and the group of each trial."""
    scores = np.einsum("mnd,mnod->mno", trials.video, trials.sound).reshape(-1, len(choice.lags))
    names = tuple(groups.get(int(i)) or str(i) for i in trials.index for _ in range(trials.video.shape[1]))
    lags = np.array(choice.lags)
    return synchrony(scores, lags, choice=choice), sync_curve(scores, lags, groups=names), names


def retrieved(trials: Trials, *, choice: CrossModal) -> Measured:
    """Cross-modal retrieval of trials at lag 0 alone, by the means of the clips of an item."""
    return cross_modal(trials.video.mean(axis=1), trials.sound[:, :, 0].mean(axis=1), choice=choice)


@dataclass(frozen=True, kw_only=True)
class Located:
    """Of M items: frames (H, W, 3) uint8, truths (H, W) in 0…1, and the maps (h, w) of each pair and of the blob."""

    frames: tuple[np.ndarray, ...]
    truths: tuple[np.ndarray, ...]
    maps: Mapping[Key, tuple[np.ndarray, ...]]
    groups: tuple[str, ...]
    skipped: tuple[MediaError, ...] = ()

    def measured(self, *, choice: Localisation) -> dict[Key, Measured]:
        """cIoU and AUC of each."""
        return {name: localisation(maps, self.truths, choice=choice) for name, maps in self.maps.items()}


def located(
    pairs: Mapping[Key, Pair], clips: Clips, *, device: torch.device | str = "cpu", batch_size: int = 32
) -> Located:
    """Maps of one clip of each item that `offset_clips` made with lag 0 alone, at the middle of the clip.

    Items in which nothing that sounds is to be seen at that instant are left out.

    Raises:
        MediaError: a file is damaged and `clips.damaged` is "stop", or all are; the truth is missing; or nothing that
            sounds is to be seen in any item.
    """
    where = {item.index: p for p, item in enumerate(clips.items)}
    frames, truths, groups = [], [], []
    maps: dict[Key, list[np.ndarray]] = {name: [] for name in (*pairs, BLOB)}
    loader = batches(clips, batch_size=batch_size, device=device)
    for batch in loader:
        ((clip, (heard,)),) = _trials(batch, 1)
        found = {name: pair.maps(_video(clip), _sound(heard)).cpu().numpy() for name, pair in pairs.items()}
        for row, number in enumerate(batch.index.tolist()):
            item = clips.items[where[number]]
            span = clips.plan(where[number])[0].spans[0]
            middle = len(span.times) // 2
            truth = _cropped(sounding_at(item, span.times[middle]), span.boxes[0] if span.boxes else Box())
            if not truth.any():
                continue
            frames.append(_video(clip)[row, middle].permute(1, 2, 0).cpu().numpy())
            truths.append(truth)
            groups.append(item.group)
            for name, found_maps in found.items():
                steps = found_maps.shape[1]
                maps[name].append(found_maps[row, middle * steps // len(span.times)])
            maps[BLOB].append(centre_blob(*truth.shape))
    if not truths:
        first = clips.items[0].path
        raise MediaError(first, "nothing that sounds is to be seen in any item", "give items with boxes in view")
    return Located(
        frames=tuple(frames),
        truths=tuple(truths),
        maps={name: tuple(m) for name, m in maps.items()},
        groups=tuple(groups),
        skipped=tuple(loader.skipped),
    )


def _trials(batch: Example, n: int) -> list[tuple[Clip, tuple[Clip, ...]]]:
    """The clips of a batch that `SoundOffsets` cut: n times frames and then sounds."""
    if len(batch.clips) % n or len(batch.clips) // n < 2:
        raise ValueError(f"{len(batch.clips)} clips in {n} trials: each is frames, and sound at every lag")
    each = len(batch.clips) // n
    return [(batch.clips[k], batch.clips[k + 1 : k + each]) for k in range(0, len(batch.clips), each)]


def _video(clip: Clip) -> torch.Tensor:
    assert clip.video is not None  # `SoundOffsets` cuts it
    return clip.video


def _sound(clip: Clip) -> torch.Tensor:
    assert clip.audio is not None  # `SoundOffsets` cuts it
    return clip.audio


def _cropped(truth: np.ndarray, box: Box) -> np.ndarray:
    """The part of a map of the whole frame (H, W) inside a crop."""
    high, wide = truth.shape
    top, left = round(box.top * high), round(box.left * wide)
    return truth[top : top + max(1, round(box.height * high)), left : left + max(1, round(box.width * wide))]
