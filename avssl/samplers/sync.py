"""Does this sound belong to these pictures, and to this instant?"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from avssl.core import MediaInfo, Plan, Rng, Span, Unfit
from avssl.samplers.grid import SoundingSampler, check, too_short
from avssl.samplers.stages import Stages

__all__ = ["AudioOffset", "easy_then_hard"]

_NONE, _SHIFTED, _OTHER = 0, 1, 2


@dataclass(frozen=True, kw_only=True)
class AudioOffset(SoundingSampler):
    """A clip with its own sound, its own sound from another instant, or another file's; label `in_sync`.

    Label `negative` says the kind: 0 in sync, 1 shifted (Owens and Efros, ECCV 2018, arXiv:1804.03641, §3; the hard
    negatives of AVTS: Korbar et al., NeurIPS 2018, arXiv:1807.00230, §3.2), 2 another file (L3: Arandjelović and
    Zisserman, ICCV 2017, arXiv:1705.08168, §2; the easy negatives of AVTS).

    What could give the label away is the same for all: pictures and sound always start at the edge of a frame of their
    own file (Arandjelović and Zisserman, ECCV 2018, arXiv:1712.06651, §3.2), inside the sound that the file has, and a
    pair of starts is drawn before the label is, such that either of the pair has the same law.
    """

    sound: float | None = 1.0
    """Seconds of sound, from the instant on at which the clip's first frame begins to be shown."""
    min_shift: float = 0.5
    """Seconds between the true start and the shifted one, at least."""
    max_shift: float | None = None
    """Seconds between the true start and the shifted one, at most; None: anywhere in the file."""
    shifted: float = 0.5
    """Share of examples whose sound comes from another instant of the same file."""
    other: float = 0.0
    """Share of examples whose sound comes from another file."""
    paired: bool = False
    """Whether an example has its frames once and two sounds (S = 2, the second span is sound alone), one in sync and
    one not, in a coin's order; labels are pairs."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.frames >= 1, f"frames {self.frames}: sound is in sync with 1 or more")
        check(self.sound is not None, "sound None: this sampler asks for sound; give its seconds")
        check(
            self.shifted >= 0 and self.other >= 0 and 0 < self.shifted + self.other <= 1,
            f"shifted {self.shifted}, other {self.other}: shares ≥ 0 whose sum is above 0 and at most 1",
        )
        check(
            0 < self.min_shift <= (math.inf if self.max_shift is None else self.max_shift),
            f"min_shift {self.min_shift} s, max_shift {self.max_shift} s: must be 0 < min_shift ≤ max_shift",
        )

    @property
    def others(self) -> int:
        """One further file, if sound of others is asked for."""
        return int(self.other > 0)

    def _shifts(self, info: MediaInfo) -> tuple[int, int]:
        """The least and the greatest shift, in frames."""
        grid, most = self.grid(info), len(self.starts(info)) - 1
        least = grid.steps(self.min_shift) if self.shifted > 0 else 0
        if self.max_shift is not None and self.shifted > 0:
            most = min(most, max(least, math.floor(self.max_shift * grid.rate + 1e-6)))
        return least, most

    def unfit(self, info: MediaInfo) -> str:
        """Why this file cannot be cut so, or ''."""
        if not info.has_video or info.is_picture:
            return "has no moving frames to be in sync with: leave the file out"
        if why := super().unfit(info):
            return why
        least, most = self._shifts(info)
        if least <= most:
            return ""
        assert self.sound is not None  # checked at the start
        clip = max(self.sound, (self.offsets(info)[-1] + 1) / self.grid(info).rate)
        has = min(info.duration, info.sound_duration)
        return (
            too_short(has, clip + least / self.grid(info).rate, "long with sound") + f" (min_shift {self.min_shift} s)"
        )

    def _pair(self, info: MediaInfo, rng: Rng) -> tuple[int, int]:
        """Two starts, each pair that far apart as likely as any other."""
        starts = self.starts(info)
        shifts = np.arange(self._shifts(info)[0], self._shifts(info)[1] + 1)
        ways = len(starts) - shifts
        shift = int(rng.choice(shifts, p=ways / ways.sum()))
        earlier = starts.first + int(rng.integers(len(starts) - shift))
        return (earlier, earlier + shift) if rng.random() < 0.5 else (earlier + shift, earlier)

    def _draw_kind(self, rng: Rng) -> int:
        chance = rng.random()
        if self.paired:
            return _SHIFTED if chance * (self.shifted + self.other) < self.shifted or self.other == 0 else _OTHER
        return _SHIFTED if chance < self.shifted else _OTHER if chance < self.shifted + self.other else _NONE

    def __call__(self, info: MediaInfo, rng: Rng, /) -> Plan:
        """Draw a plan.

        Raises:
            Unfit: the file, or the other one, is too short or lacks frames or sound; or there is no other one.
        """
        self.require(info)
        if len(info.others) < self.others:
            raise Unfit("sound of another file is asked for, and info.others is empty: give one, or set other=0")
        for needed in info.others[: self.others]:
            self.require(needed)
        own = self._pair(info, rng)
        foreign = self._pair(info.others[0], rng)[0] if self.others else 0
        kind = self._draw_kind(rng)
        span = true = self.cut(info, own[0])
        if kind == _SHIFTED:
            span = replace(true, sound=self.hear(self.grid(info).edge(own[1])))
        elif kind == _OTHER:
            span = replace(true, sound=self.hear(self.grid(info.others[0]).edge(foreign)), sound_file=1)
        if not self.paired:
            return Plan(spans=(span,), labels={"in_sync": int(kind == _NONE), "negative": kind})
        if rng.random() < 0.5:
            return Plan(spans=(true, _sound_alone(span)), labels={"in_sync": (1, 0), "negative": (_NONE, kind)})
        return Plan(spans=(span, _sound_alone(true)), labels={"in_sync": (0, 1), "negative": (kind, _NONE)})


def _sound_alone(span: Span) -> Span:
    return replace(span, times=(), boxes=())


def easy_then_hard(sampler: AudioOffset, *, hard_from: int, hard: float = 0.25) -> Stages:
    """A curriculum in which half of the examples are in sync, and the others at first have another file's sound.

    From epoch `hard_from` on, the share `hard` of those others have their own sound, shifted. Korbar et al., NeurIPS
    2018, arXiv:1807.00230, section 3.2: 75 % easy and 25 % hard negatives.

    Raises:
        ValueError: `hard` is not a share above 0, or `hard_from` is not above 0.
    """
    check(0 < hard <= 1, f"hard {hard}: must be a share above 0 and at most 1")
    easy = replace(sampler, shifted=0.0, other=0.5)
    return Stages(((0, easy), (hard_from, replace(sampler, shifted=hard / 2, other=(1 - hard) / 2))))
