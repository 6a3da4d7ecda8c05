"""A decoder of frames one after the other, from the vector of a clip."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from avssl.encoders.base import Encoder
from avssl.encoders.decoders import Decoder, require_whole

__all__ = ["FramesDecoder"]


class _Unrolled(nn.Module):
    """An LSTM that goes on from a vector (B, D) and gives `steps` frames (B, steps, C·H·W)."""

    def __init__(self, dim: int, pixels: int, *, steps: int, width: int, conditional: bool) -> None:
        super().__init__()
        self.steps = steps
        self.conditional = conditional
        self.begin = nn.Linear(dim, 2 * width)
        self.cell = nn.LSTM(pixels if conditional else 1, width, batch_first=True)
        self.write = nn.Linear(width, pixels)
        self.pixels = pixels

    def forward(self, code: Tensor, before: Tensor | None) -> Tensor:
        state = tuple(x.contiguous()[None] for x in self.begin(code).chunk(2, dim=1))
        if not self.conditional:
            return self._written(code.new_zeros(len(code), self.steps, 1), state)[0]
        first = code.new_zeros(len(code), 1, self.pixels)
        if before is not None:
            return self._written(torch.cat((first, before[:, :-1].to(code.dtype)), dim=1), state)[0]
        frames = [first]
        for _ in range(self.steps):
            frame, state = self._written(frames[-1], state)
            frames.append(frame)
        return torch.cat(frames[1:], dim=1)

    def _written(self, inputs: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        states, state = self.cell(inputs, state)
        return self.write(states), state


class FramesDecoder(Decoder):
    """Frames behind and ahead of an instant from the code of what was shown until then, (B, behind + ahead, C, H, W).

    Srivastava et al., ICML 2015, arXiv:1502.04681, sections 2.2 to 2.5. Each part has an LSTM of its own; the one of
    the frames behind tells them in reverse order, but the answer has them in order of time. A `conditional` decoder
    sees the frame before each one that it tells: the true one in training (the `hint`, which is the whole target), its
    own in evaluation; the first of each part it tells from the code alone. Where the paper copies the encoder's
    state, a linear layer makes the first state from the code, so that all that is told has passed through it, and the
    encoder may be any.

    Args:
        dim: D, of the code.
        size: height and width of the frames, pixels.
        told: how many of the last frames that were shown, and how many after them.
        conditional: whether each step sees the frame before.
        width: of the LSTMs; None: D, as in the paper.
        channels: C, of the frames.

    Raises:
        ValueError: no frame is to be told.
    """

    def __init__(
        self,
        dim: int,
        size: int,
        *,
        told: tuple[int, int],
        conditional: bool = False,
        width: int | None = None,
        channels: int = 3,
    ) -> None:
        super().__init__()
        if min(told) < 0 or sum(told) == 0:
            raise ValueError(f"told {told}: frames behind and ahead must be ≥ 0, and one of them > 0")
        self.shape = (channels, size, size)
        self.behind, self.ahead = told
        pixels, wide = channels * size**2, width or dim
        self.parts = nn.ModuleDict(
            {
                name: _Unrolled(dim, pixels, steps=steps, width=wide, conditional=conditional)
                for name, steps in zip(("behind", "ahead"), told, strict=True)
                if steps
            }
        )

    def forward(
        self, encoder: Encoder, shown: Tensor, *, keep: Tensor | None = None, hint: Tensor | None = None
    ) -> Tensor:
        """The frames."""
        require_whole(keep, self)
        code = encoder(shown)
        true = hint.flatten(2) if hint is not None and self.training else None
        frames = []
        if self.behind:
            past = None if true is None else true[:, : self.behind].flip(1)
            frames.append(self.parts["behind"](code, past).flip(1))
        if self.ahead:
            frames.append(self.parts["ahead"](code, None if true is None else true[:, self.behind :]))
        return torch.unflatten(torch.cat(frames, dim=1), 2, self.shape)
