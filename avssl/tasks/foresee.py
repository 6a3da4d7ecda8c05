"""The family of tasks that predict features of what is hidden, or still to come, from features of the rest."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avssl.core import Example
from avssl.encoders.base import Encoder
from avssl.losses import absolute_error, gathered, own_rows, products
from avssl.tasks.base import Task
from avssl.tasks.target import Momentum, SlowCopy

__all__ = ["Contest", "Foresee", "Foreseen", "Predictor", "among_all", "by_absolute_error"]


@dataclass(frozen=True, kw_only=True)
class Foreseen:
    """Guesses `guess` (B, P, D) about places of each example, whose true features are `truth` (B, Q, D).

    `place` (P,) tells which of the Q places each guess is about; None: each about its own, P = Q. `copied` (B, P, D)
    are features that were seen, of the nearest place: the guess of who thinks that nothing changes. `seen` (P,) tells
    which of the Q places they are of; None: of none, as it is hidden ones alone that are among the Q.
    """

    guess: Tensor
    truth: Tensor
    copied: Tensor | None = None
    place: Tensor | None = None
    seen: Tensor | None = None


class Predictor(nn.Module, ABC):
    """Guesses features from those of what is seen."""

    @abstractmethod
    def forward(self, encoder: Encoder, aim: Encoder, batch: Example) -> Foreseen:
        """The guesses from features of `encoder`, and the truth by `aim`: the same encoder, or its slow copy."""


Contest: TypeAlias = Callable[[Foreseen], dict[str, Tensor]]
"""The "loss" of guesses, and metrics without gradients."""


def among_all(foreseen: Foreseen) -> dict[str, Tensor]:
    """InfoNCE of each guess: which of the true features of all places of all examples, of all ranks, is its own?

    The score is the plain product, without a temperature or lengths of one. Negatives are the other places of the same
    picture or instant, the same place at other instants, and all places of other examples: van den Oord et al., 2018,
    arXiv:1807.03748, eq. 4; Han et al., ICCV workshop 2019, arXiv:1909.04656, eq. 5. Metrics: `accuracy`, the share of
    guesses whose highest score is their own truth's, and `copied`, the share of copies whose nearest truth is, other
    than that of the place they are copied from.
    """
    guess, truth = foreseen.guess.float(), foreseen.truth.float()
    examples, places, _ = truth.shape
    place = torch.arange(places, device=truth.device) if foreseen.place is None else foreseen.place
    candidates = gathered(truth).flatten(0, 1)
    first = own_rows(examples, device=truth.device)[:, None] * places
    right = (first + place).flatten()
    scores = products(guess.flatten(0, 1), candidates)
    metrics = {"accuracy": (scores.detach().argmax(dim=1) == right).float().mean()}
    if foreseen.copied is not None:
        distance = torch.cdist(foreseen.copied.detach().float().flatten(0, 1), candidates.detach())
        if foreseen.seen is not None:
            distance.scatter_(1, (first + foreseen.seen).view(-1, 1), torch.inf)
        metrics["copied"] = (distance.argmin(dim=1) == right).float().mean()
    return {"loss": F.cross_entropy(scores, right), **metrics}


def by_absolute_error(foreseen: Foreseen) -> dict[str, Tensor]:
    """The mean of |guess − truth|; beside it `copy_error`, the same of who copies what was seen."""
    truth = foreseen.truth if foreseen.place is None else foreseen.truth[:, foreseen.place]
    found = {"loss": absolute_error(foreseen.guess, truth)}
    if foreseen.copied is not None:
        found["copy_error"] = absolute_error(foreseen.copied, truth).detach()
    return found


class Foresee(Task):
    """Predict features; with `target` those of a slow copy, without gradients.

    Args:
        encoder: of video or of sound.
        predictor: what is guessed from what.
        contest: the loss.
        target: a slow copy that tells the truth, or None: the encoder itself.
    """

    def __init__(
        self, encoder: Encoder, predictor: Predictor, *, contest: Contest, target: Momentum | None = None
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.predictor = predictor
        self.contest = contest
        self.slow: nn.Module | None = None if target is None else SlowCopy(encoder, target)

    def encoders(self) -> dict[str, Encoder]:
        """The encoder, by its modality."""
        return {self.encoder.modality: self.encoder}

    def before_training(self) -> None:
        """The slow copy starts as the encoder does."""
        if isinstance(self.slow, SlowCopy):
            self.slow.begin(self.encoder)

    def forward(self, batch: Example) -> dict[str, Tensor]:
        """Loss and metrics; `spread` is how far the true features lie apart: 0 where they have collapsed."""
        aim = self.slow.copy if isinstance(self.slow, SlowCopy) else self.encoder
        assert isinstance(aim, Encoder)
        foreseen: Foreseen = self.predictor(self.encoder, aim, batch)
        with torch.no_grad():
            spread = foreseen.truth.float().flatten(0, -2).std(dim=0, correction=0).square().sum().sqrt()
        return {**self.contest(foreseen), "spread": spread}

    def after_step(self, progress: float) -> None:
        """Let the slow copy follow."""
        if isinstance(self.slow, SlowCopy):
            self.slow.follow(self.encoder, progress)
