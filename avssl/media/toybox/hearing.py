"""How a scene sounds: each impact rings when it happens, and what moves hums."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from avssl.core import Rng, generator
from avssl.media.toybox.choice import Toybox
from avssl.media.toybox.drawing import Scene

__all__ = ["sound"]

Array = npt.NDArray[np.float64]


def sound(scene: Scene, toybox: Toybox) -> npt.NDArray[np.float32]:
    """The sound (N,) of a scene in −1..1: impacts at their instants, a hum that follows the motion, a faint noise.

    Small things sound high; hard impacts sound loud and a little higher. Sample n is heard at n / sample_rate s.
    """
    rate, count = toybox.sample_rate, round(toybox.duration * toybox.sample_rate)
    rng = generator(*scene.noise_key)
    heard, timbre = scene.sounding, scene.role.timbre
    wave: Array = 0.002 * rng.uniform(0.3, 1.5) * rng.normal(size=count)
    wave += 0.06 * _hum(scene, rate, count, rng)
    sizes = heard.at(heard.impacts).radius
    for instant, speed, size in zip(heard.impacts, heard.speeds, sizes, strict=True):
        start = int(np.ceil(instant * rate))
        ring = _ring(timbre, _pitch(size, scene.pitch) * max(speed, 0.05) ** 0.12, rate, rng)[: count - start]
        wave[start : start + len(ring)] += 0.55 * min(max(speed, 0.05), 2.5) ** 0.8 * ring
    return np.tanh(scene.gain * wave).astype(np.float32)


def _pitch(size: float | Array, tuning: float) -> Array:
    """The frequency (Hz) of things of a size; a third of the size sounds about three times as high."""
    pitch: Array = 420.0 * tuning * (0.09 / np.asarray(size))
    return pitch


def _ring(timbre: str, pitch: float, rate: int, rng: Rng) -> Array:
    """One impact (n,), with its peak near 1 within some ms of its begin."""
    t = np.arange(int(0.6 * rate)) / rate
    attack = np.minimum(t / 0.002, 1)
    match timbre:
        case "bell":  # partials that are not harmonic, ringing long
            parts = [(1.0, 1.0, 5.0), (2.76, 0.6, 7.0), (5.4, 0.35, 9.0), (8.93, 0.2, 12.0)]
        case "wood":  # dull and short
            parts = [(1.0, 1.0, 28.0), (2.57, 0.5, 45.0), (4.9, 0.2, 70.0)]
        case "string":  # a harmonic series, the high ones fading first
            parts = [(float(k), 1 / k, 3.0 + 2.5 * k) for k in range(1, 9)]
        case _:  # a brush: a band of noise around the pitch, gone quickly
            noise = rng.normal(size=len(t))
            return attack * np.exp(-14 * t) * _band(noise, 1.5 * pitch, rate)
    ring = np.zeros_like(t)
    for ratio, level, decay in parts:
        if ratio * pitch < 0.45 * rate:
            ring += level * np.exp(-decay * t) * np.sin(2 * np.pi * ratio * pitch * t)
    peak: Array = attack * ring / np.abs(ring).max()
    return peak


def _band(noise: Array, pitch: float, rate: int) -> Array:
    """Noise (n,) in about two octaves around a pitch (Hz), with its peak near 1."""
    frequency = np.fft.rfftfreq(len(noise), 1 / rate)
    gain = np.exp(-0.5 * np.log2(np.maximum(frequency, 1) / pitch) ** 2)
    band: Array = np.fft.irfft(gain * np.fft.rfft(noise), n=len(noise))
    band /= 2.5 * band.std()
    return band


def _hum(scene: Scene, rate: int, count: int, rng: Rng) -> Array:
    """The hum (N,) of a thing in motion: louder the faster it moves, higher the smaller it is."""
    coarse = np.arange(0, count + 32, 32) / rate
    state = scene.sounding.at(coarse)
    swelling = np.abs(np.gradient(state.radius, coarse)) * 4
    speed = np.hypot(*state.velocity.T) + swelling
    t = np.arange(count) / rate
    loud = np.interp(t, coarse, np.minimum(speed, 2.0) ** 1.2)
    angle = 2 * np.pi * np.cumsum(np.interp(t, coarse, _pitch(state.radius, scene.pitch) / 2)) / rate
    match scene.role.timbre:
        case "bell":
            tone = np.sin(angle) + 0.4 * np.sin(2.76 * angle)
        case "wood":
            tone = np.sin(angle) + 0.3 * np.sin(3 * angle)
        case "string":
            tone = sum((np.sin(k * angle) / k for k in range(1, 7)), np.zeros(count))
        case _:
            tone = _band(rng.normal(size=count), float(_pitch(state.radius.mean(), scene.pitch)), rate)
    hum: Array = loud * tone
    return hum
