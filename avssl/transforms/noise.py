"""Video without content, for null tests."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from avssl.core import Clip, Example, MediaInfo, Plan, Rng
from avssl.transforms.base import Part, require
from avssl.transforms.pixels import as_float, per_frame, random_bits

__all__ = ["Noise"]


@dataclass(frozen=True, kw_only=True)
class Noise(Part):
    """Null test: video replaced by independent uniform noise; whatever is asked of it must end at chance.

    The noise follows from one drawn number by whole-number arithmetic: it is the same on any device, in any batch.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.scope != "frame", "Noise is fresh in every frame anyway: scope 'clip' or 'sample'")

    def draw(self, plan: Plan, info: MediaInfo, rng: Rng, /) -> Plan:
        """The plan with `seed`, (S,) whole numbers; −1: nothing changes."""
        seed = self.shared(plan, lambda n: rng.integers(2**31, size=n))
        seed[~self.mask(plan)] = -1
        return self.record(plan, seed=seed)

    def apply(self, batch: Example, /) -> Example:
        """The batch changed; the kind of its numbers stays."""

        def change(s: int, clip: Clip) -> Clip:
            if clip.video is None:
                return clip
            video, seed = clip.video, self.chosen(batch, "seed", s)
            noise = (random_bits(seed, tuple(video.shape[1:])) >> 24).to(torch.uint8)
            there = noise if video.dtype == torch.uint8 else as_float(noise).to(video.dtype)
            return replace(clip, video=torch.where(per_frame(seed >= 0, video), there, video))

        return self.change_clips(batch, change)
