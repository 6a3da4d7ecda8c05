"""What is drawn by chance for each clip, from numbers only: classes crossed, liveries, camera, distractors."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from avssl.core import Rng, generator
from avssl.media.toybox.camera import Camera, draw_camera
from avssl.media.toybox.choice import SHAPES, TIMBRES, MotionName, Toybox
from avssl.media.toybox.world import Motion, State, draw_motion

__all__ = ["Bar", "Ground", "Livery", "Role", "Scene", "cast", "draw_livery", "draw_scene"]

Array = npt.NDArray[np.float64]
Split: TypeAlias = Literal["train", "test"]

LIVERIES: dict[Split, int] = {"train": 20, "test": 10}
"""How many liveries, and so individuals of each shape, a split has."""

PATTERNS = ("plain", "stripes", "checks", "rings")


@dataclass(frozen=True, kw_only=True)
class Role:
    """The classes of one clip, and its number within its split."""

    split: Split
    number: int
    motion: MotionName
    shape: str
    timbre: str
    livery: int
    camera: int = 0

    @property
    def scene(self) -> str:
        """The name of what all its cameras film."""
        return f"{self.split}-{self.number:05d}"

    @property
    def group(self) -> str:
        """The name of the individual, a shape in a livery: of one split only."""
        return f"{self.split}-{self.shape}-{self.livery:02d}"

    @property
    def stem(self) -> str:
        """The name of its file, without ending; it says nothing of its classes."""
        return f"{self.scene}-{self.camera}" if self.camera else self.scene


@dataclass(frozen=True, kw_only=True)
class Livery:
    """What a thing of any shape wears. Colours are (3,) RGB in 0..1."""

    colour: Array
    second: Array
    pattern: str
    scale: float
    bright: bool


@dataclass(frozen=True, kw_only=True)
class Ground:
    """The background: `colour` ± `contrast`, (3,) RGB each, by a noise of which `texture` is the key."""

    colour: Array
    contrast: Array
    texture: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A distractor: at `start` (2,) when the clip begins, moving with `velocity` (2,) per s."""

    start: Array
    velocity: Array
    radius: float
    angle: float
    colour: Array


@dataclass(frozen=True, kw_only=True)
class Scene:
    """All that a clip shows and sounds like."""

    role: Role
    livery: Livery
    ground: Ground
    motion: Motion
    mirrored: bool
    spin: float
    angle: float
    camera_start: Array
    camera_velocity: Array
    bars: tuple[Bar, ...]
    burst_key: tuple[int, ...]
    sounding: Motion
    """What is heard: `motion`, unless the sound is shuffled."""
    pitch: float
    gain: float
    noise_key: tuple[int, ...]
    frozen_at: float | None
    """The instant (s) that all frames show, if time stands still."""
    camera: Camera | None
    """Which sees all this; None: one that stands still, and whose picture is the world."""

    def at(self, t: Array) -> State:
        """The state of the thing as it is shown at instants (n,) s."""
        state = self._in_world(t)
        return (
            state if self.camera is None else self.camera.shows(self.clock(t), state, frozen=self.frozen_at is not None)
        )

    def clock(self, t: Array) -> Array:
        """The instants (n,) s of the world that are shown at instants (n,) s."""
        return t if self.frozen_at is None else np.full_like(t, self.frozen_at)

    def _in_world(self, t: Array) -> State:
        if self.frozen_at is not None:
            still = self.motion.at(np.full_like(t, self.frozen_at))
            state = State(position=still.position, velocity=np.zeros_like(still.velocity), radius=still.radius)
        else:
            state = self.motion.at(t)
        if not self.mirrored:
            return state
        flip, sign = np.array([1.0, 0.0]), np.array([-1.0, 1.0])
        return State(position=flip + sign * state.position, velocity=sign * state.velocity, radius=state.radius)


def cast(toybox: Toybox) -> list[Role]:
    """The roles of all clips, train first: motions in equal numbers, and within each the shapes and the timbres.

    The cameras of a clip follow one another.
    """
    roles: list[Role] = []
    counts: tuple[tuple[Split, int], ...] = (("train", toybox.train), ("test", toybox.test))
    for s, (split, count) in enumerate(counts):
        rng = generator(toybox.seed, s)
        places = rng.permutation(count)
        table: list[tuple[MotionName, str, str]] = []
        for m, motion in enumerate(toybox.motions):
            n = len(range(m, count, len(toybox.motions)))
            table += zip([motion] * n, _balanced(SHAPES, n, rng), _balanced(TIMBRES, n, rng), strict=True)
        for number, place in enumerate(places):
            motion, shape, timbre = table[place]
            who = int(rng.integers(LIVERIES[split]))
            role = Role(split=split, number=number, motion=motion, shape=shape, timbre=timbre, livery=who)
            roles += [replace(role, camera=k) for k in range(toybox.cameras)]
    return roles


def _balanced(names: tuple[str, ...], n: int, rng: Rng) -> list[str]:
    """Draw n names, each as often as any other to within one, in random order."""
    return [names[k] for _ in range(-(-n // len(names))) for k in rng.permutation(len(names))][:n]


def _hue(split: Split, rng: Rng) -> float:
    """A hue (0..1): each twelfth of the circle is parted in train's three fifths and test's, with gaps between."""
    within = rng.uniform(0.0, 0.6) if split == "train" else rng.uniform(0.67, 0.93)
    return float((rng.integers(12) + within) / 12)


def _colour(hue: float, lightness: float, saturation: float) -> Array:
    return np.array(colorsys.hls_to_rgb(hue, lightness, saturation))


def draw_livery(split: Split, number: int, *, seed: int) -> Livery:
    """A livery of a split: the same for every shape and in every clip, so that no colour tells a shape."""
    rng = generator(seed, 2, int(split == "test"), number)
    bright = bool(rng.integers(2))  # the thing is bright on a dark ground, or dark on a bright one
    light = rng.uniform(0.58, 0.72) if bright else rng.uniform(0.2, 0.3)
    return Livery(
        colour=_colour(_hue(split, rng), light, rng.uniform(0.6, 1.0)),
        second=_colour(_hue(split, rng), light + (0.15 if bright else -0.12), rng.uniform(0.4, 1.0)),
        pattern=PATTERNS[int(rng.integers(len(PATTERNS)))],
        scale=float(rng.uniform(2.5, 4.5)),
        bright=bright,
    )


def _draw_ground(split: Split, bright: bool, texture: tuple[int, ...], rng: Rng) -> Ground:
    """A background of its own for each clip."""
    light, hue, other = rng.uniform(0.2, 0.36) if not bright else 0.66, _hue(split, rng), _hue(split, rng)
    contrast = _colour(other, light + rng.uniform(0.08, 0.16), rng.uniform(0.2, 0.7)) - _colour(hue, light, 0.4)
    return Ground(colour=_colour(hue, light, rng.uniform(0.2, 0.7)), contrast=contrast, texture=texture)


def _draw_bars(toybox: Toybox, split: Split, rng: Rng) -> tuple[Bar, ...]:
    bars = []
    for _ in range(int(rng.integers(toybox.distractors + 1))):
        speed, way = rng.choice([0.0, 1.0]) * rng.uniform(0.03, 0.14), rng.uniform(0, 2 * np.pi)
        velocity = speed * np.array([np.cos(way), np.sin(way)])
        middle = rng.uniform(0.1, 0.9, size=2)  # half-way, so that no end of the clip is emptier than the other
        bars.append(
            Bar(
                start=middle - velocity * toybox.duration / 2,
                velocity=velocity,
                radius=float(rng.uniform(0.06, 0.12)),
                angle=float(rng.uniform(0, np.pi)),
                colour=_colour(_hue(split, rng), rng.uniform(0.2, 0.75), rng.uniform(0.4, 1.0)),
            )
        )
    return tuple(bars)


def draw_scene(toybox: Toybox, role: Role) -> Scene:
    """Draw the clip of a role; motion, looks and sound have generators of their own."""
    key = (toybox.seed, 3, int(role.split == "test"), role.number)
    moving, looking, sounding = (generator(*key, k) for k in range(3))
    motion = draw_motion(role.motion, toybox.duration, moving)
    heard = motion
    if toybox.shuffled_sound:
        other = toybox.motions[int(sounding.integers(len(toybox.motions)))]
        heard = draw_motion(other, toybox.duration, sounding)
    livery = draw_livery(role.split, role.livery, seed=toybox.seed)
    drifts = toybox.drifting_camera and not toybox.moving_camera
    drift, way = looking.uniform(0.01, 0.1) * drifts, looking.uniform(0, 2 * np.pi)
    return Scene(
        role=role,
        livery=livery,
        ground=_draw_ground(role.split, not livery.bright, (*key, 5), looking),
        motion=motion,
        mirrored=bool(looking.integers(2)),
        spin=float(looking.uniform(-1.0, 1.0)),
        angle=float(looking.uniform(0, 2 * np.pi)),
        camera_start=looking.uniform(0, 2, size=2),
        camera_velocity=drift * np.array([np.cos(way), np.sin(way)]),
        bars=_draw_bars(toybox, role.split, looking),
        burst_key=(*key, 3),
        sounding=heard,
        pitch=float(2 ** sounding.uniform(-1 / 4, 1 / 4)),
        gain=float(10 ** (sounding.uniform(-8, 0) / 20)),
        noise_key=(*key, 4),
        frozen_at=float(looking.uniform(0, toybox.duration)) if toybox.frozen else None,
        camera=draw_camera(role.camera, key, moving=toybox.moving_camera) if toybox.filmed else None,
    )
