"""Heads: from the features of an example's clips to the answer of a pretext task. They are thrown away afterwards."""

from __future__ import annotations

import math
from itertools import combinations
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["ConcatHead", "EachHead", "FusionHead", "Head", "PairwiseHead", "PlacesHead", "Projector"]


class Head(nn.Module):
    """A module over the features (B, S, D) of S clips.

    One that is `over_time` takes sequences (B, S, L, D), and one that is `over_places` takes maps (B, S, D, T, H, W).
    """

    over_time: ClassVar[bool] = False
    over_places: ClassVar[bool] = False


def _classifier(wide: int, classes: int, hidden: int | None, dropout: float) -> nn.Sequential:
    if classes < 2:
        raise ValueError(f"classes {classes}: must be ≥ 2")
    layers: list[nn.Module] = []
    if hidden is not None:
        layers += [nn.Linear(wide, hidden), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.Dropout(dropout), nn.Linear(wide if hidden is None else hidden, classes))


def _require_clips(x: Tensor, clips: int) -> None:
    if x.ndim != 3 or x.shape[1] != clips:
        raise ValueError(f"features of shape {tuple(x.shape)}: must be (B, S, D) with S = {clips}; fit `clips`")


class ConcatHead(Head):
    """One answer for all clips, from their features side by side: (B, S, D) → (B, K).

    As in Shuffle & Learn, Misra et al., ECCV 2016, arXiv:1603.08561, section 3.2.
    """

    def __init__(
        self, dim: int, classes: int, *, clips: int = 3, hidden: int | None = None, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.clips = clips
        self.layers = _classifier(clips * dim, classes, hidden, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        _require_clips(x, self.clips)
        y: Tensor = self.layers(x.flatten(1))
        return y


class PairwiseHead(Head):
    """One answer for all clips, from a hidden layer over every pair of clips: (B, S, D) → (B, K).

    The same hidden layer sees each of the S (S − 1) / 2 pairs in order; its outputs side by side give the answer. As in
    OPN, Lee et al., ICCV 2017, arXiv:1708.01246, section 3.3, and VCOP, Xu et al., CVPR 2019, section 3.2.
    """

    def __init__(self, dim: int, classes: int, *, clips: int = 3, hidden: int = 512, dropout: float = 0.5) -> None:
        super().__init__()
        if clips < 2:
            raise ValueError(f"clips {clips}: must be ≥ 2 to form pairs")
        self.clips = clips
        self.pairs = tuple(combinations(range(clips), 2))
        self.pair = nn.Linear(2 * dim, hidden)
        self.layers = _classifier(len(self.pairs) * hidden, classes, None, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        _require_clips(x, self.clips)
        pairs = torch.stack([torch.cat((x[:, i], x[:, j]), dim=1) for i, j in self.pairs], dim=1)
        y: Tensor = self.layers(F.relu(self.pair(pairs)).flatten(1))
        return y


class EachHead(Head):
    """An answer for each clip by itself: (B, S, D) → (B, S, K), such as its rotation or its pace."""

    def __init__(self, dim: int, classes: int, *, hidden: int | None = None, dropout: float = 0.0) -> None:
        super().__init__()
        self.layers = _classifier(dim, classes, hidden, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        y: Tensor = self.layers(x)
        return y


class FusionHead(Head):
    """An answer for each clip from its frames and its sound, compared instant by instant.

    Sequences (B, S, L, D) of video and (B, S, L', D') of sound → (B, S, K); frames that come once, (B, 1, L, D), are
    compared with each of the S sounds. The shorter one is interpolated to the
    length of the longer, both side by side pass `layers` temporal convolutions, and their maximum and mean over time
    give the answer. Early fusion as in Owens and Efros, ECCV 2018, arXiv:1804.03641, section 3.
    """

    over_time: ClassVar[bool] = True

    def __init__(
        self,
        video_dim: int,
        sound_dim: int,
        *,
        classes: int = 2,
        width: int = 128,
        layers: int = 3,
        kernel: int = 3,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if kernel % 2 == 0 or layers < 1 or width % 8:
            raise ValueError(f"kernel {kernel}, layers {layers}, width {width}: must be odd, ≥ 1 and a multiple of 8")
        # Both streams are brought to one scale, or the larger one would drown the other.
        self.video = nn.Sequential(nn.LayerNorm(video_dim), nn.Linear(video_dim, width))
        self.sound = nn.Sequential(nn.LayerNorm(sound_dim), nn.Linear(sound_dim, width))
        blocks: list[nn.Module] = []
        for i in range(layers):
            wide = 2 * width if i == 0 else width
            convolution = nn.Conv1d(wide, width, kernel, padding=kernel // 2, bias=False)
            blocks += [convolution, nn.GroupNorm(8, width), nn.ReLU(inplace=True)]
        self.time = nn.Sequential(*blocks)
        self.layers = _classifier(2 * width, classes, None, dropout)

    def forward(self, video: Tensor, sound: Tensor) -> Tensor:
        """Logits."""
        batch = sound.shape[:2]
        video = video.expand(*batch, -1, -1)
        steps = max(video.shape[2], sound.shape[2])
        both = [_resampled(f(x.flatten(0, 1)), steps) for f, x in ((self.video, video), (self.sound, sound))]
        y = self.time(torch.cat(both, dim=1))
        logits: Tensor = self.layers(torch.cat((y.amax(dim=2), y.mean(dim=2)), dim=1))
        return torch.unflatten(logits, 0, batch)


def _resampled(x: Tensor, steps: int) -> Tensor:
    """(B, L, D) → (B, D, steps), linearly; the middles of the first and last steps of both keep their instants."""
    y = x.transpose(1, 2)
    return y if y.shape[2] == steps else F.interpolate(y, size=steps, mode="linear", align_corners=False)


class Projector(nn.Module):
    """The MLP between features and the loss, (…, D) → (…, out), of `layers` linear layers.

    SimCLR: Chen et al., ICML 2020, arXiv:2002.05709, section 2.1. `norm` "batch" normalises after every linear layer
    but the last, over all leading dimensions; "none" is MoCo v2's head (Chen et al., 2020, arXiv:2003.04297), and
    `layers` 1 the linear one of MoCo v1. `normed_output` normalises after the last one too, without scale and shift, as
    in SimSiam (Chen and He, CVPR 2021, arXiv:2011.10566, section 3, and its code).
    """

    def __init__(
        self,
        dim: int,
        out: int = 128,
        *,
        hidden: int | None = None,
        layers: int = 2,
        norm: Literal["batch", "none"] = "batch",
        normed_output: bool = False,
    ) -> None:
        super().__init__()
        if layers < 1 or norm not in {"batch", "none"}:
            raise ValueError(f"layers {layers}, norm {norm!r}: layers must be ≥ 1 and norm 'batch' or 'none'")
        steps: list[nn.Module] = []
        wide = dim
        for _ in range(layers - 1):
            size = hidden or dim
            steps.append(nn.Linear(wide, size, bias=norm == "none"))
            steps += [nn.BatchNorm1d(size)] if norm == "batch" else []
            steps.append(nn.ReLU(inplace=True))
            wide = size
        last: list[nn.Module] = [nn.Linear(wide, out, bias=not normed_output)]
        last += [nn.BatchNorm1d(out, affine=False)] if normed_output else []
        self.layers = nn.Sequential(*steps, *last)

    def forward(self, x: Tensor) -> Tensor:
        """Embeddings, not yet of unit length."""
        y: Tensor = self.layers(x.flatten(0, -2))
        return torch.unflatten(y, 0, x.shape[:-1])


class PlacesHead(Head):
    """One answer for all clips, from their maps side by side: (B, S, D, T, H, W) → (B, out).

    Convolutions compare what the clips have at and around each place, as a mean over places could not; their answer is
    averaged over `places` × `places` parts of the frame. After the network on top of Agrawal et al., ICCV 2015,
    arXiv:1505.01596, section 3. With `reach` they also see how alike each place of the first clip is to those of every
    other clip up to so many places away, as in FlowNet, Dosovitskiy et al., ICCV 2015, arXiv:1504.06852, section 3:
    small networks hardly find that out by themselves.
    """

    over_places: ClassVar[bool] = True

    def __init__(
        self,
        dim: int,
        out: int,
        *,
        clips: int = 2,
        reach: int = 0,
        width: int = 64,
        layers: int = 2,
        places: int = 4,
    ) -> None:
        super().__init__()
        if width % 8 or layers < 1 or clips < 1 or reach < 0:
            raise ValueError(
                f"width {width}, layers {layers}, clips {clips}, reach {reach}: a multiple of 8, ≥ 1, ≥ 1 and ≥ 0"
            )
        self.clips, self.reach = clips, reach
        steps: list[nn.Module] = []
        wide = clips * dim + (clips - 1) * (2 * reach + 1) ** 2 * (reach > 0)
        for _ in range(layers):
            convolution = nn.Conv2d(wide, width, 3, padding=1, bias=False)
            steps += [convolution, nn.GroupNorm(8, width), nn.ReLU(inplace=True)]
            wide = width
        self.layers = nn.Sequential(
            *steps, nn.AdaptiveAvgPool2d(places), nn.Flatten(), nn.Linear(width * places**2, out)
        )

    def forward(self, x: Tensor) -> Tensor:
        """The answers."""
        if x.ndim != 6 or x.shape[1] != self.clips:
            raise ValueError(f"maps of shape {tuple(x.shape)}: must be (B, S, D, T, H, W) with S = {self.clips}")
        maps = x.mean(dim=3)
        seen = [maps.flatten(1, 2)]
        if self.reach:
            seen += [_alike(maps[:, 0], maps[:, k], self.reach).to(maps.dtype) for k in range(1, self.clips)]
        y: Tensor = self.layers(torch.cat(seen, dim=1))
        return y


def _alike(a: Tensor, b: Tensor, reach: int) -> Tensor:
    """Cosines of each place of a map (B, D, H, W) with those of another up to `reach` away: (B, (2 reach + 1)², H, W).

    They are multiplied by √D, so that those of unlike places are of about the size of the features themselves.
    """
    # what all places share says nothing of which is which
    a, b = (F.normalize((m - m.mean(dim=(2, 3), keepdim=True)).float(), dim=1) for m in (a, b))
    around = F.unfold(b, 2 * reach + 1, padding=reach)
    around = around.view(*b.shape[:2], -1, *b.shape[2:])
    alike: Tensor = (a[:, :, None] * around).sum(dim=1) * math.sqrt(a.shape[1])
    return alike
