"""What to choose about a toybox."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

__all__ = [
    "DEFAULT_MOTIONS",
    "MOTIONS",
    "ONE_WAY_MOTIONS",
    "PROGRESSING_MOTIONS",
    "SHAPES",
    "TIMBRES",
    "MotionName",
    "Toybox",
]

MotionName: TypeAlias = Literal[
    "bounce",
    "rebound",
    "speed_up",
    "slow_down",
    "slow_orbit",
    "fast_orbit",
    "grow",
    "shrink",
    "swing",
    "splash",
    "zigzag",
    "static",
]

MOTIONS: tuple[MotionName, ...] = (
    "bounce",
    "rebound",
    "speed_up",
    "slow_down",
    "slow_orbit",
    "fast_orbit",
    "grow",
    "shrink",
    "swing",
    "splash",
    "zigzag",
    "static",
)
"""All motion classes there are; `avssl.media.toybox.world` says what each is."""

DEFAULT_MOTIONS: tuple[MotionName, ...] = MOTIONS[:10]
"""The motion classes of a toybox unless others are asked for: those that cannot be told by one picture's extent."""

ONE_WAY_MOTIONS: tuple[MotionName, ...] = ("bounce", "grow", "splash", "slow_orbit")
"""Motions for tasks of order: none is there backwards, too, and half of them progress over the whole clip.

Where each has its mirror in time, as by default, one cannot tell which of two parts came first unless one sees time's
direction within them.
"""

PROGRESSING_MOTIONS: tuple[MotionName, ...] = ("bounce", "rebound", "grow", "shrink")
"""Motions that progress over the whole clip, so that what is shown tells when it is."""

SHAPES = ("disc", "square", "triangle", "ring", "cross", "star")
"""The appearance classes: shapes. All wear the same colours and patterns on the same backgrounds: only shape tells."""

TIMBRES = ("bell", "wood", "string", "brush")
"""The timbre classes: what an impact and the hum of a thing in motion sound like, at any pitch and loudness."""

EDITION = 3
"""To be raised whenever the same choices give other pixels or sounds, so that no old cache is taken for a new one."""


CAMERAS = 4
"""The most cameras that film a clip."""


@dataclass(frozen=True, kw_only=True)
class Toybox:
    """A set of clips that avssl makes itself: things that move and sound by physics.

    Motion class, appearance class (shape) and timbre class are crossed, so none of them tells another. An individual
    (the manifest's `group`) is a shape in one of the liveries (colours and pattern) of its split. Train and test share
    the shapes, but no livery, no hue and no background.
    """

    train: int = 600
    """Clips for training."""

    test: int = 200
    """Clips for testing."""

    seconds: float = 5.0
    """Length of a clip (s)."""

    fps: int = 16
    """Frames per second (Hz)."""

    size: int = 64
    """Height and width of the picture, pixels (even)."""

    sample_rate: int = 16000
    """Of the mono sound (Hz)."""

    seed: int = 0
    """Another seed gives other clips and other individuals."""

    motions: tuple[MotionName, ...] = DEFAULT_MOTIONS
    """Motion classes, in equal numbers."""

    frozen: bool = False
    """Null test of all that is told by time: each clip shows one picture; its sound goes on."""

    shuffled_sound: bool = False
    """Null test of all that is told by sound and picture together: the sound belongs to another, unrelated clip."""

    silent: bool = False
    """No sound at all: the files have pictures only."""

    distractors: int = 2
    """At most so many bars lie or drift about, behind the thing itself."""

    drifting_camera: bool = True
    """Whether the background drifts (at a pace and in a direction independent of the motion class)."""

    cameras: int = 1
    """Cameras that film each clip at once, each into a file of its own: columns `scene` and `camera` say which. The
    second and every further one is turned against the first, and farther away."""

    moving_camera: bool = False
    """Whether each camera wanders, turns, comes nearer and goes away again, while the background stands still."""

    def __post_init__(self) -> None:
        self._require(
            self.train >= 0 and self.test >= 0 and self.train + self.test > 0, "train, test", "at least one clip"
        )
        self._require(self.seconds > 0 and self.frames >= 2, "seconds, fps", "a clip of two frames at least")
        self._require(self.size >= 16 and self.size % 2 == 0, "size", "an even number ≥ 16 (H.264 halves colour)")
        self._require(self.sample_rate in _RATES, "sample_rate", f"one that AAC knows: {sorted(_RATES)}")
        self._require(self.seed >= 0, "seed", "a whole number ≥ 0")
        self._require(1 <= self.cameras <= CAMERAS, "cameras", f"a number from 1 to {CAMERAS}")
        self._require(self.distractors >= 0, "distractors", "a whole number ≥ 0")
        known = len(set(self.motions)) == len(self.motions) > 0 and set(self.motions) <= set(MOTIONS)
        self._require(known, "motions", f"one or more of {MOTIONS}, none twice")

    def _require(self, condition: bool, names: str, remedy: str) -> None:
        if not condition:
            values = ", ".join(str(getattr(self, name)) for name in names.split(", "))
            raise ValueError(f"Toybox: {names} = {values}: must be {remedy}")

    @property
    def clips(self) -> int:
        """How many files there are in both splits: of each clip, one from each camera."""
        return (self.train + self.test) * self.cameras

    @property
    def filmed(self) -> bool:
        """Whether there is more to tell of cameras than that one stands still."""
        return self.cameras > 1 or self.moving_camera

    @property
    def frames(self) -> int:
        """T, the number of frames of each clip."""
        return round(self.seconds * self.fps)

    @property
    def duration(self) -> float:
        """The length of a clip in whole frames (s)."""
        return self.frames / self.fps

    @property
    def name(self) -> str:
        """The name of its folder: the same for the same choices, another for others."""
        told = asdict(self)
        for name, usual in _LATER.items():  # so that toyboxes without these keep the names they had before
            if told[name] == usual:
                del told[name]
        text = json.dumps([EDITION, told], sort_keys=True)
        return f"toybox-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


_LATER = {"cameras": 1, "moving_camera": False}

_RATES = frozenset({8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000})
