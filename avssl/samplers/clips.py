"""Clips for their own sake: some at random for training, or evenly spread for evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from avssl.core import MediaInfo, Plan, Rng, Span
from avssl.samplers.grid import ClipSampler, SoundingSampler, Starts, check, grid_of, too_short

__all__ = ["ConsecutiveClips", "RandomClips", "SlidingClips", "UniformClips"]


@dataclass(frozen=True, kw_only=True)
class RandomClips(SoundingSampler):
    """`n` clips (S = n) that start at random places of the file.

    With `spread` "near" the starts are independent. The distance between two of them then has a linearly decreasing
    density, which is the law of CVRL (Qian et al., CVPR 2021, arXiv:2008.03800, §3.2). With "uniform" every distance
    between two clips is equally likely, as in its ablation; in a coin's order, so that neither clip is the earlier one.
    With `short` "clamp" a file that is too short is cut as by `UniformClips`: a label is not learned without it.
    """

    n: int = 1
    """S, the clips."""
    spread: Literal["near", "uniform"] = "near"
    """The law of the distance between clips; "uniform" is for two."""
    short: Literal["reject", "clamp"] = "reject"
    """What becomes of files that are too short."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.n >= 1, f"n {self.n}: must be ≥ 1 clips")
        check(self.spread == "near" or self.n == 2, f"spread 'uniform' is for n = 2 clips, not {self.n}: use 'near'")

    def unfit(self, info: MediaInfo) -> str:
        """Why this file cannot be cut so, or ''."""
        return self.lacks(info) if self.short == "clamp" else super().unfit(info)

    def __call__(self, info: MediaInfo, rng: Rng, /) -> Plan:
        """Draw a plan.

        Raises:
            Unfit: the file is too short, or lacks frames or sound.
        """
        self.require(info)
        starts = self.starts(info)
        if not len(starts):
            return Plan(spans=(self.cut(info, first_start(self, info)),) * self.n)
        if self.spread == "uniform":
            distance = int(rng.integers(len(starts)))
            earlier = starts.first + int(rng.integers(len(starts) - distance))
            pair = (earlier, earlier + distance)
            chosen = list(pair if rng.random() < 0.5 else pair[::-1])
        else:
            chosen = [starts.draw(rng) for _ in range(self.n)]
        return Plan(spans=tuple(self.cut(info, k) for k in chosen))


@dataclass(frozen=True, kw_only=True)
class UniformClips(SoundingSampler):
    """`n` clips (S = n) evenly spread from the start of the file to its end, always the same ones: for evaluation.

    An evaluation must not drop test files. So with `short` "clamp" a file that is too short is cut all the same: from
    its start, the last frame is repeated, and sound beyond the end is silence (`Clip.valid` says how much is real).
    """

    n: int = 1
    """S, the clips; one lies in the middle."""
    short: Literal["reject", "clamp"] = "clamp"
    """What becomes of files that are too short."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.n >= 1, f"n {self.n}: must be ≥ 1 clips")

    def unfit(self, info: MediaInfo) -> str:
        """Why this file cannot be cut so, or ''."""
        return self.lacks(info) if self.short == "clamp" else super().unfit(info)

    def __call__(self, info: MediaInfo, rng: Rng, /) -> Plan:
        """The plan of a file; nothing is drawn.

        Raises:
            Unfit: the file lacks frames or sound, or is too short and `short` is "reject".
        """
        self.require(info)
        starts = self.starts(info)
        first, room = starts.first, len(starts) - 1
        if room < 0:
            first, room = first_start(self, info), 0
        shares = [j / (self.n - 1) for j in range(self.n)] if self.n > 1 else [0.5]
        return Plan(spans=tuple(self.cut(info, first + round(share * room)) for share in shares))


@dataclass(frozen=True, kw_only=True)
class SlidingClips(ClipSampler):
    """Every clip of a file whose start lies half a clip after the one before it, from its start on: for evaluation.

    S differs from file to file, so that batches hold one each. Of a file that is too short the last frame is repeated.
    As in CoCLR: Han et al., NeurIPS 2020, arXiv:2010.09709.
    """

    most: int = 64
    """Clips of a file at most; of more, so many are taken evenly, since an hour has thousands."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.most >= 1, f"most {self.most}: must be ≥ 1 clips")

    def unfit(self, info: MediaInfo) -> str:
        """Why this file cannot be cut so, or ''."""
        return self._uniform(1).unfit(info)

    def __call__(self, info: MediaInfo, rng: Rng, /) -> Plan:
        """The plan of a file; nothing is drawn.

        Raises:
            Unfit: the file lacks frames.
        """
        one = self._uniform(1)
        one.require(info)
        starts, half = one.starts(info), max(1, (self.offsets(info)[-1] + 1) // 2)
        if not len(starts):
            return one(info, rng)
        chosen = [*range(starts.first, starts.last + 1, half)]
        if len(chosen) > self.most:
            return self._uniform(self.most)(info, rng)
        return Plan(spans=tuple(one.cut(info, k) for k in chosen))

    def _uniform(self, n: int) -> UniformClips:
        return UniformClips(n=n, frames=self.frames, step=self.step, rate=self.rate)


@dataclass(frozen=True, kw_only=True)
class ConsecutiveClips(ClipSampler):
    """`n` clips (S = n) in order of time, each a step after the end of the one before, from a random place on.

    The blocks of DPC: Han et al., ICCV workshop 2019, arXiv:1909.04656, section 4.1.
    """

    n: int = 8
    """S, the clips."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.n >= 1, f"n {self.n}: must be ≥ 1 clips")

    def _steps(self, info: MediaInfo) -> tuple[int, ...]:
        return self.clock(info, range(0, self.n * self.frames * self.step, self.step))

    def unfit(self, info: MediaInfo) -> str:
        """Why this file cannot be cut so, or ''."""
        if not info.has_video or info.is_picture:
            return "has no moving frames, and so none that follow: leave the file out"
        grid, extent = grid_of(info), self._steps(info)[-1] + 1
        return too_short(info.duration, extent / grid.rate) if extent > grid.count else ""

    def __call__(self, info: MediaInfo, rng: Rng, /) -> Plan:
        """Draw a plan.

        Raises:
            Unfit: the file is too short, or does not move.
        """
        self.require(info)
        grid, steps = grid_of(info), self._steps(info)
        start = Starts(0, grid.count - 1 - steps[-1]).draw(rng)
        times = tuple(grid.middle(start + k) for k in steps)
        return Plan(spans=tuple(Span(times=times[i : i + self.frames]) for i in range(0, len(times), self.frames)))


def first_start(sampler: SoundingSampler, info: MediaInfo) -> int:
    """Where a clip of a file that is too short starts: at its start, or in the sound, if that begins late."""
    return min(sampler.starts(info).first, sampler.grid(info).count - 1)
