"""What every task is: a module from a batch to a loss, and the hooks that training calls."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from avssl.core import Clip, Example, Rng
from avssl.encoders.base import Encoder

__all__ = ["Features", "Task", "encoded", "grouped"]


@dataclass(frozen=True, kw_only=True)
class Features:
    """What a pass over all items kept of them: `vectors` (M, D) float32 by name, `index` (M,) the items' numbers.

    They lie on the CPU, in the order of the numbers, and are the same on all ranks. Damaged files are not among them.
    """

    index: Tensor
    vectors: Mapping[str, Tensor]


class Task(nn.Module, ABC):
    """Encoder(s), head and loss of a pretext task.

    Training calls `forward` and nothing else on the parameters' way to the loss, so a task can be wrapped by DDP.
    """

    @abstractmethod
    def forward(self, batch: Example) -> dict[str, Tensor]:
        """The scalar "loss", and scalar metrics without gradients."""

    @abstractmethod
    def encoders(self) -> dict[str, Encoder]:
        """What is kept and evaluated, by modality: "video" and/or "sound"."""

    def before_training(self) -> None:
        """Called once before the first step, after the encoders may have been given weights from elsewhere."""

    def after_step(self, progress: float) -> None:
        """Called after each step of the optimiser; `progress` is the share of training done, 0…1."""

    def before_epoch(self, epoch: int, everything: Callable[[], Features]) -> Sequence[nn.Parameter]:
        """Called before the first step of each epoch; the parameters that it has drawn anew.

        `everything()` passes over all items (see `embed`), on all ranks together. The optimisers forget what they knew
        of the parameters in the answer. What else it decides must lie in buffers, so that a run can resume mid-epoch.
        """
        return ()

    def embed(self, batch: Example) -> dict[str, Tensor]:
        """What a pass over all items keeps of each, (B, D) by name: the encoders' features, averaged over clips."""
        return {name: encoded(encoder, batch.clips).mean(dim=1) for name, encoder in self.encoders().items()}

    def order(self, numbers: Sequence[int], rng: Rng) -> Sequence[int] | None:
        """The positions in `numbers` (of the items) that an epoch visits, as many as there are; None: each once."""
        return None

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Groups for the optimisers: see `grouped`.

        A group may say "lr_scale", a factor; "constant_rate", whether it leaves the schedule out; "optimizer", another
        than the user's for these parameters; and any of its settings, such as "betas".
        """
        return grouped(self.parameters())


def grouped(parameters: Iterable[nn.Parameter], settings: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """Groups with the same settings: weights, with the weight decay; biases and normalisations, without.

    He et al., CVPR 2019, arXiv:1812.01187, section 3.1.
    """
    trained = [p for p in parameters if p.requires_grad]
    weights = [p for p in trained if p.ndim > 1]
    others = [p for p in trained if p.ndim <= 1]
    more = dict(settings or {})
    groups: list[dict[str, Any]] = [{"params": weights, **more}, {"params": others, **more, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def encoded(encoder: Encoder, clips: Sequence[Clip], *, over_time: bool = False, over_places: bool = False) -> Tensor:
    """Features of S clips of a batch, (B, S, D); with `over_time` their sequences (B, S, L, D), and with `over_places`
    their maps, (B, S, D, T', H', W') of video and (B, S, D, L, F) of sound.

    Clips of one shape pass the encoder together, so that batch normalisation sees them all. S counts the clips that
    have what the encoder takes: an example may have its frames once and several sounds.

    Raises:
        ValueError: no clip has what the encoder takes, or sequences or maps differ in size.
    """
    media = [clip.video if encoder.modality == "video" else clip.audio for clip in clips]
    tensors = [x for x in media if x is not None]
    if not tensors:
        raise ValueError(f"none of the {len(clips)} clips has {encoder.modality}, which the encoder takes: cut it")
    run = encoder.last if over_places else encoder.sequence if over_time else encoder
    if len({x.shape for x in tensors}) == 1:
        x = torch.stack(tensors, dim=1).flatten(0, 1) if len(tensors) > 1 else tensors[0]
        return torch.unflatten(run(x), 0, (-1, len(tensors)))
    features = [run(x) for x in tensors]
    if len({y.shape for y in features}) > 1:
        raise ValueError(f"features of {[tuple(y.shape) for y in features]}: must be alike; cut clips of one length")
    return torch.stack(features, dim=1)
