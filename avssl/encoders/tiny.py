"""Small networks of our own for laptops and tests: a (2+1)-D one for clips and a 2-D one for pictures.

Clips live in channels-last memory, where a spatial convolution is a 2-D one over B·T frames and a temporal convolution
a 2-D one over T × H·W, both without a copy; on a CPU that is several times as fast as 3-D convolutions.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avssl.encoders.base import ClipEncoder, FrameEncoder, Json, Origin, Trunk
from avssl.encoders.sobel import Sobel

__all__ = ["Norm", "Padding", "tiny_r2plus1d", "tiny_resnet"]

Norm: TypeAlias = Literal["batch", "group"]
Padding: TypeAlias = Literal["zeros", "reflect"]
"""What convolutions of space see beyond the border: with zeros, features there tell where they are."""
Last: TypeAlias = Literal["stage4", "fc"]


def norm_layer(norm: Norm, channels: int, *, space: Literal[2, 3]) -> nn.Module:
    """Batch normalisation, or group normalisation (of 8 groups) whose output for a clip does not depend on the others.

    Raises:
        ValueError: `norm` is neither.
    """
    if norm == "batch":
        return nn.BatchNorm2d(channels) if space == 2 else nn.BatchNorm3d(channels)
    if norm == "group":
        return nn.GroupNorm(8, channels)
    raise ValueError(f"norm {norm!r}: must be 'batch' or 'group'")


def initialise(net: nn.Module) -> None:
    """Draw convolutions as He et al., ICCV 2015, arXiv:1502.01852 (fan out), for the rectifiers that follow them."""
    for m in net.modules():
        if isinstance(m, nn.Conv2d | nn.Conv3d):
            nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")


def pad(net: nn.Module, padding: Padding) -> None:
    """Let all 2-D convolutions of a network pad so; those that did not are drawn anew.

    Raises:
        ValueError: `padding` is unknown.
    """
    if padding not in {"zeros", "reflect"}:
        raise ValueError(f"padding {padding!r}: must be 'zeros' or 'reflect'")
    for name, m in list(net.named_modules()):
        if isinstance(m, nn.Conv2d) and any(m.padding) and m.padding_mode != padding:
            shape = (m.in_channels, m.out_channels, m.kernel_size, m.stride, m.padding, m.dilation, m.groups)
            layer = nn.Conv2d(*shape, m.bias is not None, padding)  # type: ignore[arg-type]
            initialise(layer)
            net.set_submodule(name, layer)


class _Spatial(nn.Conv2d):
    """A convolution over H and W: (B, C, T, H, W) → (B, C', T, H', W')."""

    def __init__(self, wide: int, out: int, *, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(wide, out, kernel, stride, kernel // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x.transpose(1, 2).flatten(0, 1))
        return torch.unflatten(y, 0, (x.shape[0], x.shape[2])).transpose(1, 2)


class _Temporal(nn.Conv2d):
    """A convolution over T: (B, C, T, H, W) → (B, C', T', H, W)."""

    def __init__(self, wide: int, out: int, *, stride: int = 1) -> None:
        super().__init__(wide, out, (3, 1), (stride, 1), (1, 0), bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.unflatten(super().forward(x.flatten(3)), 3, x.shape[3:])


class _Stem(nn.Module):
    """(B, 3, T, H, W) → (B, C, T, H/2, W/2), first over space and then over time."""

    def __init__(self, out: int, norm: Norm) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _Spatial(3, out, kernel=5, stride=2),
            norm_layer(norm, out, space=3),
            nn.ReLU(inplace=True),
            _Temporal(out, out),
            norm_layer(norm, out, space=3),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x.contiguous(memory_format=torch.channels_last_3d))
        return y


class _Block(nn.Module):
    """A residual block of one spatial and one temporal convolution."""

    def __init__(self, wide: int, out: int, norm: Norm, *, stride: int, steps: int) -> None:
        super().__init__()
        self.space = _Spatial(wide, out, stride=stride)
        self.norm1 = norm_layer(norm, out, space=3)
        self.time = _Temporal(out, out, stride=steps)
        self.norm2 = norm_layer(norm, out, space=3)
        self.shortcut = nn.Conv3d(wide, out, 1, (steps, stride, stride), bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.space(x)), inplace=True)
        return F.relu(self.norm2(self.time(y)) + self.shortcut(x))


class _Frame(nn.Module):
    """A residual block of two spatial convolutions, for pictures."""

    def __init__(self, wide: int, out: int, norm: Norm, *, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(wide, out, 3, stride, 1, bias=False)
        self.norm1 = norm_layer(norm, out, space=2)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.norm2 = norm_layer(norm, out, space=2)
        self.shortcut = nn.Conv2d(wide, out, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)), inplace=True)
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


def tiny_r2plus1d(*, width: int = 16, norm: Norm = "batch") -> ClipEncoder:
    """A (2+1)-D residual network of four blocks, D = 8·width, after Tran et al., CVPR 2018, arXiv:1711.11248.

    At the default width it has 0.2 M parameters and is meant for clips of about 16 × 48 × 48. Space is halved four
    times (stem and first three stages) and time twice (last two stages), so L = T/4.

    Raises:
        ValueError: `width` is not a multiple of 8, or `norm` is unknown.
    """
    if width < 8 or width % 8:
        raise ValueError(f"width {width}: must be a multiple of 8")
    net = nn.Sequential()
    net.add_module("stem", _Stem(width, norm))
    net.add_module("stage1", _Block(width, width, norm, stride=2, steps=1))
    net.add_module("stage2", _Block(width, 2 * width, norm, stride=2, steps=1))
    net.add_module("stage3", _Block(2 * width, 4 * width, norm, stride=2, steps=2))
    net.add_module("stage4", _Block(4 * width, 8 * width, norm, stride=1, steps=2))
    initialise(net)
    names = ("stem", "stage1", "stage2", "stage3", "stage4")
    trunk = Trunk(net=net, stages={n: (n,) for n in names}, dim=8 * width)
    return ClipEncoder(trunk, origin=Origin.of(tiny_r2plus1d, {"width": width, "norm": norm}))


def tiny_resnet(
    *,
    width: int = 16,
    norm: Norm = "batch",
    last: Last = "stage4",
    padding: Padding = "zeros",
    stride: Literal[2, 4, 8] = 8,
    colour: bool = True,
    sobel: bool = False,
) -> FrameEncoder:
    """A 2-D residual network of four blocks, D = 8·width, for pictures of about 32 to 64 pixels.

    After He et al., CVPR 2016, arXiv:1512.03385. Its stages shrink a picture 2, 4, 8 and 8 times, or `stride` times at
    most. With `last` "fc" a full layer over 4 × 4 places follows, which knows where things are, as AlexNet's do and a
    mean does not. With `padding` "reflect" a picture of one colour has the same features everywhere. Without `colour`
    it sees grey, and with `sobel` slopes of brightness.

    Raises:
        ValueError: `width` is not a multiple of 8, or `norm`, `last`, `padding` or `stride` is unknown.
    """
    if width < 8 or width % 8:
        raise ValueError(f"width {width}: must be a multiple of 8")
    if last not in {"stage4", "fc"}:
        raise ValueError(f"last {last!r}: must be 'stage4' or 'fc'")
    if stride not in {2, 4, 8}:
        raise ValueError(f"stride {stride}: must be 2, 4 or 8")
    net = nn.Sequential()
    if sobel:
        net.add_module("sobel", Sobel())
    first = nn.Conv2d(2 if sobel else 3, width, 3, 1, 1, bias=False)
    net.add_module("stem", nn.Sequential(first, norm_layer(norm, width, space=2), nn.ReLU(inplace=True)))
    net.add_module("stage1", _Frame(width, width, norm, stride=2))
    net.add_module("stage2", _Frame(width, 2 * width, norm, stride=2 if stride > 2 else 1))
    net.add_module("stage3", _Frame(2 * width, 4 * width, norm, stride=2 if stride > 4 else 1))
    net.add_module("stage4", _Frame(4 * width, 8 * width, norm, stride=1))
    names = ["stem", "stage1", "stage2", "stage3", "stage4"]
    if last == "fc":
        full = nn.Conv2d(8 * width, 8 * width, 4, bias=False)
        whole = (nn.AdaptiveAvgPool2d(4), full, norm_layer(norm, 8 * width, space=2), nn.ReLU(inplace=True))
        net.add_module("fc", nn.Sequential(*whole))
        names.append("fc")
    pad(net, padding)
    initialise(net)
    stages = {n: (n,) for n in names} | ({"stem": ("sobel", "stem")} if sobel else {})
    trunk = Trunk(net=net, stages=stages, dim=8 * width)
    arguments: dict[str, Json] = {"width": width, "norm": norm, "last": last}
    arguments |= {"padding": padding, "stride": stride, "colour": colour, "sobel": sobel}
    return FrameEncoder(trunk, origin=Origin.of(tiny_resnet, arguments), colour=colour)
