"""Networks for pictures made into networks for clips, layer by layer."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

__all__ = ["inflate"]


def inflate(net: nn.Module, spans: Callable[[str], int], *, stem_stride: int = 1) -> None:
    """Let every 2-D layer of a network take clips (B, C, T, H, W), in place; convolutions are drawn anew.

    `spans` is given the name of a convolution and answers how many frames it spans. The one named "conv1" moves on by
    `stem_stride` frames, all others, and pooling, by one.
    """
    for name, layer in list(net.named_modules()):
        if isinstance(layer, nn.Conv2d):
            stride = stem_stride if name == "conv1" else 1
            net.set_submodule(name, _through_time(layer, steps=spans(name), stride=stride))
        elif isinstance(layer, nn.BatchNorm2d):
            net.set_submodule(name, nn.BatchNorm3d(layer.num_features))
        elif isinstance(layer, nn.MaxPool2d):
            net.set_submodule(name, nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)))


def _through_time(layer: nn.Conv2d, *, steps: int, stride: int) -> nn.Conv3d:
    """A convolution like this one in space that spans so many frames and moves on by `stride` of them."""
    (height, width), (down, right) = layer.kernel_size, layer.stride
    around = (steps // 2, height // 2, width // 2)
    channels = layer.in_channels, layer.out_channels
    return nn.Conv3d(*channels, (steps, height, width), (stride, down, right), around, bias=False)
