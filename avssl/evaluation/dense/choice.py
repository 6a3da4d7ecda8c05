"""What to choose about the dense and audio-visual protocols."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from avssl.data import Damaged, Reading
from avssl.evaluation.dense.crossmodal import CrossModal
from avssl.evaluation.dense.localisation import Localisation
from avssl.evaluation.dense.propagation import Propagation
from avssl.evaluation.dense.synchrony import Synchrony
from avssl.evaluation.dense.tracking import Tracking

__all__ = ["PROTOCOLS", "Dense", "DenseProtocol", "few_masks"]

DenseProtocol = Literal["masks", "joints", "localisation", "synchrony", "retrieval"]
PROTOCOLS: tuple[DenseProtocol, ...] = ("masks", "joints", "localisation", "synchrony", "retrieval")


@dataclass(frozen=True, kw_only=True)
class Dense:
    """Which dense and audio-visual protocols to run, and how."""

    protocols: tuple[DenseProtocol, ...] = ()
    """masks: J and F of label propagation; joints: its PCK; localisation: of sound; synchrony, and cross-modal
    retrieval. None given: all for which the data have the truth and the run the encoders."""
    split: str = ""
    """Of the items; '': "test" or else "val" where there are such, otherwise all items."""
    videos: int = 0
    """Of each protocol at most so many videos, evenly chosen; 0: all."""
    frames: int = 0
    """Of a video at most so many frames carry masks; 0: all."""
    tracking: Tracking = field(default_factory=Tracking)
    """Label propagation."""
    localisation: Localisation = field(default_factory=Localisation)
    """Sound localisation."""
    sync: Synchrony = field(default_factory=Synchrony)
    """Synchrony."""
    crossmodal: CrossModal = field(default_factory=CrossModal)
    """Cross-modal retrieval."""
    seeds: tuple[int, ...] = (0,)
    """Of the random inits, one for each."""
    damaged: Damaged = "skip"
    """Whether a file that turns out damaged is named, counted and left out, or ends it."""
    batch_size: int = 32
    """Items that go through the encoders at once."""
    workers: int = 2
    """Threads or processes that decode."""
    reading: Reading = "auto"
    """Whether threads or processes decode."""
    pictures: int = 4
    """Videos, and twice as many frames, that are drawn."""

    def __post_init__(self) -> None:
        if min(self.videos, self.frames, self.pictures) < 0 or not self.seeds or self.batch_size < 1:
            raise ValueError(f"{self}: videos, frames and pictures must be ≥ 0, seeds and batch_size at least one")


def few_masks() -> Dense:
    """Masks carried through 16 videos of small frames, such as the toybox's, in about half a minute on a CPU.

    Frames are enlarged twice, so that an encoder that shrinks them four times has a place for every two pixels.
    """
    near = Propagation(context=4, radius=8)
    return Dense(protocols=("masks",), videos=16, frames=40, tracking=Tracking(scale=2, propagation=near))
