"""Small tasks that restore, for the tests that run them on one rank and on two."""

from __future__ import annotations

import torch

from avssl.core import Example
from avssl.encoders import Judge, UpDecoder, tiny_resnet
from avssl.tasks import (
    Adversary,
    Colouring,
    Inpainting,
    Measure,
    Puzzle,
    Rebalanced,
    Restore,
    Riddle,
    by_inpainting,
    by_motion,
)

DENSE = ("holes", "rebalanced", "motion")


def by_light(batch: Example) -> Puzzle:
    """Asks where a picture is light, which the ranks see in unequal parts."""
    video = batch.clips[0].video
    assert video is not None
    return Puzzle(shown=video, target=(video[:, :, 0, ::4, ::4] > 0.7).long())


def dense_task(name: str) -> Restore:
    encoder = tiny_resnet(width=8, norm="group")

    def restore(
        answers: int, side: int, riddle: Riddle, measure: Measure, adversary: Adversary | None = None
    ) -> Restore:
        decoder = UpDecoder(encoder, answers, shown=(1, 16, 16), size=(side, side), width=16)
        return Restore(encoder, decoder, riddle=riddle, measure=measure, adversary=adversary)

    if name == "holes":
        return restore(3, 8, Inpainting(overlap=1), by_inpainting, Adversary(Judge(size=(8, 8), width=8), weight=0.1))
    if name == "rebalanced":
        return restore(76, 4, Colouring(spacing=20), Rebalanced(76))
    return restore(2, 4, by_light, by_motion)


def holes(count: int) -> dict[str, torch.Tensor]:
    """A hole in the middle of each of two clips of so many examples."""
    return {"holes.boxes": torch.tensor([0.25, 0.25, 0.5, 0.5]).expand(count, 2, 1, 4)}
