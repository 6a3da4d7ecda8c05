"""Loudness, noise and holes in time and frequency, on the waveform."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from avssl.core import Clip, Example, MediaInfo, Plan, Rng
from avssl.transforms.base import Part, require
from avssl.transforms.pixels import random_bits

__all__ = ["FrequencyMask", "Gain", "SoundNoise", "TimeMask"]


@dataclass(frozen=True, kw_only=True)
class _Sounding(Part):
    """Changes sound with probability p; clips without sound stay as they are."""

    p: float = 1.0
    """Probability that a draw changes anything."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.p <= 1, f"p {self.p}: must be a probability")
        require(self.scope != "frame", f"{type(self).__name__} has no frames: scope 'clip' or 'sample'")

    @abstractmethod
    def _choices(self, plan: Plan, rng: Rng) -> dict[str, np.ndarray]:
        """What is drawn, each (S, …)."""

    @abstractmethod
    def _change(self, audio: Tensor, batch: Example, s: int) -> Tensor:
        """The sound (B, A, N) of clip s changed."""

    def draw(self, plan: Plan, info: MediaInfo, rng: Rng, /) -> Plan:
        """The plan with `on`, (S,) bool, and what this transform draws."""
        on = (self.shared(plan, lambda n: rng.random(n)) < self.p) & self.mask(plan)
        return self.record(plan, on=on, **self._choices(plan, rng))

    def apply(self, batch: Example, /) -> Example:
        """The batch changed; pictures stay."""

        def change(s: int, clip: Clip) -> Clip:
            if clip.audio is None:
                return clip
            on = self.chosen(batch, "on", s)[:, None, None]
            return replace(clip, audio=torch.where(on, self._change(clip.audio, batch, s), clip.audio))

        return self.change_clips(batch, change)


@dataclass(frozen=True, kw_only=True)
class Gain(_Sounding):
    """Louder or softer; what passes ±1 is kept."""

    db: tuple[float, float] = (-6.0, 6.0)
    """Limits of the gain, dB."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.db[0] <= self.db[1], f"db {self.db}: limits in rising order")

    def _choices(self, plan: Plan, rng: Rng) -> dict[str, np.ndarray]:
        return {"db": self.shared(plan, lambda n: rng.uniform(*self.db, n)).astype(np.float32)}

    def _change(self, audio: Tensor, batch: Example, s: int) -> Tensor:
        return audio * (10 ** (self.chosen(batch, "db", s) / 20))[:, None, None]


@dataclass(frozen=True, kw_only=True)
class SoundNoise(_Sounding):
    """White Gaussian noise at a signal-to-noise ratio; silence stays silent."""

    snr: tuple[float, float] = (10.0, 40.0)
    """Limits of the ratio of the clip's power to the noise's, dB."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.snr[0] <= self.snr[1], f"snr {self.snr}: limits in rising order")

    def _choices(self, plan: Plan, rng: Rng) -> dict[str, np.ndarray]:
        return {
            "snr": self.shared(plan, lambda n: rng.uniform(*self.snr, n)).astype(np.float32),
            "seed": self.shared(plan, lambda n: rng.integers(2**31, size=n)),
        }

    def _change(self, audio: Tensor, batch: Example, s: int) -> Tensor:
        bits = random_bits(self.chosen(batch, "seed", s), (2, *audio.shape[1:]))
        # 24 bits are exact in float32; half a step keeps the logarithm from zero
        first, second = (((bits >> 8).to(torch.float32) + 0.5) / 2**24).unbind(1)
        normal = torch.sqrt(-2 * torch.log(first)) * torch.cos(2 * math.pi * second)
        power = audio.square().mean((-2, -1)) * 10 ** (-self.chosen(batch, "snr", s) / 10)
        return audio + normal.to(audio.dtype) * power.sqrt()[:, None, None]


@dataclass(frozen=True, kw_only=True)
class _Hole(_Sounding):
    width: float = 0.2
    """Up to such a share of the axis is taken out; the width is uniform, and so is the place."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 < self.width < 1, f"width {self.width}: must be a share, above 0 and below 1")

    def _interval(self, plan: Plan, rng: Rng) -> np.ndarray:
        shares = self.shared(plan, lambda n: rng.random((*n, 2)))
        width = shares[:, 0] * self.width
        low = shares[:, 1] * (1 - width)
        return np.stack([low, low + width], axis=1)


@dataclass(frozen=True, kw_only=True)
class TimeMask(_Hole):
    """A stretch of silence. Park et al. (SpecAugment), Interspeech 2019, arXiv:1904.08779, §2, on the waveform."""

    def _choices(self, plan: Plan, rng: Rng) -> dict[str, np.ndarray]:
        return {"span": self._interval(plan, rng).astype(np.float32)}

    def _change(self, audio: Tensor, batch: Example, s: int) -> Tensor:
        low, high = self.chosen(batch, "span", s)[:, :, None, None].unbind(1)
        place = torch.arange(audio.shape[-1], device=audio.device) / audio.shape[-1]
        return audio.masked_fill((place >= low) & (place < high), 0)


@dataclass(frozen=True, kw_only=True)
class FrequencyMask(_Hole):
    """A band of frequencies taken out, drawn on the mel axis. Park et al. (SpecAugment), Interspeech 2019,
    arXiv:1904.08779, §2, on the waveform: the log-mel belongs to the encoder.
    """

    def _choices(self, plan: Plan, rng: Rng) -> dict[str, np.ndarray]:
        share = self._interval(plan, rng)
        rates = np.array([[s.sound.rate if s.sound else 1.0] for s in plan.spans])
        # the mel scale of O'Shaughnessy: 2595 · log10(1 + f / 700 Hz)
        return {
            "hertz": (700 * ((1 + rates / 2 / 700) ** share - 1)).astype(np.float32),
            "rate": rates.astype(np.float32),
        }

    def _change(self, audio: Tensor, batch: Example, s: int) -> Tensor:
        low, high = self.chosen(batch, "hertz", s)[:, :, None, None].unbind(1)
        samples = audio.shape[-1]
        spectrum = torch.fft.rfft(audio.to(torch.float32))
        cycles = torch.arange(spectrum.shape[-1], device=audio.device) / samples
        hertz = cycles * self.chosen(batch, "rate", s)[:, :, None]
        spectrum = spectrum.masked_fill((hertz >= low) & (hertz < high), 0)
        filtered: Tensor = torch.fft.irfft(spectrum, n=samples)
        return filtered.to(audio.dtype)
