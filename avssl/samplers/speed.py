"""How fast is this shown?"""

from __future__ import annotations

import math
from dataclasses import dataclass

from avssl.core import MediaInfo, Plan, Rng, Span
from avssl.samplers.grid import ClipSampler, check, grid_of, too_short

__all__ = ["Pace"]


@dataclass(frozen=True, kw_only=True)
class Pace(ClipSampler):
    """A clip at a pace drawn from `paces`; label `pace` is its index. Wang et al., ECCV 2020, arXiv:2008.05861, §3.2.

    Pace p shows every (p · step)-th frame. The paper loops videos that end too early, whose cuts give the pace away;
    here a file that is too short for the fastest pace is refused for all. The middle of the clip has the same law at
    every pace, so that where in the file a clip lies says nothing of its pace. A file with so few frames that the clock
    would show some of them twice is refused too: that happens at slow paces only, and so would tell them.
    """

    paces: tuple[int, ...] = (1, 2, 3, 4)
    """The paces, in the order of their labels."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.frames >= 2, f"frames {self.frames}: a pace shows in 2 or more")
        check(
            len(self.paces) >= 2 and min(self.paces) >= 1 and len(set(self.paces)) == len(self.paces),
            f"paces {self.paces}: must be two or more different whole numbers ≥ 1",
        )

    @property
    def classes(self) -> int:
        """K, the number of paces."""
        return len(self.paces)

    def unfit(self, info: MediaInfo) -> str:
        """Why this file cannot be cut so, or ''."""
        if not info.has_video or info.is_picture:
            return "has no moving frames, and so no pace: leave the file out"
        grid, slowest = grid_of(info), min(self.paces)  # a faster pace repeats nothing that the slowest does not
        if self.rate is not None and len(set(self.offsets(info, pace=slowest))) < self.frames:
            most = math.floor(100 * grid.rate * self.step * slowest) / 100
            return (
                f"has {grid.rate:.4g} Hz, too few for a clock of {self.rate:g} Hz: pace {slowest} would show frames "
                f"twice, which tells the pace; choose a rate of {most:g} Hz or less or a larger step, or leave the "
                "file out"
            )
        extent = self.offsets(info, pace=max(self.paces))[-1] + 1
        return too_short(info.duration, extent / grid.rate) if extent > grid.count else ""

    def __call__(self, info: MediaInfo, rng: Rng, /) -> Plan:
        """Draw a plan.

        Raises:
            Unfit: the file is too short for the fastest pace, has too few frames for the clock, or does not move.
        """
        self.require(info)
        grid, longest = grid_of(info), self.offsets(info, pace=max(self.paces))[-1]
        window = int(rng.integers(grid.count - longest))
        label = int(rng.integers(len(self.paces)))
        offsets = self.offsets(info, pace=self.paces[label])
        start = window + (longest - offsets[-1]) // 2
        return Plan(spans=(Span(times=tuple(grid.middle(start + k) for k in offsets)),), labels={"pace": label})
