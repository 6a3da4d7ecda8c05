"""Where the candidates of a contrast come from: the batch or a queue of earlier embeddings."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from avssl.tasks.policies import Records

__all__ = ["InBatch", "Memory", "Queue"]


@dataclass(frozen=True)
class InBatch:
    """Candidates are the embeddings of the batch, of all ranks."""


@dataclass(frozen=True)
class Queue:
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


class Memory(nn.Module):
    """The entries of a `Queue`; buffers, so that a resumed run finds them as they were."""

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

    def entries(self) -> tuple[Tensor, Records, Tensor]:
        """Embeddings (size, d), their records, and which of them are filled (size,); copies, as `push` overwrites."""
        about, labels = self.about.clone(), self.labels.clone()
        records = Records(
            example=about[:, 0],
            clip=about[:, 1],
            modality=about[:, 2],
            labels={name: labels[:, i] for i, name in enumerate(self.choice.labels)},
        )
        used = torch.arange(self.choice.size, device=about.device) < self.filled
        return self.embeddings.clone(), records, used

    @torch.no_grad()
    def push(self, embeddings: Tensor, records: Records) -> None:
        """Put embeddings (n, d) in the place of the oldest ones; of more than `size` only the last ones stay.

        Raises:
            ValueError: embeddings of another size than the queue's.
        """
        if embeddings.shape[1] != self.choice.dim:
            raise ValueError(f"embeddings of size {embeddings.shape[1]}: the queue has dim={self.choice.dim}; fit them")
        size = self.choice.size
        kept = records.map(lambda column: column[-size:])
        n = len(kept.example)
        places = (self.next + torch.arange(n, device=self.next.device)) % size
        self.embeddings[places] = embeddings[-size:].to(self.embeddings.dtype)
        self.about[places] = torch.stack((kept.example, kept.clip, kept.modality), dim=1)
        for i, name in enumerate(self.choice.labels):
            self.labels[places, i] = kept.label(name).to(self.labels.dtype)
        self.next.copy_((self.next + n) % size)
        self.filled.copy_((self.filled + n).clamp(max=size))
