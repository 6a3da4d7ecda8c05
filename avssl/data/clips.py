"""Items × sampler × transform: from the number of an item to its decoded example."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np

from avssl.core import Example, MediaError, MediaInfo, Plan, Rng, Sampler, generator
from avssl.data.items import Item
from avssl.data.scan import Damaged
from avssl.data.visit import Cutter, Visit
from avssl.media import Decoding
from avssl.transforms import Transform

__all__ = ["Clips", "Reading"]

_LEFT_OUT = "it is left out: the sampler never loops or swaps files"
_STOPS = "it stops the run, as damaged = stop asks; skip would leave it out"


Reading = Literal["auto", "threads", "processes"]


@dataclass(frozen=True)
class Clips:
    """The examples that a sampler and a transform make of items; nothing is decoded until one is asked for.

    Made by `Clips.of`: items that the sampler cannot cut, or not like the others, are left out once and for all
    (`unfit` says why), so that positions are stable and any of them make a batch.
    """

    items: tuple[Item, ...]
    sampler: Sampler
    transform: Transform | None = None
    seed: int = 0
    unfit: tuple[MediaError, ...] = ()
    workers: int = 2
    """Threads or processes that decode ahead of whoever iterates; 0: none."""
    reading: Reading = "threads"
    """Whether they are threads or processes (`avssl.data.readers`)."""
    repeats: int = 1
    """Examples that one visit gives, drawn one by one and decoded in one pass."""
    damaged: Damaged = "stop"
    """Whether a file that turns out damaged stops the run, or is named, counted and left out of its batch."""
    held_out: Clips | None = None
    """The same of items that are not trained on, to see whether the task is learned or the items are memorised."""
    rejected: tuple[MediaError, ...] = ()
    """Files of the source that could not even be looked into, for whoever reports what was left out."""
    decoding: Decoding = field(default_factory=Decoding)
    """What decodes the films, and where their frames come."""
    veil: Callable[[Sampler, Transform | None], tuple[Sampler, Transform | None]] | None = None
    """What takes the signal away for a null test, and has done so here; it goes with the items however they are cut."""

    @staticmethod
    def of(
        items: Sequence[Item],
        sampler: Sampler,
        transform: Transform | None = None,
        *,
        seed: int = 0,
        workers: int = 2,
        damaged: Damaged | None = None,
    ) -> Clips:
        """The clips of those items that the sampler can cut, and of one shape.

        Where pictures, videos and sound would give clips of several shapes, that of most items is kept. `damaged` is
        for the items that cannot be cut so, too; not given, they are left out, and only damaged files stop the run.

        Raises:
            MediaError: the sampler can cut none of the items, or too few to take `sampler.others` from; or, with
                `damaged="stop"`, the first item that it cannot cut.
            ValueError: there are no items.
        """
        if not items:
            raise ValueError("no items to cut clips from: check --data.root and the split")
        reasons = _with_companions(items, _reasons([i.info for i in items], sampler), sampler)
        fit = tuple(i for i, why in zip(items, reasons, strict=True) if not why)
        remedy = _STOPS if damaged == "stop" else _LEFT_OUT
        unfit = tuple(MediaError(i.path, why, remedy) for i, why in zip(items, reasons, strict=True) if why)
        if unfit and damaged == "stop":
            raise unfit[0]
        if len(fit) <= sampler.others:
            example = f"; of the others, the first says: {unfit[0]}" if unfit else ""
            what = f"{len(fit)} of {len(items)} files can be cut as {sampler}"
            raise MediaError(items[0].path.parent, what, f"change the sampler's knobs or the data{example}")
        return Clips(fit, sampler, transform, seed, unfit, workers, damaged=damaged or "stop")

    def __len__(self) -> int:
        return len(self.items)

    @property
    def fingerprint(self) -> str:
        """The same for the same items only: what an epoch visits, and in which order, depends on them."""
        told = ((i.index, i.path.name, i.start, i.info.duration, i.info.frames) for i in self.items)
        return hashlib.sha256(repr(tuple(told)).encode(errors="surrogateescape")).hexdigest()[:16]

    def plan(self, position: int, epoch: int = 0, repeat: int = 0) -> tuple[Plan, tuple[Item, ...]]:
        """Every choice for one example of a visit, and the files it cuts from; no I/O."""
        files, rng = self._drawn(position, epoch, repeat)
        return self.cutter.plan(files, epoch, rng), files

    def example(self, position: int, epoch: int = 0) -> Example:
        """The first example of a visit, decoded; its transform is drawn but not yet applied to the pixels.

        Raises:
            MediaError: a file of the visit is damaged.
        """
        files, rng = self._drawn(position, epoch, 0)
        return self.cutter.visited(Visit(epoch, (files,), (rng,))).examples[0]

    @property
    def cutter(self) -> Cutter:
        """How the examples of every visit are cut."""
        return Cutter(self.sampler, self.transform, self.decoding)

    def visit(self, position: int, epoch: int = 0) -> Visit:
        """One visit of an item, for `cutter` to make `repeats` examples of.

        Positions from `len(self)` on are further visits of the same items in one epoch, with draws of their own.
        """
        again, position = divmod(position, len(self))
        first = again * self.repeats
        drawn = [self._drawn(position, epoch, r) for r in range(first, first + self.repeats)]
        return Visit(epoch, tuple(files for files, _ in drawn), tuple(rng for _, rng in drawn))

    def labels(self, names: Sequence[str], *, most: int = 2000) -> np.ndarray:
        """Labels (n, A) of examples evenly spread over the items, as the first epoch draws them; no I/O.

        Raises:
            ValueError: the sampler gives no label of one of the names, or one for each clip.
        """
        rows = []
        for position in range(0, len(self), -(-len(self) // most)):
            labels = self.plan(position)[0].labels
            if missing := [n for n in names if n not in labels or isinstance(labels[n], tuple)]:
                raise ValueError(f"labels {missing}: the sampler gives {sorted(labels)}; name some of one value each")
            rows.append([labels[n] for n in names])
        return np.array(rows, np.float64)

    def seen_as(self, sampler: Sampler, transform: Transform | None = None) -> Clips:
        """The same items, every one of them, cut in another way: for a pass over all of them while training."""
        if self.veil is not None:
            sampler, transform = self.veil(sampler, transform)
        return replace(self, sampler=sampler, transform=transform, repeats=1, held_out=None)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The stable number of each item (`Example.index`)."""
        return tuple(i.index for i in self.items)

    def _drawn(self, position: int, epoch: int, repeat: int) -> tuple[tuple[Item, ...], Rng]:
        """The files of an example, and the generator for all its further choices."""
        item = self.items[position]
        # the first is the same however many there are
        rng = generator(self.seed, epoch, item.index, *((repeat,) if repeat else ()))
        return (item, *self._others(position, self.sampler.at(epoch).others, rng)), rng

    def _others(self, position: int, count: int, rng: Rng) -> tuple[Item, ...]:
        """Further files, all different: those that share what the sampler says with this one, or else of other groups
        than this one's where there are any.
        """
        if not count:
            return ()
        if self.sampler.together:
            companions = [k for k in self._sharing[self._shared_by(position)] if k != position]
            return tuple(self.items[companions[int(k)]] for k in rng.choice(len(companions), count, replace=False))
        inside = self._inside.get(self.items[position].group)
        elsewhere = 0 if inside is None else len(self.items) - len(inside)
        drawn: list[int] = []
        while len(drawn) < count:
            if inside is not None and elsewhere >= count:
                nth = int(rng.integers(elsewhere))
                other = nth + bisect_right(inside, nth)
            else:
                other = (position + int(rng.integers(1, len(self.items)))) % len(self.items)
            if other not in drawn:
                drawn.append(other)
        return tuple(self.items[i] for i in drawn)

    def _shared_by(self, position: int) -> str:
        return self.items[position].columns.get(self.sampler.together, "")

    @cached_property
    def _sharing(self) -> Mapping[str, Sequence[int]]:
        """The positions of the items by what they share."""
        found: dict[str, list[int]] = {}
        for position in range(len(self.items)):
            found.setdefault(self._shared_by(position), []).append(position)
        return found

    @cached_property
    def _inside(self) -> Mapping[str, Sequence[int]]:
        """For each group: how many items of other groups come before each of its items, which are in order.

        With that, the n-th item outside a group is found without looking at all: it has as many items of the group
        before it as have at most n others before them.
        """
        inside: dict[str, list[int]] = {}
        for position, item in enumerate(self.items):
            if item.group:
                before = inside.setdefault(item.group, [])
                before.append(position - len(before))
        return inside


_Shape = tuple[tuple[int, int], ...]
"""The frames and the sound samples of each clip."""


def _reasons(infos: Sequence[MediaInfo], sampler: Sampler) -> list[str]:
    """Why each file cannot be cut, or not into clips of the shape that most files give; or ''."""
    reasons = [sampler.unfit(i) for i in infos]
    kinds = [(i.is_picture, i.has_video, i.has_sound) for i in infos]
    fit = [(kind, info) for kind, info, why in zip(kinds, infos, reasons, strict=True) if not why]
    examples = dict(fit)
    if len(examples) < 2:  # as a rule: nothing has to be drawn
        return reasons
    shapes = {kind: _shape(info, sampler) for kind, info in examples.items()}
    usual = Counter(shapes[kind] for kind, _ in fit).most_common(1)[0][0]
    odd = {kind: _odd(shape, usual) for kind, shape in shapes.items() if shape != usual}
    return [why or odd.get(kind, "") for kind, why in zip(kinds, reasons, strict=True)]


def _with_companions(items: Sequence[Item], reasons: Sequence[str], sampler: Sampler) -> list[str]:
    """The reasons, and why those items cannot be cut that lack others which share what they must."""
    column, wanted = sampler.together, sampler.others
    if not column or not wanted:
        return list(reasons)
    shared = [item.columns.get(column, "") for item in items]
    fit = Counter(value for value, why in zip(shared, reasons, strict=True) if not why)

    def lonely(value: str) -> str:
        if value and fit[value] > wanted:
            return ""
        has = f"{fit[value] - 1} other files share its {column} {value!r}" if value else f"has no {column!r}"
        return f"{has}, and the sampler cuts from {wanted} that do: name them in the manifest's column {column!r}"

    return [why or lonely(value) for value, why in zip(shared, reasons, strict=True)]


def _shape(info: MediaInfo, sampler: Sampler) -> _Shape:
    """What is cut of a file; any draw, and any file of its kind, gives the same, or nothing would make a batch."""
    plan = sampler.at(0)(replace(info, others=(info,) * sampler.others), generator(0))
    return tuple((len(s.times), s.sound.samples if s.sound else 0) for s in plan.spans)


def _odd(shape: _Shape, usual: _Shape) -> str:
    """Why a file of another shape than most is not cut."""

    def clip(frames: int, samples: int) -> str:
        pictures = [f"{frames} frame{'s' * (frames > 1)}"] if frames else []
        return " and ".join(pictures + ([f"{samples} samples of sound"] if samples else []))

    def words(clips: _Shape) -> str:
        return f"{len(clips)} clip{'s' * (len(clips) > 1)} of " + " or ".join(dict.fromkeys(clip(*c) for c in clips))

    frames = 1 if all(frames for frames, _ in shape + usual) else 0
    return (
        f"would give {words(shape)}, most files here {words(usual)}, and the two make no batch: ask for --frames "
        f"{frames}, which both can give, or leave the file out"
    )
