"""A decoder of maps by up-convolution, to an answer for every place of every frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avssl.encoders.base import Encoder
from avssl.encoders.decoders import Decoder, require_whole
from avssl.encoders.tiny import norm_layer

__all__ = ["ChannelwiseFull", "UpDecoder"]


class UpDecoder(Decoder):
    """Up-convolutions from an encoder's maps to answers (B, K, T, H, W), frame by frame.

    From the deepest of the `taps` on, the map is doubled and convolved until it has the `size`, and each shallower map
    is added on the way, as in feature pyramids (Lin et al., CVPR 2017, arXiv:1612.03144, section 3). Maps of fewer
    steps than frames are held for as long as they stand for.

    Args:
        encoder: whose maps are decoded; it is asked once for their shapes, and not kept.
        answers: K.
        shown: (T, H, W) of what the encoder is shown.
        size: (H, W) of the answer; None: that of the last map.
        taps: of the encoder, in any order; None: the last one.
        width: channels of the decoder's maps.
        when: "each": an answer for each of the T frames; "last": one, of the map's last step.
        full: whether the deepest map passes `ChannelwiseFull` first, so that every place learns of every other.

    Raises:
        ValueError: the encoder is of sound or lacks a tap, or `width` is no multiple of 8.
    """

    def __init__(
        self,
        encoder: Encoder,
        answers: int,
        *,
        shown: tuple[int, int, int],
        size: tuple[int, int] | None = None,
        taps: Sequence[str] | None = None,
        width: int = 64,
        when: Literal["each", "last"] = "each",
        full: bool = False,
    ) -> None:
        super().__init__()
        if encoder.modality != "video" or width % 8:
            raise ValueError(f"encoder of {encoder.modality}, width {width}: must be of video, and a multiple of 8")
        wanted = encoder.taps[-1:] if taps is None else taps
        if not wanted or not set(wanted) <= set(encoder.taps):
            raise ValueError(f"taps {list(wanted)}: must be one or more of {list(encoder.taps)}")
        self.taps = [tap for tap in reversed(encoder.taps) if tap in wanted]
        shapes = _shapes(encoder, self.taps, shown)
        self.when, self.frames = when, shown[0]
        self.size = shapes[0][-2:] if size is None else size
        deep = shapes[0]
        self.full = ChannelwiseFull(deep[0], deep[-2] * deep[-1]) if full else nn.Identity()
        self.across = nn.ModuleList(nn.Conv2d(shape[0], width, 1) for shape in shapes)
        self.merge = nn.ModuleList(_block(width) for _ in shapes)
        side, doublings = min(shapes[-1][-2:]), 0
        while side * 2**doublings < min(self.size):
            doublings += 1
        self.up = nn.ModuleList(_block(width) for _ in range(doublings))
        self.answer = nn.Conv2d(width, answers, 1)

    def forward(
        self, encoder: Encoder, shown: Tensor, *, keep: Tensor | None = None, hint: Tensor | None = None
    ) -> Tensor:
        """The answers; all is shown, and there are no hints."""
        require_whole(keep, self)
        maps = encoder.features(shown, self.taps)
        y: Tensor | None = None
        for tap, across, merge in zip(self.taps, self.across, self.merge, strict=True):
            x = self._by_frame(maps[tap])
            y = merge(across(self.full(x)) if y is None else across(x) + _to(y, x.shape[-2:]))
        assert y is not None  # there is a tap
        for up in self.up:
            y = up(F.interpolate(y, scale_factor=2, mode="bilinear", align_corners=False))
        answers = torch.unflatten(self.answer(_to(y, self.size)), 0, (len(shown), -1))
        return answers.transpose(1, 2)

    def _by_frame(self, x: Tensor) -> Tensor:
        """(B, D', T', H', W') → (B·T, D', H', W')."""
        if self.when == "last":
            return x[:, :, -1]
        if x.shape[2] != self.frames:
            x = F.interpolate(x, size=(self.frames, *x.shape[-2:]), mode="nearest")
        return x.transpose(1, 2).flatten(0, 1)


class ChannelwiseFull(nn.Module):
    """Every place of a map from all places of the same channel, then a mixture of channels: (R, D, H, W) as it is.

    Pathak et al., CVPR 2016, arXiv:1604.07379, section 3.1.
    """

    def __init__(self, channels: int, places: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, places, places) * places**-0.5)
        self.mix = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """The map changed."""
        y = torch.einsum("rdp,dpq->rdq", x.flatten(2), self.weight).view_as(x)
        mixed: Tensor = self.mix(F.relu(y))
        return mixed


def _block(width: int) -> nn.Sequential:
    # group normalisation: an answer must not depend on the other examples of its batch
    return nn.Sequential(
        nn.Conv2d(width, width, 3, padding=1, bias=False), norm_layer("group", width, space=2), nn.ReLU(inplace=True)
    )


def _to(x: Tensor, size: Sequence[int]) -> Tensor:
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)


@torch.no_grad()
def _shapes(encoder: Encoder, taps: Sequence[str], shown: tuple[int, int, int]) -> list[tuple[int, ...]]:
    """(D', T', H', W') of the maps of the taps; the encoder stays as it was."""
    training = encoder.training
    found = encoder.eval().features(torch.zeros(1, shown[0], 3, *shown[1:]), taps)
    encoder.train(training)
    return [tuple(found[tap].shape[1:]) for tap in taps]
