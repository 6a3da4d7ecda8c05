"""Where the candidates of a contrast come from: the batch or a queue of earlier embeddings; `bank` has a third."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from avssl.tasks.policies import Records

__all__ = ["BatchMemory", "Candidates", "InBatch", "Memory", "Negatives", "Queue", "QueueMemory"]


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """What anchors are compared with: embeddings (m, d) of unit length, and what is known of them.

    `own` (m,) says which are compared with anchors of their own example, `others` (m,) which with those of others.
    """

    embeddings: Tensor
    about: Records
    own: Tensor
    others: Tensor

    def only(self, *, own: bool) -> Candidates:
        """The same for anchors of their own example alone, or for those of others alone."""
        none = torch.zeros_like(self.own)
        return replace(self, others=none) if own else replace(self, own=none)

    def __add__(self, more: Candidates) -> Candidates:
        return Candidates(
            embeddings=torch.cat((self.embeddings, more.embeddings.to(self.embeddings))),
            about=self.about.joined(more.about),
            own=torch.cat((self.own, more.own)),
            others=torch.cat((self.others, more.others)),
        )


class Memory(nn.Module, ABC):
    """Gives candidates, and remembers embeddings in buffers, so that a resumed run finds them as they were.

    `views` is how many each example needs at least: two where one is compared with the other.
    """

    views: ClassVar[int] = 2

    @abstractmethod
    def candidates(self, keys: Tensor, about: Records) -> Candidates:
        """The candidates beside a batch, whose embeddings of all ranks are `keys` (n, d)."""

    @abstractmethod
    def push(self, keys: Tensor, about: Records) -> None:
        """Remember the embeddings of a batch, of all ranks."""


class Negatives(ABC):
    """Where the candidates come from, as a choice."""

    @abstractmethod
    def build(self, modalities: Sequence[int]) -> Memory:
        """An empty memory for embeddings of these modalities, as `Records` counts them."""


@dataclass(frozen=True)
class InBatch(Negatives):
    """Candidates are the embeddings of the batch, of all ranks."""

    def build(self, modalities: Sequence[int]) -> BatchMemory:
        """One that remembers nothing."""
        return BatchMemory()


class BatchMemory(Memory):
    """Only the batch; its keys have gradients."""

    def candidates(self, keys: Tensor, about: Records) -> Candidates:
        """The batch."""
        every = torch.ones(len(keys), dtype=torch.bool, device=keys.device)
        return Candidates(embeddings=keys, about=about, own=every, others=every)

    def push(self, keys: Tensor, about: Records) -> None:
        """Nothing is remembered."""


@dataclass(frozen=True)
class Queue(Negatives):
    """Candidates are the clips of the anchor's own example in the batch, and the last `size` embeddings before it.

    MoCo: He et al., CVPR 2020, arXiv:1911.05722, section 3.2. `dim` is the size of the embeddings. `with_batch` adds
    the other examples of the batch as candidates. `labels` names the labels that are kept for the policy. Embeddings of
    the anchor's own example from earlier epochs are ignored. The queue starts empty, and what is not filled is no
    candidate; without `with_batch` the first batch has therefore no negatives and a loss of 0.
    """

    size: int = 4096
    dim: int = 128
    with_batch: bool = False
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 1 or self.dim < 1:
            raise ValueError(f"size {self.size}, dim {self.dim}: both must be ≥ 1")

    def build(self, modalities: Sequence[int]) -> QueueMemory:
        """An empty queue, for all modalities together."""
        return QueueMemory(self)


class QueueMemory(Memory):
    """The entries of a `Queue`."""

    embeddings: Tensor
    about: Tensor
    labels: Tensor
    next: Tensor
    filled: Tensor

    def __init__(self, choice: Queue) -> None:
        super().__init__()
        self.choice = choice
        self.register_buffer("embeddings", torch.zeros(choice.size, choice.dim))
        self.register_buffer("about", torch.zeros(choice.size, 3, dtype=torch.long))  # example, clip, modality
        self.register_buffer("labels", torch.zeros(choice.size, len(choice.labels)))
        self.register_buffer("next", torch.zeros((), dtype=torch.long))
        self.register_buffer("filled", torch.zeros((), dtype=torch.long))

    def candidates(self, keys: Tensor, about: Records) -> Candidates:
        """Those of the batch, without gradients, and the entries."""
        keys = keys.detach()
        every = torch.ones(len(keys), dtype=torch.bool, device=keys.device)
        others = every if self.choice.with_batch else ~every
        batch = Candidates(embeddings=keys, about=about, own=every, others=others)
        return batch + self.entries()

    def entries(self) -> Candidates:
        """What is in the queue; copies, as `push` overwrites."""
        about, labels = self.about.clone(), self.labels.clone()
        records = Records(
            example=about[:, 0],
            clip=about[:, 1],
            modality=about[:, 2],
            labels={name: labels[:, i] for i, name in enumerate(self.choice.labels)},
        )
        used = torch.arange(self.choice.size, device=about.device) < self.filled
        return Candidates(embeddings=self.embeddings.clone(), about=records, own=torch.zeros_like(used), others=used)

    @torch.no_grad()
    def push(self, keys: Tensor, about: Records) -> None:
        """Put embeddings (n, d) in the place of the oldest ones; of more than `size` only the last ones stay.

        Raises:
            ValueError: embeddings of another size than the queue's.
        """
        if keys.shape[1] != self.choice.dim:
            raise ValueError(f"embeddings of size {keys.shape[1]}: the queue has dim={self.choice.dim}; fit them")
        size = self.choice.size
        kept = about.map(lambda column: column[-size:])
        n = len(kept.example)
        places = (self.next + torch.arange(n, device=self.next.device)) % size
        self.embeddings[places] = keys[-size:].to(self.embeddings.dtype)
        self.about[places] = torch.stack((kept.example, kept.clip, kept.modality), dim=1)
        for i, name in enumerate(self.choice.labels):
            self.labels[places, i] = kept.label(name).to(self.labels.dtype)
        self.next.copy_((self.next + n) % size)
        self.filled.copy_((self.filled + n).clamp(max=size))
