"""The zoo: networks for pictures, clips and sound behind one face, their weights in files, and heads."""

from avssl.encoders.base import ClipEncoder, Encoder, FrameEncoder, Modality, Origin, RecurrentEncoder, Trunk
from avssl.encoders.choice import SoundNet, VideoNet
from avssl.encoders.clip import c3d, mc3_18, r2plus1d_10, r2plus1d_18, r3d_10, r3d_18, r3d_50, s3d
from avssl.encoders.context import Context, ConvGRU, MaskedRows
from avssl.encoders.decoders import Decoder
from avssl.encoders.decoders_frames import FramesDecoder
from avssl.encoders.decoders_maps import ChannelwiseFull, UpDecoder
from avssl.encoders.decoders_patches import PatchDecoder
from avssl.encoders.foreign import Foreign, load_foreign, timm_net, torchvision_net
from avssl.encoders.frame import alexnet, resnet18, resnet50
from avssl.encoders.heads import ConcatHead, EachHead, FusionHead, Head, PairwiseHead, PlacesHead, Projector
from avssl.encoders.judges import Judge
from avssl.encoders.recurrent import lstm, tiny_lstm
from avssl.encoders.shift import tsm_resnet18, tsm_resnet50
from avssl.encoders.slowfast import SlowFast, slow_r50, slowfast_r50
from avssl.encoders.sobel import Sobel
from avssl.encoders.sound import LogMel, SoundEncoder, sound_resnet18, sound_vgg, tiny_sound
from avssl.encoders.tiny import tiny_r2plus1d, tiny_resnet
from avssl.encoders.vit import (
    ClipViT,
    PatchEncoder,
    SoundViT,
    over_patches,
    picked,
    positions,
    sound_vit_base,
    tiny_sound_vit,
    tiny_vit,
    vit_base,
    vit_small,
)
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
    "ChannelwiseFull",
    "ClipEncoder",
    "ClipViT",
    "ConcatHead",
    "Context",
    "ConvGRU",
    "Decoder",
    "EachHead",
    "Encoder",
    "Foreign",
    "FrameEncoder",
    "FramesDecoder",
    "FusionHead",
    "Head",
    "Judge",
    "LogMel",
    "MaskedRows",
    "Modality",
    "Origin",
    "PairwiseHead",
    "PatchDecoder",
    "PatchEncoder",
    "PlacesHead",
    "Projector",
    "RecurrentEncoder",
    "SlowFast",
    "Sobel",
    "SoundEncoder",
    "SoundNet",
    "SoundViT",
    "Trunk",
    "UpDecoder",
    "VideoNet",
    "alexnet",
    "c3d",
    "fingerprint",
    "from_torchvision",
    "load_encoder",
    "load_foreign",
    "load_weights",
    "lstm",
    "mc3_18",
    "over_patches",
    "picked",
    "positions",
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
    "slow_r50",
    "slowfast_r50",
    "sound_resnet18",
    "sound_vgg",
    "sound_vit_base",
    "timm_net",
    "tiny_lstm",
    "tiny_r2plus1d",
    "tiny_resnet",
    "tiny_sound",
    "tiny_sound_vit",
    "tiny_vit",
    "to_torchvision",
    "torchvision_net",
    "tsm_resnet18",
    "tsm_resnet50",
    "vit_base",
    "vit_small",
]
