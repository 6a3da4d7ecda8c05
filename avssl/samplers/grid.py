"""The file's grid of frames, on which every sampler of this room works with whole numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avssl.core import MediaInfo, Rng, Sampler, Sound, Span

__all__ = [
    "ClipSampler",
    "Grid",
    "SoundingSampler",
    "Starts",
    "check",
    "grid_of",
    "sounding_starts",
    "too_short",
    "weighted_start",
]

_HAIR = 1e-6  # of a step: what rounding may take from a duration or a rate


def check(condition: bool, what: str) -> None:
    """Raise `ValueError` if a knob makes no sense."""
    if not condition:
        raise ValueError(what)


def too_short(has: float, needs: float, what: str = "") -> str:
    """The words for a file that is too short (both in s)."""
    return (
        f"{has:.3g} s {what or 'long'}, this sampler needs {needs:.3g} s: choose fewer frames, smaller steps or "
        "shorter gaps, or leave the file out"
    )


@dataclass(frozen=True)
class Grid:
    """`count` places at `rate` Hz: place k is shown during [k, k + 1) / rate (s)."""

    rate: float
    count: int

    def middle(self, k: int) -> float:
        """The instant (s) in the middle of place k, so that rounding never decides which frame is meant."""
        return (k + 0.5) / self.rate

    def edge(self, k: int) -> float:
        """The instant (s) at which place k begins."""
        return k / self.rate

    def steps(self, seconds: float) -> int:
        """The least number of places that lasts at least so long."""
        return math.ceil(seconds * self.rate - _HAIR)


def grid_of(info: MediaInfo, *, sample_rate: int = 16000) -> Grid:
    """The grid of a file's frames; of a file without frames, that of its sound samples; of a picture, one place."""
    if info.is_picture:
        return Grid(1.0, 1)
    if not info.has_video:
        return Grid(float(sample_rate), max(1, math.floor(info.duration * sample_rate + _HAIR)))
    rate = info.fps or 1 / info.duration
    # of a last frame that is cut short, only one whose middle lies inside counts
    return Grid(rate, max(1, math.ceil(info.duration * rate - 0.5 - _HAIR)))


@dataclass(frozen=True)
class Starts:
    """The places [first, last] at which a clip may start; none if last < first."""

    first: int
    last: int

    def __len__(self) -> int:
        return max(0, self.last - self.first + 1)

    def draw(self, rng: Rng) -> int:
        """One of them, each as likely as the others."""
        return int(rng.integers(self.first, self.last + 1))


def sounding_starts(info: MediaInfo, grid: Grid, starts: Starts, duration: float, sample_rate: int) -> Starts:
    """Those of the starts from which a stretch of sound (s) lies inside the sound that the file has."""
    slack = 1 / sample_rate  # a stretch may begin early or end late by less than a sample
    begin, end = info.sound_start, info.sound_start + info.sound_duration
    return Starts(
        max(starts.first, math.ceil((begin - slack) * grid.rate)),
        min(starts.last, math.floor((end + slack - duration) * grid.rate)),
    )


def weighted_start(info: MediaInfo, grid: Grid, starts: Starts, extent: int, rng: Rng) -> int:
    """A start, as likely as there is motion in the `extent` + 1 places from it on; uniform if the motion is unknown."""
    if not info.motion:
        return starts.draw(rng)
    # the motion up to an instant is piecewise linear; a window has the difference of its two ends
    total = np.concatenate([[0.0], np.cumsum(info.motion)])
    knots = np.linspace(0.0, info.duration, len(total))
    begin = np.arange(starts.first, starts.last + 1) / grid.rate
    weight = np.interp(begin + (extent + 1) / grid.rate, knots, total) - np.interp(begin, knots, total)
    if weight.sum() <= 0:
        return starts.draw(rng)
    return starts.first + int(rng.choice(len(weight), p=weight / weight.sum()))


@dataclass(frozen=True, kw_only=True)
class ClipSampler(Sampler):
    """The knobs that all samplers of clips share; not a sampler itself."""

    frames: int = 16
    """T, the frames of a clip; a picture always gives one."""
    step: int = 1
    """From frame to frame, in frames of the clock."""
    rate: float | None = None
    """The clock on which steps count (Hz); None: the file's own frame rate."""

    def __post_init__(self) -> None:
        check(self.frames >= self._fewest, f"frames {self.frames}: must be ≥ {self._fewest}")
        check(self.step >= 1, f"step {self.step}: must be a whole number ≥ 1")
        check(self.rate is None or self.rate > 0, f"rate {self.rate} Hz: must be > 0, or None for the file's own")

    @property
    def _fewest(self) -> int:
        return 1

    def clock(self, info: MediaInfo, steps: Sequence[int]) -> tuple[int, ...]:
        """Steps of the clock as steps of the file's grid."""
        if self.rate is None:
            return tuple(steps)
        scale = grid_of(info).rate / self.rate
        return tuple(math.floor(k * scale + 0.5 + _HAIR) for k in steps)

    def offsets(self, info: MediaInfo, *, pace: int = 1) -> tuple[int, ...]:
        """Where the T frames of a clip lie on the file's grid, from its first frame on."""
        if info.is_picture or not info.has_video or self.frames == 0:
            return (0,)
        return self.clock(info, range(0, self.frames * self.step * pace, self.step * pace))


@dataclass(frozen=True, kw_only=True)
class SoundingSampler(ClipSampler):
    """Clips with the sound that starts with them; not a sampler itself. With frames = 0 they are sound only."""

    sound: float | None = None
    """Seconds of sound, from the instant on at which the clip's first frame begins to be shown; None: no sound."""
    sample_rate: int = 16000
    """Of the sound that comes out (Hz)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.sound is None or self.sound > 0, f"sound {self.sound} s: must be > 0, or None for no sound")
        check(self.sample_rate > 0, f"sample_rate {self.sample_rate} Hz: must be > 0")

    @property
    def _fewest(self) -> int:
        return 1 if self.sound is None else 0

    def grid(self, info: MediaInfo) -> Grid:
        """The grid on which clips of this file start."""
        return grid_of(info, sample_rate=self.sample_rate)

    def starts(self, info: MediaInfo) -> Starts:
        """Where a clip may start so that all its frames and all its sound lie inside the file."""
        grid = self.grid(info)
        starts = Starts(0, grid.count - 1 - self.offsets(info)[-1])
        return starts if self.sound is None else sounding_starts(info, grid, starts, self.sound, self.sample_rate)

    def lacks(self, info: MediaInfo) -> str:
        """Why a file without frames or without sound cannot be cut so, or ''."""
        if self.sound is not None and not info.has_sound:
            return (
                f"has no sound, this sampler asks for {self.sound:.3g} s of it: set sound=None, or leave the file out"
            )
        if self.sound is None and not info.has_video:
            return "has no frames, and this sampler asks for no sound: set sound=… (s), or leave the file out"
        return ""

    def unfit(self, info: MediaInfo) -> str:
        """Why this file cannot be cut so, or ''."""
        if why := self.lacks(info):
            return why
        if len(self.starts(info)):
            return ""
        grid, extent = self.grid(info), self.offsets(info)[-1] + 1
        if extent > grid.count:
            return too_short(info.duration, extent / grid.rate)
        assert self.sound is not None  # frames alone would fit
        what = f"of sound from {info.sound_start:.3g} s on beside {info.duration:.3g} s of frames"
        return too_short(info.sound_duration, max(self.sound, extent / grid.rate), what)

    def cut(self, info: MediaInfo, start: int) -> Span:
        """The clip that starts at a place of the file's grid."""
        grid = self.grid(info)
        return Span(times=self.instants(info, start), sound=self.hear(grid.edge(start)))

    def instants(self, info: MediaInfo, start: int) -> tuple[float, ...]:
        """The instants (s) of a clip's frames; those past the end are the last frame's."""
        if info.is_picture:
            return (0.0,)
        if not info.has_video or self.frames == 0:
            return ()
        grid = self.grid(info)
        return tuple(grid.middle(min(start + k, grid.count - 1)) for k in self.offsets(info))

    def hear(self, start: float) -> Sound | None:
        """The stretch of sound that starts at an instant (s)."""
        return None if self.sound is None else Sound(start=start, duration=self.sound, rate=self.sample_rate)
