"""One feature vector for each item: what an encoder says of its clips, averaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from avssl.core import Clip, MediaError

__all__ = ["FeatureFunction", "Features", "Modality", "evaluating", "mean_over_clips"]

Modality: TypeAlias = Literal["video", "sound"]

FeatureFunction: TypeAlias = Callable[[Tensor], Tensor]
"""From a batch of clips, video (B, T, C, H, W) or sound (B, A, N), to features (B, D): an encoder or a naive rule."""


@dataclass(frozen=True, kw_only=True)
class Features:
    """`values` (M, D) float32, or float16 if they are stored so, and the stable numbers `index` (M,) of their items.

    From the cache `values` are mapped: they need no memory until they are looked at, and it is taken back when short.
    `skipped` are the items that turned out damaged when they were read, where the policy of the clips is to skip them.
    """

    values: np.ndarray
    index: np.ndarray
    skipped: tuple[MediaError, ...] = ()

    def rows(self, index: Sequence[int]) -> np.ndarray:
        """The values (M', D) float32 of these items, in this order; a view, not to be changed, where they lie so.

        Raises:
            KeyError: an item has no features.
        """
        asked = np.asarray(index, dtype=np.int64)
        order, ascending = self._ascending
        at = np.minimum(np.searchsorted(ascending, asked), max(0, len(ascending) - 1))
        if len(missing := asked[ascending[at] != asked] if len(ascending) else asked):
            raise KeyError(f"no features of {len(missing)} items, the first is number {missing[0]}")
        rows = order[at]
        if len(rows) and (np.diff(rows) == 1).all():  # so that all of a split needs no copy
            return np.asarray(self.values[rows[0] : rows[-1] + 1], dtype=np.float32)
        return np.asarray(self.values[rows], dtype=np.float32)

    @cached_property
    def _ascending(self) -> tuple[np.ndarray, np.ndarray]:
        """The order in which the numbers ascend, and the numbers in it."""
        order = np.argsort(self.index, kind="stable")
        return order, self.index[order]


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
