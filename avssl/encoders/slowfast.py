"""The Slow network and SlowFast: Feichtenhofer et al., ICCV 2019, arXiv:1812.03982."""

from __future__ import annotations

from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.resnet import Bottleneck

from avssl.encoders.base import ClipEncoder, Origin, Trunk
from avssl.encoders.clip import late
from avssl.encoders.inflate import inflate
from avssl.encoders.tiny import initialise

__all__ = ["SlowFast", "slow_r50", "slowfast_r50"]

BLOCKS = (3, 4, 6, 3)
"""Of ResNet-50."""


def slow_r50() -> ClipEncoder:
    """The Slow pathway alone (SlowOnly), D = 2048: a ResNet-50 whose last two stages see motion, table 1.

    It keeps all frames of a clip, which lie far apart: 8 frames, every 8th of 30 Hz, is its usual input (--frames 8
    --step 8). 31.6 M parameters, and with a classifier of 400 classes 32.45 M, as PyTorchVideo's table has it.
    """
    net = torchvision.models.resnet50(weights=None)
    del net.fc
    inflate(net, late)
    initialise(net)
    stages = {"stem": ("conv1", "bn1", "relu", "maxpool")} | {f"layer{i}": (f"layer{i}",) for i in (1, 2, 3, 4)}
    return ClipEncoder(Trunk(net=net, stages=stages, dim=2048), origin=Origin.of(slow_r50, {}))


class _Stage(nn.Module):
    """Both pathways of a stage: the slow one also sees what the fast one has found so far."""

    def __init__(self, slow: nn.Module, fast: nn.Module, lateral: nn.Module) -> None:
        super().__init__()
        self.slow, self.fast, self.lateral = slow, fast, lateral

    def forward(self, y: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        slow, fast = y
        return self.slow(torch.cat((slow, self.lateral(fast)), dim=1)), self.fast(fast)


class _Stem(nn.Module):
    """Clips (B, 3, T, H, W) → the maps of both pathways, the slow one of every `apart`-th frame."""

    def __init__(self, slow: nn.Module, fast: nn.Module, *, apart: int) -> None:
        super().__init__()
        self.slow, self.fast, self.apart = slow, fast, apart

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.slow(x[:, :, :: self.apart]), self.fast(x)


class SlowFast(ClipEncoder):
    """An encoder of two pathways, whose maps are those of both side by side in channels.

    The fast pathway's frames are averaged to the fewer ones of the slow one. So the mean over the last map is what the
    paper's classifier sees, where T is a multiple of their ratio.
    """

    def maps(self, y: Any, x: Tensor) -> Tensor:
        """(B, D', T', H', W') of the slow pathway's T'."""
        slow, fast = y
        return torch.cat((slow, F.adaptive_avg_pool3d(fast, slow.shape[2:])), dim=1)


def slowfast_r50(*, width: int = 64, apart: int = 4, thinner: int = 8, lateral: int = 7) -> SlowFast:
    """SlowFast with two ResNet-50, D = 2304 (2048 of the slow pathway, then 256 of the fast one): section 3, table 1.

    A clip is what the fast pathway sees, as 32 frames, every other one of 30 Hz (--frames 32 --step 2); the slow one
    sees every `apart`-th of them (α) and has `thinner` times the channels (1/β), of which the first convolution has
    `width`. What the fast pathway finds goes to the slow one before each stage through a convolution over `lateral`
    frames, which doubles its channels. 33.6 M parameters, and with a classifier of 400 classes 34.57 M, as
    PyTorchVideo's table has its 8 × 8 network (4 × 16: `apart` 8 and `lateral` 5).

    Raises:
        ValueError: `width` is not a multiple of `thinner`, or `lateral` is even.
    """
    if width % thinner or width < thinner:
        raise ValueError(f"width {width}: must be a multiple of thinner {thinner}")
    if lateral % 2 == 0 or apart < 1:
        raise ValueError(f"lateral {lateral}, apart {apart}: must be odd, and ≥ 1")
    net, thin = nn.Module(), width // thinner
    net.add_module("stem", _Stem(_first(width, span=1), _first(thin, span=5), apart=apart))
    wide, narrow = width, thin
    for k, blocks in enumerate(BLOCKS):
        slow = _blocks(wide + 2 * narrow, width * 2**k, blocks, stride=1 if k == 0 else 2, span=1 if k < 2 else 3)
        fast = _blocks(narrow, thin * 2**k, blocks, stride=1 if k == 0 else 2, span=3)
        net.add_module(f"layer{k + 1}", _Stage(slow, fast, _lateral(narrow, frames=lateral, apart=apart)))
        wide, narrow = 4 * width * 2**k, 4 * thin * 2**k
    initialise(net)
    names = ("stem", *(f"layer{k + 1}" for k in range(len(BLOCKS))))
    trunk = Trunk(net=net, stages={n: (n,) for n in names}, dim=wide + narrow)
    arguments = {"width": width, "apart": apart, "thinner": thinner, "lateral": lateral}
    return SlowFast(trunk, origin=Origin.of(slowfast_r50, arguments))


def _first(out: int, *, span: int) -> nn.Module:
    layers = nn.Sequential()
    layers.add_module("conv1", nn.Conv2d(3, out, 7, 2, 3, bias=False))
    layers.add_module("bn1", nn.BatchNorm2d(out))
    layers.add_module("relu", nn.ReLU(inplace=True))
    layers.add_module("maxpool", nn.MaxPool2d(3, 2, 1))
    inflate(layers, lambda _: span)
    return layers


def _blocks(wide: int, planes: int, blocks: int, *, stride: int, span: int) -> nn.Module:
    """A stage of bottlenecks, the first convolution of each of which spans so many frames."""
    out = planes * Bottleneck.expansion
    shortcut = nn.Sequential(nn.Conv2d(wide, out, 1, stride, bias=False), nn.BatchNorm2d(out))
    layers = nn.Sequential(
        Bottleneck(wide, planes, stride, shortcut), *(Bottleneck(out, planes) for _ in range(blocks - 1))
    )
    inflate(layers, lambda name: span if name.endswith("conv1") else 1)
    return layers


def _lateral(narrow: int, *, frames: int, apart: int) -> nn.Module:
    """A convolution over time of the fast pathway's channels, centred on the frames that the slow one sees."""
    over_time = nn.Conv3d(narrow, 2 * narrow, (frames, 1, 1), (apart, 1, 1), (frames // 2, 0, 0), bias=False)
    return nn.Sequential(over_time, nn.BatchNorm3d(2 * narrow), nn.ReLU(inplace=True))
