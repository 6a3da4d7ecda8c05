"""Features without a network: what a label owes to colour, to the place of change, and to the spectrum."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from avssl.evaluation.features import FeatureFunction, Modality

__all__ = ["frame_difference", "mean_colour", "mean_log_mel", "naive"]


def mean_colour(video: Tensor) -> Tensor:
    """Mean and standard deviation of each channel over time and space: (B, T, C, H, W) → (B, 2C), in 0…1."""
    x = _unit(video)
    return torch.cat([x.mean(dim=(1, 3, 4)), x.std(dim=(1, 3, 4), unbiased=False)], dim=1)


def frame_difference(video: Tensor) -> Tensor:
    """Mean absolute difference of successive frames on a 4 × 4 grid: (B, T, C, H, W) → (B, 16); 0 for T = 1."""
    x = _unit(video)
    if x.shape[1] < 2:
        return x.new_zeros(len(x), 16)
    change = (x[:, 1:] - x[:, :-1]).abs().mean(dim=(1, 2))
    return F.adaptive_avg_pool2d(change.unsqueeze(1), 4).flatten(1)


@dataclass(frozen=True)
class _MeanLogMel:
    """What `mean_log_mel` returns; its fields tell its features from others in a cache."""

    sample_rate: int
    mels: int
    window: float
    hop: float

    def __call__(self, audio: Tensor) -> Tensor:
        x = audio.float().mean(dim=1)
        if x.shape[1] < self._size:
            x = F.pad(x, (0, self._size - x.shape[1]))
        power = torch.stft(
            x,
            n_fft=self._size,
            hop_length=max(1, round(self.hop * self.sample_rate)),
            win_length=self._length,
            window=torch.hann_window(self._length, device=x.device),
            center=False,
            return_complex=True,
        )
        log = (power.abs().square().transpose(1, 2) @ self._bank.to(x.device) + 1e-6).log()
        return torch.cat([log.mean(dim=1), log.std(dim=1, unbiased=False)], dim=1)

    @cached_property
    def _length(self) -> int:
        return max(1, round(self.window * self.sample_rate))

    @cached_property
    def _size(self) -> int:
        return 1 << (self._length - 1).bit_length()  # enough bins for the lowest bands

    @cached_property
    def _bank(self) -> Tensor:
        from torchaudio.functional import melscale_fbanks  # heavy and optional

        top = self.sample_rate / 2
        bank: Tensor = melscale_fbanks(
            self._size // 2 + 1, 0.0, top, self.mels, self.sample_rate, norm=None, mel_scale="htk"
        )
        return bank


def mean_log_mel(
    sample_rate: int = 16000, *, mels: int = 64, window: float = 0.025, hop: float = 0.01
) -> FeatureFunction:
    """A function from sound (B, A, N) to mean and standard deviation over time of its log-mel (B, 2 · mels).

    `window` and `hop` are seconds; channels are averaged; the logarithm is of the power plus 1e-6.
    """
    return _MeanLogMel(sample_rate, mels, window, hop)


def naive(modality: Modality, *, sample_rate: int = 16000) -> dict[str, FeatureFunction]:
    """The baselines of a modality by the name under which their scores appear."""
    if modality == "sound":
        return {"mean log-mel": mean_log_mel(sample_rate)}
    return {"mean colour": mean_colour, "frame difference": frame_difference}


def _unit(video: Tensor) -> Tensor:
    """Float in 0…1."""
    return video.float() / 255 if video.dtype == torch.uint8 else video.float()
