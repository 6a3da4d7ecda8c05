"""Colour and sharpness, with numbers of its own for each clip (or example, or frame)."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from avssl.core import Clip, Example, MediaInfo, Plan, Rng
from avssl.transforms.base import Part, Scope, require
from avssl.transforms.pixels import change_frames

__all__ = ["Blur", "ChannelSplit", "ColourJitter", "Grey", "Solarise"]


@dataclass(frozen=True, kw_only=True)
class _Coloured(Part):
    """Changes frames with probability p."""

    p: float = 1.0
    """Probability that a draw changes anything."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.p <= 1, f"p {self.p}: must be a probability")

    def _draw_on(self, plan: Plan, rng: Rng) -> np.ndarray:
        on = self.shared(plan, lambda n: rng.random(n)) < self.p
        on[~self.mask(plan)] = False
        return on

    def _choices(self, batch: Example, s: int) -> tuple[Tensor, ...]:
        return ()

    @abstractmethod
    def _change(self, frames: Tensor, *choices: Tensor) -> Tensor:
        """The frames (R, C, H, W) changed; may write into them."""

    def draw(self, plan: Plan, info: MediaInfo, rng: Rng, /) -> Plan:
        """The plan with `on`, (S,) bool or, for frames, (S, Tmax)."""
        return self.record(plan, on=self._draw_on(plan, rng))

    def apply(self, batch: Example, /) -> Example:
        """The batch changed; its video is float 0…1."""

        def change(s: int, clip: Clip) -> Clip:
            if clip.video is None or self.p == 0:
                return clip
            require(clip.video.shape[-3] == 3, f"{type(self).__name__} needs 3 colour channels, not {clip.video.shape}")
            on, choices = self.chosen(batch, "on", s), self._choices(batch, s)
            video = change_frames(clip.video, on, choices, self._change)
            return replace(clip, video=video)

        return self.change_clips(batch, change)


def _grey(frames: Tensor) -> Tensor:
    """Luminance (R, 1, H, W) by ITU-R BT.601."""
    red, green, blue = frames.unbind(-3)
    return (red * 0.2989).add_(green, alpha=0.587).add_(blue, alpha=0.114).unsqueeze(-3)


def _shaped(choice: Tensor) -> Tensor:
    return choice[:, None, None, None]


def _turn_hue(frames: Tensor, turns: Tensor) -> Tensor:
    """Hue shifted by turns of the circle at constant value and chroma, as in hue-saturation-value space."""
    red, green, blue = frames.unbind(-3)
    value, low = frames.amax(-3), frames.amin(-3)
    chroma = value - low
    safe = torch.where(chroma == 0, torch.ones_like(chroma), chroma)
    sixths = torch.where(
        value == red,
        (green - blue) / safe,
        torch.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    sixths += 6 * turns[:, None, None]
    for channel, phase in enumerate((5.0, 3.0, 1.0)):
        k = (sixths + phase).remainder_(6)
        k = torch.minimum(k, 4 - k).clamp_(0, 1)
        frames[:, channel] = torch.addcmul(value, chroma, k, value=-1)
    return frames


@dataclass(frozen=True, kw_only=True)
class ColourJitter(_Coloured):
    """Brightness, contrast, saturation and hue changed at random, always in this order.

    The strengths are those of SimCLR (Chen et al., ICML 2020, arXiv:2002.05709, appendix A) at s = 0.5; with scope
    "frame" and (0.8, 0.8, 0.8, 0.2) it is Pace's (Wang et al., ECCV 2020, arXiv:2008.05861).
    """

    brightness: float = 0.4
    """The factor is uniform in 1 ± this, and not below 0."""
    contrast: float = 0.4
    """The same, for the distance of a pixel to the frame's mean luminance."""
    saturation: float = 0.4
    """The same, for the distance of a pixel to its own luminance."""
    hue: float = 0.1
    """Up to so many turns of the colour circle, either way; at most 0.5."""
    p: float = 0.8
    """Probability that a draw changes anything."""

    def __post_init__(self) -> None:
        super().__post_init__()
        strengths = (self.brightness, self.contrast, self.saturation)
        require(min(strengths) >= 0, f"brightness, contrast, saturation {strengths}: must be ≥ 0")
        require(0 <= self.hue <= 0.5, f"hue {self.hue}: must be from 0 to 0.5 turns")

    def draw(self, plan: Plan, info: MediaInfo, rng: Rng, /) -> Plan:
        """The plan with `on`, and `factors` (…, 4): brightness, contrast, saturation, and the hue's turns."""
        low = np.array([*(max(0.0, 1 - x) for x in (self.brightness, self.contrast, self.saturation)), -self.hue])
        high = np.array([1 + self.brightness, 1 + self.contrast, 1 + self.saturation, self.hue])
        on = self._draw_on(plan, rng)
        factors = self.shared(plan, lambda n: low + rng.random((*n, 4)) * (high - low))
        return self.record(plan, on=on, factors=factors.astype(np.float32))

    def _choices(self, batch: Example, s: int) -> tuple[Tensor, ...]:
        return (self.chosen(batch, "factors", s),)

    def _change(self, frames: Tensor, *choices: Tensor) -> Tensor:
        brightness, contrast, saturation, hue = choices[0].to(frames.dtype).unbind(-1)
        if self.brightness:
            frames.mul_(_shaped(brightness)).clamp_(0, 1)
        if self.contrast:
            factor = _shaped(contrast)
            mean = _grey(frames).mean((-2, -1), keepdim=True)
            frames.mul_(factor).add_(mean.mul_(1 - factor)).clamp_(0, 1)
        if self.saturation:
            factor = _shaped(saturation)
            grey = _grey(frames)
            frames.mul_(factor).add_(grey.mul_(1 - factor)).clamp_(0, 1)
        return _turn_hue(frames, hue) if self.hue else frames


@dataclass(frozen=True, kw_only=True)
class Grey(_Coloured):
    """All colour taken away."""

    p: float = 0.2
    """Probability that a draw changes anything."""

    def _change(self, frames: Tensor, *choices: Tensor) -> Tensor:
        return _grey(frames).expand_as(frames)


@dataclass(frozen=True, kw_only=True)
class Solarise(_Coloured):
    """Bright pixels inverted. Grill et al. (BYOL), NeurIPS 2020, arXiv:2006.07733, appendix B."""

    p: float = 0.2
    """Probability that a draw changes anything."""
    threshold: float = 0.5
    """From which value on (0…1)."""

    def _change(self, frames: Tensor, *choices: Tensor) -> Tensor:
        return torch.where(frames >= self.threshold, 1 - frames, frames)


@dataclass(frozen=True, kw_only=True)
class Blur(_Coloured):
    """A Gaussian blur, reflected at the edges. Chen et al. (SimCLR), ICML 2020, arXiv:2002.05709, appendix A."""

    p: float = 0.5
    """Probability that a draw changes anything."""
    sigma: tuple[float, float] = (0.1, 2.0)
    """Limits of the standard deviation, pixels."""
    kernel: float = 0.1
    """Size of the kernel as a share of the shorter side; it is rounded to an odd number of pixels, at least 3."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 < self.sigma[0] <= self.sigma[1], f"sigma {self.sigma}: must be 0 < low ≤ high")
        require(0 < self.kernel <= 1, f"kernel {self.kernel}: must be a share of the side, above 0 and at most 1")

    def draw(self, plan: Plan, info: MediaInfo, rng: Rng, /) -> Plan:
        """The plan with `on` and `sigma`, pixels."""
        on = self._draw_on(plan, rng)
        sigma = self.shared(plan, lambda n: rng.uniform(*self.sigma, n))
        return self.record(plan, on=on, sigma=sigma.astype(np.float32))

    def _choices(self, batch: Example, s: int) -> tuple[Tensor, ...]:
        return (self.chosen(batch, "sigma", s),)

    def size(self, height: int, width: int) -> int:
        """Pixels of the kernel for frames of this size."""
        return max(3, 2 * math.floor(self.kernel * min(height, width) / 2) + 1)

    def _change(self, frames: Tensor, *choices: Tensor) -> Tensor:
        height, width = frames.shape[-2:]
        reach = self.size(height, width) // 2
        require(reach < min(height, width), f"Blur of {2 * reach + 1} pixels on {height}×{width}: frames are too small")
        distance = torch.arange(reach + 1, device=frames.device, dtype=torch.float32)
        weights = torch.exp(-0.5 * (distance / choices[0].float()[:, None]) ** 2)
        weights = (weights / (weights[:, :1] + 2 * weights[:, 1:].sum(1, keepdim=True))).to(frames.dtype)
        return _smooth(_smooth(frames, weights, dim=3), weights, dim=2)


def _smooth(frames: Tensor, weights: Tensor, dim: int) -> Tensor:
    # sums of shifted copies and not a convolution: a row's result must not depend on how many there are
    reach, size = weights.shape[1] - 1, frames.shape[dim]
    before, after = frames.narrow(dim, 1, reach).flip(dim), frames.narrow(dim, size - 1 - reach, reach).flip(dim)
    padded = torch.cat([before, frames, after], dim)  # reflected
    out = padded.narrow(dim, reach, size) * weights[:, :1, None, None]
    for k in range(1, reach + 1):
        pair = padded.narrow(dim, reach - k, size) + padded.narrow(dim, reach + k, size)
        out.addcmul_(pair, weights[:, k, None, None, None])
    return out


@dataclass(frozen=True, kw_only=True)
class ChannelSplit(Part):
    """One colour channel, drawn for each frame, in place of all three; what colour betrays is gone.

    Lee et al. (OPN), ICCV 2017, arXiv:1708.01246, §3.2.
    """

    scope: Scope = "frame"
    """What shares a channel."""

    def draw(self, plan: Plan, info: MediaInfo, rng: Rng, /) -> Plan:
        """The plan with `channel`, 0 to 2; −1: nothing changes."""
        channel = self.shared(plan, lambda n: rng.integers(3, size=n))
        channel[~self.mask(plan)] = -1
        return self.record(plan, channel=channel)

    def apply(self, batch: Example, /) -> Example:
        """The batch changed; the kind of its numbers stays."""

        def change(s: int, clip: Clip) -> Clip:
            if clip.video is None:
                return clip
            video = clip.video
            require(video.shape[-3] == 3, f"ChannelSplit needs 3 colour channels, not {tuple(video.shape)}")
            channel = self.chosen(batch, "channel", s)
            channel = channel[:, None] if channel.ndim == 1 else channel[:, : video.shape[1]]
            own = torch.arange(3, device=video.device)
            source = torch.where(channel[..., None] < 0, own, channel[..., None]).expand(*video.shape[:3])
            return replace(clip, video=video.gather(2, source[..., None, None].expand_as(video)))

        return self.change_clips(batch, change)
