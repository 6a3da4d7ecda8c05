"""Is this the same moment? Moments of one film that lie close, or of several that were filmed at once."""

from __future__ import annotations

from dataclasses import dataclass

from avssl.core import MediaInfo, Plan, Rng, Span, Unfit
from avssl.samplers.grid import ClipSampler, Starts, check, grid_of, too_short

__all__ = ["CloseMoments", "SharedMoments"]

_STILL = "has no moving frames, and so no moments: leave the file out"


@dataclass(frozen=True, kw_only=True)
class _Moments(ClipSampler):
    n: int = 8
    """Moments of an example, each of which is shown twice (S = 2 n)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.n >= 2, f"n {self.n}: one moment or none has no other to differ from; give 2 or more")

    def _starts(self, info: MediaInfo) -> Starts:
        return Starts(0, grid_of(info).count - 1 - self.offsets(info)[-1])

    def _span(self, info: MediaInfo, start: int, *, file: int = 0) -> Span:
        grid = grid_of(info)
        return Span(times=tuple(grid.middle(start + k) for k in self.offsets(info)), file=file)


@dataclass(frozen=True, kw_only=True)
class CloseMoments(_Moments):
    """`n` clips at random places of a file, and after each another one that starts within `radius` of it (S = 2 n).

    Label `time` says when each starts (s). Single-view TCN: Sermanet et al., ICRA 2018, arXiv:1704.06888, section 3.2.
    """

    radius: float = 0.2
    """Seconds between the two of a pair, at most; they are never the same frame."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.radius > 0, f"radius {self.radius} s: must be > 0")

    def unfit(self, info: MediaInfo) -> str:
        """Why this file cannot be cut so, or ''."""
        if not info.has_video or info.is_picture:
            return _STILL
        grid, near = grid_of(info), int(self.radius * grid_of(info).rate + 1e-6)
        if near < 1:
            return (
                f"has {grid.rate:.4g} Hz, of which no two frames lie within {self.radius:.3g} s: choose a larger "
                "radius, or leave the file out"
            )
        need = self.offsets(info)[-1] + 1 + near
        return too_short(info.duration, need / grid.rate) if need > grid.count else ""

    def __call__(self, info: MediaInfo, rng: Rng, /) -> Plan:
        """Draw a plan.

        Raises:
            Unfit: the file is too short, or does not move.
        """
        self.require(info)
        grid, starts = grid_of(info), self._starts(info)
        near = int(self.radius * grid.rate + 1e-6)
        chosen: list[int] = []
        for _ in range(self.n):
            first = starts.draw(rng)
            around = [k for k in range(first - near, first + near + 1) if k != first and 0 <= k <= starts.last]
            chosen += [first, around[int(rng.integers(len(around)))]]
        spans = tuple(self._span(info, k) for k in chosen)
        return Plan(spans=spans, labels={"time": tuple(grid.edge(k) for k in chosen)})


@dataclass(frozen=True, kw_only=True)
class SharedMoments(_Moments):
    """`n` clips at random places of a file, and after each that of the same moment in another file, of another camera.

    Label `time` says when each starts (s), `view` whose it is: 0 the file's own, 1 the other's (S = 2 n). Multi-view
    TCN: Sermanet et al., ICRA 2018, arXiv:1704.06888, section 3.1.
    """

    by: str = "scene"
    """The column of the manifest whose value those files share that were filmed at once, on one clock."""

    @property
    def others(self) -> int:
        """One further file."""
        return 1

    @property
    def together(self) -> str:
        """The column that it shares."""
        return self.by

    def unfit(self, info: MediaInfo) -> str:
        """Why this file cannot be cut so, or ''."""
        if not info.has_video or info.is_picture:
            return _STILL
        need, grid = self.offsets(info)[-1] + 1, grid_of(info)
        return too_short(info.duration, need / grid.rate) if need > grid.count else ""

    def __call__(self, info: MediaInfo, rng: Rng, /) -> Plan:
        """Draw a plan.

        Raises:
            Unfit: one of the files is too short or does not move; or there is no other one.
        """
        self.require(info)
        if not info.others:
            raise Unfit("the file of another camera is asked for, and info.others is empty: give one")
        other = info.others[0]
        self.require(other)
        grid, starts = grid_of(info), self._starts(info)
        last = self._starts(other).last / grid_of(other).rate  # the other may end earlier
        starts = Starts(0, min(starts.last, int(last * grid.rate + 1e-6)))
        chosen = [starts.draw(rng) for _ in range(self.n)]
        # the frame of the other that is shown in the middle of this one's
        twins = [int(grid.middle(k) * grid_of(other).rate + 1e-6) for k in chosen]
        twins = [min(k, self._starts(other).last) for k in twins]
        pairs = zip(chosen, twins, strict=True)
        spans = tuple(s for a, b in pairs for s in (self._span(info, a), self._span(other, b, file=1)))
        labels = {"time": tuple(grid.edge(k) for k in chosen for _ in range(2)), "view": (0, 1) * self.n}
        return Plan(spans=spans, labels=labels)
