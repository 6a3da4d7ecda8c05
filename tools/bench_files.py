"""The files of the jobs of `bench_media.py`: pictures that move and are noisy, and compress like real ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

RATE = 25
SOUND_RATE = 44100
BLOCK = 1024
"""Samples of sound that are encoded at a time."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What a file is like."""

    suffix: str
    codec: str
    height: int
    width: int
    seconds: int
    tag: str = ""
    options: dict[str, str] = field(default_factory=dict)
    sound: bool = False


X264 = {"preset": "medium", "crf": "23"}
KINDS = {
    "J1a": Kind(
        suffix=".avi",
        codec="mpeg4",
        height=240,
        width=320,
        seconds=7,
        tag="XVID",
        options={"g": "250", "bf": "2", "b": "600k"},
    ),
    "J1b": Kind(suffix=".mp4", codec="libx264", height=240, width=320, seconds=7, options=X264),
    "J2": Kind(suffix=".mp4", codec="libx264", height=256, width=340, seconds=10, options=X264),
    "J3": Kind(suffix=".mp4", codec="libx264", height=1080, width=1920, seconds=10, options=X264),
    "J4": Kind(suffix=".mp4", codec="libx264", height=240, width=320, seconds=7, options=X264, sound=True),
}


def make_files(folder: Path, job: str, count: int) -> list[Path]:
    """The files of a job; those that are there are taken as they are."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for number in range(count):
        path = folder / f"{job}-{number}{KINDS[job].suffix}"
        if not path.exists():
            part = path.with_name(f"part-{path.name}")
            _write(part, KINDS[job], np.random.default_rng((7, number)))
            part.replace(path)
        made.append(path)
    return made


def lengthened(path: Path, out: Path, seconds: int) -> Path:
    """A file with the packets of another over and over, until it lasts so long (s)."""
    if out.exists():
        return out
    part = out.with_name(f"part-{out.name}")
    with av.open(str(path)) as source, av.open(str(part), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        packets = [p for p in source.demux(stream) if p.size]
        told = [(p.pts, p.dts) for p in packets]
        assert stream.time_base is not None
        turn = round(len(packets) / RATE / stream.time_base)
        for k in range(-(-seconds * RATE // len(packets))):
            for packet, (pts, dts) in zip(packets, told, strict=True):
                assert pts is not None
                assert dts is not None
                # a packet is used up by muxing, its data are not
                new = av.Packet(bytes(packet))
                new.pts, new.dts, new.time_base = pts + k * turn, dts + k * turn, stream.time_base
                new.duration, new.is_keyframe, new.stream = packet.duration, packet.is_keyframe, copy
                target.mux(new)
    part.replace(out)
    return out


def _write(path: Path, kind: Kind, rng: np.random.Generator) -> None:
    with av.open(str(path), "w") as out:
        stream = out.add_stream(kind.codec, rate=RATE, options=kind.options)
        stream.width, stream.height, stream.pix_fmt = kind.width, kind.height, "yuv420p"
        if kind.tag:
            stream.codec_context.codec_tag = kind.tag
        sound = out.add_stream("aac", rate=SOUND_RATE, layout="stereo") if kind.sound else None
        blocks = _sound(kind.seconds, rng) if kind.sound else iter(())
        for number, picture in enumerate(_pictures(kind.height, kind.width, kind.seconds * RATE, rng)):
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            out.mux(stream.encode(frame))
            # sound is written as far as the pictures have come, for players want the two side by side
            while sound is not None and (block := next(blocks, None)) is not None:
                out.mux(sound.encode(block))
                if block.pts > (number + 1) * SOUND_RATE // RATE:
                    break
        out.mux(stream.encode(None))
        if sound is not None:
            out.mux(sound.encode(None))


def _pictures(height: int, width: int, count: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Frames as planes of 4:2:0 below each other: a camera that pans over a texture, things that move, noise."""
    room = max(64, height // 4)
    ground = [_texture(height + 2 * room, width + 2 * room, rng) for _ in range(3)]
    things = [(rng.uniform(0, 1, 2), rng.uniform(-0.02, 0.02, 2), rng.uniform(0.12, 0.3)) for _ in range(5)]
    skins = [_texture(height, width, rng) for _ in things]
    grain = rng.normal(0, 2.0, (height + 32, width + 32)).astype(np.float32)
    for number in range(count):
        angle = 2 * np.pi * number / (RATE * 9)
        at = room / 2 * (1 + np.array([np.sin(1.7 * angle), np.cos(angle)]))
        light = _shifted(ground[0], at, height, width)
        for (place, speed, size), skin in zip(things, skins, strict=True):
            _put(light, skin, place + speed * number, size)
        dy, dx = rng.integers(0, 32, 2)
        light = light + grain[dy : dy + height, dx : dx + width]
        half = [_shifted(g, at / 2, height // 2, width // 2) for g in ground[1:]]
        planes = [light, *(128 + (c - 128) * 0.4 for c in half)]
        flat = np.concatenate([np.clip(p, 16, 235).astype(np.uint8).ravel() for p in planes])
        yield flat.reshape(height * 3 // 2, width)


def _texture(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Noise whose power falls with frequency as that of photographs does."""
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    weight = 1 / np.maximum(np.hypot(down, across), 1 / max(height, width)) ** 1.35
    found = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(height, width))) * weight, s=(height, width))
    return (126 + 45 * (found - found.mean()) / found.std()).astype(np.float32)


def _shifted(ground: np.ndarray, at: np.ndarray, height: int, width: int) -> np.ndarray:
    """A window of the ground at a place that need not be whole pixels."""
    (top, left), (down, across) = np.floor(at).astype(int), (at % 1).astype(np.float32)
    rows = ground[top : top + height + 1, left : left + width + 1]
    rows = rows[:-1] * (1 - down) + rows[1:] * down
    return rows[:, :-1] * (1 - across) + rows[:, 1:] * across


def _put(light: np.ndarray, skin: np.ndarray, place: np.ndarray, size: float) -> None:
    """Lay a round piece of skin over the picture, centred where `place` (relative, folded back at the edges) says."""
    height = light.shape[0]
    folded = np.abs((place + 1) % 2 - 1)
    radius = int(size * height / 2)
    top, left = (int(p * (n - 2 * radius)) for p, n in zip(folded, light.shape, strict=True))
    y, x = np.ogrid[-radius:radius, -radius:radius]
    disc = y * y + x * x < radius * radius
    light[top : top + 2 * radius, left : left + 2 * radius][disc] = skin[: 2 * radius, : 2 * radius][disc]


def _sound(seconds: int, rng: np.random.Generator) -> Iterator[av.AudioFrame]:
    """Stereo noise that swells and fades, under tones that wander."""
    t = np.arange(seconds * SOUND_RATE) / SOUND_RATE
    tone = np.sin(2 * np.pi * np.cumsum(300 + 200 * np.sin(2 * np.pi * 0.7 * t)) / SOUND_RATE)
    swell = np.interp(t, np.arange(0, seconds + 1, 0.1), rng.uniform(0, 1, len(np.arange(0, seconds + 1, 0.1))))
    both = np.stack([0.2 * tone + 0.15 * swell * rng.normal(size=len(t)) for _ in range(2)]).astype(np.float32)
    for at in range(0, len(t), BLOCK):
        block = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(both[:, at : at + BLOCK]), format="fltp", layout="stereo"
        )
        block.sample_rate, block.pts, block.time_base = SOUND_RATE, at, Fraction(1, SOUND_RATE)
        yield block
