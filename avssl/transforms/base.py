"""What a transform is, and how transforms are chained."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, TypeAlias

import numpy as np
from torch import Tensor

from avssl.core import Clip, Example, MediaInfo, Plan, Rng, Span

__all__ = ["Chain", "Scope", "Transform", "named_uniquely", "repeat_spans"]

Scope: TypeAlias = Literal["sample", "clip", "frame"]
"""What shares a draw: all clips of an example, the frames of a clip, or nothing (each frame has its own)."""


@dataclass(frozen=True)
class Transform(ABC):
    """How it looks or sounds: numbers drawn into the plan, then pixels changed in batches, on any device.

    What was drawn lies in `Plan.parameters` under `<name>.<what>`, so that the batch records it.
    """

    @property
    def parts(self) -> tuple[Part, ...]:
        """The transforms that this one is made of, in order."""
        raise AssertionError("a transform is a Part or a Chain")

    def at(self, epoch: int) -> Transform:
        """The transform of an epoch; one with a schedule, such as of a mask, answers differently as training goes on.

        Only its numbers may differ, as `apply` is that of the transform itself.
        """
        return self

    @abstractmethod
    def draw(self, plan: Plan, info: MediaInfo, rng: Rng, /) -> Plan:
        """The plan with this transform's choices added; numbers only."""

    @abstractmethod
    def apply(self, batch: Example, /) -> Example:
        """The batch with its pixels or sound changed as drawn; B examples give what they would give one by one."""

    def __or__(self, other: Transform) -> Chain:
        return Chain(self.parts + other.parts)


@dataclass(frozen=True, kw_only=True)
class Part(Transform):
    """A single transform."""

    places_labels: ClassVar[bool] = False
    """Whether what it records says where things are, so that a mirror image afterwards would falsify it."""
    mirrors: ClassVar[bool] = False
    """Whether it may exchange left and right."""

    scope: Scope = "clip"
    """What shares a draw: "sample" all clips of an example, "clip" all frames of a clip, "frame" each frame its own."""
    only: tuple[int, ...] | None = None
    """The clips that are changed, counted from 0; None: all."""
    name: str = ""
    """Under which its choices are recorded; empty: the class. A chain numbers the second, third, … of a name."""

    def __post_init__(self) -> None:
        require(self.scope in {"sample", "clip", "frame"}, f"scope {self.scope!r}: must be 'sample', 'clip' or 'frame'")
        if not self.name:
            snake = re.sub(r"(?<!^)(?=[A-Z])", "_", type(self).__name__).lower()
            object.__setattr__(self, "name", snake)

    @property
    def parts(self) -> tuple[Part, ...]:
        """Itself."""
        return (self,)

    def key(self, what: str) -> str:
        """Under which a choice is recorded."""
        return f"{self.name}.{what}"

    def touches(self, s: int) -> bool:
        """Whether clip s is changed."""
        return self.only is None or s in self.only

    def mask(self, plan: Plan) -> np.ndarray:
        """Which clips are changed, (S,) bool."""
        return np.array([self.touches(s) for s in range(len(plan.spans))])

    def shared(self, plan: Plan, draw: Callable[[tuple[int, ...]], np.ndarray]) -> np.ndarray:
        """Draws shared as `scope` says: (S, …), or (S, Tmax, …) for "frame". `draw` is given the leading dimensions."""
        clips, frames = len(plan.spans), max(1, *(len(s.times) for s in plan.spans))
        if self.scope == "frame":
            return draw((clips, frames))
        drawn = draw((1 if self.scope == "sample" else clips,))
        return np.repeat(drawn, clips, axis=0) if self.scope == "sample" else drawn

    def record(self, plan: Plan, **choices: np.ndarray) -> Plan:
        """The plan with this transform's choices among its parameters."""
        return replace(plan, parameters={**plan.parameters, **{self.key(k): v for k, v in choices.items()}})

    def change_clips(self, batch: Example, change: Callable[[int, Clip], Clip]) -> Example:
        """The batch with each clip that is touched changed; says what is wrong if the choices are missing."""
        require(batch.index.ndim == 1, "transforms are applied to batches: collate the example first")
        return replace(batch, clips=tuple(change(s, clip) for s, clip in enumerate(batch.clips)))

    def chosen(self, batch: Example, what: str, s: int) -> Tensor:
        """The choice for clip s: (B, …)."""
        values = batch.parameters.get(self.key(what))
        if values is None:
            raise ValueError(f"the batch has no parameter {self.key(what)!r}: draw with the transform that is applied")
        return values[:, s]


@dataclass(frozen=True)
class Chain(Transform):
    """Transforms one after the other, as `a | b` makes it.

    Raises:
        ValueError: after a transform that says where things are, as `Rotate90` does, comes a mirror image, which would
            falsify that, or a crop, which is made while decoding and so before it.
    """

    transforms: tuple[Transform, ...]
    """In order."""

    def __post_init__(self) -> None:
        parts = named_uniquely([p for t in self.transforms for p in t.parts])
        object.__setattr__(self, "transforms", parts)
        first = next((i for i, p in enumerate(parts) if p.places_labels), len(parts))
        for part in parts[first + 1 :]:
            name, before = type(part).__name__, type(parts[first]).__name__
            require(not part.mirrors, f"{name} after {before} would falsify what it says: write it before")
            require(not isinstance(part, SpaceTransform), f"{name} crops while decoding: write it before {before}")

    @property
    def parts(self) -> tuple[Part, ...]:
        """All single transforms, in order."""
        return tuple(p for t in self.transforms for p in t.parts)

    def at(self, epoch: int) -> Chain:
        """The chain of the parts of an epoch."""
        return Chain(tuple(p.at(epoch) for p in self.parts))

    def draw(self, plan: Plan, info: MediaInfo, rng: Rng, /) -> Plan:
        """The plan with all choices added."""
        for part in self.parts:
            plan = part.draw(plan, info, rng)
        return plan

    def apply(self, batch: Example, /) -> Example:
        """The batch with all changes made."""
        for part in self.parts:
            batch = part.apply(batch)
        return batch


class SpaceTransform(Part):
    """A transform that only writes boxes and sizes into the spans; the decoder does the rest."""

    def apply(self, batch: Example, /) -> Example:
        """The batch as it is: the crops were made while decoding."""
        return batch


def require(condition: bool, what: str) -> None:
    """Raise `ValueError` if a knob or an input makes no sense."""
    if not condition:
        raise ValueError(what)


def named_uniquely(parts: Sequence[Part]) -> tuple[Part, ...]:
    """The parts with the second, third, … of a name numbered, so that no choice overwrites another."""
    taken: set[str] = set()
    named = []
    for part in parts:
        stem, name, n = re.sub(r"_\d+$", "", part.name), part.name, 1
        while name in taken:
            n += 1
            name = f"{stem}_{n}"
        taken.add(name)
        named.append(part if name == part.name else replace(part, name=name))
    return tuple(named)


def repeat_spans(plan: Plan, times: int, change: Callable[[Span, int], Span] = lambda span, _: span) -> Plan:
    """A plan of `times` · S spans: the copies of a span lie side by side; labels and parameters of clips go with them.

    `change` is given a span and the number of its copy.
    """
    count = len(plan.spans)
    spans = tuple(change(span, k) for span in plan.spans for k in range(times))
    labels, mirrored = (
        {
            k: tuple(x for x in v for _ in range(times)) if isinstance(v, tuple) and len(v) == count else v
            for k, v in known.items()
        }
        for known in (plan.labels, plan.mirrored)
    )
    parameters = {k: np.repeat(v, times, axis=0) for k, v in plan.parameters.items()}
    return Plan(spans=spans, labels=labels, parameters=parameters, mirrored=mirrored)
