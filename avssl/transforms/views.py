"""The chain of transforms that contrastive methods share."""

from __future__ import annotations

from avssl.transforms.base import Transform
from avssl.transforms.colour import Blur, ColourJitter, Grey
from avssl.transforms.sound import Gain, SoundNoise, TimeMask
from avssl.transforms.space import RandomResizedCrop
from avssl.transforms.turn import HorizontalFlip

__all__ = ["contrastive_views"]


def contrastive_views(size: int, *, smallest: float = 0.2, strength: float = 1.0, blur: float = 0.0) -> Transform:
    """Views to be told apart from those of other examples, each clip with its own draws, alike for all its frames.

    A random resized crop of at least `smallest` of the area, flip, colour jitter of `strength` × (0.8, 0.8, 0.8, 0.2)
    with probability 0.8, grey with 0.2, blur with `blur`; of sound a gain, noise and a gap. Pictures: Chen et al.,
    ICML 2020, arXiv:2002.05709, appendix A (strength 1, smallest 0.08, blur 0.5). That a clip's frames share their
    draws: Qian et al., CVPR 2021, arXiv:2008.03800, section 3.3.
    """
    look = RandomResizedCrop(size, scale=(smallest, 1.0)) | HorizontalFlip()
    colour = ColourJitter(
        brightness=0.8 * strength, contrast=0.8 * strength, saturation=0.8 * strength, hue=0.2 * strength, p=0.8
    )
    return look | colour | Grey(p=0.2) | Blur(p=blur) | Gain() | SoundNoise() | TimeMask()
