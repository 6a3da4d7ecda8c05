"""Which came first? Frames or clips of one file in an order that is known because we made it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import permutations

from avssl.core import MediaInfo, Plan, Rng, Sampler, Span
from avssl.samplers.grid import ClipSampler, Grid, Starts, check, grid_of, too_short, weighted_start

__all__ = ["ClipOrder", "TemporalOrderTriple", "permutation", "permutation_index"]

_STILL = "has no moving frames, and so no order: leave the file out"


def permutation(index: int, n: int) -> tuple[int, ...]:
    """The permutation of 0 … n − 1 that comes at place `index` in lexicographic order.

    Raises:
        ValueError: there is no such place.
    """
    if not 0 <= index < math.factorial(n):
        raise ValueError(f"permutation {index} of {n} things: must be from 0 to {math.factorial(n) - 1}")
    left, found = list(range(n)), []
    for k in range(n, 0, -1):
        place, index = divmod(index, math.factorial(k - 1))
        found.append(left.pop(place))
    return tuple(found)


def permutation_index(order: tuple[int, ...]) -> int:
    """The place of a permutation of 0 … n − 1 in lexicographic order.

    Raises:
        ValueError: it is not a permutation.
    """
    if sorted(order) != list(range(len(order))):
        raise ValueError(f"{order} is not a permutation of 0 … {len(order) - 1}")
    later = (sum(y < x for y in order[i + 1 :]) for i, x in enumerate(order))
    return sum(n * math.factorial(len(order) - 1 - i) for i, n in enumerate(later))


@dataclass(frozen=True, kw_only=True)
class TemporalOrderTriple(Sampler):
    """Three frames (S = 3, T = 1), in order or not; label `in_order`. Misra et al., ECCV 2016, arXiv:1603.08561, §3.1.

    Five instants a < b < c < d < e are drawn; in order is (b, c, d), out of order (b, a, d) or (b, e, d), so that the
    outer frames tell nothing. Here the frame between them is moreover as far from the nearer outer one in all three:
    else a middle frame that hardly differs from an outer one would tell the label.
    """

    shortest: float = 0.5
    """Seconds from the frame between to the outer ones, at least (15 frames in the paper)."""
    longest: float = 2.0
    """Seconds between the outer frames, at most (60 frames in the paper)."""
    positives: float = 0.5
    """Share of triples that are in order; 0.25 was best in the paper (§4.1)."""
    reverse: bool = True
    """Whether every other triple is shown backwards, which keeps its label."""
    by_motion: bool = True
    """Whether stretches with more motion are more likely, where `MediaInfo.motion` is known."""

    def __post_init__(self) -> None:
        check(
            0 < 2 * self.shortest <= self.longest,
            f"shortest {self.shortest} s, longest {self.longest} s: must be 0 < 2 · shortest ≤ longest",
        )
        check(0 <= self.positives <= 1, f"positives {self.positives}: must be a share from 0 to 1")

    def _limits(self, grid: Grid) -> tuple[int, int]:
        near = max(1, grid.steps(self.shortest))
        return near, max(2 * near, math.floor(self.longest * grid.rate + 1e-6))

    def unfit(self, info: MediaInfo) -> str:
        """Why this file cannot be cut so, or ''."""
        if not info.has_video or info.is_picture:
            return _STILL
        grid = grid_of(info)
        _, far = self._limits(grid)
        extent = far + 2 * (far // 2) + 1
        return too_short(info.duration, extent / grid.rate) if extent > grid.count else ""

    def _instants(self, info: MediaInfo, rng: Rng) -> tuple[float, ...]:
        """The five instants, drawn before the label is."""
        grid = grid_of(info)
        near, far = self._limits(grid)
        length = int(rng.integers(2 * near, far + 1))
        inner = int(rng.integers(near, length // 2 + 1))
        extent = length + 2 * inner
        starts = Starts(0, grid.count - 1 - extent)
        a = weighted_start(info, grid, starts, extent, rng) if self.by_motion else starts.draw(rng)
        b, d = a + inner, a + inner + length
        c = b + inner if rng.random() < 0.5 else d - inner
        return tuple(grid.middle(k) for k in (a, b, c, d, d + inner))

    def __call__(self, info: MediaInfo, rng: Rng, /) -> Plan:
        """Draw a plan.

        Raises:
            Unfit: the file is too short, or does not move.
        """
        self.require(info)
        a, b, c, d, e = self._instants(info, rng)
        in_order = rng.random() < self.positives
        outside = a if rng.random() < 0.5 else e
        triple = (b, c if in_order else outside, d)
        if rng.random() < 0.5 and self.reverse:
            triple = triple[::-1]
        return Plan(spans=tuple(Span(times=(t,)) for t in triple), labels={"in_order": int(in_order)})


@dataclass(frozen=True, kw_only=True)
class ClipOrder(ClipSampler):
    """Shuffled neighbouring clips (S = clips); label `order`. VCOP: Xu et al., CVPR 2019, §3.2.

    Clip s of the plan is the o[s]-th in time, where o is the permutation whose lexicographic index is the label. With
    `mirrored` an order and its reverse share a class, so that there are n!/2 (OPN: Lee et al., ICCV 2017,
    arXiv:1708.01246, §3.1, with clips = 4 and frames = 1).

    Where the clock is faster than the file, frames are repeated inside the clips: at the same places of every clip, so
    that they say nothing of the order. A frame that two clips share would betray neighbours, and if it is their only
    one, nobody could tell which came first: a file whose clips would share frames is refused.
    """

    clips: int = 3
    """S, the clips."""
    gap: int = 8
    """Frames of the clock left out between two clips."""
    gap_jitter: int = 0
    """Up to so many more frames are left out at random, drawn for each gap."""
    mirrored: bool = False
    """Whether an order and its reverse are one class."""
    by_motion: bool = False
    """Whether stretches with more motion are more likely, where `MediaInfo.motion` is known."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.clips >= 2, f"clips {self.clips}: an order needs 2 or more")
        check(self.gap >= 0 and self.gap_jitter >= 0, f"gap {self.gap}, gap_jitter {self.gap_jitter}: must be ≥ 0")
        check(not self.mirrored or self.clips > 2, "mirrored with 2 clips leaves a single class: use 3 clips or more")

    @property
    def classes(self) -> int:
        """K, the number of orders that are told apart."""
        return math.factorial(self.clips) // (2 if self.mirrored else 1)

    def _begins(self, info: MediaInfo, gaps: tuple[int, ...]) -> tuple[int, ...]:
        # what lies between two clips is rounded by itself: rounded as sums, equal gaps would differ by a frame with
        # their place in time, and a clip could begin with the last frame of the one before
        begins, last = [0], self.offsets(info)[-1]
        for step in self.clock(info, [self.step + gap for gap in gaps]):
            begins.append(begins[-1] + last + step)
        return tuple(begins)

    def unfit(self, info: MediaInfo) -> str:
        """Why this file cannot be cut so, or ''."""
        if not info.has_video or info.is_picture:
            return _STILL
        grid, between = grid_of(info), self.step + self.gap
        if self.rate is not None and self.clock(info, [between])[0] < 1:
            most = math.floor(100 * grid.rate * between) / 100
            return (
                f"has {grid.rate:.4g} Hz, too few for a clock of {self.rate:g} Hz: clips {between} steps of the clock "
                f"apart would share a frame, which tells the order; choose a rate of {most:g} Hz or less or a larger "
                "gap, or leave the file out"
            )
        widest = self._begins(info, (self.gap + self.gap_jitter,) * (self.clips - 1))
        extent = widest[-1] + self.offsets(info)[-1] + 1
        return too_short(info.duration, extent / grid.rate) if extent > grid.count else ""

    def _label(self, order: tuple[int, ...]) -> int:
        if not self.mirrored:
            return permutation_index(order)
        kept = [o for o in permutations(range(self.clips)) if o < o[::-1]]
        return kept.index(min(order, order[::-1]))

    def __call__(self, info: MediaInfo, rng: Rng, /) -> Plan:
        """Draw a plan.

        Raises:
            Unfit: the file is too short, has too few frames for the clock, or does not move.
        """
        self.require(info)
        gaps = tuple(self.gap + int(g) for g in rng.integers(self.gap_jitter + 1, size=self.clips - 1))
        grid, begins, offsets = grid_of(info), self._begins(info, gaps), self.offsets(info)
        extent = begins[-1] + offsets[-1]
        starts = Starts(0, grid.count - 1 - extent)
        start = weighted_start(info, grid, starts, extent, rng) if self.by_motion else starts.draw(rng)
        spans = [Span(times=tuple(grid.middle(start + b + k) for k in offsets)) for b in begins]
        order = permutation(int(rng.integers(math.factorial(self.clips))), self.clips)
        return Plan(spans=tuple(spans[o] for o in order), labels={"order": self._label(order)})
