"""How it looks and sounds: numbers drawn into the plan, then crops while decoding and all else in batches."""

from avssl.transforms.base import Chain, Scope, Transform
from avssl.transforms.colour import Blur, ChannelSplit, ColourJitter, Grey, Solarise
from avssl.transforms.holes import Holes
from avssl.transforms.masks import BlockMask, PatchMask, RandomMask, TubeMask
from avssl.transforms.noise import Noise
from avssl.transforms.patches import PatchGrid, Twice
from avssl.transforms.sound import FrequencyMask, Gain, SoundNoise, TimeMask
from avssl.transforms.space import CentreCrop, FiveCrop, FrameCropJitter, RandomCrop, RandomResizedCrop, ThreeCrop
from avssl.transforms.turn import HorizontalFlip, Rotate90
from avssl.transforms.views import contrastive_views
from avssl.transforms.warp import AffineWarp, ProjectiveWarp

__all__ = [
    "AffineWarp",
    "BlockMask",
    "Blur",
    "CentreCrop",
    "Chain",
    "ChannelSplit",
    "ColourJitter",
    "FiveCrop",
    "FrameCropJitter",
    "FrequencyMask",
    "Gain",
    "Grey",
    "Holes",
    "HorizontalFlip",
    "Noise",
    "PatchGrid",
    "PatchMask",
    "ProjectiveWarp",
    "RandomCrop",
    "RandomMask",
    "RandomResizedCrop",
    "Rotate90",
    "Scope",
    "Solarise",
    "SoundNoise",
    "ThreeCrop",
    "TimeMask",
    "Transform",
    "TubeMask",
    "Twice",
    "contrastive_views",
]
