"""The zoo: networks for pictures, clips and sound behind one face, their weights in files, and heads."""

from avssl.encoders.base import ClipEncoder, Encoder, FrameEncoder, Modality, Origin, Trunk
from avssl.encoders.choice import SoundNet, VideoNet
from avssl.encoders.clip import c3d, mc3_18, r2plus1d_10, r2plus1d_18, r3d_10, r3d_18, r3d_50, s3d
from avssl.encoders.decoders import Decoder
from avssl.encoders.foreign import Foreign, load_foreign, timm_net, torchvision_net
from avssl.encoders.frame import alexnet, resnet18, resnet50
from avssl.encoders.heads import ConcatHead, EachHead, FusionHead, Head, PairwiseHead, Projector
from avssl.encoders.sobel import Sobel
from avssl.encoders.sound import LogMel, SoundEncoder, sound_resnet18, sound_vgg, tiny_sound
from avssl.encoders.tiny import tiny_r2plus1d, tiny_resnet
from avssl.encoders.weights import (
    fingerprint,
    from_torchvision,
    load_encoder,
    load_weights,
    reinitialised,
    save_encoder,
    save_weights,
    to_torchvision,
)

__all__ = [
    "ClipEncoder",
    "ConcatHead",
    "Decoder",
    "EachHead",
    "Encoder",
    "Foreign",
    "FrameEncoder",
    "FusionHead",
    "Head",
    "LogMel",
    "Modality",
    "Origin",
    "PairwiseHead",
    "Projector",
    "Sobel",
    "SoundEncoder",
    "SoundNet",
    "Trunk",
    "VideoNet",
    "alexnet",
    "c3d",
    "fingerprint",
    "from_torchvision",
    "load_encoder",
    "load_foreign",
    "load_weights",
    "mc3_18",
    "r2plus1d_10",
    "r2plus1d_18",
    "r3d_10",
    "r3d_18",
    "r3d_50",
    "reinitialised",
    "resnet18",
    "resnet50",
    "s3d",
    "save_encoder",
    "save_weights",
    "sound_resnet18",
    "sound_vgg",
    "timm_net",
    "tiny_r2plus1d",
    "tiny_resnet",
    "tiny_sound",
    "to_torchvision",
    "torchvision_net",
]
