"""Resampling sound so that neither the cut shows nor, in a single bit, the number of threads."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import cast

import numpy as np
import torch
from torch import Tensor

__all__ = ["LARGEST_FILTER", "ratio", "resampled", "source_window"]

ZEROS, ROLLOFF = 6, 0.99
"""Zero crossings of the filter on either side, and where it cuts off as a share of half the lower rate: torchaudio's
defaults."""

LARGEST_FILTER = 20_000_000
"""The filter between two rates has about their product, both divided by their common measure, numbers."""


def ratio(rate: int, wanted: int) -> tuple[int, int]:
    """The two rates (Hz) without their common measure: `new` samples come out where `old` go in."""
    common = math.gcd(rate, wanted)
    return rate // common, wanted // common


def source_window(begin: int, samples: int, old: int, new: int) -> tuple[int, int]:
    """The source samples [first, stop) on which the samples [begin, begin + samples) of the result depend."""
    if old == new:
        return begin, begin + samples
    reach = math.ceil(ZEROS * old / (ROLLOFF * min(old, new))) + 1
    return begin * old // new - reach, -(-(begin + samples) * old // new) + reach


@lru_cache(maxsize=8)  # computing the filter costs more than applying it to a second of sound
def _resampler(old: int, new: int) -> Callable[[Tensor], Tensor]:
    from torchaudio.transforms import Resample

    return cast(Callable[[Tensor], Tensor], Resample(old, new, lowpass_filter_width=ZEROS, rolloff=ROLLOFF))


def resampled(source: np.ndarray, old: int, new: int) -> np.ndarray:
    """Sound (A, N) float32 at new / old times its rate; zeros lie around it.

    By one thread: with more of them a convolution adds in another order, and other bits come out.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _resampler(old, new)(torch.from_numpy(source)).numpy()
    finally:
        torch.set_num_threads(threads)
