"""The family of tasks that tell what the encoder was not shown: colours, holes, patches, later frames, flow, masks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from avssl.core import Example
from avssl.encoders.base import Encoder
from avssl.encoders.decoders import Decoder
from avssl.losses import squared_error
from avssl.tasks.adversary import Adversary
from avssl.tasks.base import Task, grouped

__all__ = ["Measure", "Puzzle", "Restore", "Riddle", "by_squared_error"]


@dataclass(frozen=True, kw_only=True)
class Puzzle:
    """What is shown of a batch, and what is to be told.

    `shown` (B, T, C, H, W) or (B, A, N) goes to the encoder, of which only the patches `keep` (B, L) are seen (None:
    all). `target` is what the answer is compared with, and `weight` how much each of its places counts (None: alike).
    `hint` is what the decoder may look at besides while it is trained, such as the frame before each one that it tells.
    """

    shown: Tensor
    target: Tensor
    weight: Tensor | None = None
    keep: Tensor | None = None
    hint: Tensor | None = None


Riddle: TypeAlias = Callable[[Example], Puzzle]
"""Makes a puzzle of a batch: the rule of a method, without weights of its own."""

Measure: TypeAlias = Callable[[Tensor, Puzzle], dict[str, Tensor]]
"""The "loss" of an answer, and metrics without gradients."""


def by_squared_error(answer: Tensor, puzzle: Puzzle) -> dict[str, Tensor]:
    """The weighted mean of (answer − target)²."""
    return {"loss": squared_error(answer, puzzle.target, puzzle.weight)}


class Restore(Task):
    """Answer a puzzle made of each example, from features of the part that is shown.

    Args:
        encoder: of video or of sound.
        decoder: from the encoder's features to the answer.
        riddle: what is shown and what is to be told.
        measure: the loss; a module may have a state of its own.
        adversary: learns to tell the answers, pictures (B, C, T, H, W), from the targets; None: there is none.
    """

    def __init__(
        self,
        encoder: Encoder,
        decoder: Decoder,
        *,
        riddle: Riddle,
        measure: Measure = by_squared_error,
        adversary: Adversary | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.riddle = riddle
        self.measure = measure
        self.adversary: nn.Module | None = adversary

    def encoders(self) -> dict[str, Encoder]:
        """The encoder, by its modality."""
        return {self.encoder.modality: self.encoder}

    def forward(self, batch: Example) -> dict[str, Tensor]:
        """Loss and metrics."""
        puzzle = self.riddle(batch)
        answer: Tensor = self.decoder(self.encoder, puzzle.shown, keep=puzzle.keep, hint=puzzle.hint)
        found = self.measure(answer, puzzle)
        if self.adversary is None:
            return found
        target, weight = puzzle.target, puzzle.weight
        # what is not asked for is true, so that the judge sees one picture
        made = answer if weight is None else torch.where(weight > 0, answer, target.to(answer.dtype))
        return {**found, **self.adversary(found["loss"], made, target)}

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Groups of encoder and decoder, and those of the adversary."""
        if not isinstance(self.adversary, Adversary):
            return super().parameter_groups()
        theirs = set(self.adversary.parameters())
        return grouped(p for p in self.parameters() if p not in theirs) + self.adversary.parameter_groups()
