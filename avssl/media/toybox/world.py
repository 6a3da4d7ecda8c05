"""How things move: motion classes as physics in closed form, so that they can be asked at any instant.

Lengths are in parts of the picture's side (x to the right, y down, 0 to 1), speeds per second.

    class        is                                          its sound      alike but for
    bounce       falls, bounces lower and lower              at the floor   time's direction (rebound)
    rebound      a bounce run backwards                      at the floor
    speed_up     gathers speed from rest till it hits,       at the hit     time's direction (slow_down)
                 then the same way back, again and again
    slow_down    a speed_up run backwards: kicked, halts     at the kick
    slow_orbit   circles in 2.6 to 3.8 s                     hum only       speed (fast_orbit)
    fast_orbit   circles in 1.0 to 1.5 s                     hum only
    grow         swells in puffs                             at each puff   time's direction (shrink)
    shrink       a growth run backwards                      at each puff
    swing        a pendulum                                  at the ends
    splash       falls from rest and bursts on the ground    at the burst
    zigzag       straight on, thrown back by the walls       at the walls
    static       stays                                       knocks, each with a short pulse of its size

Over the whole clip bounce, rebound, grow and shrink progress, so the order of distant parts can be told. speed_up,
slow_down and splash repeat themselves; within a cycle time's direction can be told. The orbits, swing, zigzag and
static are symmetric in time: no order of their parts can be told beyond smooth continuation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from avssl.core import Rng
from avssl.media.toybox.choice import MotionName

__all__ = ["Motion", "State", "draw_motion", "reverse"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class State:
    """Where a thing is at n instants: `position` (n, 2) as x, y; `velocity` (n, 2) per s; `radius` (n,)."""

    position: Array
    velocity: Array
    radius: Array


@dataclass(frozen=True, kw_only=True)
class Motion:
    """A motion: `at` gives the state at instants (n,) of s; `impacts` (k,) s ascending; `speeds` (k,) of each impact.

    `bursts` says whether drops fly from the place of each impact.
    """

    at: Callable[[Array], State]
    impacts: Array
    speeds: Array
    bursts: bool = False


def reverse(motion: Motion, seconds: float) -> Motion:
    """The same motion run backwards in a clip of that length (s)."""

    def at(t: Array) -> State:
        state = motion.at(seconds - t)
        return State(position=state.position, velocity=-state.velocity, radius=state.radius)

    return Motion(at=at, impacts=(seconds - motion.impacts)[::-1].copy(), speeds=motion.speeds[::-1].copy())


def draw_motion(name: MotionName, seconds: float, rng: Rng) -> Motion:
    """Draw one motion of the class, for a clip of that length (s)."""
    match name:
        case "bounce":
            return _bounce(seconds, rng)
        case "rebound":
            return reverse(_bounce(seconds, rng), seconds)
        case "speed_up":
            return _speed_up(seconds, rng)
        case "slow_down":
            return reverse(_speed_up(seconds, rng), seconds)
        case "slow_orbit":
            return _orbit(rng.uniform(2.6, 3.8), rng)
        case "fast_orbit":
            return _orbit(rng.uniform(1.0, 1.5), rng)
        case "grow":
            return _grow(seconds, rng)
        case "shrink":
            return reverse(_grow(seconds, rng), seconds)
        case "swing":
            return _swing(seconds, rng)
        case "splash":
            return _splash(seconds, rng)
        case "zigzag":
            return _zigzag(seconds, rng)
        case "static":
            return _static(seconds, rng)


def _radius(rng: Rng) -> float:
    return float(rng.uniform(0.075, 0.135))


def _state(x: Array, y: Array, vx: Array, vy: Array, radius: Array | float) -> State:
    size = np.broadcast_to(np.asarray(radius, np.float64), x.shape)
    return State(position=np.stack([x, y], -1), velocity=np.stack([vx, vy], -1), radius=size)


def _legs(seconds: float, shortest: float, longest: float, rng: Rng) -> Array:
    """Instants at which legs of similar length begin, from before 0 till after `seconds`."""
    length = rng.uniform(shortest, longest)
    legs = length * rng.uniform(0.9, 1.1, size=int(np.ceil(seconds / length / 0.9)) + 3)
    starts: Array = np.concatenate([[0.0], np.cumsum(legs)]) - legs[0] * rng.uniform()
    return starts


def _inside(instants: Array, seconds: float) -> npt.NDArray[np.bool_]:
    inside: npt.NDArray[np.bool_] = (instants > 0) & (instants < seconds)
    return inside


def _bounce(seconds: float, rng: Rng) -> Motion:
    """Flights under gravity, each shorter than the last by the restitution, down to `rest` of the first height."""
    radius, height, first = _radius(rng), rng.uniform(0.5, 0.62), rng.uniform(1.0, 1.5)
    rest, phase = rng.uniform(0.06, 0.15), rng.uniform() * first
    restitution = 1 - (1 - np.sqrt(rest)) * first / (seconds + phase)
    lengths = [first]  # of the flights: with this restitution their sum passes the end of the clip
    while sum(lengths) <= seconds + phase:
        lengths.append(lengths[-1] * restitution)
    flights = np.array(lengths)
    starts = np.concatenate([[0.0], np.cumsum(flights)[:-1]]) - phase
    gravity, floor = 8 * height / first**2, rng.uniform(0.84, 0.9) - radius
    (x0, x1) = rng.uniform(0.15, 0.85, size=2)
    across = (x1 - x0) / seconds

    def at(t: Array) -> State:
        k = np.clip(np.searchsorted(starts, t, side="right") - 1, 0, len(starts) - 1)
        s, up = t - starts[k], gravity * flights[k] / 2
        return _state(
            x0 + across * t, floor - up * s + gravity * s**2 / 2, np.full_like(t, across), gravity * s - up, radius
        )

    inside = _inside(starts, seconds)
    inside[0] = False
    arriving = np.concatenate([[0.0], gravity * flights[:-1] / 2])
    return Motion(at=at, impacts=starts[inside], speeds=arriving[inside])


def _speed_up(seconds: float, rng: Rng) -> Motion:
    """To and fro on a straight line, each leg from rest with constant acceleration till the hit at its end."""
    radius, length, angle = _radius(rng), rng.uniform(0.48, 0.64), rng.uniform(0, 2 * np.pi)
    starts = _legs(seconds, 0.9, 1.5, rng)
    lasting = np.diff(starts)
    along = np.array([np.cos(angle), np.sin(angle)])
    centre = rng.uniform(0.45, 0.55, size=2)

    def at(t: Array) -> State:
        k = np.clip(np.searchsorted(starts, t, side="right") - 1, 0, len(lasting) - 1)
        sign, s = 1.0 - 2.0 * (k % 2), (t - starts[k]) / lasting[k]
        place, speed = sign * length * (s**2 - 0.5), sign * length * 2 * s / lasting[k]
        return _state(
            centre[0] + along[0] * place, centre[1] + along[1] * place, along[0] * speed, along[1] * speed, radius
        )

    ends = starts[1:]
    inside = _inside(ends, seconds)
    return Motion(at=at, impacts=ends[inside], speeds=(2 * length / lasting)[inside])


def _orbit(period: float, rng: Rng) -> Motion:
    """Round an ellipse, either way."""
    radius, reach, flat = _radius(rng), rng.uniform(0.22, 0.3), rng.uniform(0.75, 1.0)
    phase, tilt = rng.uniform(0, 2 * np.pi, size=2)
    turn = 2 * np.pi / period * rng.choice([-1.0, 1.0])
    cx, cy = rng.uniform(0.42, 0.58, size=2)
    c, s = np.cos(tilt), np.sin(tilt)

    def at(t: Array) -> State:
        angle = phase + turn * t
        u, v = reach * np.cos(angle), reach * flat * np.sin(angle)
        du, dv = -turn * reach * np.sin(angle), turn * reach * flat * np.cos(angle)
        return _state(cx + c * u - s * v, cy + s * u + c * v, c * du - s * dv, s * du + c * dv, radius)

    return Motion(at=at, impacts=np.zeros(0), speeds=np.zeros(0))


def _grow(seconds: float, rng: Rng) -> Motion:
    """Swells in puffs of equal ratio, each lasting 0.16 s around its impact, while it drifts a little."""
    small, large = rng.uniform(0.045, 0.055), rng.uniform(0.18, 0.22)
    puffs = max(2, round(seconds * rng.uniform(1.2, 1.8)))
    instants = (np.arange(puffs) + 0.5 + rng.uniform(-0.3, 0.3, size=puffs)) * seconds / puffs
    (x0, y0), (x1, y1) = rng.uniform(0.3, 0.7, size=(2, 2))
    vx, vy = (x1 - x0) / seconds, (y1 - y0) / seconds
    ratio, puff = np.log(large / small) / puffs, 0.16

    def at(t: Array) -> State:
        s = np.clip((t[:, None] - instants) / puff + 0.5, 0, 1)
        radius = small * np.exp(ratio * (s**2 * (3 - 2 * s)).sum(-1))
        return _state(x0 + vx * t, y0 + vy * t, np.full_like(t, vx), np.full_like(t, vy), radius)

    return Motion(at=at, impacts=instants, speeds=np.full(puffs, ratio / puff * 0.6))


def _swing(seconds: float, rng: Rng) -> Motion:
    """A pendulum that does not tire; it ticks where it turns."""
    radius, length, widest = _radius(rng), rng.uniform(0.42, 0.55), rng.uniform(0.55, 0.8)
    period, phase = rng.uniform(1.4, 2.2), rng.uniform()
    px, py = rng.uniform(0.45, 0.55), rng.uniform(0.08, 0.18)
    turn = 2 * np.pi / period

    def at(t: Array) -> State:
        angle = widest * np.cos(turn * t - 2 * np.pi * phase)
        rate = -widest * turn * np.sin(turn * t - 2 * np.pi * phase)
        x, y = np.sin(angle), np.cos(angle)
        return _state(px + length * x, py + length * y, length * rate * y, -length * rate * x, radius)

    ticks = (phase + np.arange(-2, int(2 * seconds / period) + 3) / 2) * period
    ticks = ticks[_inside(ticks, seconds)]
    return Motion(at=at, impacts=ticks, speeds=np.full(len(ticks), length * widest * turn / 2))


def _splash(seconds: float, rng: Rng) -> Motion:
    """Falls from rest at the top, bursts on the ground, and another one falls elsewhere."""
    radius, top, ground = _radius(rng), rng.uniform(0.05, 0.15), rng.uniform(0.84, 0.9)
    starts = _legs(seconds, 0.9, 1.4, rng)
    lasting = np.diff(starts)
    places = rng.uniform(0.15, 0.85, size=len(lasting))
    depth = ground - radius - top

    def at(t: Array) -> State:
        k = np.clip(np.searchsorted(starts, t, side="right") - 1, 0, len(lasting) - 1)
        s = (t - starts[k]) / lasting[k]
        return _state(places[k], top + depth * s**2, np.zeros_like(t), 2 * depth * s / lasting[k], radius)

    ends = starts[1:]
    inside = _inside(ends, seconds)
    return Motion(at=at, impacts=ends[inside], speeds=(2 * depth / lasting)[inside], bursts=True)


def _zigzag(seconds: float, rng: Rng) -> Motion:
    """Constant speed in a box whose walls throw it back."""
    radius, speed, angle = _radius(rng), rng.uniform(0.5, 0.85), rng.uniform(0, 2 * np.pi)
    start = rng.uniform(0.2, 0.8, size=2)
    velocity = speed * np.array([np.cos(angle), np.sin(angle)])
    low, width = 0.06 + radius, 0.88 - 2 * radius

    def at(t: Array) -> State:
        way = (start - low)[:, None] + velocity[:, None] * t
        lap = np.floor(way / width)
        odd = lap % 2
        place = way - lap * width
        x, y = low + np.where(odd == 1, width - place, place)
        vx, vy = np.where(odd == 1, -1.0, 1.0) * velocity[:, None]
        return _state(x, y, vx, vy, radius)

    found: list[tuple[float, float]] = []
    for axis in range(2):
        way = np.sort([start[axis] - low, start[axis] - low + velocity[axis] * seconds])
        walls = np.arange(np.ceil(way[0] / width), np.floor(way[1] / width) + 1) * width
        found += [(float((w - start[axis] + low) / velocity[axis]), abs(float(velocity[axis]))) for w in walls]
    table = np.array(sorted(found)).reshape(-1, 2)
    return Motion(at=at, impacts=table[:, 0].copy(), speeds=table[:, 1].copy())


def _static(seconds: float, rng: Rng) -> Motion:
    """Stays where it is; knocked now and then, its size pulses for 0.2 s around each knock."""
    radius = _radius(rng)
    x, y = rng.uniform(0.25, 0.75, size=2)
    starts = _legs(seconds, 0.7, 1.3, rng)
    knocks = starts[_inside(starts, seconds)]
    speeds = rng.uniform(0.4, 1.4, size=len(knocks))

    def at(t: Array) -> State:
        s = np.clip(np.abs(t[:, None] - knocks) / 0.1, 0, 1)
        pulse = (0.25 * speeds * (1 - s**2 * (3 - 2 * s))).sum(-1)
        still = np.zeros_like(t)
        return _state(still + x, still + y, still, still, radius * (1 + pulse))

    return Motion(at=at, impacts=knocks, speeds=speeds)
