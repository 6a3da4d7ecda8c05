"""Clips with their sound at known lags, of a view: what an evaluation of synchrony is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from avssl.data.clips import Clips, Reading
from avssl.data.items import Item
from avssl.data.scan import Damaged
from avssl.data.view import View
from avssl.samplers import SoundOffsets
from avssl.transforms import CentreCrop

__all__ = ["offset_clips"]


def offset_clips(
    items: Sequence[Item],
    view: View,
    *,
    lags: Sequence[float] = (0.0,),
    clips: int = 1,
    workers: int = 2,
    reading: Reading = "threads",
    damaged: Damaged = "skip",
) -> Clips:
    """Clips of items as `SoundOffsets` cuts them for a view; one without sound is given a second of it.

    Raises:
        MediaError: no item can be cut so, with the reason of the first.
        ValueError: there are no items.
    """
    sampler = replace(view, sound=view.sound or 1.0).cut(SoundOffsets(n=clips, lags=tuple(lags)))
    found = Clips.of(items, sampler, CentreCrop(view.size, short_side=view.short_side), workers=workers)
    return replace(found, damaged=damaged, reading=reading)
