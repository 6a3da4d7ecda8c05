"""How long the parts of reading took."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Spent"]


@dataclass
class Spent:
    """Seconds of whoever reads: in decoders, in crop, scale and colour, in sound, and in all else of a visit."""

    decode: float = 0.0
    convert: float = 0.0
    sound: float = 0.0
    other: float = 0.0
    """Drawing a plan, opening files, and finding frames in their tables."""

    @property
    def total(self) -> float:
        """All of it."""
        return self.decode + self.convert + self.sound + self.other

    def add(self, more: Spent) -> None:
        """Add up another's."""
        self.decode += more.decode
        self.convert += more.convert
        self.sound += more.sound
        self.other += more.other
