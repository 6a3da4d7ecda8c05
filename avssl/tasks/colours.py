"""Copying colours: what is asked of features that saw no colour."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from avssl.core import Example
from avssl.losses.gather import from_first_rank, is_first_rank
from avssl.losses.lab import nearest, rgb_to_lab
from avssl.tasks.base import Features
from avssl.tasks.clustering import KMeans, k_means
from avssl.tasks.track import Question

__all__ = ["CopyColours"]

SEEN = 8
"""Places along each side of a frame whose colours are looked at to find the clusters."""


class CopyColours(Question):
    """Each place of the last frame copies its colour from the places of the frames before that are most like it.

    Vondrick et al., ECCV 2018, arXiv:1806.09594, section 3: colours are `clusters` of a* and b*, found over all items
    before the first epoch (16 there), a place takes the mean of the reference frames' with the softmax of the inner
    products, and the loss is the cross-entropy of the cluster that it has. Colours are those of the example's last
    clip; the encoder must see grey (`colour=False`). Metrics: accuracy, and that of copying the same place.
    """

    centres: Tensor

    def __init__(self, *, clusters: int = 16, temperature: float = 1.0) -> None:
        super().__init__()
        if clusters < 2 or temperature <= 0:
            raise ValueError(f"clusters {clusters}, temperature {temperature}: must be ≥ 2 and > 0")
        self.temperature = temperature
        # spread over the plane until the data have been looked at
        angle = torch.arange(clusters) * torch.pi * (3 - 5**0.5)
        radius = 60 * (torch.arange(clusters) / clusters).sqrt()
        self.register_buffer("centres", torch.stack((radius * angle.cos(), radius * angle.sin()), dim=1))

    def forward(self, nodes: Tensor, batch: Example) -> dict[str, Tensor]:
        """Loss and metrics."""
        size, classes = nodes.shape[2:4], len(self.centres)
        colours = self._colours(batch, (size[0], size[1]))
        if colours.shape[1] != nodes.shape[1]:
            raise ValueError(
                f"colours of {colours.shape[1]} frames for nodes of {nodes.shape[1]}: take an encoder that sees frames "
                "one by one"
            )
        known, target = colours[:, :-1].flatten(1), colours[:, -1].flatten(1)
        seen, asked = nodes[:, :-1].flatten(1, 3), nodes[:, -1].flatten(1, 2)
        likely = (asked @ seen.transpose(1, 2) / self.temperature).softmax(dim=2)
        found = likely @ F.one_hot(known, classes).to(likely)
        loss = F.nll_loss(found.clamp(min=1e-20).log().transpose(1, 2), target)
        accuracy = (found.detach().argmax(dim=2) == target).float().mean()
        copied = (colours[:, -2] == colours[:, -1]).float().mean()
        return {"loss": loss, "accuracy": accuracy, "copied": copied}

    def before_epoch(self, epoch: int, everything: Callable[[], Features]) -> None:
        """Find the clusters, once."""
        if epoch > 0:
            return
        ab = everything().vectors["colours"].reshape(-1, 2).numpy()
        seed = int(torch.randint(2**31, ()))
        if is_first_rank():
            found, _ = k_means(ab, KMeans(clusters=len(self.centres), iterations=100), seed)
            self.centres.copy_(torch.from_numpy(found))
        self.centres.copy_(from_first_rank(self.centres))

    def embed(self, batch: Example) -> dict[str, Tensor]:
        """Colours of 8 × 8 places of the first frame, (B, 128)."""
        return {"colours": self._ab(batch, (SEEN, SEEN))[:, 0].movedim(1, -1).flatten(1)}

    def _colours(self, batch: Example, size: tuple[int, int]) -> Tensor:
        """The cluster of each place, (B, T, H', W')."""
        return nearest(self._ab(batch, size), self.centres)

    def _ab(self, batch: Example, size: tuple[int, int]) -> Tensor:
        """Mean a* and b* of each place, (B, T, 2, H', W')."""
        video = batch.clips[-1].video
        if video is None:
            raise ValueError("the last clip has no frames to take colours from")
        ab = rgb_to_lab(video)[:, :, 1:]
        return torch.unflatten(F.adaptive_avg_pool2d(ab.flatten(0, 1), size), 0, ab.shape[:2])
