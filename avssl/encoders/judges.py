"""A network that tells true pictures from made ones."""

from __future__ import annotations

from torch import Tensor, nn

from avssl.encoders.tiny import norm_layer

__all__ = ["Judge"]


class Judge(nn.Module):
    """A logit (R,) for each picture (R, C, H, W) of one size, above 0 where it seems true.

    Convolutions of stride 2 down to 4 pixels, then one answer: Radford et al., ICLR 2016, arXiv:1511.06434, but for
    group normalisation, as with batch normalisation the true and the made pictures would tell one another.

    Raises:
        ValueError: the size is below 8 pixels, or the width no multiple of 8.
    """

    def __init__(self, *, size: tuple[int, int], channels: int = 3, width: int = 32) -> None:
        super().__init__()
        if min(size) < 8 or width % 8:
            raise ValueError(f"size {size}, width {width}: must be 8 pixels or more, and a multiple of 8")
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
        side = min(size) // 2
        while side >= 8:
            norm = norm_layer("group", 2 * width, space=2)
            layers += [nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False), norm, nn.LeakyReLU(0.2, inplace=True)]
            width, side = 2 * width, side // 2
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(4), nn.Conv2d(width, 1, 4))

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits."""
        y: Tensor = self.layers(pictures)
        return y.flatten()
