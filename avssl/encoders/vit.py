"""Transformers over patches of clips, pictures and log-mel spectrograms; they can see only some of the patches."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.vision_transformer import EncoderBlock

from avssl.encoders.base import ClipEncoder, Encoder, Json, Origin, Trunk
from avssl.encoders.sound import LogMel, SoundEncoder

__all__ = [
    "ClipViT",
    "PatchEncoder",
    "Patches",
    "SoundViT",
    "block",
    "over_patches",
    "picked",
    "positions",
    "sound_vit_base",
    "tiny_sound_vit",
    "tiny_vit",
    "vit_base",
    "vit_small",
]


def positions(grid: Sequence[int], dim: int, *, device: torch.device | None = None) -> Tensor:
    """Sines and cosines (L, D) of the places of a grid, in order, the last axis fastest; each axis has a share of D.

    Vaswani et al., NeurIPS 2017, arXiv:1706.03762, section 3.5, for each axis. Nothing is learned, so that any grid
    has them; channels that the axes cannot share are 0.

    Raises:
        ValueError: D is below 2 for each axis.
    """
    if (pairs := dim // (2 * len(grid))) < 1:
        raise ValueError(f"dim {dim} for a grid of {len(grid)} axes: must be ≥ {2 * len(grid)}")
    rates = 10000.0 ** (-torch.arange(pairs, device=device) / pairs)
    places = torch.meshgrid(*(torch.arange(n, device=device) for n in grid), indexing="ij")
    angles = [place.reshape(-1, 1) * rates for place in places]
    waves = torch.cat([f(a) for a in angles for f in (torch.sin, torch.cos)], dim=1)
    return F.pad(waves, (0, dim - waves.shape[1]))


def picked(x: Tensor, which: Tensor) -> Tensor:
    """Those of the rows (B, L, D) that `which` (B, K) numbers, (B, K, D)."""
    return x.gather(1, which[..., None].expand(-1, -1, x.shape[-1]))


def block(dim: int, heads: int, *, wider: int = 4) -> EncoderBlock:
    """A pre-norm transformer block (B, L, D) → (B, L, D); torchvision's."""
    if dim % heads:
        raise ValueError(f"{heads} heads do not share {dim} features: dim must be a multiple of heads")
    return EncoderBlock(num_heads=heads, hidden_dim=dim, mlp_dim=wider * dim, dropout=0.0, attention_dropout=0.0)


class Patches(nn.Module):
    """The patches of (B, C, *sizes) as tokens (B, L, D): a linear map of each one's numbers, and its position.

    What is left over at the end of an axis is not seen.
    """

    def __init__(self, channels: int, patch: Sequence[int], dim: int) -> None:
        super().__init__()
        self.channels, self.patch = channels, tuple(patch)
        self.embed = nn.Linear(channels * math.prod(patch), dim)
        # as the other linear maps of MAE (He et al., CVPR 2022, arXiv:2111.06377, appendix A.1)
        nn.init.xavier_uniform_(self.embed.weight)
        nn.init.zeros_(self.embed.bias)

    def grid(self, sizes: Sequence[int]) -> tuple[int, ...]:
        """How many patches there are along each axis.

        Raises:
            ValueError: there is none.
        """
        grid = tuple(n // p for n, p in zip(sizes, self.patch, strict=True))
        if not all(grid):
            raise ValueError(f"input of {tuple(sizes)} is smaller than a patch of {self.patch}: give larger clips")
        return grid

    def cut(self, x: Tensor) -> Tensor:
        """The numbers of each patch, (B, L, P): those of a channel side by side, time before space."""
        grid = self.grid(x.shape[2:])
        for axis, (n, p) in enumerate(zip(grid, self.patch, strict=True)):
            x = torch.unflatten(x.narrow(2 + 2 * axis, 0, n * p), 2 + 2 * axis, (n, p))
        axes = range(len(grid))
        x = x.permute(0, *(2 + 2 * a for a in axes), 1, *(3 + 2 * a for a in axes))
        return x.flatten(1, len(grid)).flatten(2)

    def forward(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        """Tokens of all patches, or of those that `keep` (B, K) numbers."""
        numbers, places = self.cut(x), positions(self.grid(x.shape[2:]), self.embed.out_features, device=x.device)
        if keep is None:
            return torch.add(self.embed(numbers), places)
        return torch.add(self.embed(picked(numbers, keep)), places[keep])


class PatchEncoder(Encoder):
    """An encoder whose features are tokens, one for each patch; it can be shown some of the patches only.

    Its network has `patches`, blocks and a last `norm`; each block is a tap.
    """

    @abstractmethod
    def grid(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Patches along each axis of clips of a shape, (*, T, C, H, W) or (*, A, N): time first."""

    @property
    def first(self) -> Patches:
        """The layer that makes tokens of patches."""
        patches = self.net.get_submodule("patches")
        assert isinstance(patches, Patches)
        return patches

    @property
    def numbers(self) -> int:
        """P, how many numbers a patch has."""
        return self.first.embed.in_features

    def maps(self, y: Tensor, x: Tensor) -> Tensor:
        """(B, L, D) → (B, D, T', H', W') of video, (B, D, L', F') of sound."""
        return torch.unflatten(y.transpose(1, 2), 2, self.grid(x.shape))

    def patches(self, x: Tensor) -> Tensor:
        """The numbers of each patch of clips, normalised as the encoder takes them, (B, L, P)."""
        return self.first.cut(self.prepare(x))

    def tokens(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        """What the first block takes: (B, L, D), or (B, K, D) of the patches that `keep` (B, K) numbers."""
        tokens: Tensor = self.first(self.prepare(x), keep)
        return tokens

    def encode(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        """Features of all patches of clips, (B, L, D), or of those kept, (B, K, D), which see nothing of the others."""
        y = self.tokens(x, keep)
        for names in list(self.stages.values())[1:]:
            for name in names:
                y = self.net.get_submodule(name)(y)
        return y


def over_patches(encoder: Encoder) -> PatchEncoder:
    """The same encoder, if it is one over patches.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(encoder, PatchEncoder):
        raise ValueError(
            f"{encoder.origin.constructor} does not see patches, of which some can be hidden: choose a transformer, "
            "such as tiny_vit or vit_base, or of sound tiny_sound_vit or sound_vit_base"
        )
    return encoder


class ClipViT(PatchEncoder, ClipEncoder):
    """A transformer over tubelets, patches that go through some frames: of clips and of pictures.

    Frames that do not fill the last tubelet are made up by repeating the last one. So a picture is a tubelet of equal
    frames, and to the network the same as a picture network whose patch weights are the sums over time: the same
    weights see both.
    """

    def prepare(self, x: Tensor) -> Tensor:
        """(B, T, C, H, W) → (B, 3, T', H, W), T' a multiple of the tubelet."""
        y = super().prepare(x)
        missing = -y.shape[2] % self.first.patch[0]
        return torch.cat((y, y[:, :, -1:].expand(-1, -1, missing, -1, -1)), dim=2) if missing else y

    def grid(self, shape: Sequence[int]) -> tuple[int, ...]:
        """(T', H', W') of clips of shape (*, T, C, H, W)."""
        frames = -(-shape[-4] // self.first.patch[0]) * self.first.patch[0]
        return self.first.grid((frames, shape[-2], shape[-1]))


class SoundViT(PatchEncoder, SoundEncoder):
    """A transformer over patches of the log-mel spectrogram.

    AudioMAE: Huang et al., NeurIPS 2022, arXiv:2207.06405; without overlap, unlike AST (Gong et al., Interspeech 2021,
    arXiv:2104.01778).
    """

    def grid(self, shape: Sequence[int]) -> tuple[int, ...]:
        """(L', F') of sound of shape (*, A, N): time, frequency."""
        mel = self.front.mel
        return self.first.grid((1 + shape[-1] // mel.hop_length, mel.n_mels))


def _trunk(channels: int, patch: Sequence[int], *, dim: int, depth: int, heads: int) -> Trunk:
    if min(depth, *patch) < 1:
        raise ValueError(f"depth {depth}, patch {tuple(patch)}: must be ≥ 1")
    net = nn.Module()
    net.add_module("patches", Patches(channels, patch, dim))
    stages: dict[str, tuple[str, ...]] = {"patches": ("patches",)}
    for i in range(1, depth + 1):
        net.add_module(f"block{i}", block(dim, heads))
        stages[f"block{i}"] = (f"block{i}",)
    net.add_module("norm", nn.LayerNorm(dim))
    stages[f"block{depth}"] = (f"block{depth}", "norm")
    return Trunk(net=net, stages=stages, dim=dim)


def tiny_vit(*, width: int = 96, depth: int = 4, heads: int = 4, patch: int = 8, tubelet: int = 4) -> ClipViT:
    """A small ViT, D = `width`, for clips and pictures of about 48 pixels; 0.5 M parameters."""
    arguments: dict[str, Json] = {"width": width, "depth": depth, "heads": heads, "patch": patch, "tubelet": tubelet}
    trunk = _trunk(3, (tubelet, patch, patch), dim=width, depth=depth, heads=heads)
    return ClipViT(trunk, origin=Origin.of(tiny_vit, arguments))


def vit_small(*, patch: int = 16, tubelet: int = 2) -> ClipViT:
    """ViT-S, D = 384, 12 blocks: Touvron et al., ICML 2021, arXiv:2012.12877, table 1; tubelets as in `vit_base`."""
    return _vit(vit_small, 384, 6, patch, tubelet)


def vit_base(*, patch: int = 16, tubelet: int = 2) -> ClipViT:
    """ViT-B, D = 768, 12 blocks: Dosovitskiy et al., ICLR 2021, arXiv:2010.11929, table 1.

    A patch goes through `tubelet` frames: ViViT, Arnab et al., ICCV 2021, arXiv:2103.15691, section 3.2; 2 in VideoMAE,
    1 for a network of pictures alone. There is no class token: features are means over patches.
    """
    return _vit(vit_base, 768, 12, patch, tubelet)


def _vit(constructor: Callable[..., ClipViT], dim: int, heads: int, patch: int, tubelet: int) -> ClipViT:
    trunk = _trunk(3, (tubelet, patch, patch), dim=dim, depth=12, heads=heads)
    return ClipViT(trunk, origin=Origin.of(constructor, {"patch": patch, "tubelet": tubelet}))


def tiny_sound_vit(
    *,
    sample_rate: int = 16000,
    n_mels: int = 64,
    hop: float = 0.01,
    width: int = 96,
    depth: int = 4,
    heads: int = 4,
    patch: int = 8,
) -> SoundViT:
    """A small transformer over sound, D = `width`; a step of its sequence is `patch` hops."""
    origin = Origin.of(
        tiny_sound_vit,
        {
            "sample_rate": sample_rate,
            "n_mels": n_mels,
            "hop": hop,
            "width": width,
            "depth": depth,
            "heads": heads,
            "patch": patch,
        },
    )
    front = LogMel(sample_rate=sample_rate, n_mels=n_mels, hop=hop)
    return SoundViT(_trunk(1, (patch, patch), dim=width, depth=depth, heads=heads), origin=origin, front=front)


def sound_vit_base(*, sample_rate: int = 16000, n_mels: int = 128, hop: float = 0.01, patch: int = 16) -> SoundViT:
    """ViT-B over sound, D = 768, as AudioMAE uses it: Huang et al., NeurIPS 2022, arXiv:2207.06405, section 4.2."""
    arguments: dict[str, Json] = {"sample_rate": sample_rate, "n_mels": n_mels, "hop": hop, "patch": patch}
    front = LogMel(sample_rate=sample_rate, n_mels=n_mels, hop=hop)
    trunk = _trunk(1, (patch, patch), dim=768, depth=12, heads=12)
    return SoundViT(trunk, origin=Origin.of(sound_vit_base, arguments), front=front)
