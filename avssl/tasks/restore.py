"""The family of tasks that tell what the encoder was not shown: colours, holes, patches, later frames, flow, masks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor

from avssl.core import Example
from avssl.encoders.base import Encoder
from avssl.encoders.decoders import Decoder
from avssl.losses import squared_error
from avssl.tasks.base import Task

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
        measure: the loss.
    """

    def __init__(
        self,
        encoder: Encoder,
        decoder: Decoder,
        *,
        riddle: Riddle,
        measure: Measure = by_squared_error,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.riddle = riddle
        self.measure = measure

    def encoders(self) -> dict[str, Encoder]:
        """The encoder, by its modality."""
        return {self.encoder.modality: self.encoder}

    def forward(self, batch: Example) -> dict[str, Tensor]:
        """Loss and metrics."""
        puzzle = self.riddle(batch)
        answer: Tensor = self.decoder(self.encoder, puzzle.shown, keep=puzzle.keep, hint=puzzle.hint)
        return self.measure(answer, puzzle)
