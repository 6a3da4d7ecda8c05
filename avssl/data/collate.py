"""Batches of examples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from avssl.core import Clip, Example

__all__ = ["by_shape", "collate"]


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


def by_shape(examples: Iterable[Example], *, batch_size: int) -> Iterator[Example]:
    """Batches of examples that are alike in shape, for those that a transform has not cropped to one.

    A batch comes as soon as `batch_size` of its shape have; at the end the smaller ones come, those first whose first
    example did. Up to `batch_size` − 1 examples of every shape are kept waiting. `Example.index` tells which they are.

    Raises:
        ValueError: `batch_size` is not positive.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size {batch_size} must be > 0")
    waiting: dict[tuple[object, ...], list[Example]] = {}
    for example in examples:
        shape = tuple(
            None if t is None else tuple(t.shape) for c in example.clips for t in (c.video, c.audio, c.times, c.valid)
        )
        alike = waiting.setdefault(shape, [])
        alike.append(example)
        if len(alike) == batch_size:
            yield collate(waiting.pop(shape))
    for alike in waiting.values():
        yield collate(alike)
