"""Networks that read a clip frame by frame and keep a state."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from avssl.encoders.base import Origin, RecurrentEncoder, Trunk
from avssl.encoders.tiny import initialise, norm_layer

__all__ = ["lstm", "tiny_lstm"]


class _EachFrame(nn.Module):
    """A network over frames, (B, T, C, H, W) → (B, T, D, H', W')."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return torch.unflatten(self.layers(x.flatten(0, 1)), 0, x.shape[:2])


class _States(nn.Module):
    """The states of an LSTM over frames, (B, T, C, H, W) → (B, T, D, 1, 1)."""

    def __init__(self, wide: int, out: int) -> None:
        super().__init__()
        self.cell = nn.LSTM(wide, out, batch_first=True)
        # what it is to remember must outlast a clip from the start on
        nn.init.ones_(self.cell.get_parameter("bias_hh_l0")[out : 2 * out])

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.cell(x.flatten(2))[0]
        return y[..., None, None]


def _recurrent(front: _EachFrame, wide: int, out: int, origin: Origin) -> RecurrentEncoder:
    net = nn.Module()
    net.add_module("front", front)
    net.add_module("states", _States(wide, out))
    return RecurrentEncoder(Trunk(net=net, stages={"front": ("front",), "states": ("states",)}, dim=out), origin=origin)


def tiny_lstm(*, width: int = 16, size: int = 128) -> RecurrentEncoder:
    """An LSTM of `size` units (D) over 6 × 6 places of each frame, found by three small convolutions; for laptops.

    Raises:
        ValueError: `width` is not a multiple of 8.
    """
    if width < 8 or width % 8:
        raise ValueError(f"width {width}: must be a multiple of 8")
    layers: list[nn.Module] = []
    for wide, out, stride in ((3, width, 2), (width, width, 2), (width, 2 * width, 1)):
        layers += [nn.Conv2d(wide, out, 3, stride, 1, bias=False), norm_layer("group", out, space=2), nn.ReLU()]
    front = _EachFrame(*layers, nn.AdaptiveAvgPool2d(6))
    initialise(front)
    return _recurrent(front, 36 * 2 * width, size, Origin.of(tiny_lstm, {"width": width, "size": size}))


def lstm(*, size: int = 2048, side: int = 32) -> RecurrentEncoder:
    """An LSTM of `size` units (D) over the pixels of frames of `side` × `side`, to which others are averaged.

    Srivastava et al., ICML 2015, arXiv:1502.04681, section 4.1, without the peepholes of its cells, which torch's LSTM
    does not have.
    """
    front = _EachFrame(nn.AdaptiveAvgPool2d(side))
    return _recurrent(front, 3 * side**2, size, Origin.of(lstm, {"size": size, "side": side}))
