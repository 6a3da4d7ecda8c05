"""Networks for pictures, which see the frames of a clip one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torchvision
from torch import Tensor, nn

from avssl.encoders.base import IMAGENET_MEAN, IMAGENET_STD, FrameEncoder, Json, Origin, Trunk
from avssl.encoders.sobel import Sobel
from avssl.encoders.tiny import Norm, Padding, initialise, norm_layer, pad

__all__ = ["alexnet", "resnet18", "resnet50"]

Stem = Literal["imagenet", "small"]
Last = Literal["pool5", "fc6", "fc7"]
Deepest = Literal["layer3", "layer4"]
AlexNorm = Literal["batch", "local", "local and batch"]


def resnet18(
    *,
    norm: Norm = "batch",
    stem: Stem = "imagenet",
    last: Deepest = "layer4",
    padding: Padding = "zeros",
    stride: Literal[8, 16, 32] = 32,
    colour: bool = True,
) -> FrameEncoder:
    """ResNet-18, D = 512: He et al., CVPR 2016, arXiv:1512.03385; torchvision's network.

    The stem "small" (3 × 3 without stride, no pooling) is the usual one for pictures of 32 to 64 pixels, as in
    Chen et al., ICML 2020, arXiv:2002.05709, appendix B.9; torchvision's weights do not fit it. `last` "layer3" leaves
    the last stage out (D = 256). No stage shrinks a picture more than `stride` times (with the small stem, a quarter of
    it). With `padding` "reflect" a picture of one colour has the same features everywhere. Correspondence by a random
    walk uses `last` "layer3", stride 8 and reflection: Jabri et al., NeurIPS 2020, arXiv:2006.14613. Without `colour`
    it sees grey.

    Raises:
        ValueError: a choice is unknown.
    """
    return _resnet(resnet18, norm, stem, last, padding, stride, colour)


def resnet50(
    *,
    norm: Norm = "batch",
    stem: Stem = "imagenet",
    last: Deepest = "layer4",
    padding: Padding = "zeros",
    stride: Literal[8, 16, 32] = 32,
    colour: bool = True,
) -> FrameEncoder:
    """ResNet-50, D = 2048, or 1024 without its last stage; see `resnet18`."""
    return _resnet(resnet50, norm, stem, last, padding, stride, colour)


def _resnet(
    constructor: Callable[..., FrameEncoder],
    norm: Norm,
    stem: Stem,
    last: Deepest,
    padding: Padding,
    stride: int,
    colour: bool,
) -> FrameEncoder:
    build = torchvision.models.resnet18 if constructor is resnet18 else torchvision.models.resnet50
    net = build(weights=None, norm_layer=lambda channels: norm_layer(norm, channels, space=2))
    if last not in {"layer3", "layer4"}:
        raise ValueError(f"last {last!r}: must be 'layer3' or 'layer4'")
    if stride not in {8, 16, 32}:
        raise ValueError(f"stride {stride}: must be 8, 16 or 32")
    if stem == "small":
        conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        initialise(conv1)
        net.add_module("conv1", conv1)
        net.add_module("maxpool", nn.Identity())
    elif stem != "imagenet":
        raise ValueError(f"stem {stem!r}: must be 'imagenet' or 'small'")
    names = [f"layer{i}" for i in range(1, int(last[-1]) + 1)]
    for name, shrinks in zip(names, (4, 8, 16, 32), strict=False):
        if shrinks > stride:
            _at_full_size(net.get_submodule(name))
    del net.fc
    if last == "layer3":
        del net.layer4
    pad(net, padding)
    dim = (64, 128, 256, 512)[len(names) - 1] * (1 if constructor is resnet18 else 4)
    stages = {"stem": ("conv1", "bn1", "relu", "maxpool")} | {name: (name,) for name in names}
    aside = ("fc.",) if last == "layer4" else ("fc.", "layer4.")
    arguments: dict[str, Json] = {"norm": norm, "stem": stem}
    arguments |= {"last": last, "padding": padding, "stride": stride, "colour": colour}
    return FrameEncoder(
        Trunk(net=net, stages=stages, dim=dim, set_aside=aside),
        origin=Origin.of(constructor, arguments),
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        colour=colour,
    )


def _at_full_size(stage: nn.Module) -> None:
    """Let a stage keep the size of its map."""
    for m in stage.modules():
        if isinstance(m, nn.Conv2d):
            m.stride = (1, 1)


class _LocalNorm(nn.LocalResponseNorm):
    """Local response normalisation with the constants of Krizhevsky et al., NIPS 2012, section 3.3 (k = 1 as Caffe)."""

    def __init__(self) -> None:
        super().__init__(size=5, alpha=1e-4, beta=0.75, k=1.0)


class _Grid(nn.AdaptiveAvgPool2d):
    """Make 6 × 6 places of any map, as fc6 wants; at 227 pixels they are 6 × 6 already and pass unchanged."""

    def __init__(self) -> None:
        super().__init__((6, 6))

    def forward(self, x: Tensor) -> Tensor:
        return x if x.shape[-2:] == (6, 6) else super().forward(x)


def _convolution(
    wide: int, out: int, kernel: int, *, stride: int = 1, padding: int | None = None, groups: int = 1, norm: bool
) -> nn.Sequential:
    around = kernel // 2 if padding is None else padding
    layer: list[nn.Module] = [nn.Conv2d(wide, out, kernel, stride, around, groups=groups, bias=not norm)]
    if norm:
        layer.append(nn.BatchNorm2d(out))
    return nn.Sequential(*layer, nn.ReLU(inplace=True))


def _full(wide: int, kernel: int, *, norm: bool, dropout: float) -> nn.Sequential:
    layer: list[nn.Module] = [nn.Conv2d(wide, 4096, kernel, bias=not norm)]
    if norm:
        layer.append(nn.BatchNorm2d(4096))
    return nn.Sequential(*layer, nn.ReLU(inplace=True), nn.Dropout(dropout))


def alexnet(
    *,
    norm: AlexNorm = "batch",
    last: Last = "fc7",
    groups: int = 2,
    channels: Sequence[int] = (96, 256, 384, 384, 256),
    width: float = 1.0,
    padding: int = 0,
    dropout: float = 0.0,
    colour: bool = True,
    sobel: bool = False,
) -> FrameEncoder:
    """AlexNet in the order of CaffeNet, for pictures of 227 pixels (of 67 at least): Krizhevsky et al., NIPS 2012.

    `norm` "batch" normalises after every layer, as RotNet does (Gidaris et al., ICLR 2018, arXiv:1803.07728); "local"
    is the original; "local and batch" has local normalisation after the first two layers and batch normalisation after
    the others, as Shuffle & Learn does (Misra et al., ECCV 2016, arXiv:1603.08561). `last` is the layer that gives the
    features: pool5 (D = 256), fc6 or fc7 (D = 4096). `groups` divides conv2, conv4 and conv5. `channels` are those of
    the five convolutions, and `width` multiplies them. `padding` is that of conv1, in pixels: 0 for pictures of 227, 2
    for those of 224. `dropout` follows fc6 and fc7. Without `colour` it sees grey, and with `sobel` slopes of
    brightness. RotNet has no groups, channels (64, 192, 384, 256, 256) and padding 2.

    Raises:
        ValueError: `norm` or `last` is unknown, or `channels` are not five.
    """
    if norm not in {"batch", "local", "local and batch"}:
        raise ValueError(f"norm {norm!r}: must be 'batch', 'local' or 'local and batch'")
    if last not in {"pool5", "fc6", "fc7"}:
        raise ValueError(f"last {last!r}: must be 'pool5', 'fc6' or 'fc7'")
    if len(channels) != 5:
        raise ValueError(f"channels {tuple(channels)}: must be five, one number for each convolution")
    early, late, local = norm == "batch", norm != "local", norm != "batch"
    a, b, c, d, e = (round(width * n) for n in channels)
    net = nn.Module()
    if sobel:
        net.add_module("sobel", Sobel())
    net.add_module("conv1", _convolution(2 if sobel else 3, a, 11, stride=4, padding=padding, norm=early))
    net.add_module("conv2", _convolution(a, b, 5, groups=groups, norm=early))
    net.add_module("conv3", _convolution(b, c, 3, norm=late))
    net.add_module("conv4", _convolution(c, d, 3, groups=groups, norm=late))
    net.add_module("conv5", _convolution(d, e, 3, groups=groups, norm=late))
    net.add_module("pool", nn.MaxPool2d(3, 2, ceil_mode=True))
    net.add_module("norm", _LocalNorm() if local else nn.Identity())
    stages = {
        "conv1": ("sobel", "conv1") if sobel else ("conv1",),
        "conv2": ("pool", "norm", "conv2"),
        "conv3": ("pool", "norm", "conv3"),
        "conv4": ("conv4",),
        "conv5": ("conv5",),
        "pool5": ("pool",),
    }
    if last != "pool5":
        net.add_module("grid", _Grid())
        net.add_module("fc6", _full(e, 6, norm=late, dropout=dropout))
        stages["fc6"] = ("grid", "fc6")
    if last == "fc7":
        net.add_module("fc7", _full(4096, 1, norm=late, dropout=dropout))
        stages["fc7"] = ("fc7",)
    initialise(net)
    trunk = Trunk(net=net, stages=stages, dim=e if last == "pool5" else 4096)
    arguments: dict[str, Json] = {"norm": norm, "last": last, "groups": groups, "channels": list(channels)}
    arguments |= {"width": width, "padding": padding, "dropout": dropout, "colour": colour, "sobel": sobel}
    origin = Origin.of(alexnet, arguments)
    return FrameEncoder(trunk, origin=origin, mean=IMAGENET_MEAN, std=IMAGENET_STD, colour=colour)
