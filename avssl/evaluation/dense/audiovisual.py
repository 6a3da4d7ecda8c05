"""Encoders of video and of sound on clips of items: how both fit at every lag, embeddings, and maps of what sounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from avssl.core import Box, Clip, Example, MediaError
from avssl.data import Clips, batches
from avssl.data.truth import sounding_at
from avssl.evaluation.dense.crossmodal import CrossModal, cross_modal
from avssl.evaluation.dense.localisation import Localisation, centre_blob, localisation
from avssl.evaluation.dense.measured import Measured
from avssl.evaluation.dense.pair import Matching, Pair
from avssl.evaluation.dense.synchrony import SyncCurve, Synchrony, sync_curve, synchrony
from avssl.evaluation.dense.tracking import Key

__all__ = ["BLOB", "FOREIGN", "Embedded", "Lagged", "Located", "embedded", "lagged", "located", "timed"]

BLOB: Key = ("centre blob", 0)
"""What expects sound in the middle of every frame."""

FOREIGN: Key = ("others' frames", 0)
"""What looks at another item than it hears."""


@dataclass(frozen=True, kw_only=True)
class Lagged:
    """Scores (M, n, O) of `n` clips of M items with their sound at O lags; `index` (M,) are the items' numbers.

    `skipped` are items that turned out damaged.
    """

    scores: Mapping[Key, np.ndarray]
    index: np.ndarray
    skipped: tuple[MediaError, ...] = ()


def lagged(
    networks: Mapping[Key, Matching], clips: Clips, *, n: int, device: torch.device | str = "cpu", batch_size: int = 32
) -> Lagged:
    """How well the clips that `offset_clips` made fit their sound at each lag, in one pass over the files.

    `FOREIGN` is the first network given the frames of another item: what the lags alone give away. For the true lag is
    in the middle of those that are tried, and the middle of a file does not sound as its ends do, so that a score may
    single it out without looking at the frames.

    Raises:
        MediaError: a file is damaged and `clips.damaged` is "stop", or all are.
    """
    scores: dict[Key, list[np.ndarray]] = {key: [] for key in (*networks, FOREIGN)}
    index, before = [], None
    first = next(iter(networks))
    loader = batches(clips, batch_size=batch_size, device=device)
    for batch in loader:
        index.append(batch.index.cpu())
        trials = [(_video(clip), torch.stack([_sound(s) for s in sounds], dim=1)) for clip, sounds in _trials(batch, n)]
        last = [frames[-1:] for frames, _ in trials] if before is None else before
        others = [torch.cat([one, frames[:-1]]) for one, (frames, _) in zip(last, trials, strict=True)]
        before = [frames[-1:] for frames, _ in trials]
        for key, network in networks.items():
            scores[key].append(np.stack([network.matched(v, s).cpu().numpy() for v, s in trials], axis=1))
        swapped = [networks[first].matched(v, s).cpu().numpy() for v, (_, s) in zip(others, trials, strict=True)]
        scores[FOREIGN].append(np.stack(swapped, axis=1))
    found = {key: np.concatenate(s) for key, s in scores.items()}
    return Lagged(scores=found, index=torch.cat(index).numpy(), skipped=tuple(loader.skipped))


def timed(
    found: Lagged, key: Key, groups: Mapping[int, str], *, choice: Synchrony
) -> tuple[Measured, SyncCurve, tuple[str, ...]]:
    """Synchrony of one network at the lags of the choice, each clip a trial; its curve; and the group of each trial."""
    scores = found.scores[key]
    names = tuple(groups.get(int(i)) or str(i) for i in found.index for _ in range(scores.shape[1]))
    flat, lags = scores.reshape(-1, scores.shape[2]).astype(np.float64), np.array(choice.lags)
    return synchrony(flat, lags, choice=choice), sync_curve(flat, lags, groups=names), names


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """Embeddings (M, D) of video and of sound of M items, the means over their clips, by network.

    `skipped` are items that turned out damaged.
    """

    video: Mapping[Key, np.ndarray]
    sound: Mapping[Key, np.ndarray]
    skipped: tuple[MediaError, ...] = ()

    def measured(self, *, choice: CrossModal) -> dict[Key, Measured]:
        """R@k of each."""
        return {key: cross_modal(self.video[key], self.sound[key], choice=choice) for key in self.video}


def embedded(
    pairs: Mapping[Key, Pair], clips: Clips, *, n: int, device: torch.device | str = "cpu", batch_size: int = 32
) -> Embedded:
    """The embeddings by several pairs of `n` clips that `offset_clips` made with lag 0 alone, in one pass.

    Raises:
        MediaError: a file is damaged and `clips.damaged` is "stop", or all are.
    """
    video: dict[Key, list[np.ndarray]] = {key: [] for key in pairs}
    sound: dict[Key, list[np.ndarray]] = {key: [] for key in pairs}
    loader = batches(clips, batch_size=batch_size, device=device)
    for batch in loader:
        trials = _trials(batch, n)
        for key, pair in pairs.items():
            seen = torch.stack([pair.embed("video", _video(clip)) for clip, _ in trials])
            heard = torch.stack([pair.embed("sound", _sound(one)) for _, (one,) in trials])
            video[key].append(seen.mean(dim=0).cpu().numpy())
            sound[key].append(heard.mean(dim=0).cpu().numpy())
    return Embedded(
        video={key: np.concatenate(v) for key, v in video.items()},
        sound={key: np.concatenate(v) for key, v in sound.items()},
        skipped=tuple(loader.skipped),
    )


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
