"""The geometry of the clips that an encoder sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from avssl.core import Sampler
from avssl.samplers import UniformClips
from avssl.transforms import CentreCrop, Transform

__all__ = ["View"]


@dataclass(frozen=True, kw_only=True)
class View:
    """What one clip is: T frames, the steps between them, its side in pixels, and its sound."""

    frames: int = 16
    """Frames of a clip (T); 1 makes it a picture."""
    step: int = 1
    """Frames from one to the next, counted at `rate`."""
    rate: float | None = None
    """Hz of the clock on which steps count; None: that of each file."""
    size: int = 56
    """Height and width of the crop, pixels."""
    sound: float | None = None
    """Seconds of sound with each clip; None: no sound."""
    sample_rate: int = 16000
    """Hz of the sound."""

    @property
    def short_side(self) -> int:
        """Pixels of the frame's shorter side before the crop: 8/7 of it, as 128 for 112 and 256 for 224."""
        return round(self.size * 8 / 7)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> View:
        """The view that a run's `config.json` tells of; what it does not tell is as by default."""
        return cls(**{f.name: values[f.name] for f in fields(View) if f.name in values})

    def evaluation(self, clips: int, *, modality: str = "video") -> tuple[Sampler, Transform]:
        """Clips evenly spread over the item and the centre crop, of its frames or of its sound."""
        heard = self.sound or 1.0
        if modality == "sound":
            sampler = UniformClips(n=clips, frames=0, sound=heard, sample_rate=self.sample_rate)
        else:
            sampler = UniformClips(n=clips, frames=self.frames, step=self.step, rate=self.rate)
        return sampler, CentreCrop(self.size, short_side=self.short_side)
