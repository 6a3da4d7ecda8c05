"""The family of tasks that tell numbers known by construction: the warp between two views, the motion of the camera."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from avssl.core import Example
from avssl.encoders.base import Encoder
from avssl.encoders.heads import Head
from avssl.losses import Regression
from avssl.tasks.base import Task, encoded

__all__ = ["Drawn", "Labelled", "Numbers", "Regress"]


class Numbers(ABC):
    """Which numbers of a batch are to be told."""

    @property
    def names(self) -> tuple[str, ...]:
        """A name for each, for the metrics; none: only their mean is told."""
        return ()

    @abstractmethod
    def __call__(self, batch: Example, /) -> Tensor:
        """The numbers (B, A)."""


@dataclass(frozen=True)
class Labelled(Numbers):
    """Labels of the examples, by name."""

    labels: tuple[str, ...]
    """A names."""

    @property
    def names(self) -> tuple[str, ...]:
        """Those of the labels."""
        return self.labels

    def __call__(self, batch: Example, /) -> Tensor:
        """The numbers (B, A)."""
        if missing := [name for name in self.labels if name not in batch.labels]:
            raise ValueError(
                f"labels {missing}: the batch has {sorted(batch.labels)}; name some that the sampler gives"
            )
        columns = [batch.labels[name] for name in self.labels]
        if any(c.ndim != 1 for c in columns):
            raise ValueError(f"labels {self.labels}: must say something of the example, not of each of its clips")
        return torch.stack([c.float() for c in columns], dim=1)


@dataclass(frozen=True)
class Drawn(Numbers):
    """What a transform has drawn for one of the clips."""

    parameter: str
    """Under which it is recorded, such as "projective_warp.numbers"."""
    clip: int = 1
    """Which of the clips, counted from 0."""

    def __call__(self, batch: Example, /) -> Tensor:
        """The numbers (B, A)."""
        if self.parameter not in batch.parameters:
            known = sorted(batch.parameters)
            raise ValueError(f"parameter {self.parameter!r}: the batch has {known}; name one that a transform draws")
        return batch.parameters[self.parameter][:, self.clip].flatten(1)


class Regress(Task):
    """Tell the numbers that `target` picks of a batch, from all clips of an example.

    The criterion says how an answer is measured: by its squared error (`Standardised`), or by the bin that each number
    lies in (`Bins`). Metrics: what the criterion scores, as the mean over all numbers and, where they have names, for
    each. AET: Zhang et al., CVPR 2019, arXiv:1901.04596; ego-motion: Agrawal et al., ICCV 2015, arXiv:1505.01596.

    Args:
        encoder: of video, or of sound for tasks on sound alone.
        head: from the features of all clips to the criterion's `outputs`, (B, outputs).
        target: which numbers.
        criterion: how an answer is measured.
    """

    def __init__(self, encoder: Encoder, head: Head, *, target: Numbers, criterion: Regression) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.target = target
        self.criterion = criterion

    def encoders(self) -> dict[str, Encoder]:
        """The encoder by its modality."""
        return {self.encoder.modality: self.encoder}

    def forward(self, batch: Example) -> dict[str, Tensor]:
        """Loss and scores."""
        over = {"over_time": self.head.over_time, "over_places": self.head.over_places}
        answer: Tensor = self.head(encoded(self.encoder, batch.clips, **over))
        target = self.target(batch)
        told: dict[str, Tensor] = {"loss": self.criterion(answer, target)}
        for score, values in self.criterion.scores(answer.detach(), target).items():
            told[score] = values.mean()
            told |= {f"{score} {name}": value for name, value in zip(self.target.names, values, strict=False)}
        return told
