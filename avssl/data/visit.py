"""One visit of an item: its files, what is cut of them, and how long that took; all that another process needs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from avssl.core import Clip, Example, Plan, Rng, Sampler, Span
from avssl.data.items import Item
from avssl.media import Decoding, Media, Spent, open_media, unpacked
from avssl.transforms import Transform

__all__ = ["Cutter", "Visit", "Visited"]


@dataclass(frozen=True)
class Visit:
    """What to make examples of: for each of them the item with the further files that it cuts from, and a generator.

    The generators are used up by the visit, which can therefore be made once.
    """

    epoch: int
    files: tuple[tuple[Item, ...], ...]
    rngs: tuple[Rng, ...]

    def __str__(self) -> str:
        return ", ".join(dict.fromkeys(str(f.path) for f in chain.from_iterable(self.files)))


@dataclass(frozen=True)
class Visited:
    """The examples of a visit, and where its time went."""

    examples: tuple[Example, ...]
    spent: Spent


@dataclass(frozen=True)
class Cutter:
    """How examples are cut: the same for every visit."""

    sampler: Sampler
    transform: Transform | None = None
    decoding: Decoding = field(default_factory=Decoding)

    def plan(self, files: Sequence[Item], epoch: int, rng: Rng) -> Plan:
        """Every choice for one example; no I/O."""
        item, *others = files
        info = replace(item.info, others=tuple(o.info for o in others))
        plan = self.sampler.at(epoch)(info, rng)
        return plan if self.transform is None else self.transform.at(epoch).draw(plan, info, rng)

    def visited(self, visit: Visit) -> Visited:
        """The decoded examples of a visit; each file is opened once, and gives all that is wanted of it in one pass.

        Raises:
            MediaError: a file of the visit is damaged.
        """
        spent = Spent()
        since = time.perf_counter()
        plans = [self.plan(f, visit.epoch, rng) for f, rng in zip(visit.files, visit.rngs, strict=True)]
        files = tuple({f.index: f for f in chain.from_iterable(visit.files)}.values())
        where = {f.index: k for k, f in enumerate(files)}
        spans = [
            _placed(span, [f.start for f in own], [where[f.index] for f in own])
            for plan, own in zip(plans, visit.files, strict=True)
            for span in plan.spans
        ]
        clips = iter(_read(spans, files, self.decoding, spent))
        index = torch.tensor(files[0].index)
        examples = tuple(
            Example(
                clips=tuple(next(clips) for _ in plan.spans),
                labels={k: torch.tensor(v) for k, v in plan.labels.items()},
                parameters=_parameters(plan),
                index=index,
            )
            for plan in plans
        )
        spent.other += time.perf_counter() - since - spent.total
        return Visited(examples, spent)


def _placed(span: Span, starts: Sequence[float], where: Sequence[int]) -> Span:
    """The span on the clocks of whole files, which are numbered anew."""
    pictures, sounds = span.files
    return replace(span.shifted(starts), file=where[pictures], sound_file=where[sounds])


def _read(spans: Sequence[Span], files: Sequence[Item], decoding: Decoding, spent: Spent) -> tuple[Clip, ...]:
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
        with _opened(files[k], decoding, spent) as media:
            for (s, _), clip in zip(jobs, media.read([span for _, span in jobs]), strict=True):
                if clip.video is not None:
                    parts[s] |= {"video": clip.video, "times": clip.times}
                if clip.audio is not None:
                    parts[s] |= {"audio": clip.audio, "valid": clip.valid}
    return tuple(Clip(**p) for p in parts)


@contextmanager
def _opened(item: Item, decoding: Decoding, spent: Spent) -> Iterator[Media]:
    since = time.perf_counter()
    table = None if item.table is None else unpacked(item.table)
    with open_media(item.path, table, backend=decoding.backend_for(table), device=decoding.device) as media:
        if item.info.is_picture:  # which is decoded when it is opened
            spent.decode += time.perf_counter() - since
        yield media
    spent.add(media.spent)


def _parameters(plan: Plan) -> Mapping[str, Tensor]:
    def tensor(x: np.ndarray) -> Tensor:
        return torch.from_numpy(x.astype(np.float32) if x.dtype == np.float64 else x.copy())

    return {k: tensor(v) for k, v in plan.parameters.items()}
