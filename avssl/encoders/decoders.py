"""Decoders: from what an encoder makes of what it is shown to an answer for every place."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from avssl.encoders.base import Encoder

__all__ = ["Decoder", "require_whole"]


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


def require_whole(keep: Tensor | None, decoder: Decoder) -> None:
    """Raise `ValueError` where only some patches are to be seen, for decoders whose encoders see all of a clip."""
    if keep is not None:
        raise ValueError(
            f"{type(decoder).__name__} with patches to keep: its encoder would see the hidden ones, too; take a "
            "PatchDecoder and a transformer, or hide pixels"
        )
