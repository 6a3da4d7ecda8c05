"""The family of tasks that learn what belongs together over time: features of places, and what is asked of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avssl.core import Clip, Example
from avssl.encoders.base import Encoder
from avssl.tasks.base import Features, Task

__all__ = ["Nodes", "PatchNodes", "PlaceNodes", "Question", "Track", "WalkThereAndBack"]


class Nodes(nn.Module, ABC):
    """Features of the places of each frame: what is looked for again in other frames."""

    @abstractmethod
    def forward(self, encoder: Encoder, clip: Clip) -> Tensor:
        """Nodes (B, T, H', W', D) of a clip."""


class PlaceNodes(Nodes):
    """The places of the encoder's last map, each with `dim` numbers by one linear layer for all.

    One pass over a frame gives all its nodes. As neighbours share what they see, and the border is part of it, the
    encoder must not pad with zeros.
    """

    def __init__(self, wide: int, dim: int) -> None:
        super().__init__()
        self.project = nn.Linear(wide, dim)

    def forward(self, encoder: Encoder, clip: Clip) -> Tensor:
        """Nodes (B, T, H', W', D)."""
        nodes: Tensor = self.project(encoder.last(_frames(clip)).permute(0, 2, 3, 4, 1))
        return nodes


class PatchNodes(Nodes):
    """Patches that were cut of each frame (see `PatchGrid`), each seen by itself, with `dim` numbers by a linear layer.

    A node knows nothing of where its patch was, nor of what is around it: to any encoder it is a picture.
    """

    def __init__(self, wide: int, dim: int, *, grid: int) -> None:
        super().__init__()
        self.project = nn.Linear(wide, dim)
        self.grid = grid

    def forward(self, encoder: Encoder, clip: Clip) -> Tensor:
        """Nodes (B, T, G, G, D) of T · G · G patches."""
        patches = _frames(clip)
        if patches.shape[1] % self.grid**2:
            raise ValueError(f"{patches.shape[1]} patches: cut {self.grid} × {self.grid} of each frame with PatchGrid")
        nodes: Tensor = self.project(encoder(patches.flatten(0, 1).unsqueeze(1)))
        return nodes.view(len(patches), -1, self.grid, self.grid, nodes.shape[1])


def _frames(clip: Clip) -> Tensor:
    if clip.video is None:
        raise ValueError("the clip has no frames to track in: cut some")
    return clip.video


class Question(nn.Module, ABC):
    """What is asked of the nodes of a clip: the rule of a method, with what it knows of the data."""

    @abstractmethod
    def forward(self, nodes: Tensor, batch: Example) -> dict[str, Tensor]:
        """The "loss" of nodes (B, T, H', W', D), and metrics without gradients."""

    def before_epoch(self, epoch: int, everything: Callable[[], Features]) -> None:
        """Called before each epoch, as of a task."""

    def embed(self, batch: Example) -> dict[str, Tensor]:
        """What a pass over all items keeps of each, (B, D) by name."""
        raise ValueError(f"{type(self).__name__} keeps nothing of the items")


class Track(Task):
    """Find places again in other frames, by how alike their features are; nobody says where they went.

    Args:
        encoder: of video.
        nodes: which places there are, and their features.
        question: what is asked of them.
    """

    def __init__(self, encoder: Encoder, nodes: Nodes, *, question: Question) -> None:
        super().__init__()
        self.encoder = encoder
        self.nodes = nodes
        self.question = question

    def encoders(self) -> dict[str, Encoder]:
        """The encoder of video."""
        return {"video": self.encoder}

    def forward(self, batch: Example) -> dict[str, Tensor]:
        """Loss and metrics, from the first clip of each example."""
        nodes = self.nodes(self.encoder, batch.clips[0])
        if nodes.shape[1] < 2:
            raise ValueError(f"{nodes.shape[1]} frame has nothing to find again: give --frames 2 or more")
        with torch.autocast(nodes.device.type, enabled=False):  # likelihoods are multiplied
            answer: dict[str, Tensor] = self.question(nodes.float(), batch)
        return answer

    def before_epoch(self, epoch: int, everything: Callable[[], Features]) -> Sequence[nn.Parameter]:
        """Let the question look at the data."""
        self.question.before_epoch(epoch, everything)
        return ()

    def embed(self, batch: Example) -> dict[str, Tensor]:
        """What the question keeps of each item."""
        return self.question.embed(batch)


class WalkThereAndBack(Question):
    """Who walks from node to alike node through the frames and back must arrive where the walk began.

    Jabri et al., NeurIPS 2020, arXiv:2006.14613, sections 3.1 to 3.3. A step from a node goes to those of the next
    frame with the softmax of cosine / `temperature`, 0.05 there. Walks to every later frame and back are asked for
    alike. While training, a share `dropout` of the edges is not there. Of N nodes that are all alike the loss is ln N.
    """

    def __init__(self, *, temperature: float = 0.05, dropout: float = 0.1) -> None:
        super().__init__()
        if temperature <= 0 or not 0 <= dropout < 1:
            raise ValueError(f"temperature {temperature}, dropout {dropout}: must be > 0, and in [0, 1)")
        self.temperature = temperature
        self.dropout = dropout

    def forward(self, nodes: Tensor, batch: Example) -> dict[str, Tensor]:
        """Loss, and the share of nodes that the longest walk most likely ends at, as it should."""
        x = F.normalize(nodes.flatten(2, 3), dim=-1)
        affinity = x[:, :-1] @ x[:, 1:].transpose(2, 3) / self.temperature
        there, back = (self._steps(a) for a in (affinity, affinity.transpose(2, 3)))
        target = torch.arange(x.shape[2], device=x.device).expand(len(x), -1)
        losses, out, home = [], None, None
        for t in range(there.shape[1]):
            out = there[:, t] if out is None else out @ there[:, t]
            home = back[:, t] if home is None else back[:, t] @ home
            walked = out @ home
            losses.append(F.nll_loss(walked.clamp(min=1e-20).log().transpose(1, 2), target))
        accuracy = (walked.detach().argmax(dim=2) == target).float().mean()
        return {"loss": torch.stack(losses).mean(), "accuracy": accuracy}

    def _steps(self, affinity: Tensor) -> Tensor:
        """Likelihoods (B, T - 1, N, N) of steps, each row of which is 1 in sum."""
        if self.training and self.dropout:
            affinity = affinity.masked_fill(torch.rand_like(affinity) < self.dropout, -1e20)
        return affinity.softmax(dim=3)
