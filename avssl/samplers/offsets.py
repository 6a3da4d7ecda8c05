"""A clip beside its own sound, and beside that sound too early or too late by known lags: for evaluation."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from avssl.core import MediaInfo, Plan, Rng, Span
from avssl.samplers.grid import SoundingSampler, Starts, check, sounding_starts, too_short

__all__ = ["SoundOffsets"]


@dataclass(frozen=True, kw_only=True)
class SoundOffsets(SoundingSampler):
    """`n` clips evenly spread, each followed by its sound at every lag, always the same ones.

    S = n · (1 + O): the frames of a clip, then O spans of sound alone that start `lags` (s) after the frames do, and so
    on for the next clip. Sound starts at the edge of a frame, whatever the lag, and lies inside the file's.
    """

    sound: float | None = 1.0
    """Seconds of sound."""
    n: int = 1
    """Clips."""
    lags: tuple[float, ...] = (0.0,)
    """O lags of the sound (s), rounded to frames; above 0 it is cut from later in the file than the frames."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.n >= 1 and len(self.lags) >= 1, f"n {self.n}, {len(self.lags)} lags: must be ≥ 1")
        check(self.sound is not None and self.frames >= 1, "frames and sound: this sampler asks for both")
        check(all(math.isfinite(lag) for lag in self.lags), f"lags {self.lags} s: must be finite")

    def shifts(self, info: MediaInfo) -> tuple[int, ...]:
        """The lags in frames of the file."""
        return tuple(math.floor(lag * self.grid(info).rate + 0.5) for lag in self.lags)

    def starts(self, info: MediaInfo) -> Starts:
        """Where frames may start so that they lie inside the file, and their sound at every lag inside its sound."""
        grid, shifts = self.grid(info), self.shifts(info)
        frames = Starts(0, grid.count - 1 - self.offsets(info)[-1])
        wide = Starts(frames.first + min(shifts), frames.last + max(shifts))
        heard = sounding_starts(info, grid, wide, self.sound or 0.0, self.sample_rate)
        return Starts(max(frames.first, heard.first - min(shifts)), min(frames.last, heard.last - max(shifts)))

    def unfit(self, info: MediaInfo) -> str:
        """Why this file cannot be cut so, or ''."""
        if not info.has_video or info.is_picture:
            return "has no moving frames to be in sync with: leave the file out"
        if (why := self.lacks(info)) or len(self.starts(info)):
            return why
        spread = (max(*self.shifts(info), 0) - min(*self.shifts(info), 0)) / self.grid(info).rate
        needs = spread + max(self.sound or 0.0, 1 / self.grid(info).rate)
        what = f"long with sound, of which lags take {spread:.3g} s"
        return too_short(min(info.duration, info.sound_duration), needs, what)

    def __call__(self, info: MediaInfo, rng: Rng, /) -> Plan:
        """The plan of a file; nothing is drawn.

        Raises:
            Unfit: the file is too short, or lacks frames or sound.
        """
        self.require(info)
        grid, starts = self.grid(info), self.starts(info)
        shares = [j / (self.n - 1) for j in range(self.n)] if self.n > 1 else [0.5]
        spans: list[Span] = []
        for share in shares:
            first = starts.first + round(share * (len(starts) - 1))
            spans.append(replace(self.cut(info, first), sound=None))
            spans += [Span(sound=self.hear(grid.edge(first + shift))) for shift in self.shifts(info)]
        return Plan(spans=tuple(spans))
