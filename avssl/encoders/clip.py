"""Networks for clips, which see motion."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torchvision
from torch import nn
from torchvision.models.video import resnet as parts

from avssl.encoders.base import ClipEncoder, Origin, Trunk
from avssl.encoders.inflate import inflate
from avssl.encoders.tiny import initialise

__all__ = ["c3d", "mc3_18", "r2plus1d_10", "r2plus1d_18", "r3d_10", "r3d_18", "r3d_50", "s3d"]


def r3d_18() -> ClipEncoder:
    """R3D-18, D = 512: Tran et al., CVPR 2018, arXiv:1711.11248; torchvision's network."""
    return _resnet(torchvision.models.video.r3d_18(weights=None), r3d_18)


def mc3_18() -> ClipEncoder:
    """MC3-18, D = 512, with 3-D convolutions in the first stages only: Tran et al., CVPR 2018, arXiv:1711.11248."""
    return _resnet(torchvision.models.video.mc3_18(weights=None), mc3_18)


def r2plus1d_18() -> ClipEncoder:
    """R(2+1)D-18, D = 512: Tran et al., CVPR 2018, arXiv:1711.11248; torchvision's network."""
    return _resnet(torchvision.models.video.r2plus1d_18(weights=None), r2plus1d_18)


def r3d_10() -> ClipEncoder:
    """R3D with one block in each stage, D = 512, as VCOP uses it: Xu et al., CVPR 2019."""
    ones = [1, 1, 1, 1]
    return _resnet(parts.VideoResNet(parts.BasicBlock, [parts.Conv3DSimple] * 4, ones, parts.BasicStem), r3d_10)


def r2plus1d_10() -> ClipEncoder:
    """R(2+1)D with one block in each stage, D = 512, as VCOP uses it: Xu et al., CVPR 2019."""
    ones = [1, 1, 1, 1]
    return _resnet(parts.VideoResNet(parts.BasicBlock, [parts.Conv2Plus1D] * 4, ones, parts.R2Plus1dStem), r2plus1d_10)


def _resnet(net: nn.Module, constructor: Callable[[], ClipEncoder]) -> ClipEncoder:
    del net.fc
    names = ("stem", "layer1", "layer2", "layer3", "layer4")
    trunk = Trunk(net=net, stages={n: (n,) for n in names}, dim=512, set_aside=("fc.",))
    return ClipEncoder(trunk, origin=Origin.of(constructor, {}))


def r3d_50() -> ClipEncoder:
    """ResNet-50 whose last stages see motion, D = 2048, as CVRL uses it: Qian et al., CVPR 2021, arXiv:2008.03800.

    The stem spans 5 frames and takes every other one, the first convolution of each block in the last two stages spans
    3 frames, and every other layer sees frames one by one.
    """
    net = torchvision.models.resnet50(weights=None)
    del net.fc
    inflate(net, lambda name: 5 if name == "conv1" else late(name), stem_stride=2)
    initialise(net)
    stages = {"stem": ("conv1", "bn1", "relu", "maxpool")} | {f"layer{i}": (f"layer{i}",) for i in (1, 2, 3, 4)}
    return ClipEncoder(Trunk(net=net, stages=stages, dim=2048), origin=Origin.of(r3d_50, {}))


def late(name: str) -> int:
    """The frames that a convolution of ResNet-50 spans if only the first of each block in the last two stages does."""
    return 3 if name.startswith(("layer3", "layer4")) and name.endswith(".conv1") else 1


def s3d() -> ClipEncoder:
    """S3D without gates, D = 1024: Xie et al., ECCV 2018, arXiv:1712.04851; torchvision's network.

    torchvision averages over windows of 2 × 7 × 7 before its classifier; here the mean is over the whole map.
    """
    net = torchvision.models.video.s3d(weights=None)
    del net.classifier
    ends = {"conv1": (0, 1), "conv2": (1, 4), "mixed3": (4, 7), "mixed4": (7, 13), "mixed5": (13, 16)}
    stages = {tap: tuple(f"features.{i}" for i in range(*end)) for tap, end in ends.items()}
    trunk = Trunk(net=net, stages=stages, dim=1024, set_aside=("classifier.",))
    return ClipEncoder(trunk, origin=Origin.of(s3d, {}))


def _convolutions(*channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for wide, out in pairwise(channels):
        layers += [nn.Conv3d(wide, out, 3, padding=1, bias=False), nn.BatchNorm3d(out), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def c3d(*, width: int = 64) -> ClipEncoder:
    """C3D with batch normalisation and no fully connected layers, D = 8·width, as VCOP uses it: Xu et al., CVPR 2019.

    After Tran et al., ICCV 2015, arXiv:1412.0767: eight 3 × 3 × 3 convolutions; space is halved before each stage but
    the first, time before all but the first two. The last pooling is replaced by the mean over the map.
    """
    net = nn.Module()
    a, b, c, d = width, 2 * width, 4 * width, 8 * width
    net.add_module("conv1", _convolutions(3, a))
    net.add_module("pool1", nn.MaxPool3d((1, 2, 2)))
    net.add_module("conv2", _convolutions(a, b))
    net.add_module("pool", nn.MaxPool3d(2))
    net.add_module("conv3", _convolutions(b, c, c))
    net.add_module("conv4", _convolutions(c, d, d))
    net.add_module("conv5", _convolutions(d, d, d))
    initialise(net)
    stages = {"conv1": ("conv1",), "conv2": ("pool1", "conv2")} | {f"conv{i}": ("pool", f"conv{i}") for i in (3, 4, 5)}
    trunk = Trunk(net=net, stages=stages, dim=d)
    return ClipEncoder(trunk, origin=Origin.of(c3d, {"width": width}))
