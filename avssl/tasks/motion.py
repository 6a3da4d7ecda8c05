"""What one frame, or what comes before, does not show of motion, told by programs: riddles and their losses."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from avssl.core import Example
from avssl.losses import cross_entropy, mean_over_ranks, weighted_mean
from avssl.programs import MovingThings, motion_codes, nearest_code, optical_flow
from avssl.tasks.restore import Puzzle

__all__ = ["FlowAhead", "Things", "by_masks", "by_motion"]


@dataclass(frozen=True, kw_only=True)
class FlowAhead:
    """Show all frames but the last, and ask where each place of the last one shown goes from there to the next.

    The target is one of K motions (B, 1, H', W'): none, or one of `directions` at one of `speeds`. Walker et al., ICCV
    2015, arXiv:1505.00295, section 3, have 40 clusters of flow, which here are fixed: no pass over the data finds them.
    """

    directions: int = 8
    """Ways to tell apart."""
    speeds: tuple[float, ...] = (0.02, 0.08)
    """Sides of the frame in one step; below half of the least one a place counts as still."""
    shrink: int = 4
    """Pixels along each side of a place whose mean flow is asked for."""

    @property
    def classes(self) -> int:
        """K."""
        return 1 + self.directions * len(self.speeds)

    def places(self, size: int) -> tuple[int, int]:
        """(H', W') of the answers about square frames of that side."""
        return size // self.shrink, size // self.shrink

    def __call__(self, batch: Example) -> Puzzle:
        """The puzzle of a batch of one clip of 2 frames or more each.

        Raises:
            ValueError: there are fewer frames.
        """
        video = _frames(batch, fewest=2)
        flow = F.avg_pool2d(optical_flow(video[:, -2], video[:, -1]), self.shrink)
        codes = motion_codes(min(video.shape[-2:]), directions=self.directions, speeds=self.speeds)
        return Puzzle(shown=video[:, :-1], target=nearest_code(flow, codes)[:, None])


def by_motion(answer: Tensor, puzzle: Puzzle) -> dict[str, Tensor]:
    """Cross-entropy of logits (B, K, T, H, W) in which all that moves counts as much as all that is still, class 0.

    Without that "nothing moves" is hard to beat: "always_still" is how often it is right. "accuracy" is over all
    places, "moving_accuracy" over those that move, and "still_accuracy" over the others.
    """
    target = puzzle.target
    moving = (target > 0).float()
    share = mean_over_ranks(moving.mean())
    weight = torch.where(target > 0, 0.5 / share.clamp(min=1e-6), 0.5 / (1 - share).clamp(min=1e-6))
    right = (answer.argmax(dim=1) == target).float()
    return {
        "loss": cross_entropy(answer, target, weight),
        "accuracy": right.mean(),
        "always_still": 1 - moving.mean(),
        "moving_accuracy": weighted_mean(right, moving),
        "still_accuracy": weighted_mean(right, 1 - moving),
    }


@dataclass(frozen=True, kw_only=True)
class Things:
    """Show the middle frame of a clip, and ask which of its pixels belong to things that move, (B, 1, 1, H', W').

    A program tells them from all frames; clips of which it cannot count nothing. Pathak et al., CVPR 2017,
    arXiv:1612.06370, section 4.
    """

    program: MovingThings = field(default_factory=MovingThings)
    """What tells them."""
    shrink: int = 2
    """Pixels along each side of a place that is asked for."""

    def places(self, size: int) -> tuple[int, int]:
        """(H', W') of the answers about square frames of that side."""
        return size // self.shrink, size // self.shrink

    def __call__(self, batch: Example) -> Puzzle:
        """The puzzle of a batch of one clip of an odd number of frames each.

        Raises:
            ValueError: there are fewer than 3 frames, or an even number.
        """
        video = _frames(batch, fewest=3)
        masks, use = self.program(video)
        target = (F.avg_pool2d(masks, self.shrink) >= 0.5).float()[:, :, None]
        middle = video.shape[1] // 2
        weight = use.float()[:, None, None, None, None].expand(target.shape)
        return Puzzle(shown=video[:, middle : middle + 1], target=target, weight=weight)


def by_masks(answer: Tensor, puzzle: Puzzle) -> dict[str, Tensor]:
    """Logistic loss of logits (B, 1, T, H, W) at every place.

    "iou" is the intersection of what is told and what is asked for over their union, and "centre_iou" that of a disc in
    the middle, as large as what is asked for: means over examples. "used" is the share of examples that count.
    """
    target, weight = puzzle.target, torch.ones_like(puzzle.target) if puzzle.weight is None else puzzle.weight
    use = weight[:, 0, 0, 0, 0]
    errors = F.binary_cross_entropy_with_logits(answer.float(), target, reduction="none")
    return {
        "loss": weighted_mean(errors, weight),
        "iou": weighted_mean(_overlap((answer > 0).float(), target), use),
        "centre_iou": weighted_mean(_overlap(_discs(target), target), use),
        "used": use.mean(),
    }


def _overlap(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union (B,) of masks (B, …)."""
    both, either = (a * b).flatten(1).sum(dim=1), torch.maximum(a, b).flatten(1).sum(dim=1)
    return both / either.clamp(min=1)


def _discs(masks: Tensor) -> Tensor:
    """Discs in the middle of masks (B, …, H, W), each of the area of its mask."""
    height, width = masks.shape[-2:]
    y = torch.arange(height, device=masks.device)[:, None] - (height - 1) / 2
    x = torch.arange(width, device=masks.device) - (width - 1) / 2
    return (torch.pi * (y.square() + x.square()) < masks.sum(dim=(-2, -1), keepdim=True)).float()


def _frames(batch: Example, *, fewest: int) -> Tensor:
    """The frames (B, T, C, H, W) of the first clip, float 0…1."""
    video = batch.clips[0].video
    if video is None or video.shape[1] < fewest:
        found = "no frames" if video is None else f"clips of {video.shape[1]} frames"
        raise ValueError(f"the batch has {found}: cut clips of {fewest} or more, as motion is asked for")
    return video.float() / (1 if video.is_floating_point() else 255)
