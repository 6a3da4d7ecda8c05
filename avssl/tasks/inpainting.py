"""What is behind the holes of a picture, as a riddle and the loss of its answers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from avssl.core import Example
from avssl.losses import mean_over_ranks, squared_error
from avssl.tasks.restore import Puzzle

__all__ = ["Inpainting", "by_inpainting"]


@dataclass(frozen=True, kw_only=True)
class Inpainting:
    """Show pictures whose holes have one colour, and ask what is behind them: 2 · (pixel − that colour).

    The holes are those of `transforms.Holes`, and the answer (B, 3, T, H', W') is of the `window` in the middle, or of
    the whole picture, of which only the holes count. Pathak et al., CVPR 2016, arXiv:1604.07379, section 3.
    """

    fill: tuple[float, float, float] = (0.45, 0.45, 0.45)
    """The colour of the holes, 0…1: the mean of the data."""
    overlap: int = 0
    """Pixels along the edge of each hole that are shown all the same, so that the answer fits what is around it."""
    stress: float = 10.0
    """How much more a pixel of the overlap counts."""
    window: float | None = 0.5
    """Side of the square in the middle that the answer is of, as a share of the picture's; None: all of the picture."""
    name: str = "holes"
    """Under which the holes were drawn."""

    def part(self, height: int, width: int) -> tuple[slice, slice]:
        """The rows and columns that the answer is of."""
        share = 1.0 if self.window is None else self.window
        sides = [(round(n * (1 - share) / 2), round(n * (1 + share) / 2)) for n in (height, width)]
        return slice(*sides[0]), slice(*sides[1])

    def size(self, side: int) -> tuple[int, int]:
        """(H', W') of the answers about square pictures of that side."""
        rows, columns = self.part(side, side)
        return rows.stop - rows.start, columns.stop - columns.start

    def __call__(self, batch: Example) -> Puzzle:
        """The puzzle of a batch of one clip each.

        Raises:
            ValueError: there are no frames or no holes.
        """
        video, boxes = batch.clips[0].video, batch.parameters.get(f"{self.name}.boxes")
        if video is None or boxes is None:
            raise ValueError(f"the batch has no frames or no {self.name!r}: cut frames, and draw transforms.Holes")
        x = video.float() / (1 if video.is_floating_point() else 255)
        height, width = x.shape[-2:]
        fill = x.new_tensor(self.fill)[:, None, None]
        asked = _inside(boxes[:, 0], height, width, 0)
        hidden = _inside(boxes[:, 0], height, width, self.overlap)
        weight = asked.float() + (self.stress - 1) * (asked & ~hidden)
        part = self.part(height, width)
        return Puzzle(
            shown=torch.where(hidden[:, None, None], fill, x),
            target=(2 * (x - fill)).transpose(1, 2)[(..., *part)],
            weight=weight[:, None, None].expand(-1, 1, x.shape[1], -1, -1)[(..., *part)],
        )


def by_inpainting(answer: Tensor, puzzle: Puzzle) -> dict[str, Tensor]:
    """The weighted mean of (answer − target)²; "mean_fill" is that of the best colour that is alike everywhere."""
    target = puzzle.target
    weight = (torch.ones_like(target) if puzzle.weight is None else puzzle.weight).expand(target.shape)
    total, sums = (mean_over_ranks(x.sum(dim=(0, 2, 3, 4), keepdim=True)) for x in (weight, weight * target))
    mean = sums / total.clamp(min=1e-12)
    return {
        "loss": squared_error(answer, target, weight),
        "mean_fill": squared_error(mean.expand(target.shape), target, weight),
    }


def _inside(boxes: Tensor, height: int, width: int, edge: int) -> Tensor:
    """The pixels (B, H, W) whose middle lies in one of the boxes (B, n, 4), less `edge` pixels on each side of it."""
    rows = (torch.arange(height, device=boxes.device) + 0.5)[:, None]
    columns = torch.arange(width, device=boxes.device) + 0.5
    top, left, tall, wide = (v[..., None, None] for v in boxes.unbind(dim=-1))
    down = (rows >= top * height + edge) & (rows < (top + tall) * height - edge)
    along = (columns >= left * width + edge) & (columns < (left + wide) * width - edge)
    return (down & along).any(dim=1)
