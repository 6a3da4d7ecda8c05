"""Self-supervised learning on video, sound and pictures: plan first, pixels once."""

from avssl.core import (
    Box,
    Clip,
    Example,
    MediaError,
    MediaInfo,
    Plan,
    Rng,
    Sampler,
    Sound,
    Span,
    Unfit,
    generator,
)

__version__ = "0.1.0"

__all__ = [
    "Box",
    "Clip",
    "Example",
    "MediaError",
    "MediaInfo",
    "Plan",
    "Rng",
    "Sampler",
    "Sound",
    "Span",
    "Unfit",
    "generator",
]
