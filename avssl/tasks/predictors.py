"""Predictors of `Foresee` that go along a sequence of maps: the next ones, from what was seen until then."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avssl.core import Example
from avssl.encoders.base import Encoder
from avssl.encoders.context import Context, ConvGRU
from avssl.tasks.base import encoded
from avssl.tasks.foresee import Foreseen, Predictor

__all__ = ["Grid", "OneByOne", "Patches", "StepsAhead", "blocks", "over_time"]

Grid: TypeAlias = Callable[[Encoder, Example], Tensor]
"""A sequence of maps (B, L, D, H, W) that an encoder makes of a batch; its step is what is foreseen."""


def blocks(encoder: Encoder, batch: Example) -> Tensor:
    """The last map of each of S clips, averaged over its frames: L = S."""
    videos = [clip.video for clip in batch.clips if clip.video is not None]
    if len(videos) < 2:
        raise ValueError(f"{len(videos)} clips with frames: a sequence has two or more; let the sampler cut them")
    maps = encoder.last(torch.stack(videos, dim=1).flatten(0, 1)).mean(dim=2)
    return torch.unflatten(maps, 0, (-1, len(videos)))


def over_time(encoder: Encoder, batch: Example) -> Tensor:
    """The sequence of features of one clip: H = W = 1.

    Neighbouring steps overlap in what they see, and normalisation lets each know the statistics of the whole clip.
    """
    return encoded(encoder, batch.clips[:1], over_time=True).squeeze(1)[..., None, None]


@dataclass(frozen=True, kw_only=True)
class Patches:
    """Patches of `side` pixels, one every `stride`, each a picture (or clip) by itself: L rows, H = 1, W columns.

    An encoder with batch normalisation would tell a patch of its neighbours: take one with group normalisation.
    """

    side: int
    stride: int

    def __post_init__(self) -> None:
        if not 0 < self.stride <= self.side:
            raise ValueError(f"side {self.side}, stride {self.stride}: must be 0 < stride ≤ side")

    def __call__(self, encoder: Encoder, batch: Example) -> Tensor:
        """The features of each patch."""
        video = batch.clips[0].video
        if video is None or min(video.shape[-2:]) < self.side:
            found = "no frames" if video is None else f"{tuple(video.shape[-2:])} pixels"
            raise ValueError(f"a clip of {found}: patches are {self.side} × {self.side}; cut larger ones")
        grid = video.unfold(3, self.side, self.stride).unfold(4, self.side, self.stride)
        grid = grid.permute(0, 3, 4, 1, 2, 5, 6)
        features = encoder(grid.flatten(0, 2))
        return torch.unflatten(features, 0, grid.shape[:3]).transpose(2, 3)[:, :, :, None]


class _Seen(Predictor):
    """A predictor along a grid. What is foreseen are its features after a linear layer, as wide as the context's maps.

    The networks here end in a rectifier, and DPC foresees features before theirs.
    """

    def __init__(self, dim: int, *, grid: Grid, context: Context) -> None:
        super().__init__()
        self.grid = grid
        self.context = context
        self.neck = nn.Conv2d(dim, context.dim, 1)

    def sequence(self, encoder: Encoder, batch: Example) -> Tensor:
        """What may be foreseen, (B, L, D, H, W)."""
        maps = self.grid(encoder, batch)
        y: Tensor = self.neck(maps.flatten(0, 1))
        return torch.unflatten(y, 0, maps.shape[:2])

    def truth(self, own: Tensor, encoder: Encoder, aim: Encoder, batch: Example) -> Tensor:
        """The same by the encoder that tells the truth; without gradients where that is another one."""
        if aim is encoder:
            return own
        with torch.no_grad():
            return self.sequence(aim, batch)


class OneByOne(_Seen):
    """Guesses the last `ahead` maps of a sequence one after the other, from the ones before them and its own guesses.

    DPC: Han et al., ICCV workshop 2019, arXiv:1909.04656, section 3.2, where the grid is `blocks`.

    Args:
        dim: of the encoder's features.
        grid: the sequence.
        context: of what was seen, and then guessed.
        ahead: how many maps are guessed.
    """

    context: ConvGRU

    def __init__(self, dim: int, *, grid: Grid, context: ConvGRU, ahead: int = 3) -> None:
        super().__init__(dim, grid=grid, context=context)
        if ahead < 1:
            raise ValueError(f"ahead {ahead}: must be ≥ 1")
        self.ahead = ahead
        self.next = nn.Sequential(
            nn.Conv2d(context.out, context.out, 1), nn.ReLU(), _quiet(nn.Conv2d(context.out, context.dim, 1))
        )

    def forward(self, encoder: Encoder, aim: Encoder, batch: Example) -> Foreseen:
        """Guesses of every place of the last maps; a copy is of the same place in the last map seen."""
        own = self.sequence(encoder, batch)
        if own.shape[1] <= self.ahead:
            raise ValueError(f"a sequence of {own.shape[1]}, of which {self.ahead} are to be foreseen: cut more")
        seen = own[:, : -self.ahead]
        state = self.context(F.relu(seen))[:, -1]
        guesses = [self.next(state)]
        while len(guesses) < self.ahead:
            state = self.context.step(F.relu(guesses[-1]), state)
            guesses.append(self.next(state))
        truth = self.truth(own, encoder, aim, batch)[:, -self.ahead :]
        copied = seen[:, -1:].expand(-1, self.ahead, -1, -1, -1)
        return Foreseen(guess=_places(torch.stack(guesses, dim=1)), truth=_places(truth), copied=_places(copied))


class StepsAhead(_Seen):
    """From the context at each step, a linear guess of the maps `steps` further on.

    CPC: van den Oord et al., 2018, arXiv:1807.03748, sections 3.1 and 3.3. Of sound the grid is `over_time` and the
    context recurrent; of pictures `Patches` and `MaskedRows`. Every guess counts alike, and each place of the grid is
    one candidate, however many guesses are about it.

    Args:
        dim: of the encoder's features.
        grid: the sequence.
        context: at each of its steps.
        steps: how far ahead the guesses are; leave out those at which what is seen and what is told overlap.
    """

    def __init__(self, dim: int, *, grid: Grid, context: Context, steps: Sequence[int]) -> None:
        super().__init__(dim, grid=grid, context=context)
        if not steps or min(steps) < 1 or len(set(steps)) < len(steps):
            raise ValueError(f"steps {tuple(steps)}: must be one or more whole numbers ≥ 1, none twice")
        self.steps = tuple(steps)
        self.next = nn.ModuleList(_quiet(nn.Conv2d(context.out, context.dim, 1)) for _ in self.steps)

    def forward(self, encoder: Encoder, aim: Encoder, batch: Example) -> Foreseen:
        """Guesses of every place that is so far ahead; a copy is of the place that the guess was made at."""
        own = self.sequence(encoder, batch)
        length = own.shape[1]
        if length <= min(self.steps):
            raise ValueError(f"a sequence of {length}, and guesses {min(self.steps)} ahead or more: cut more")
        context = self.context(own)
        number = torch.arange(own[0, :, 0].numel(), device=own.device).view(own[0, :, 0].shape)
        guess, copied, place, seen = [], [], [], []
        for step, layer in zip(self.steps, self.next, strict=True):
            # a step beyond the sequence makes no guess, but several ranks want a gradient of its layer, too
            here = context[:, : max(0, length - step)]
            guess.append(torch.unflatten(layer(here.flatten(0, 1)), 0, here.shape[:2]))
            copied.append(own[:, : here.shape[1]])
            place.append(number[step:])
            seen.append(number[: here.shape[1]])
        return Foreseen(
            guess=_places(torch.cat(guess, dim=1)),
            truth=_places(self.truth(own, encoder, aim, batch)),
            copied=_places(torch.cat(copied, dim=1)),
            place=torch.cat(place).flatten(),
            seen=torch.cat(seen).flatten(),
        )


def _quiet(layer: nn.Conv2d) -> nn.Conv2d:
    """The same layer with small weights: all candidates start alike, and the loss as the logarithm of their number."""
    assert layer.bias is not None
    nn.init.normal_(layer.weight, std=1e-3)
    nn.init.zeros_(layer.bias)
    return layer


def _places(maps: Tensor) -> Tensor:
    """(B, L, D, H, W) → (B, L·H·W, D)."""
    return maps.movedim(2, -1).flatten(1, 3)
