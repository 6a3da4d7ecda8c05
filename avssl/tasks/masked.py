"""Masked modelling: some patches of a clip are seen, and of the hidden ones the numbers or the features are told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avssl.core import Example
from avssl.encoders.base import Encoder
from avssl.encoders.vit import PatchEncoder, block, over_patches, picked, positions
from avssl.tasks.foresee import Foreseen, Predictor
from avssl.tasks.restore import Puzzle

__all__ = ["HiddenFeatures", "HiddenPatches"]


@dataclass(frozen=True)
class HiddenPatches:
    """The riddle of masked autoencoders: tell the numbers (B, L, P) of the patches that a mask hides.

    He et al., CVPR 2022, arXiv:2111.06377, section 3. Normalised, each patch has mean 0 and variance 1, so that an
    answer of 0, the mean of each patch, has an error of 1.

    Raises:
        ValueError: the encoder is not one over patches.
    """

    encoder: Encoder
    mask: str = "mask"
    """The name of the transform that drew the mask."""
    normalised: bool = True
    by_channel: bool = False
    """Whether each colour of a patch is normalised by itself, as VideoMAE does (Tong et al., NeurIPS 2022,
    arXiv:2203.12602, in its code), so that its tint need not be told; else all its numbers together, as MAE does."""

    def __post_init__(self) -> None:
        over_patches(self.encoder)

    @torch.no_grad()
    def __call__(self, batch: Example, /) -> Puzzle:
        """The whole clip with the patches that are kept; only those that are hidden count."""
        x = _only_clip(batch, self.encoder)
        target = over_patches(self.encoder).patches(x)
        if self.normalised:
            parts = torch.unflatten(
                target, 2, (over_patches(self.encoder).first.channels if self.by_channel else 1, -1)
            )
            variance, mean = torch.var_mean(parts, dim=3, keepdim=True, correction=0)
            target = ((parts - mean) / (variance + 1e-6).sqrt()).flatten(2)
        keep, hide = _drawn(batch, self.mask)
        weight = torch.zeros(*target.shape[:2], 1, device=x.device).scatter_(1, hide[..., None], 1.0)
        return Puzzle(shown=x, target=target, weight=weight, keep=keep)


class HiddenFeatures(Predictor):
    """A transformer that tells the features of hidden patches from those of the others, for each of some masks.

    V-JEPA: Bardes et al., TMLR 2024, arXiv:2404.08471, section 3; of pictures I-JEPA, Assran et al., CVPR 2023,
    arXiv:2301.08243. True features are those of the whole clip, normalised for each patch, without gradients.

    Args:
        encoder: tells the sizes.
        masks: names of the transforms that drew masks; each is a task of its own.
        width: of the predictor.
        depth: its blocks.
        heads: of each block.

    Raises:
        ValueError: the encoder is not one over patches, or `heads` do not share `width`.
    """

    def __init__(
        self, encoder: Encoder, *, masks: Sequence[str] = ("mask",), width: int = 384, depth: int = 12, heads: int = 12
    ) -> None:
        super().__init__()
        dim = over_patches(encoder).dim
        self.masks = tuple(masks)
        self.embed = nn.Linear(dim, width)
        self.hidden = nn.Parameter(nn.init.normal_(torch.empty(1, 1, width), std=0.02))
        self.blocks = nn.Sequential(*(block(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.answer = nn.Linear(width, dim)

    def forward(self, encoder: Encoder, aim: Encoder, batch: Example) -> Foreseen:
        """Guesses of all masks one after the other."""
        x, whole = _only_clip(batch, encoder), over_patches(encoder)
        with torch.no_grad():
            features = over_patches(aim).encode(x)
            features = F.layer_norm(features.float(), features.shape[-1:])
        grid = whole.grid(x.shape)
        drawn = [_drawn(batch, name) for name in self.masks]
        guess = [self._guess(whole, x, keep, hide) for keep, hide in drawn]
        return Foreseen(
            guess=torch.cat(guess, dim=1),
            truth=torch.cat([picked(features, hide) for _, hide in drawn], dim=1),
            copied=torch.cat([picked(features, _nearest(grid, keep, hide)) for keep, hide in drawn], dim=1),
        )

    def _guess(self, encoder: PatchEncoder, x: Tensor, keep: Tensor, hide: Tensor) -> Tensor:
        seen: Tensor = self.embed(encoder.encode(x, keep))
        places = positions(encoder.grid(x.shape), seen.shape[-1], device=x.device)
        y = torch.cat((seen + places[keep], self.hidden + places[hide]), dim=1)
        guess: Tensor = self.answer(self.norm(self.blocks(y)[:, keep.shape[1] :]))
        return guess


def _only_clip(batch: Example, encoder: Encoder) -> Tensor:
    """What the encoder takes of the one clip of each example."""
    if len(batch.clips) != 1:
        raise ValueError(f"{len(batch.clips)} clips of each example, whose masks are of one: let the sampler cut one")
    (clip,) = batch.clips
    x = clip.video if encoder.modality == "video" else clip.audio
    if x is None:
        raise ValueError(f"the clip has no {encoder.modality}, which the encoder takes: cut it")
    return x


def _drawn(batch: Example, name: str) -> tuple[Tensor, Tensor]:
    """The numbers of the patches that a mask keeps and hides, (B, K) and (B, L − K)."""
    if f"{name}.keep" not in batch.parameters:
        raise ValueError(
            f"the batch has no mask {name!r}, only {sorted(batch.parameters)}: write one, such as TubeMask"
        )
    return batch.parameters[f"{name}.keep"][:, 0], batch.parameters[f"{name}.hide"][:, 0]


def _nearest(grid: Sequence[int], keep: Tensor, hide: Tensor) -> Tensor:
    """The kept patch that is nearest to each hidden one, (B, L − K); of several the first."""
    axes = torch.meshgrid(*(torch.arange(n, device=keep.device) for n in grid), indexing="ij")
    places = torch.stack([a.reshape(-1) for a in axes], dim=1).float()
    return keep.gather(1, torch.cdist(places[hide], places[keep]).argmin(dim=2))
