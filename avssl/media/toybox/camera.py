"""Cameras over the flat world of a toybox: each looks straight down at it, from a place, an angle and a distance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from avssl.core import Rng, generator
from avssl.media.toybox.world import State

__all__ = ["Camera", "View", "draw_camera"]

Array = npt.NDArray[np.float64]


def _turned(points: Array, angle: Array) -> Array:
    """Points (*, 2) turned by angles (*,) from x towards y."""
    c, s = np.cos(angle), np.sin(angle)
    x, y = points[..., 0], points[..., 1]
    return np.stack([c * x - s * y, s * x + c * y], -1)


@dataclass(frozen=True, kw_only=True)
class View:
    """What a camera sees at n instants: `centre` (n, 2) is the point of the world in the middle of its picture, which
    is turned by `angle` (n,) rad from x towards y and whose side is `scale` (n,) sides of the world.
    """

    centre: Array
    angle: Array
    scale: Array

    def shown(self, place: Array) -> Array:
        """Where points of the world (n, 2) are in the picture."""
        shown: Array = _turned(place - self.centre, -self.angle) / self.scale[:, None] + 0.5
        return shown

    def seen(self, points: Array, n: int) -> Array:
        """Which points of the world are at points (m, 2) of the n-th picture."""
        turned = _turned((points - 0.5) * self.scale[n], np.full(len(points), self.angle[n]))
        seen: Array = turned + self.centre[n]
        return seen


@dataclass(frozen=True, kw_only=True)
class Camera:
    """A camera one side of the world away from it: where it is at instants (n,) s, (n, 4) as x, y, z and roll.

    x and y are those of the world from its middle on, z comes nearer, so that the picture shows 1 − z of the world's
    side, and roll (rad) turns the camera from x towards y, which turns what it shows the other way.
    """

    pose: Callable[[Array], Array]

    def at(self, t: Array) -> View:
        """What it sees at instants (n,) s."""
        pose = self.pose(t)
        return View(centre=pose[:, :2] + 0.5, angle=pose[:, 3], scale=1 - pose[:, 2])

    def shows(self, t: Array, state: State, *, frozen: bool = False) -> State:
        """The state of a thing of the world as it is in the picture at instants (n,) s."""
        view, hair = self.at(t), 1e-4
        position = view.shown(state.position)
        before, after = (self.at(t + h).shown(state.position) for h in (-hair, hair))
        own = np.zeros_like(position) if frozen else (after - before) / (2 * hair)
        velocity = _turned(state.velocity, -view.angle) / view.scale[:, None] + own
        return State(position=position, velocity=velocity, radius=state.radius / view.scale)


def draw_camera(number: int, key: tuple[int, ...], *, moving: bool) -> Camera:
    """Draw the camera of that number over the scene of a key."""
    rng = generator(*key, 6, number)
    rest = _rig(number, rng)
    sway = _sway(rng) if moving else lambda t: np.zeros((len(t), 4))
    return Camera(pose=lambda t: rest + sway(t))


def _rig(number: int, rng: Rng) -> Array:
    """Where a camera is mounted: nearly the same in all scenes, so that it has a look of its own."""
    side = 1 if number % 2 else -1
    mounted = np.array([0.0, 0.0, -0.35, side * np.radians(35) * ((number + 1) // 2)])
    jitter = rng.uniform(-1, 1, size=4) * np.array([0.05, 0.05, 0.05, np.radians(5)])
    return mounted + jitter if number else np.zeros(4)


def _sway(rng: Rng) -> Callable[[Array], Array]:
    """A camera in an unsteady hand: two slow waves along each axis, small enough for the thing to stay in view."""
    reach = np.array([0.12, 0.12, 0.14, np.radians(14)]) * rng.uniform(0.6, 1.0, size=4)
    pace, phase = 2 * np.pi * rng.uniform(0.15, 0.55, size=(2, 4)), rng.uniform(0, 2 * np.pi, size=(2, 4))

    def sway(t: Array) -> Array:
        waves = np.sin(t[:, None, None] * pace + phase).sum(axis=1) / np.sqrt(2)
        swayed: Array = reach * waves
        return swayed

    return sway
