"""The geometry of the clips that an encoder sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeVar

from avssl.core import Sampler
from avssl.samplers import ClipSampler, SoundingSampler, UniformClips
from avssl.transforms import CentreCrop, ThreeCrop, Transform

__all__ = ["EitherView", "View"]

Cutting = TypeVar("Cutting", bound=ClipSampler)
A = TypeVar("A")
B = TypeVar("B")


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

    def cut(self, sampler: Cutting) -> Cutting:
        """The same sampler for clips of this view; a recipe cannot forget one of its numbers."""
        shown = {"frames": self.frames, "step": self.step, "rate": self.rate}
        heard = {"sound": self.sound, "sample_rate": self.sample_rate} if isinstance(sampler, SoundingSampler) else {}
        changes: dict[str, Any] = shown | heard
        return replace(sampler, **changes)

    def steady(self) -> tuple[Sampler, Transform]:
        """One clip from the middle of an item, frames and sound as this view has them, uncropped but for the centre."""
        return self.cut(UniformClips()), CentreCrop(self.size, short_side=self.short_side)

    def evaluation(self, clips: int, *, modality: str = "video", crops: int = 1) -> tuple[Sampler, Transform]:
        """Clips evenly spread over the item, of its frames or of its sound; of frames, the crops of each.

        1 crop is the centre of the frame whose shorter side was scaled to `short_side`; 3 are as high, or as wide, as
        the frame, at one end, in the middle and at the other end of its longer side.

        Raises:
            ValueError: `crops` is neither 1 nor 3.
        """
        if crops not in {1, 3}:
            raise ValueError(f"crops {crops}: must be 1, the centre, or 3 along the longer side")
        of_sound = modality == "sound"
        shown = replace(self, frames=0, sound=self.sound or 1.0) if of_sound else replace(self, sound=None)
        sampler = shown.cut(UniformClips(n=clips))
        if crops == 3 and not of_sound:
            return sampler, ThreeCrop(self.size)
        return sampler, CentreCrop(self.size, short_side=self.short_side)


@dataclass(frozen=True, kw_only=True)
class EitherView(View):
    """The same for methods that learn from frames or from sound alone."""

    modality: Literal["video", "audio"] = "video"
    """Whether clips are of frames, or, by `audio`, of sound alone: of `sound` seconds, or of 1 if none are given."""

    def cut(self, sampler: Cutting) -> Cutting:
        """The same sampler for clips of this view, of its frames or of its sound."""
        if self.modality == "video":
            return super().cut(sampler)
        return View(frames=0, sound=self.sound or 1.0, sample_rate=self.sample_rate, size=self.size).cut(sampler)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what an encoder is given of a clip: (T, C, H, W) of frames, (A, N) of sound."""
        samples = round((self.sound or 1.0) * self.sample_rate)
        return self.pick((self.frames, 3, self.size, self.size), (1, samples))

    def pick(self, video: A, audio: B) -> A | B:
        """What goes with the modality."""
        return video if self.modality == "video" else audio
