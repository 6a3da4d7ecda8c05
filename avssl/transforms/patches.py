"""Patches of frames, drawn as corners in pixels and cut in batches."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from avssl.core import Clip, Example, MediaInfo, Plan, Rng
from avssl.transforms.base import Part, repeat_spans, require

__all__ = ["PatchGrid", "Twice"]


@dataclass(frozen=True, kw_only=True)
class PatchGrid(Part):
    """Every frame becomes `grid` × `grid` patches, row by row, which overlap and are each moved by itself.

    Of T frames come T · grid² of `patch` × `patch` pixels. In CRW 7 × 7 of 64 pixels from 256: Jabri et al., NeurIPS
    2020, arXiv:2006.14613, section 3.
    """

    grid: int
    """Patches along each side."""
    patch: int
    """Height and width of a patch, pixels."""
    jitter: int = 0
    """Up to so many pixels a patch is moved, up or down and left or right; inside the frame."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.grid >= 1 and self.patch >= 1, f"grid {self.grid}, patch {self.patch}: must be ≥ 1")
        require(self.jitter >= 0, f"jitter {self.jitter}: must be ≥ 0 pixels")

    def draw(self, plan: Plan, info: MediaInfo, rng: Rng, /) -> Plan:
        """The plan with `corners` (S, Tmax, grid², 2): top and left of each patch, pixels."""
        frames = max(1, *(len(s.times) for s in plan.spans))
        moves = rng.integers(-self.jitter, self.jitter + 1, (len(plan.spans), frames, self.grid**2, 2))
        corners = np.zeros_like(moves)
        for s, span in enumerate(plan.spans):
            if span.times and self.touches(s):
                require(span.size is not None, "PatchGrid needs to know the size of frames: write a crop before it")
                assert span.size is not None
                room = np.array([side - self.patch for side in span.size])
                require(bool((room >= 0).all()), f"patch {self.patch} is larger than frames of {span.size} pixels")
                along = np.round(np.linspace(0, room, self.grid)).astype(int)
                rows, columns = np.meshgrid(along[:, 0], along[:, 1], indexing="ij")
                corners[s] = np.clip(np.stack((rows, columns), axis=-1).reshape(-1, 2) + moves[s], 0, room)
        return self.record(plan, corners=corners.astype(np.int64))

    def apply(self, batch: Example, /) -> Example:
        """The batch with patches for frames."""

        def change(s: int, clip: Clip) -> Clip:
            if clip.video is None or not self.touches(s):
                return clip
            x = clip.video
            corners = self.chosen(batch, "corners", s)[:, : x.shape[1]]  # (B, T, grid², 2)
            within = torch.arange(self.patch, device=x.device)
            rows, columns = (corners[..., k, None] + within for k in (0, 1))  # (B, T, grid², patch)
            b, t = (torch.arange(n, device=x.device) for n in x.shape[:2])
            cut = x[b[:, None, None, None, None], t[:, None, None, None], :, rows[..., None], columns[..., None, :]]
            video = cut.movedim(-1, 3).flatten(1, 2).contiguous()
            times = None if clip.times is None else clip.times.repeat_interleave(self.grid**2, dim=1)
            return replace(clip, video=video, times=times)

        return self.change_clips(batch, change)


@dataclass(frozen=True, kw_only=True)
class Twice(Part):
    """Every clip twice (2 S spans), side by side, cropped alike: one to change further, the other to be as it was."""

    def draw(self, plan: Plan, info: MediaInfo, rng: Rng, /) -> Plan:
        """The plan with two spans for each one."""
        require(self.only is None, "Twice changes all clips: leave only=None")
        return repeat_spans(plan, 2)

    def apply(self, batch: Example, /) -> Example:
        """The batch as it is: the clips were cut twice."""
        return batch
