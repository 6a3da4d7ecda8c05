"""From files to one feature vector for each item: the clips of an item, through an encoder, averaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from avssl.core import Clip, Example, MediaError
from avssl.data import Clips, Loader, batches

__all__ = ["FeatureFunction", "Features", "Modality", "evaluating", "extract", "extract_all", "mean_over_clips"]

Modality: TypeAlias = Literal["video", "sound"]

FeatureFunction: TypeAlias = Callable[[Tensor], Tensor]
"""From a batch of clips, video (B, T, C, H, W) or sound (B, A, N), to features (B, D): an encoder or a naive rule."""


@dataclass(frozen=True, kw_only=True)
class Features:
    """`values` (M, D) float32 and the stable numbers `index` (M,) of the items they belong to.

    `skipped` are the items that turned out damaged when they were read, where the policy of the clips is to skip them.
    """

    values: np.ndarray
    index: np.ndarray
    skipped: tuple[MediaError, ...] = ()

    def rows(self, index: Sequence[int]) -> np.ndarray:
        """The values (M', D) of these items, in this order.

        Raises:
            KeyError: an item has no features.
        """
        where = {int(i): row for row, i in enumerate(self.index)}
        if missing := [i for i in index if i not in where]:
            raise KeyError(f"no features of {len(missing)} items, the first is number {missing[0]}")
        values: np.ndarray = self.values[[where[i] for i in index]]
        return values


def extract(
    encoder: FeatureFunction,
    clips: Clips,
    *,
    modality: Modality = "video",
    device: torch.device | str = "cpu",
    batch_size: int = 32,
    progress: bool = True,
) -> Features:
    """The features of every item: the plain mean of those of its clips, unnormalised.

    An encoder is set to `eval` for the time of the pass and then back, module by module, so that the statistics of its
    norms do not move; it must already be on `device`.

    Raises:
        ValueError: the clips lack the modality, or the features are not (B, D).
        MediaError: a file is damaged and `clips.damaged` is "stop", or all are.
    """
    found = extract_all(
        {"": encoder},
        clips,
        modality=modality,
        device=device,
        batch_size=batch_size,
        progress=progress,
    )
    return found[""]


def extract_all(
    encoders: Mapping[str, FeatureFunction],
    clips: Clips,
    *,
    modality: Modality = "video",
    device: torch.device | str = "cpu",
    batch_size: int = 32,
    progress: bool = True,
) -> dict[str, Features]:
    """As `extract`, for several encoders in one pass over the files, so that each is decoded once."""
    values: dict[str, list[Tensor]] = {name: [] for name in encoders}
    index: list[Tensor] = []
    loader = batches(clips, batch_size=batch_size, device=device)
    for batch in _watched(loader, len(clips), progress):
        index.append(batch.index.cpu())
        for name, encoder in encoders.items():
            values[name].append(mean_over_clips(encoder, batch.clips, modality=modality).cpu())
    numbers = torch.cat(index).numpy()
    skipped = tuple(loader.skipped)
    return {name: Features(values=torch.cat(v).numpy(), index=numbers, skipped=skipped) for name, v in values.items()}


def mean_over_clips(encoder: FeatureFunction, clips: Sequence[Clip], *, modality: Modality) -> Tensor:
    """The mean over S clips of the features (B, D), float32, without gradients and in `eval`."""
    total: Tensor | None = None
    with evaluating(encoder), torch.inference_mode():
        for clip in clips:
            x = clip.video if modality == "video" else clip.audio
            if x is None:
                other = "sound" if modality == "video" else "video"
                raise ValueError(f"the clips hold no {modality}: sample {modality}, or choose modality {other!r}")
            y = encoder(x).float()
            if y.ndim != 2 or len(y) != len(x):
                raise ValueError(f"features of shape {tuple(y.shape)} for a batch of {len(x)}: an encoder gives (B, D)")
            total = y if total is None else total + y
    if total is None:
        raise ValueError("no clips: give at least one for each item")
    return total / len(clips)


@contextmanager
def evaluating(encoder: FeatureFunction) -> Iterator[None]:
    """Every module of an encoder in `eval`, and afterwards each in the mode it was in; a plain function passes."""
    if not isinstance(encoder, nn.Module):
        yield
        return
    modes = [(m, m.training) for m in encoder.modules()]
    encoder.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _watched(loader: Loader, items: int, progress: bool) -> Iterator[Example]:
    """The batches, with a progress bar that goes when it is done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True, disable=not progress) as bar:
        task = bar.add_task("features", total=items)
        for batch in loader:
            yield batch
            bar.advance(task, len(batch))
