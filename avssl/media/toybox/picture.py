"""How a scene looks: all frames at once, with edges covering parts of pixels, so that tiny motion is seen."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from avssl.core import generator
from avssl.media.toybox.choice import Toybox
from avssl.media.toybox.drawing import Ground, Livery, Scene

__all__ = ["frame_times", "frames", "mask"]

Array = npt.NDArray[np.float64]
Float = npt.NDArray[np.float32]


def frame_times(toybox: Toybox) -> Array:
    """The instants (T,) s that the frames show: the middle of each frame's display."""
    times: Array = (np.arange(toybox.frames) + 0.5) / toybox.fps
    return times


def frames(scene: Scene, toybox: Toybox) -> npt.NDArray[np.uint8]:
    """The frames (T, H, W, 3) of a scene, RGB."""
    t = frame_times(toybox)
    seen = scene.clock(t)
    canvas = _Canvas(_background(scene, toybox, seen))
    for bar in scene.bars:
        place = bar.start + seen[:, None] * bar.velocity
        placed = _placed(scene, seen, place, np.full_like(t, bar.radius), np.full_like(t, bar.angle))
        canvas.paint("bar", *placed, bar.colour)
    state, look = scene.at(t), scene.livery
    canvas.paint(scene.role.shape, state.position, state.radius, _spin(scene, seen), look.colour, look=look)
    _burst(canvas, scene, seen)
    levels: npt.NDArray[np.uint8] = np.clip(canvas.picture * 255 + 0.5, 0, 255).astype(np.uint8)
    return levels


def mask(scene: Scene, toybox: Toybox) -> Float:
    """How much of each pixel the thing covers, (T, H, W) in 0..1."""
    t = frame_times(toybox)
    canvas = _Canvas(np.zeros((toybox.frames, toybox.size, toybox.size, 3), np.float32))
    state = scene.at(t)
    canvas.paint(scene.role.shape, state.position, state.radius, _spin(scene, scene.clock(t)), np.ones(3))
    return canvas.picture[..., 0]


def _spin(scene: Scene, t: Array) -> Array:
    """How far the thing is turned (n,) as it is shown."""
    spin = scene.angle + scene.spin * t
    return spin if scene.camera is None else spin - scene.camera.at(t).angle


def _placed(scene: Scene, t: Array, place: Array, radius: Array, angle: Array) -> tuple[Array, Array, Array]:
    """Where a thing of the world (n, 2), of that radius (n,) and angle (n,), is shown at instants (n,) s."""
    if scene.camera is None:
        return place, radius, angle
    view = scene.camera.at(t)
    return view.shown(place), radius / view.scale, angle - view.angle


class _Canvas:
    """Frames in the making, (T, H, W, 3) float in 0..1, painted from back to front."""

    def __init__(self, picture: Float) -> None:
        self.picture = picture

    def paint(
        self,
        shape: str,
        position: Array,
        radius: Array,
        angle: Array,
        colour: Array,
        *,
        at: npt.NDArray[np.intp] | None = None,
        opacity: Array | None = None,
        look: Livery | None = None,
    ) -> None:
        """Paint a thing at `position` (n, 2) with `radius` (n,) and `angle` (n,) into the frames `at` (n,), or all."""
        size = self.picture.shape[1]
        half = int(np.ceil(radius.max() * size)) + 2
        centre = position * size - 0.5  # pixel k covers [k, k + 1) of the side, so its middle is at k + 0.5
        corner = np.floor(centre).astype(np.intp) - half + 1
        step = np.arange(2 * half, dtype=np.float32)
        c, s, r = (v.astype(np.float32)[:, None, None] for v in (np.cos(angle), np.sin(angle), radius * size))
        offset = (corner - centre).astype(np.float32)
        x, y = (step + offset[:, :1])[:, None, :], (step + offset[:, 1:])[:, :, None]
        u, v = (c * x + s * y) / r, (c * y - s * x) / r
        cover = np.clip(0.5 - _distance(shape, u, v) * r, 0, 1)
        if opacity is not None:
            cover = cover * opacity.astype(np.float32)[:, None, None]
        paint = colour.astype(np.float32) if look is None else _pattern(look, u, v)
        for n, frame in enumerate(range(len(radius)) if at is None else at):
            left, top = corner[n]
            y0, y1, x0, x1 = max(top, 0), min(top + 2 * half, size), max(left, 0), min(left + 2 * half, size)
            if y0 < y1 and x0 < x1:
                part = slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)
                below = self.picture[frame, y0:y1, x0:x1]
                below += cover[n][part][..., None] * ((paint if look is None else paint[n][part]) - below)


def _distance(shape: str, u: Float, v: Float) -> Float:
    """How far outside the shape of radius 1 a point lies (negative inside)."""
    rho = np.hypot(u, v)
    distance: npt.NDArray[np.floating]
    match shape:
        case "disc":
            distance = rho - 0.9
        case "square":
            distance = np.maximum(np.abs(u), np.abs(v)) - 0.8
        case "triangle":
            distance = np.maximum(np.abs(u) * np.float32(0.866) + v * 0.5, -v) - 0.58
        case "ring":
            distance = np.abs(rho - 0.72) - 0.28
        case "cross":
            a, b = np.abs(u), np.abs(v)
            distance = np.minimum(np.maximum(a - 0.32, b - 1), np.maximum(a - 1, b - 0.32))
        case "star":
            distance = rho - (np.float32(0.7) + np.float32(0.3) * np.cos(5 * np.arctan2(u, v)))
        case "bar":
            distance = np.maximum(np.abs(u) - 1, np.abs(v) - 0.3)
        case _:
            raise ValueError(f"shape {shape!r}: unknown; see SHAPES")
    return distance.astype(np.float32, copy=False)


def _pattern(look: Livery, u: Float, v: Float) -> Float:
    """The colours (n, h, w, 3) of a thing in its own coordinates."""
    k = np.float32(look.scale)
    wave: Float
    match look.pattern:
        case "stripes":
            wave = np.sin(k * (u + 0 * v))
        case "checks":
            wave = np.float32(1.6) * np.sin(k * u) * np.sin(k * v)
        case "rings":
            wave = np.cos(np.float32(1.5) * k * np.sqrt(u**2 + v**2))
        case _:
            wave = np.full(np.broadcast(u, v).shape, -1.0, np.float32)
    mix = np.clip(0.5 + wave, 0, 1)[..., None]
    colours: Float = look.colour.astype(np.float32) + mix * (look.second - look.colour).astype(np.float32)
    return colours


def _texture(ground: Ground, side: int) -> Float:
    """A periodic background (side, side, 3): noise with as much contrast at fine as at coarse scales."""
    rng = generator(*ground.texture)
    fy, fx = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]
    f = np.hypot(fy, fx)
    amplitude = np.where((f > 0) & (f < 0.35), 1 / np.maximum(f, 1.5 / side), 0)  # finer would flicker when it drifts
    field = np.fft.irfft2(amplitude * np.fft.rfft2(rng.normal(size=(side, side))), s=(side, side))
    field = np.tanh(field / field.std()) * 0.6
    grain = np.fft.irfft2(amplitude * np.fft.rfft2(rng.normal(size=(side, side))), s=(side, side))
    light = 0.09 * np.tanh(grain / grain.std())
    texture: Float = (ground.colour + field[..., None] * ground.contrast + light[..., None]).astype(np.float32)
    return texture


def _background(scene: Scene, toybox: Toybox, t: Array) -> Float:
    """The drifting background (T, H, W, 3), shifted by parts of pixels."""
    if scene.camera is not None:
        return _filmed(scene, toybox, t)
    size, side = toybox.size, 2 * toybox.size
    texture = np.pad(_texture(scene.ground, side), ((0, size + 1), (0, size + 1), (0, 0)), mode="wrap")
    place = (scene.camera_start + t[:, None] * scene.camera_velocity) * size % side
    whole = np.floor(place).astype(np.intp)
    fx, fy = (place - whole).astype(np.float32).T
    out = np.empty((len(t), size, size, 3), np.float32)
    for n, (x, y) in enumerate(whole):
        rows = texture[y : y + size + 1, x : x + size + 1]
        rows = rows[:-1] + fy[n] * (rows[1:] - rows[:-1])
        out[n] = rows[:, :-1] + fx[n] * (rows[:, 1:] - rows[:, :-1])
    return out


def _filmed(scene: Scene, toybox: Toybox, t: Array) -> Float:
    """The background (T, H, W, 3) as a camera sees it."""
    assert scene.camera is not None  # only asked where there is one
    size, side = toybox.size, 2 * toybox.size
    texture = _texture(scene.ground, side)
    middle = (np.arange(size) + 0.5) / size
    points = np.stack(np.meshgrid(middle, middle), axis=-1).reshape(-1, 2)
    view = scene.camera.at(t)
    out = np.empty((len(t), size, size, 3), np.float32)
    for n, instant in enumerate(t):
        place = (scene.camera_start + instant * scene.camera_velocity + view.seen(points, n)) * size - 0.5
        whole = np.floor(place).astype(np.intp)
        (fx, fy), (x, y) = (place - whole).astype(np.float32).T[..., None], whole.T % side
        right, below = (x + 1) % side, (y + 1) % side
        upper = texture[y, x] + fx * (texture[y, right] - texture[y, x])
        lower = texture[below, x] + fx * (texture[below, right] - texture[below, x])
        out[n] = (upper + fy * (lower - upper)).reshape(size, size, 3)
    return out


def _burst(canvas: _Canvas, scene: Scene, t: Array) -> None:
    """Six drops fly up from each burst, fall and fade within 0.5 s."""
    if not scene.motion.bursts:
        return
    rng = generator(*scene.burst_key)
    for instant in scene.motion.impacts:
        place = scene.motion.at(np.array([instant - 1e-6]))
        x, y, size = place.position[0, 0], place.position[0, 1], place.radius[0]
        x = 1 - x if scene.mirrored else x
        for vx, vy in zip(rng.uniform(-0.6, 0.6, size=6), rng.uniform(-1.1, -0.5, size=6), strict=True):
            at = np.flatnonzero((t >= instant) & (t < instant + 0.5))
            if len(at):
                age = t[at] - instant
                path = np.stack([x + vx * age, y + size + vy * age + 1.5 * age**2], -1)
                still, fade = np.zeros_like(age), 1 - age / 0.5
                placed = _placed(scene, t[at], path, still + 0.38 * size, still)
                canvas.paint("disc", *placed, scene.livery.colour, at=at, opacity=fade)
