"""The family of tasks that make the views of an example agree, with nothing that pushes examples apart."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import Any

import torch
from torch import Tensor, nn

from avssl.core import Clip, Example
from avssl.encoders.base import Encoder
from avssl.losses import Agreement, negative_cosine, spread
from avssl.tasks.base import Task, encoded, grouped
from avssl.tasks.target import Momentum, SlowCopy

__all__ = ["Agree"]


class _Embedder(nn.Module):
    """An encoder with its projector: S clips of a batch → (B, S, d)."""

    def __init__(self, encoder: Encoder, projector: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.projector = projector

    def forward(self, clips: Sequence[Clip]) -> Tensor:
        z: Tensor = self.projector(encoded(self.encoder, clips))
        return z


class Agree(Task):
    """From the embedding of each view of an example (S ≥ 2), answer those of its other views.

    The loss is the mean over all ordered pairs of views; with S > 2 that is ρ-BYOL's (Feichtenhofer et al., CVPR 2021,
    arXiv:2104.14558, ρ = S). Nothing in the loss keeps examples apart: that they do not all fall on one point is the
    work of predictor, stop-gradient and batch normalisation in their heads together, or of the slow copy. All views
    pass a batch normalisation together, of their own process; over several CUDA devices, where training synchronises
    it, of all. Metrics: spread of the embeddings that are answered: near 1 where they are healthy, and falling to 0
    where they collapse.

    SimSiam (Chen and He, CVPR 2021, arXiv:2011.10566) is the default. BYOL (Grill et al., NeurIPS 2020,
    arXiv:2006.07733): `criterion=unit_distance`, `target=Momentum(0.996, final=1.0)`.

    Args:
        encoder: of video or of sound.
        projector: from features to embeddings.
        predictor: from embeddings to answers.
        criterion: the loss of a pair.
        target: a slow copy whose embeddings are answered, or None: the networks' own are.
        stop_gradient: whether what is answered is taken as given; without it the networks can please themselves, and
            collapse. A slow copy is always taken as given.
        steady_predictor: whether the predictor's learning rate stays as it is while others follow the schedule.
    """

    def __init__(
        self,
        encoder: Encoder,
        projector: nn.Module,
        predictor: nn.Module,
        *,
        criterion: Agreement = negative_cosine,
        target: Momentum | None = None,
        stop_gradient: bool = True,
        steady_predictor: bool = False,
    ) -> None:
        super().__init__()
        if target is not None and not stop_gradient:
            raise ValueError("stop_gradient False with a slow copy, which never has gradients: leave one of them out")
        self.online = _Embedder(encoder, projector)
        self.predictor = predictor
        self.criterion = criterion
        self.stop_gradient = stop_gradient
        self.steady_predictor = steady_predictor
        self.slow: nn.Module | None = None if target is None else SlowCopy(self.online, target)

    def encoders(self) -> dict[str, Encoder]:
        """The encoder by its modality, without the slow copy."""
        return {self.online.encoder.modality: self.online.encoder}

    def before_training(self) -> None:
        """The slow copy starts as the networks do."""
        if isinstance(self.slow, SlowCopy):
            self.slow.begin(self.online)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The networks, and the predictor apart."""
        own = {"constant_rate": True} if self.steady_predictor else {}
        return grouped(self.online.parameters()) + grouped(self.predictor.parameters(), own)

    def forward(self, batch: Example) -> dict[str, Tensor]:
        """Loss and spread.

        Raises:
            ValueError: there is one view of each example only.
        """
        z: Tensor = self.online(batch.clips)
        if z.shape[1] < 2:
            raise ValueError("one view of each example: there is nothing to agree with; let the sampler cut two clips")
        answers: Tensor = self.predictor(z)
        targets: Tensor = z if self.slow is None else self.slow(batch.clips)
        if self.stop_gradient:
            targets = targets.detach()
        pairs = permutations(range(z.shape[1]), 2)
        loss = torch.stack([self.criterion(answers[:, i], targets[:, j]) for i, j in pairs]).mean()
        return {"loss": loss, "spread": spread(targets.flatten(0, 1))}

    def after_step(self, progress: float) -> None:
        """Let the slow copy follow."""
        if isinstance(self.slow, SlowCopy):
            self.slow.follow(self.online, progress)
