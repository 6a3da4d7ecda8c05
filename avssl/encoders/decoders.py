"""Decoders: from what an encoder makes of what it is shown to an answer for every place."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from avssl.encoders.base import Encoder

__all__ = ["Decoder"]


class Decoder(nn.Module, ABC):
    """Asks the encoder for what it needs (a map, several taps, the patches that are kept), and answers every place.

    Decoders are thrown away afterwards, as heads are.
    """

    @abstractmethod
    def forward(
        self, encoder: Encoder, shown: Tensor, *, keep: Tensor | None = None, hint: Tensor | None = None
    ) -> Tensor:
        """The answer for what is `shown`, (B, T, C, H, W) or (B, A, N), of which only the patches `keep` (B, L) are.

        `hint` is what may be looked at while training only.
        """
