"""Items × sampler × transform: from the number of an item to its decoded example."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from avssl.core import Clip, Example, MediaError, MediaInfo, Plan, Rng, Sampler, Span, generator
from avssl.data.items import Item
from avssl.data.scan import Damaged
from avssl.media import Decoding, open_media, unpacked
from avssl.transforms import Transform

__all__ = ["Clips", "collate"]

_LEFT_OUT = "it is left out: the sampler never loops or swaps files"
_STOPS = "it stops the run, as damaged = stop asks; skip would leave it out"


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
    """Threads that decode ahead of whoever iterates; 0: none."""
    damaged: Damaged = "stop"
    """Whether a file that turns out damaged stops the run, or is named, counted and left out of its batch."""
    held_out: Clips | None = None
    """The same of items that are not trained on, to see whether the task is learned or the items are memorised."""
    rejected: tuple[MediaError, ...] = ()
    """Files of the source that could not even be looked into, for whoever reports what was left out."""
    decoding: Decoding = field(default_factory=Decoding)
    """What decodes the films, and where their frames come."""

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
        reasons = _reasons([i.info for i in items], sampler)
        fit = tuple(i for i, why in zip(items, reasons, strict=True) if not why)
        remedy = _STOPS if damaged == "stop" else _LEFT_OUT
        unfit = tuple(MediaError(i.path, why, remedy) for i, why in zip(items, reasons, strict=True) if why)
        if unfit and damaged == "stop":
            raise unfit[0]
        if len(fit) <= sampler.others:
            example = f"; of the others, the first says: {unfit[0]}" if unfit else ""
            what = f"{len(fit)} of {len(items)} files can be cut as {sampler}"
            raise MediaError(items[0].path.parent, what, f"change the sampler's knobs or the data{example}")
        return Clips(fit, sampler, transform, seed, unfit, workers, damaged or "stop")

    def __len__(self) -> int:
        return len(self.items)

    @property
    def fingerprint(self) -> str:
        """The same for the same items only: what an epoch visits, and in which order, depends on them."""
        told = ((i.index, i.path.name, i.start, i.info.duration, i.info.frames) for i in self.items)
        return hashlib.sha256(repr(tuple(told)).encode(errors="surrogateescape")).hexdigest()[:16]

    def plan(self, position: int, epoch: int = 0) -> tuple[Plan, tuple[Item, ...]]:
        """Every choice for one visit of an item, and the files it cuts from; no I/O."""
        item = self.items[position]
        rng = generator(self.seed, epoch, item.index)
        sampler = self.sampler.at(epoch)
        others = self._others(position, sampler.others, rng)
        info = replace(item.info, others=tuple(o.info for o in others))
        plan = sampler(info, rng)
        if self.transform is not None:
            plan = self.transform.draw(plan, info, rng)
        return plan, (item, *others)

    def example(self, position: int, epoch: int = 0) -> Example:
        """One visit of an item, decoded; its transform is drawn but not yet applied to the pixels.

        Raises:
            MediaError: a file of the visit is damaged.
        """
        plan, files = self.plan(position, epoch)
        starts = [f.start for f in files]
        clips = _read([s.shifted(starts) for s in plan.spans], files, self.decoding)
        index = torch.tensor(files[0].index)
        return Example(clips=clips, labels=_labels(plan), parameters=_parameters(plan), index=index)

    def _others(self, position: int, count: int, rng: Rng) -> tuple[Item, ...]:
        """Further files, all different, of other groups than this one's where there are any."""
        own = self.items[position]
        elsewhere = self._positions_outside(own.group) if own.group else None
        drawn: list[int] = []
        while len(drawn) < count:
            if elsewhere is not None and len(elsewhere) >= count:
                other = int(elsewhere[rng.integers(len(elsewhere))])
            else:
                other = (position + int(rng.integers(1, len(self.items)))) % len(self.items)
            if other not in drawn:
                drawn.append(other)
        return tuple(self.items[i] for i in drawn)

    def _positions_outside(self, group: str) -> np.ndarray:
        groups: np.ndarray | None = self.__dict__.get("_groups")
        if groups is None:  # made once: an epoch asks for it as often as there are items
            groups = np.array([i.group for i in self.items])
            object.__setattr__(self, "_groups", groups)
        return np.flatnonzero(groups != group)


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


def _read(spans: Sequence[Span], files: Sequence[Item], decoding: Decoding) -> tuple[Clip, ...]:
    """Each file of the visit is opened once, and gives all that is wanted of it in one pass."""
    wanted: dict[int, list[tuple[int, Span]]] = {}
    for s, span in enumerate(spans):
        pictures, sounds = span.files
        if pictures == sounds or span.sound is None or not span.times:
            wanted.setdefault(pictures if span.times else sounds, []).append((s, span))
        else:  # the sound lies in another file than the frames
            wanted.setdefault(pictures, []).append((s, replace(span, sound=None)))
            wanted.setdefault(sounds, []).append((s, replace(span, times=(), boxes=())))
    parts: list[dict[str, Tensor | None]] = [{} for _ in spans]
    for k, jobs in wanted.items():
        told = files[k].table
        table = None if told is None else unpacked(told)
        with open_media(files[k].path, table, backend=decoding.backend_for(table), device=decoding.device) as media:
            for (s, _), clip in zip(jobs, media.read([span for _, span in jobs]), strict=True):
                if clip.video is not None:
                    parts[s] |= {"video": clip.video, "times": clip.times}
                if clip.audio is not None:
                    parts[s] |= {"audio": clip.audio, "valid": clip.valid}
    return tuple(Clip(**p) for p in parts)


def _labels(plan: Plan) -> dict[str, Tensor]:
    return {k: torch.tensor(v) for k, v in plan.labels.items()}


def _parameters(plan: Plan) -> dict[str, Tensor]:
    def tensor(x: np.ndarray) -> Tensor:
        return torch.from_numpy(x.astype(np.float32) if x.dtype == np.float64 else x.copy())

    return {k: tensor(v) for k, v in plan.parameters.items()}


def collate(examples: Sequence[Example]) -> Example:
    """A batch of examples: the same thing with a leading B.

    Raises:
        ValueError: the clips of the examples differ in shape; the message names shapes and remedy.
    """
    first = examples[0]

    def clip(s: int) -> Clip:
        clips = [e.clips[s] for e in examples]
        return Clip(
            video=_stack(f"video of clip {s}", [c.video for c in clips]),
            audio=_stack(f"audio of clip {s}", [c.audio for c in clips]),
            times=_stack(f"times of clip {s}", [c.times for c in clips]),
            valid=_stack(f"valid of clip {s}", [c.valid for c in clips]),
        )

    def stack_all(name: str, tensors: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        stacked = {k: _stack(f"{name} {k!r}", [t[k] for t in tensors]) for k in tensors[0]}
        return {k: v for k, v in stacked.items() if v is not None}

    return Example(
        clips=tuple(clip(s) for s in range(len(first.clips))),
        labels=stack_all("label", [e.labels for e in examples]),
        parameters=stack_all("parameter", [e.parameters for e in examples]),
        index=torch.stack([e.index for e in examples]),
    )


def _stack(what: str, tensors: Sequence[Tensor | None]) -> Tensor | None:
    there = [t for t in tensors if t is not None]
    if not there:
        return None
    shapes = {tuple(t.shape) for t in there}
    if len(there) < len(tensors) or len(shapes) > 1:
        missing = ", and some examples have none" if len(there) < len(tensors) else ""
        raise ValueError(
            f"{what}: examples of shapes {sorted(shapes)}{missing} do not make one batch; give the transform a crop "
            "of fixed size, and the data set files of one kind"
        )
    return torch.stack(there)
