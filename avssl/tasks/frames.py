"""Frames before and after an instant: the puzzle, and how far an answer lies from the truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from avssl.core import Example
from avssl.tasks.restore import Puzzle

__all__ = ["Continuation", "Part"]

Part: TypeAlias = Literal["reconstruct", "future", "composite"]

FAR = 2
"""Frames ahead that a copy of the last frame resembles whatever moves."""


@dataclass(frozen=True, kw_only=True)
class Continuation:
    """The first `shown` frames of a clip are shown; told are the last `behind` of them, and `ahead` that follow.

    See `telling` for the models of Srivastava et al., ICML 2015, arXiv:1502.04681. With `moving` each frame is told by
    its difference from the mean of those shown, so that the code need not carry what stands still.
    """

    shown: int
    behind: int
    ahead: int
    moving: bool = False

    def __post_init__(self) -> None:
        if not (0 <= self.behind <= self.shown and self.ahead >= 0 and self.behind + self.ahead > 0):
            raise ValueError(
                f"shown {self.shown}, behind {self.behind}, ahead {self.ahead}: must be 0 ≤ behind ≤ shown, ahead ≥ 0, "
                "and one of them > 0"
            )

    @classmethod
    def telling(cls, part: Part, *, shown: int, ahead: int, moving: bool = False) -> Continuation:
        """The autoencoder ("reconstruct"), the predictor ("future") or the composite model, sections 2.2 to 2.4."""
        behind, ahead = 0 if part == "future" else shown, 0 if part == "reconstruct" else ahead
        return cls(shown=shown, behind=behind, ahead=ahead, moving=moving)

    @property
    def frames(self) -> int:
        """T, of the clips."""
        return self.shown + self.ahead

    @property
    def told(self) -> tuple[int, int]:
        """How many frames of those shown, and of those after them, are told."""
        return self.behind, self.ahead

    def puzzle(self, batch: Example) -> Puzzle:
        """The riddle; frames are 0…1, differences −1…1.

        Raises:
            ValueError: clips of another length.
        """
        video = batch.clips[0].video
        if video is None or video.shape[1] != self.frames:
            found = "no frames" if video is None else f"{video.shape[1]} frames"
            raise ValueError(f"a clip of {found}: must have {self.shown} + {self.ahead}; cut {self.frames}")
        frames = video if video.is_floating_point() else video.float() / 255
        shown = frames[:, : self.shown]
        target = frames[:, self.shown - self.behind :] - self._told_anyway(shown)
        return Puzzle(shown=shown, target=target, hint=target)

    def _told_anyway(self, shown: Tensor) -> Tensor:
        """What of each frame is not asked for, (B, 1, C, H, W)."""
        mean = shown.mean(dim=1, keepdim=True)
        return mean if self.moving else torch.zeros_like(mean)

    def measure(self, answer: Tensor, puzzle: Puzzle) -> dict[str, Tensor]:
        """The mean squared error of the frames behind plus that of the frames ahead; each is a metric, too.

        `copied` is the error ahead of who repeats the last frame that was shown, `averaged` of who repeats the mean of
        those shown; `far` and `copied_far` are those of the third frame ahead and later ones.
        """
        errors = _errors(answer, puzzle.target)
        parts = {"behind": errors[:, : self.behind], "ahead": errors[:, self.behind :]}
        found = {name: part.mean() for name, part in parts.items() if part.shape[1]}
        metrics = {name: error.detach() for name, error in found.items()}
        if self.ahead:
            ahead = puzzle.target[:, self.behind :]
            base = self._told_anyway(puzzle.shown)
            copied = _errors(puzzle.shown[:, -1:] - base, ahead)
            metrics["copied"] = copied.mean()
            metrics["averaged"] = _errors(puzzle.shown.mean(dim=1, keepdim=True) - base, ahead).mean()
            if self.ahead > FAR:
                metrics["far"] = parts["ahead"][:, FAR:].mean().detach()
                metrics["copied_far"] = copied[:, FAR:].mean()
        return {"loss": sum(found.values(), start=answer.new_zeros(())), **metrics}


def _errors(answer: Tensor, target: Tensor) -> Tensor:
    """The mean squared error of each frame, (B, T)."""
    return (answer.float() - target.float()).square().flatten(2).mean(dim=2)
