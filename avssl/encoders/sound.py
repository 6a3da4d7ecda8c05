"""Networks for sound, with their own front end: samples in, log-mel spectrogram inside."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import ClassVar

import torch
import torchvision
from torch import Tensor, nn

from avssl.encoders.base import Encoder, Json, Modality, Origin, Trunk
from avssl.encoders.tiny import Norm, initialise, norm_layer

__all__ = ["LogMel", "SoundEncoder", "sound_resnet18", "sound_vgg", "tiny_sound"]


class LogMel(nn.Module):
    """Sound (B, A, N) at `sample_rate` (Hz) → log-mel spectrogram (B, 1, L, n_mels), L = 1 + ⌊N / (hop · rate)⌋.

    Channels are averaged. `window` and `hop` are seconds. The natural logarithm is of the power plus 1e-6, which is
    about the noise of 16-bit sound; each clip's spectrogram then gets zero mean and unit variance, so loudness is
    not seen. A silent clip is zero everywhere. N is arbitrary from one window on; shorter sound is an error.
    """

    def __init__(self, *, sample_rate: int = 16000, n_mels: int = 64, window: float = 0.025, hop: float = 0.01) -> None:
        super().__init__()
        from torchaudio.transforms import MelSpectrogram  # slow to import, and only sound needs it

        frame = round(window * sample_rate)
        # long enough for the narrowest of many bands to hold a frequency
        self.n_fft = max(2 ** (max(frame, 8 * n_mels) - 1).bit_length(), 512)
        self.mel = MelSpectrogram(
            sample_rate=sample_rate,
            n_fft=self.n_fft,
            win_length=frame,
            hop_length=round(hop * sample_rate),
            n_mels=n_mels,
            power=2.0,
            normalized="window",
        )

    def forward(self, x: Tensor) -> Tensor:
        """Spectrogram of a batch."""
        if x.ndim != 3 or not x.is_floating_point():
            raise ValueError(f"sound of shape {tuple(x.shape)}, {x.dtype}: must be (B, A, N) float")
        if x.shape[-1] <= self.n_fft // 2:
            raise ValueError(f"sound of {x.shape[-1]} samples: must be longer than half a window of {self.n_fft}")
        with torch.autocast(x.device.type, enabled=False):  # powers overflow half precision
            y: Tensor = self.mel(x.float().mean(dim=1, keepdim=True))
            y = torch.log(y + 1e-6).transpose(2, 3)
            variance, mean = torch.var_mean(y, dim=(2, 3), keepdim=True, correction=0)
            return (y - mean) / (variance + 1e-4).sqrt()


class SoundEncoder(Encoder):
    """A 2-D network over the log-mel spectrogram of sound (B, A, N) float; its maps are (B, D', L, F)."""

    modality: ClassVar[Modality] = "sound"

    def __init__(self, trunk: Trunk, *, origin: Origin, front: LogMel) -> None:
        super().__init__(trunk, origin=origin)
        self.front = front

    def prepare(self, x: Tensor) -> Tensor:
        """(B, A, N) → (B, 1, L, F)."""
        y: Tensor = self.front(x)
        return y

    def maps(self, y: Tensor, x: Tensor) -> Tensor:
        """(B, D', L, F) as it is."""
        return y


def sound_resnet18(*, sample_rate: int = 16000, n_mels: int = 64, hop: float = 0.01) -> SoundEncoder:
    """ResNet-18 with a stem of one channel, D = 512; a step of its sequence is 32 hops (s)."""
    net = torchvision.models.resnet18(weights=None)
    net.conv1 = nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")
    del net.fc
    stages = {"stem": ("conv1", "bn1", "relu", "maxpool")} | {f"layer{i}": (f"layer{i}",) for i in (1, 2, 3, 4)}
    origin = Origin.of(sound_resnet18, {"sample_rate": sample_rate, "n_mels": n_mels, "hop": hop})
    front = LogMel(sample_rate=sample_rate, n_mels=n_mels, hop=hop)
    return SoundEncoder(Trunk(net=net, stages=stages, dim=512), origin=origin, front=front)


def sound_vgg(*, sample_rate: int = 16000, n_mels: int = 64, hop: float = 0.01, width: int = 16) -> SoundEncoder:
    """Four blocks of two 3 × 3 convolutions with batch normalisation, D = 8·width; a step of its sequence is 8 hops.

    Like the sound network of Arandjelović and Zisserman, ICCV 2017, arXiv:1705.08168, which has width 64. Space for
    frequency is halved by each block, time by the first three.

    Raises:
        ValueError: fewer than 16 mel bands, which the four halvings need.
    """
    net = nn.Module()
    for i, (wide, out) in enumerate(_widths(width), start=1):
        block: list[nn.Module] = []
        for a in (wide, out):
            block += [nn.Conv2d(a, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True)]
        pool = nn.MaxPool2d((2, 2) if i < 4 else (1, 2))
        net.add_module(f"block{i}", nn.Sequential(*block, pool))
    arguments: dict[str, Json] = {"sample_rate": sample_rate, "n_mels": n_mels, "hop": hop, "width": width}
    return _of_four_blocks(net, Origin.of(sound_vgg, arguments), sample_rate=sample_rate, n_mels=n_mels, hop=hop)


def tiny_sound(
    *, sample_rate: int = 16000, n_mels: int = 64, hop: float = 0.01, width: int = 16, norm: Norm = "batch"
) -> SoundEncoder:
    """Four strided convolutions with normalisation for laptops, D = 8·width; a step of its sequence is 8 hops.

    Raises:
        ValueError: fewer than 16 mel bands, which the four halvings need, or `norm` is unknown or does not fit `width`.
    """
    net = nn.Module()
    for i, (wide, out) in enumerate(_widths(width), start=1):
        kernel, stride = (5, (2, 2)) if i == 1 else (3, (2 if i < 4 else 1, 2))
        convolution = nn.Conv2d(wide, out, kernel, stride, kernel // 2, bias=False)
        layers = (convolution, norm_layer(norm, out, space=2), nn.ReLU(inplace=True))
        net.add_module(f"block{i}", nn.Sequential(*layers))
    arguments: dict[str, Json] = {"sample_rate": sample_rate, "n_mels": n_mels, "hop": hop, "width": width}
    origin = Origin.of(tiny_sound, arguments | {"norm": norm})
    return _of_four_blocks(net, origin, sample_rate=sample_rate, n_mels=n_mels, hop=hop)


def _widths(width: int) -> Iterator[tuple[int, int]]:
    """Channels into and out of each of four blocks."""
    return pairwise((1, width, 2 * width, 4 * width, 8 * width))


def _of_four_blocks(net: nn.Module, origin: Origin, *, sample_rate: int, n_mels: int, hop: float) -> SoundEncoder:
    if n_mels < 16:
        raise ValueError(f"n_mels {n_mels}: must be ≥ 16, for four halvings")
    initialise(net)
    stages = {f"block{i}": (f"block{i}",) for i in (1, 2, 3, 4)}
    dim = [m.out_channels for m in net.modules() if isinstance(m, nn.Conv2d)][-1]
    front = LogMel(sample_rate=sample_rate, n_mels=n_mels, hop=hop)
    return SoundEncoder(Trunk(net=net, stages=stages, dim=dim), origin=origin, front=front)
