"""A proxy shows the same frames at the same instants and has the same sound at the same samples as its source."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from media_files import Film, Noise, bursts, numbered, numbers_of, write
from PIL import Image

from avssl.core import MediaError, Sound, Span
from avssl.media import Proxy, encode, look, open_media
from avssl.media import proxy as proxy_room

AT = (0.25, 0.7, 1.2)
SMALL = Proxy(short_side=48)


def noise(codec: str, rate: int = 44100, *, start: float = 0.0, channels: int = 1) -> Noise:
    return Noise(samples=bursts(1.6, rate, AT, channels=channels), rate=rate, codec=codec, start=start)


UNEVEN = [0, 33, 66, 101, 101, 160, 200, 1000, 1011, *range(1100, 1600, 40)]
KINDS: dict[str, tuple[Film | None, Noise | None]] = {
    "b_frames.mp4": (Film(options={"bf": "3", "g": "12"}, height=96, width=128), noise("aac")),
    "late.mp4": (Film(), noise("aac", start=0.3)),
    "xvid.avi": (Film(codec="mpeg4", options={"bf": "2"}), noise("pcm_s16le", 22050, channels=2)),
    "uneven.mkv": (Film(frames=len(UNEVEN), stamps=UNEVEN, tick=Fraction(1, 1000)), None),
    "early.mkv": (Film(stamps=[513 + 40 * i for i in range(40)], tick=Fraction(1, 1000)), noise("pcm_s16le")),
    "rate.mov": (Film(rate=30, stamps=[1001 * i for i in range(40)], tick=Fraction(1, 30000)), noise("aac", 48000)),
    "demuxed.ts": (Film(), noise("aac")),
    "turned.mp4": (Film(rotation=90, height=64, width=64), None),
    "odd.mkv": (Film(codec="libvpx-vp9", height=51, width=67, options={"cpu-used": "8"}), None),
    "sound.flac": (None, noise("flac", 22050, channels=2)),
}
LATE = {"movie_timescale": "44100"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("proxy")
    for name, (film, sound) in KINDS.items():
        write(root / name, film, sound, options=LATE if name == "late.mp4" else None)
    return root


@pytest.mark.parametrize("name", KINDS)
def test_frames_and_sound_are_where_they_were(name: str, folder: Path, tmp_path: Path) -> None:
    source, out = look(folder / name), tmp_path / "proxy"
    made = encode(folder / name, out, SMALL, table=source, kept=3)
    told = look(out)
    assert (told.info.frames, told.info.channels, told.info.sample_rate) == (
        source.info.frames,
        source.info.channels,
        source.info.sample_rate,
    )
    assert told.info.duration == pytest.approx(source.info.duration, abs=1e-4)
    assert told.info.fps == pytest.approx(source.info.fps, rel=0.01)
    assert told.info.sound_start == source.info.sound_start
    assert told.info.sound_duration == source.info.sound_duration
    with open_media(folder / name, source) as before, open_media(out, told) as after:
        if source.picture and told.picture:
            assert told.picture.raw
            assert told.picture.decoder.codec == "mpeg4"
            every = np.arange(source.info.frames)
            instants = source.picture.instants(every)
            apart = np.abs(told.picture.instants(every) - instants).max()
            assert apart <= float(source.picture.tick) / 2
            spans = [Span(times=tuple(((instants + np.append(instants[1:], source.info.duration)) / 2).tolist()))]
            a, b = before.read(spans)[0], after.read(spans)[0]
            assert numbers_of(b.video) == numbers_of(a.video)
            kept = after.read([Span(times=made.instants)])[0].video.numpy().astype(float)
            assert all(((k - p) ** 2).mean() < 40 for k, p in zip(kept, made.pictures, strict=True))  # over 32 dB
        if source.sound and told.sound:
            assert told.sound.raw
            wanted = [Span(sound=Sound(start=-0.7, duration=3.0, rate=source.info.sample_rate, mono=False))]
            a, b = before.read(wanted)[0], after.read(wanted)[0]
            assert int(a.valid) == int(b.valid)
            assert (a.audio - b.audio).abs().max() <= 2.0**-15  # 16 bits


@pytest.mark.parametrize("choice", [Proxy(codec="h264-fastdecode", sound="aac", short_side=48), SMALL])
def test_key_frames_come_as_often_as_asked_and_groups_are_closed(choice: Proxy, folder: Path, tmp_path: Path) -> None:
    name = "b_frames.mp4"
    encode(folder / name, tmp_path / "proxy", choice, table=look(folder / name))
    table = look(tmp_path / "proxy").picture
    assert table is not None
    assert np.diff(np.flatnonzero(table.keys)).max() <= choice.gop
    assert (table.rows == np.arange(len(table.rows))).all()  # no frame refers to a later one
    with open_media(tmp_path / "proxy") as media:
        frames = media.read([Span(times=(1.3, 0.02, 0.9))])[0].video
    assert numbers_of(frames) == [32, 0, 22]
    assert frames.shape[2:] == (48, 64)


@pytest.mark.parametrize("sound", ["aac", "flac"])
def test_sound_of_another_rate_stays_in_place(sound: str, folder: Path, tmp_path: Path) -> None:
    choice = Proxy(sound=sound, sample_rate=16000, mono=True, short_side=48)
    for name in ("late.mp4", "xvid.avi", "early.mkv"):
        table = look(folder / name)
        encode(folder / name, tmp_path / "proxy", choice, table=table)
        wanted = Span(sound=Sound(start=0.1 + table.info.sound_start, duration=1.2))
        with open_media(folder / name, table) as before, open_media(tmp_path / "proxy") as after:
            a, b = (m.read([wanted])[0].audio[0].numpy() for m in (before, after))
        lags = [np.dot(a[50 : len(a) - 50], b[50 + k : len(b) - 50 + k]) for k in range(-40, 41)]
        assert int(np.argmax(lags)) == 40
        assert np.corrcoef(a, b)[0, 1] > 0.97
        assert sound == "aac" or np.abs(a - b).max() <= 2.0**-15


def test_a_stretch_is_cut_out_by_whole_frames(folder: Path, tmp_path: Path) -> None:
    for name, start, end in (("b_frames.mp4", 0.5, 1.1), ("xvid.avi", 0.4, 0.8), ("sound.flac", 0.2, 0.9)):
        table, out = look(folder / name), tmp_path / "proxy"
        made = encode(folder / name, out, SMALL, table=table, start=start, end=end)
        info = look(out).info
        assert made.start <= start < made.start + 0.04
        assert end <= made.end < end + 0.04
        assert info.duration == pytest.approx(made.end - made.start, abs=1e-4)
        assert info.fps == pytest.approx(table.info.fps)
        spans = [
            Span(
                times=(begin + 0.21, begin + 0.02) if info.frames else (),
                sound=Sound(start=begin + 0.1, duration=0.3, rate=table.info.sample_rate, mono=False),
            )
            for begin in (made.start, 0.0)
        ]
        with open_media(folder / name, table) as before, open_media(out) as after:
            a, b = before.read([spans[0]])[0], after.read([spans[1]])[0]
        assert (a.audio - b.audio).abs().max() <= 2.0**-15
        if info.frames:
            assert numbers_of(b.video) == numbers_of(a.video)


def test_pixels_are_never_more_than_there_were(tmp_path: Path) -> None:
    def shape(height: int, width: int, side: int) -> tuple[int, int]:
        path = write(tmp_path / f"{height}x{width}.mp4", Film(frames=2, height=height, width=width))
        encode(path, tmp_path / "proxy", Proxy(short_side=side), table=look(path))
        info = look(tmp_path / "proxy").info
        return info.height, info.width

    assert shape(240, 320, 128) == (128, 170)
    assert shape(320, 240, 64) == (86, 64)
    assert shape(48, 64, 128) == (48, 64)


def test_frames_keep_the_shape_in_which_they_are_shown(tmp_path: Path) -> None:
    oblong = Film(frames=4, height=192, width=192, options={"x264-params": "sar=16/9"})
    path = write(tmp_path / "oblong.mkv", oblong)
    encode(path, tmp_path / "proxy", Proxy(short_side=96), table=look(path))
    before, after = look(path).info, look(tmp_path / "proxy").info
    assert after.height == 96
    assert abs(after.width - 96 * before.width / before.height) <= 1


def test_colours_stay(tmp_path: Path) -> None:
    patches = np.zeros((64, 64, 3), np.uint8)
    patches[:32, :32], patches[:32, 32:], patches[32:, :32], patches[32:, 32:] = (
        (200, 40, 40),
        (40, 200, 40),
        (40, 40, 200),
        (230, 230, 20),
    )
    film = Film(frames=3, height=64, width=64, codec="ffv1", pix_fmt="bgr0", pictures=[patches] * 3)
    path = write(tmp_path / "patches.mkv", film)
    for codec in ("mpeg4", "h264-fastdecode"):
        encode(path, tmp_path / "proxy", Proxy(codec=codec, quality=1), table=look(path))
        with open_media(tmp_path / "proxy") as media:
            frame = media.read([Span(times=(0.05,))])[0].video[0].numpy().astype(int)
        for y, x in ((16, 16), (16, 48), (48, 16), (48, 48)):
            assert np.abs(frame[:, y, x] - patches[y, x]).max() <= 4


def test_pictures_are_scaled_or_copied(tmp_path: Path) -> None:
    Image.fromarray(numbered(77, 200, 300)).save(tmp_path / "large.png")
    Image.fromarray(numbered(77, 40, 60)).save(tmp_path / "small.png")
    large = encode(tmp_path / "large.png", tmp_path / "out", SMALL, table=look(tmp_path / "large.png"))
    info = look(tmp_path / "out").info
    assert (large.suffix, info.height, info.width, info.is_picture) == (".jpg", 48, 72, True)
    with open_media(tmp_path / "out") as media:
        assert numbers_of(media.read([Span(times=(0.0,))])[0].video) == [77]
    small = encode(tmp_path / "small.png", tmp_path / "out", SMALL, table=look(tmp_path / "small.png"))
    assert small.suffix == ".png"
    assert (tmp_path / "out").read_bytes() == (tmp_path / "small.png").read_bytes()


def test_what_is_long_is_decoded_in_parts(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "b_frames.mp4"
    encode(folder / name, tmp_path / "whole", SMALL, table=look(folder / name))
    monkeypatch.setattr(proxy_room, "SOME", 5)
    monkeypatch.setattr(proxy_room, "WINDOW", 0.37)
    encode(folder / name, tmp_path / "parts", SMALL, table=look(folder / name))
    times = tuple(np.arange(0.02, 1.6, 0.04).tolist())
    clips = []
    for out in ("whole", "parts"):
        with open_media(tmp_path / out) as media:
            clips.append(media.read([Span(times=times, sound=Sound(start=0.0, duration=1.6, rate=44100))])[0])
    assert torch.equal(clips[0].video, clips[1].video)
    assert torch.equal(clips[0].audio, clips[1].audio)


def test_what_cannot_be_written_is_no_fault_of_the_source(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="gone"):
        encode(folder / "late.mp4", tmp_path / "gone" / "proxy", SMALL, table=look(folder / "late.mp4"))


def test_nothing_to_keep_is_told(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="nothing in it"):
        encode(folder / "sound.flac", tmp_path / "p", Proxy(sound="none"), table=look(folder / "sound.flac"))


@pytest.mark.parametrize("wrong", [{"quality": 40}, {"short_side": 1}, {"gop": 0}, {"sample_rate": 0}])
def test_choices_that_cannot_be_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Proxy(**wrong)
