"""The zoo as choices for a command line: each member is one of the constructors."""

from __future__ import annotations

from enum import Enum, member

from avssl.encoders import clip, frame, sound, tiny
from avssl.encoders.base import Encoder

__all__ = ["SoundNet", "VideoNet"]


class VideoNet(Enum):
    """An encoder of clips or, frame by frame, of pictures."""

    tiny_r2plus1d = member(tiny.tiny_r2plus1d)
    tiny_resnet = member(tiny.tiny_resnet)
    c3d = member(clip.c3d)
    r3d_10 = member(clip.r3d_10)
    r2plus1d_10 = member(clip.r2plus1d_10)
    r3d_18 = member(clip.r3d_18)
    r2plus1d_18 = member(clip.r2plus1d_18)
    mc3_18 = member(clip.mc3_18)
    s3d = member(clip.s3d)
    alexnet = member(frame.alexnet)
    resnet18 = member(frame.resnet18)
    resnet50 = member(frame.resnet50)

    def build(self, *, sample_rate: int = 16000) -> Encoder:
        """A new encoder with weights drawn from torch's generator; it hears nothing, whatever the rate of the sound."""
        encoder: Encoder = self.value()
        return encoder


class SoundNet(Enum):
    """An encoder of sound."""

    tiny_sound = member(sound.tiny_sound)
    sound_vgg = member(sound.sound_vgg)
    sound_resnet18 = member(sound.sound_resnet18)

    def build(self, *, sample_rate: int = 16000) -> Encoder:
        """A new encoder of sound at `sample_rate` Hz, with weights drawn from torch's generator."""
        encoder: Encoder = self.value(sample_rate=sample_rate)
        return encoder
