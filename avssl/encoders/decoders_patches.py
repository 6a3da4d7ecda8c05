"""The decoder of masked autoencoders: from features of the patches that were seen to the numbers of all patches."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from avssl.encoders.base import Encoder
from avssl.encoders.decoders import Decoder
from avssl.encoders.vit import block, over_patches, positions

__all__ = ["PatchDecoder"]


class PatchDecoder(Decoder):
    """A light transformer over the features of the kept patches and one learned token at the place of each other.

    He et al., CVPR 2022, arXiv:2111.06377, section 3. It answers with P numbers for each patch, (B, L, P). `encoder`
    tells the sizes.

    Raises:
        ValueError: the encoder is not one over patches, or `heads` do not share `width`.
    """

    def __init__(self, encoder: Encoder, *, width: int = 512, depth: int = 8, heads: int = 16) -> None:
        super().__init__()
        self.embed = nn.Linear(encoder.dim, width)
        self.hidden = nn.Parameter(torch.empty(1, 1, width))
        self.blocks = nn.Sequential(*(block(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.answer = nn.Linear(width, over_patches(encoder).numbers)
        nn.init.normal_(self.hidden, std=0.02)
        # small, so that the first answers are near 0, the mean of a normalised patch
        nn.init.normal_(self.answer.weight, std=0.02)
        nn.init.zeros_(self.answer.bias)

    def forward(
        self, encoder: Encoder, shown: Tensor, *, keep: Tensor | None = None, hint: Tensor | None = None
    ) -> Tensor:
        """(B, L, P) of clips (B, T, C, H, W) or (B, A, N), of which only the patches `keep` (B, K) are seen."""
        whole = over_patches(encoder)
        grid = whole.grid(shown.shape)
        y = self.embed(whole.encode(shown, keep))
        if keep is not None:
            row = self.hidden.to(y.dtype).expand(len(y), math.prod(grid), -1)
            y = row.scatter(1, keep[..., None].expand(-1, -1, y.shape[-1]), y)
        y = self.norm(self.blocks(y + positions(grid, y.shape[-1], device=y.device)))
        answer: Tensor = self.answer(y)
        return answer
