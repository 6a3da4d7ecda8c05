"""What a grey picture does not show: its colours, as a riddle and the loss of its answers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avssl.core import Example
from avssl.losses import bins_in_gamut, cross_entropy, mean_over_ranks, rgb_to_lab, spread_over_bins, weighted_mean
from avssl.tasks.restore import Puzzle

__all__ = ["Colouring", "Rebalanced"]


@dataclass(frozen=True, kw_only=True)
class Colouring:
    """Show the lightness (B, T, 1, H, W), and ask for the colour of places `shrink` times as few each way.

    The target is a distribution over bins of a* and b*, (B, Q, T, H', W'). Pictures with hardly any colour count
    nothing, as they would teach that all is grey. Zhang et al., ECCV 2016, arXiv:1603.08511, section 2.
    """

    spacing: float = 10.0
    """From bin to bin, in a* and b*; the Gaussian that spreads a colour is half as wide."""
    shrink: int = 4
    """Pixels along each side of a place whose mean colour is asked for."""
    least: float = 5.0
    """Of a* and b*: pictures in which neither varies by so much count nothing."""

    @property
    def classes(self) -> int:
        """Q, the bins."""
        return len(bins_in_gamut(self.spacing))

    def places(self, size: int) -> tuple[int, int]:
        """(H', W') of the answers about square pictures of that side."""
        return size // self.shrink, size // self.shrink

    def __call__(self, batch: Example) -> Puzzle:
        """The puzzle of a batch of one clip each.

        Raises:
            ValueError: there are no frames.
        """
        video = _video(batch)
        lab = rgb_to_lab(video)
        lightness, ab = lab[:, :, :1], lab[:, :, 1:]
        few = F.avg_pool2d(ab.flatten(0, 1), self.shrink)
        spread = spread_over_bins(few, bins_in_gamut(self.spacing), sigma=self.spacing / 2)
        target = torch.unflatten(spread, 0, video.shape[:2]).transpose(1, 2)
        ranges = few.flatten(2).amax(dim=2) - few.flatten(2).amin(dim=2)
        colourful = torch.unflatten((ranges.amax(dim=1) >= self.least).float(), 0, video.shape[:2])
        weight = colourful[:, :, None, None].expand(target[:, 0].shape)
        return Puzzle(shown=lightness / 100, target=target, weight=weight)


class Rebalanced(nn.Module):
    """Cross-entropy over classes of which rare ones count more: w ∝ 1 / ((1 − λ) p + λ / Q), of mean 1 under p.

    Zhang et al., ECCV 2016, arXiv:1603.08511, equation 4. The prior p is that of all targets so far, this batch's too;
    it is spread as the targets are, which is the paper's smoothing, and it is saved with the task.

    Args:
        classes: Q.
        uniform: λ, the share of the uniform distribution.
    """

    seen: Tensor

    def __init__(self, classes: int, *, uniform: float = 0.5) -> None:
        super().__init__()
        if not 0 < uniform <= 1:
            raise ValueError(f"uniform {uniform}: must be a share, above 0 and at most 1")
        self.uniform = uniform
        self.register_buffer("seen", torch.zeros(classes, dtype=torch.float64))

    def weights(self) -> Tensor:
        """w (Q,); all 1 as long as nothing was seen."""
        count = len(self.seen)
        prior = torch.where(self.seen.sum() > 0, self.seen / self.seen.sum().clamp(min=1e-12), 1 / count)
        w = 1 / ((1 - self.uniform) * prior + self.uniform / count)
        return (w / (prior * w).sum()).float()

    def forward(self, answer: Tensor, puzzle: Puzzle) -> dict[str, Tensor]:
        """The "loss" of logits (B, Q, T, H, W); "constant" is that of the best answer that is alike everywhere.

        "accuracy" is the share of places whose likeliest bin was told.
        """
        target, weight = puzzle.target, puzzle.weight
        counts = torch.ones_like(target[:, 0]) if weight is None else weight
        if self.training:
            self.seen += mean_over_ranks((target * counts[:, None]).double().sum(dim=(0, 2, 3, 4)) / counts.numel())
        bins = target.argmax(dim=1)
        balanced = self.weights()[bins] * counts
        loss = cross_entropy(answer, target, balanced)
        with torch.no_grad():
            shares = mean_over_ranks((target * balanced[:, None]).sum(dim=(0, 2, 3, 4)))
            shares = shares / shares.sum().clamp(min=1e-12)
            right = weighted_mean((answer.argmax(dim=1) == bins).float(), counts)
        return {"loss": loss, "constant": -torch.xlogy(shares, shares).sum(), "accuracy": right}


def _video(batch: Example) -> Tensor:
    video = batch.clips[0].video
    if video is None:
        raise ValueError("the batch has no frames, whose colours are asked for: cut some")
    return video
