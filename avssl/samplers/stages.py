"""Samplers made of samplers: a curriculum, and the null tests that take the signal away."""

from __future__ import annotations

from dataclasses import dataclass, replace

from avssl.core import MediaInfo, Plan, Rng, Sampler, Span, Unfit
from avssl.samplers.grid import Starts, check, grid_of, sounding_starts, too_short

__all__ = ["ForeignSound", "Frozen", "Stages"]


@dataclass(frozen=True)
class Stages(Sampler):
    """A curriculum: each stage is the epoch it starts with and its sampler, such as ((0, easy), (50, hard)).

    A file must fit every stage, so that the items stay the same. Called itself, it is the first stage.
    """

    stages: tuple[tuple[int, Sampler], ...]
    """Epochs in rising order from 0 on, with their samplers."""

    def __post_init__(self) -> None:
        epochs = [epoch for epoch, _ in self.stages]
        check(
            bool(epochs) and epochs[0] == 0 and epochs == sorted(set(epochs)),
            f"stages start at epochs {epochs}: must be 0 first, then rising",
        )
        columns = {sampler.together for _, sampler in self.stages if sampler.others}
        check(len(columns) < 2, f"stages with further files that share {sorted(columns)}: must be one column for all")

    @property
    def others(self) -> int:
        """The most that a stage asks for."""
        return max(sampler.others for _, sampler in self.stages)

    @property
    def together(self) -> str:
        """What the stages that ask for further files share."""
        return next((sampler.together for _, sampler in self.stages if sampler.others), "")

    def at(self, epoch: int) -> Sampler:
        """The sampler of the last stage that has begun."""
        return [sampler for start, sampler in self.stages if start <= epoch][-1].at(epoch)

    def unfit(self, info: MediaInfo) -> str:
        """Why one of the stages cannot cut this file, or ''."""
        reasons = ((start, sampler.unfit(info)) for start, sampler in self.stages)
        return next((f"{why} (stage from epoch {start} on)" for start, why in reasons if why), "")

    def __call__(self, info: MediaInfo, rng: Rng, /) -> Plan:
        """Draw a plan of the first stage.

        Raises:
            Unfit: a stage cannot cut the file.
        """
        self.require(info)
        return self.at(0)(info, rng)


@dataclass(frozen=True)
class Frozen(Sampler):
    """Null test: the plan of another sampler with every frame at one same instant of its file; labels and sound stay.

    The instant is drawn anew, so that it says nothing of the label. What is asked of time must end at chance.
    """

    sampler: Sampler
    """Whose plan it is."""

    @property
    def others(self) -> int:
        """What the sampler asks for."""
        return self.sampler.others

    @property
    def together(self) -> str:
        """What the sampler asks for."""
        return self.sampler.together

    def at(self, epoch: int) -> Sampler:
        """The frozen sampler of an epoch."""
        return Frozen(self.sampler.at(epoch))

    def unfit(self, info: MediaInfo) -> str:
        """Why the sampler cannot cut this file, or ''."""
        return self.sampler.unfit(info)

    def __call__(self, info: MediaInfo, rng: Rng, /) -> Plan:
        """Draw a plan.

        Raises:
            Unfit: the sampler cannot cut the file.
        """
        plan = self.sampler(info, rng)
        share, instants = float(rng.random()), []
        for file in (info, *info.others):
            grid = grid_of(file)
            instants.append(0.0 if file.is_picture else grid.middle(int(share * grid.count)))
        spans = tuple(replace(s, times=(instants[s.file],) * len(s.times)) for s in plan.spans)
        return replace(plan, spans=spans)


@dataclass(frozen=True)
class ForeignSound(Sampler):
    """Null test: the plan of another sampler with all its sound from one other file; frames and labels stay.

    Every stretch starts at a place drawn anew, so that not even the place in the file says anything of the label. What
    is asked of pictures and sound together must end at chance.
    """

    sampler: Sampler
    """Whose plan it is."""

    @property
    def others(self) -> int:
        """What the sampler asks for, and at least one."""
        return max(1, self.sampler.others)

    @property
    def together(self) -> str:
        """What the sampler asks for."""
        return self.sampler.together

    def at(self, epoch: int) -> Sampler:
        """The same with the sampler of an epoch."""
        return ForeignSound(self.sampler.at(epoch))

    def unfit(self, info: MediaInfo) -> str:
        """Why the sampler cannot cut this file, or ''."""
        return self.sampler.unfit(info)

    def __call__(self, info: MediaInfo, rng: Rng, /) -> Plan:
        """Draw a plan.

        Raises:
            Unfit: the sampler cannot cut the file; or there is no other one, or its sound is too short.
            ValueError: the sampler cuts no sound.
        """
        if not info.others:
            raise Unfit("sound of another file is asked for, and info.others is empty: give one")
        plan = self.sampler(info, rng)
        check(
            any(s.sound for s in plan.spans), f"{self.sampler} cuts no sound: give it some, or leave ForeignSound out"
        )
        return replace(plan, spans=tuple(self._exchanged(s, info.others[0], rng) for s in plan.spans))

    def _exchanged(self, span: Span, other: MediaInfo, rng: Rng) -> Span:
        if span.sound is None:
            return span
        grid = grid_of(other, sample_rate=span.sound.rate)
        starts = sounding_starts(other, grid, Starts(0, grid.count - 1), span.sound.duration, span.sound.rate)
        if not len(starts):
            raise Unfit(too_short(other.sound_duration, span.sound.duration, "of sound in the other file"))
        return replace(span, sound=replace(span.sound, start=grid.edge(starts.draw(rng))), sound_file=1)
