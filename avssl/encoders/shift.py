"""Networks for pictures whose channels look into the neighbouring frames: Lin et al., ICCV 2019, arXiv:1811.08383."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from avssl.encoders.base import IMAGENET_MEAN, IMAGENET_STD, ClipEncoder, Origin, Trunk

__all__ = ["shifted", "tsm_resnet18", "tsm_resnet50"]


def tsm_resnet18() -> ClipEncoder:
    """ResNet-18 with temporal shift, D = 512; see `tsm_resnet50`."""
    return _shifting(torchvision.models.resnet18(weights=None), tsm_resnet18, dim=512)


def tsm_resnet50() -> ClipEncoder:
    """ResNet-50 with temporal shift, D = 2048: Lin et al., ICCV 2019, arXiv:1811.08383, sections 3.2 and 3.3.

    Before the first convolution of each residual branch an eighth of the channels comes from the next frame and an
    eighth from the one before; the shortcut is not shifted. It has the parameters of torchvision's network, whose
    weights fit it. A picture (T = 1) is not shifted: of it, this is the network for pictures.
    """
    return _shifting(torchvision.models.resnet50(weights=None), tsm_resnet50, dim=2048)


def shifted(x: Tensor, *, part: int = 8) -> Tensor:
    """Maps (B, C, T, H, W) with C / `part` channels of the next frame and as many of the one before; zeros beyond.

    A single frame stays as it is.
    """
    if x.shape[2] == 1:
        return x
    n = x.shape[1] // part
    later = F.pad(x[:, :n, 1:], (0, 0, 0, 0, 0, 1))
    earlier = F.pad(x[:, n : 2 * n, :-1], (0, 0, 0, 0, 1, 0))
    return torch.cat((later, earlier, x[:, 2 * n :]), dim=1)


class _EachFrame(nn.Conv2d):
    """A convolution of each frame of (B, C, T, H, W), with the weights of one for pictures."""

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x.transpose(1, 2).flatten(0, 1))
        return torch.unflatten(y, 0, (x.shape[0], x.shape[2])).transpose(1, 2)


class _Shifted(_EachFrame):
    """The same after a shift."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(shifted(x))


def _shifting(net: nn.Module, constructor: Callable[[], ClipEncoder], *, dim: int) -> ClipEncoder:
    del net.fc
    for name, layer in list(net.named_modules()):
        if isinstance(layer, nn.Conv2d):
            # conv1 of a block, not of the stem
            kind = _Shifted if name.startswith("layer") and name.endswith(".conv1") else _EachFrame
            net.set_submodule(name, _like(layer, kind))
        elif isinstance(layer, nn.BatchNorm2d):
            net.set_submodule(name, nn.BatchNorm3d(layer.num_features))
    net.add_module("maxpool", nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)))
    stages = {"stem": ("conv1", "bn1", "relu", "maxpool")} | {f"layer{i}": (f"layer{i}",) for i in (1, 2, 3, 4)}
    trunk = Trunk(net=net, stages=stages, dim=dim, set_aside=("fc.",))
    return ClipEncoder(trunk, origin=Origin.of(constructor, {}), mean=IMAGENET_MEAN, std=IMAGENET_STD)


def _like(layer: nn.Conv2d, kind: type[_EachFrame]) -> _EachFrame:
    (height, width), stride = layer.kernel_size, layer.stride
    around = cast("tuple[int, int]", layer.padding)
    channels = layer.in_channels, layer.out_channels
    new = kind(*channels, (height, width), cast("tuple[int, int]", stride), around, bias=False)
    new.weight = layer.weight  # as it was drawn
    return new
