"""Mirror images and quarter turns: exact, without interpolation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch

from avssl.core import Clip, Example, MediaInfo, Plan, Rng
from avssl.transforms.base import Part, repeat_spans, require
from avssl.transforms.pixels import per_frame

__all__ = ["HorizontalFlip", "Rotate90"]


@dataclass(frozen=True, kw_only=True)
class HorizontalFlip(Part):
    """Left and right exchanged, also in the labels that speak of them (`Plan.mirrored`).

    Write it before `Rotate90` or a warp, never after it, which would falsify what that says.
    """

    mirrors: ClassVar[bool] = True

    p: float = 0.5
    """Probability."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.p <= 1, f"p {self.p}: must be a probability")

    def draw(self, plan: Plan, info: MediaInfo, rng: Rng, /) -> Plan:
        """The plan with `on`, (S,) bool or, for frames, (S, Tmax).

        Raises:
            ValueError: some clips are mirrored without others, and labels say where left is.
        """
        on = self.shared(plan, lambda n: rng.random(n)) < self.p
        on[~self.mask(plan)] = False
        if plan.mirrored:
            alike = self.scope == "sample" or (self.scope == "clip" and len(plan.spans) == 1)
            require(
                alike and bool(self.mask(plan).all()),
                f"HorizontalFlip of scope {self.scope!r}: labels {sorted(plan.mirrored)} say where left is, so all "
                "clips are mirrored or none: set scope='sample' and only=None",
            )
            plan = plan.in_mirror() if on.any() else plan
        return self.record(plan, on=on)

    def apply(self, batch: Example, /) -> Example:
        """The batch changed; the kind of its numbers stays."""

        def change(s: int, clip: Clip) -> Clip:
            if clip.video is None:
                return clip
            on = per_frame(self.chosen(batch, "on", s), clip.video)
            return replace(clip, video=torch.where(on, clip.video.flip(-1), clip.video))

        return self.change_clips(batch, change)


@dataclass(frozen=True, kw_only=True)
class Rotate90(Part):
    """Counter-clockwise quarter turns; label `rotation` (0 to 3) of each clip. RotNet: Gidaris et al., ICLR 2018,
    arXiv:1803.07728, §2; for clips 3DRotNet: Jing et al., 2018, arXiv:1811.11387.

    With `all` each clip is there four times (4 S clips, those of one side by side), once in every rotation.
    Transforms written before it do the same to all four; those written after it are drawn for each.
    """

    places_labels: ClassVar[bool] = True

    all: bool = True
    """Whether every clip is shown in all four rotations; else in one at random."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.scope != "frame", "Rotate90 turns all frames of a clip alike: scope 'clip' or 'sample'")
        require(not self.all or self.only is None, "Rotate90 with all=True turns all clips: leave only=None")

    def draw(self, plan: Plan, info: MediaInfo, rng: Rng, /) -> Plan:
        """The plan with label `rotation`, and `turns`, (4 S,) or (S,)."""
        require(all(s.times for s in plan.spans), "Rotate90 of a span without frames: there is nothing to turn")
        if self.all:
            turns = np.tile(np.arange(4), len(plan.spans))
            plan = repeat_spans(plan, 4)
        else:
            turns = self.shared(plan, lambda n: rng.integers(4, size=n))
            turns[~self.mask(plan)] = 0
        plan = replace(plan, labels={**plan.labels, "rotation": tuple(int(k) for k in turns)})
        return self.record(plan, turns=turns)

    def apply(self, batch: Example, /) -> Example:
        """The batch changed; the kind of its numbers stays.

        Raises:
            ValueError: the frames are not square.
        """

        def change(s: int, clip: Clip) -> Clip:
            assert clip.video is not None  # seen to in draw
            height, width = clip.video.shape[-2:]
            require(height == width, f"Rotate90 of {height}×{width} pixels: crop squares first")
            turns, video = self.chosen(batch, "turns", s), clip.video.clone()
            for k in (1, 2, 3):
                rows = (turns == k).nonzero()[:, 0]
                video[rows] = clip.video[rows].rot90(k, (-2, -1))
            return replace(clip, video=video)

        return self.change_clips(batch, change)
