"""The zoo as choices for a command line: each member is one of the constructors, or one with a paper's arguments."""

from __future__ import annotations

from enum import Enum, member
from functools import partial

from avssl.encoders import clip, frame, recurrent, shift, slowfast, sound, tiny, vit
from avssl.encoders.base import Encoder

__all__ = ["SoundNet", "VideoNet"]


class VideoNet(Enum):
    """An encoder of clips or, frame by frame, of pictures; _gn: with group normalisation, which keeps clips apart."""

    tiny_r2plus1d = member(tiny.tiny_r2plus1d)
    tiny_r2plus1d_gn = member(partial(tiny.tiny_r2plus1d, norm="group"))
    tiny_resnet = member(tiny.tiny_resnet)
    # which knows where things are
    tiny_resnet_fc = member(partial(tiny.tiny_resnet, last="fc"))
    tiny_resnet_gn = member(partial(tiny.tiny_resnet, norm="group"))
    tiny_lstm = member(recurrent.tiny_lstm)
    lstm = member(recurrent.lstm)
    # for nodes to track: fine maps, in which borders tell nothing
    tiny_resnet_fine = member(partial(tiny.tiny_resnet, width=8, padding="reflect", stride=4))
    tiny_resnet_fine_grey = member(partial(tiny.tiny_resnet, width=8, padding="reflect", stride=4, colour=False))
    # which see no colours
    tiny_resnet_grey = member(partial(tiny.tiny_resnet, colour=False))
    tiny_resnet_sobel = member(partial(tiny.tiny_resnet, sobel=True))
    c3d = member(clip.c3d)
    r3d_10 = member(clip.r3d_10)
    r2plus1d_10 = member(clip.r2plus1d_10)
    r3d_18 = member(clip.r3d_18)
    r3d_50 = member(clip.r3d_50)
    r2plus1d_18 = member(clip.r2plus1d_18)
    mc3_18 = member(clip.mc3_18)
    s3d = member(clip.s3d)
    slow_r50 = member(slowfast.slow_r50)
    slowfast_r50 = member(slowfast.slowfast_r50)
    tsm_resnet18 = member(shift.tsm_resnet18)
    tsm_resnet50 = member(shift.tsm_resnet50)
    alexnet = member(frame.alexnet)
    # whose map has places, for answers about each of them
    alexnet_pool5 = member(partial(frame.alexnet, last="pool5"))
    alexnet_pool5_grey = member(partial(frame.alexnet, last="pool5", colour=False))
    # of Shuffle & Learn
    caffenet = member(partial(frame.alexnet, norm="local and batch", dropout=0.5))
    # of RotNet
    alexnet_rotnet = member(partial(frame.alexnet, groups=1, channels=(64, 192, 384, 256, 256), padding=2))
    # of DeepCluster
    alexnet_sobel = member(partial(frame.alexnet, groups=1, padding=2, dropout=0.5, sobel=True))
    resnet18 = member(frame.resnet18)
    # of the contrastive random walk
    resnet18_fine = member(partial(frame.resnet18, last="layer3", padding="reflect", stride=8))
    resnet18_fine_grey = member(partial(frame.resnet18, last="layer3", padding="reflect", stride=8, colour=False))
    # for pictures of 32 to 64 pixels
    resnet18_small = member(partial(frame.resnet18, stem="small"))
    resnet18_gn = member(partial(frame.resnet18, norm="group"))
    resnet50 = member(frame.resnet50)
    resnet50_gn = member(partial(frame.resnet50, norm="group"))
    tiny_vit = member(vit.tiny_vit)
    vit_small = member(vit.vit_small)
    vit_base = member(vit.vit_base)
    # of pictures alone
    vit_base_picture = member(partial(vit.vit_base, tubelet=1))

    def build(self, *, sample_rate: int = 16000) -> Encoder:
        """A new encoder with weights drawn from torch's generator; it hears nothing, whatever the rate of the sound."""
        encoder: Encoder = self.value()
        return encoder


class SoundNet(Enum):
    """An encoder of sound; _gn: with group normalisation, which keeps clips apart."""

    tiny_sound = member(sound.tiny_sound)
    tiny_sound_gn = member(partial(sound.tiny_sound, norm="group"))
    sound_vgg = member(sound.sound_vgg)
    # as wide as in AVTS and L3
    sound_vgg_64 = member(partial(sound.sound_vgg, width=64))
    sound_resnet18 = member(sound.sound_resnet18)
    tiny_sound_vit = member(vit.tiny_sound_vit)
    sound_vit_base = member(vit.sound_vit_base)

    def build(self, *, sample_rate: int = 16000) -> Encoder:
        """A new encoder of sound at `sample_rate` Hz, with weights drawn from torch's generator."""
        encoder: Encoder = self.value(sample_rate=sample_rate)
        return encoder
