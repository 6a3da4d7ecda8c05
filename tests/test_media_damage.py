"""Whatever lies in a folder: a `MediaError` that says what is wrong, at once; and what is whole can be read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from media_files import Film, Noise, bursts, numbered, numbers_of, write
from PIL import Image
from test_media_sound import KINDS as SOUNDS
from test_media_sound import hiss
from torch import Tensor

from avssl.core import MediaError, Sound, Span
from avssl.media import PICTURE_SUFFIXES, SOUND_SUFFIXES, VIDEO_SUFFIXES, look, open_media, probe


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damage")


@pytest.fixture(scope="module")
def good(folder: Path) -> Path:
    return write(folder / "good.mp4", Film(options={"g": "10"}), Noise(samples=bursts(1.6, 44100, [0.5])))


def _half_picture(path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(256, size=(64, 64, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _playlist(path: Path) -> None:
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")


def _head_only(path: Path) -> None:
    """The first bytes of an MP4 whose table of contents is at its end."""
    write(path, Film(frames=20))
    path.write_bytes(path.read_bytes()[:800])


BAD: dict[str, tuple[str, Callable[[Path], object]]] = {
    "missing.mp4": ("no such file", lambda p: None),
    "empty.mp4": ("empty", lambda p: p.write_bytes(b"")),
    "folder.mp4": ("folder", lambda p: p.mkdir()),
    "pipe.mp4": ("not a regular file", os.mkfifo),
    "text.mp4": ("opening", lambda p: p.write_text("These are words, and none of them moves.\n" * 50)),
    "noise.mp4": (": ", lambda p: p.write_bytes(np.random.default_rng(0).bytes(20000))),
    "noise.mkv": (": ", lambda p: p.write_bytes(np.random.default_rng(1).bytes(20000))),
    "zeros.mp4": (": ", lambda p: p.write_bytes(bytes(20000))),
    "noise.jpg": (": ", lambda p: p.write_bytes(b"\xff\xd8\xff\xe0" + np.random.default_rng(2).bytes(5000))),
    "half.png": ("picture cannot be decoded", _half_picture),
    "half.jpg": ("picture cannot be decoded", _half_picture),
    "cut.mp4": ("opening", _head_only),
    "list.m3u8": (": ", _playlist),
    "missing/file.mp4": ("no such file", lambda p: None),
    "nul\0.mp4": ("not a path", lambda p: None),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_media_errors(name: str, folder: Path) -> None:
    what, make = BAD[name]
    path = folder / name
    make(path)
    with pytest.raises(MediaError, match=what) as caught:
        probe(path)
    assert caught.value.what
    assert caught.value.remedy
    assert name.split("\0")[0] in caught.value.path


def test_a_file_that_may_not_be_read(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # as root every file may be read
    with pytest.raises(MediaError, match="Permission denied"):
        probe(good)


def test_what_the_file_does_not_have_is_refused(good: Path, folder: Path) -> None:
    silent = write(folder / "silent.mp4", Film(frames=5))
    wave = write(folder / "wave.wav", noise=Noise(samples=bursts(1, 8000, [0.5]), rate=8000, codec="pcm_s16le"))
    sound = Span(sound=Sound(start=0, duration=0.1))
    with open_media(silent) as media, pytest.raises(MediaError, match="no sound"):
        media.read([sound])
    with open_media(wave) as media, pytest.raises(MediaError, match="no pictures"):
        media.read([Span(times=(0.0,))])
    Image.fromarray(numbered(1)).save(folder / "still.png")
    with open_media(folder / "still.png") as media, pytest.raises(MediaError, match="no sound"):
        media.read([sound])


def test_the_name_does_not_matter(good: Path, folder: Path) -> None:
    for name in ("film.jpg", "film.wav", "film", "data:image,film.mp4", "film%03d.mp4"):
        path = folder / name
        path.write_bytes(good.read_bytes())
        assert probe(path) == probe(good)


def test_an_animated_webp_that_is_cut_off_keeps_its_first_frames(folder: Path) -> None:
    pictures = [Image.fromarray(numbered(k)) for k in range(10)]
    path = folder / "moving.webp"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=100)
    with open_media(path, look(path)) as media:
        with pytest.raises(MediaError, match=r"no frame is shown at 1 s; its 10 frames last 1 s"):
            media.read([Span(times=(1.0,))])
        with pytest.raises(MediaError, match="no sound"):
            media.read([Span(sound=Sound(start=0, duration=0.1))])
    table, whole = look(path), path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(MediaError, match="changed"):
        open_media(path, table)
    for keep in (30, 60, len(whole) * 2 // 3):
        path.write_bytes(whole[:keep])
        try:
            with open_media(path) as media:
                (clip,) = media.read([Span(times=(0.0,))])
        except MediaError:
            continue
        assert clip.video is not None
        assert numbers_of(clip.video) == [0]


def test_cover_art_is_not_video(folder: Path) -> None:
    import av

    cover = folder / "cover.png"
    Image.fromarray(numbered(3)).save(cover)
    plain = write(folder / "song.m4a", noise=Noise(samples=bursts(1, 44100, [0.5])))
    path = folder / "covered.mp4"
    with av.open(str(plain)) as a, av.open(str(cover)) as b, av.open(str(path), "w") as out:
        sound = out.add_stream_from_template(a.streams.audio[0])
        picture = out.add_stream_from_template(b.streams.video[0])
        picture.disposition = av.stream.Disposition.attached_pic
        for packet in b.demux(b.streams.video[0]):
            if packet.size:
                packet.stream = picture
                out.mux(packet)
        for packet in a.demux(a.streams.audio[0]):
            if packet.size:
                packet.stream = sound
                out.mux(packet)
    with av.open(str(path)) as check:
        assert len(check.streams.video) == 1
    info = probe(path)
    assert info.frames == 0
    assert info.has_sound
    assert info.sound_start == 0


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "avi"])
def test_after_a_damaged_stretch_the_frames_are_right_again(suffix: str, folder: Path) -> None:
    """Bytes in the middle are overwritten: the frames before and well behind are still those that they were."""
    clusters = {"cluster_time_limit": "200"} if suffix == "mkv" else None  # ms; a demuxer resumes at the next cluster
    film = Film(frames=60, options={"g": "6", "bf": "0", "crf": "10"})
    path = write(folder / f"hurt.{suffix}", film, options=clusters)
    data = bytearray(path.read_bytes())
    begin = len(data) * 2 // 5
    data[begin : begin + 150] = np.random.default_rng(3).bytes(150)
    path.write_bytes(data)
    info = probe(path)
    with open_media(path) as media:
        for k in (0, 3, 50, 55):
            (clip,) = media.read([Span(times=(min((k + 0.5) / 25, info.duration - 0.01),))])
            assert numbers_of(clip.video) == [k]


def test_a_frame_that_cannot_be_had_is_named(folder: Path) -> None:
    import av

    whole = write(folder / "whole.mkv", Film(frames=30, codec="mjpeg", pix_fmt="yuvj420p"))
    path = folder / "hole.mkv"
    with av.open(str(whole)) as a, av.open(str(path), "w") as b:
        stream = b.add_stream_from_template(a.streams.video[0])
        for number, packet in enumerate(a.demux(a.streams.video[0])):
            if packet.size:
                if number == 12:
                    broken = av.Packet(bytes(100))
                    broken.pts, broken.dts, broken.time_base = packet.pts, packet.dts, packet.time_base
                    broken.is_keyframe = True
                    packet = broken
                packet.stream = stream
                b.mux(packet)
    with open_media(path) as media:
        (clip,) = media.read([Span(times=(11.5 / 25, 13.5 / 25))])
        assert numbers_of(clip.video) == [11, 13]
        with pytest.raises(MediaError, match=r"frame 12, shown at 0\.48 s, cannot be decoded"):
            media.read([Span(times=(12.5 / 25, 13.5 / 25))])


def test_every_cut_of_a_file_is_read_or_refused(good: Path, folder: Path) -> None:
    """However much of a file is there: either it probes, and its first frame can be read, or it is a `MediaError`."""
    film = Film(options={"g": "10", "bf": "2"})
    noise = Noise(samples=bursts(1.6, 44100, [0.5]))
    front = write(folder / "front.mp4", film, noise, options={"movflags": "faststart"})
    outcomes = set()
    for source in (front, write(folder / "front.mkv", film, noise), write(folder / "front.ts", film, noise)):
        data = source.read_bytes()
        for k in range(1, 20):
            path = folder / f"part{source.suffix}"
            path.write_bytes(data[: len(data) * k // 20])
            try:
                info = probe(path)
                outcomes.add("read" if info.frames else "sound only")
            except MediaError:
                outcomes.add("refused")
    assert {"read", "refused"} <= outcomes


def test_suffixes_do_not_overlap() -> None:
    sets = [VIDEO_SUFFIXES, PICTURE_SUFFIXES, SOUND_SUFFIXES]
    assert sum(map(len, sets)) == len(frozenset().union(*sets))
    assert all(s.startswith(".") and s == s.lower() for s in frozenset().union(*sets))


@pytest.mark.parametrize("name", ["aac.m4a", "aac.mp4", "mp3.mp3", "alac.m4a", "ac3.mkv"])
def test_sound_that_is_lost_is_an_error_there_and_nowhere_else(name: str, folder: Path) -> None:
    film, made = SOUNDS[name]
    path = write(folder / f"hurt_{name}", film, made)
    sound = look(path).sound
    assert sound is not None

    def heard(start: float) -> Tensor:
        with open_media(path) as media:
            (clip,) = media.read([Span(sound=Sound(start=start, duration=0.4, rate=made.rate))])
        assert clip.audio is not None
        return clip.audio

    before, after = heard(0.5), heard(4.2)
    data, middle = bytearray(path.read_bytes()), len(sound.size) // 2
    for row in range(middle, middle + 6):
        at, size = int(sound.position[row]), int(sound.size[row])
        data[at : at + size] = np.random.default_rng(row).bytes(size)
    path.write_bytes(data)
    with pytest.raises(MediaError, match=r"its sound from 2\.[45]\d* s to 2\.[5678]\d* s cannot be decoded"):
        heard(2.4)
    assert torch.equal(heard(0.5), before)
    assert torch.equal(heard(4.2), after)


HOLED = {
    "aac.mp4": 4,
    "aac.ts": 4,
    "alac.m4a": 3,
    "flac.flac": 3,
    "flac.ogg": 13,
    "mp2.mpg": 4,
    "mp3.mp3": 4,
    "mp3.mp4": 4,
    "opus.mp4": 4,
    "opus.ogg": 10,
}
"""So many quarters of a second, at most, may be refused around 1/20 s of zeros; a page of Ogg lasts a second."""


def quarters(path: Path, rate: int) -> list[Tensor | None]:
    """The sound from 0.25 to 4.75 s, each quarter of a second read alone; None: it is refused."""
    found: list[Tensor | None] = []
    with open_media(path) as media:
        for k in range(1, 19):
            try:
                (clip,) = media.read([Span(sound=Sound(start=k / 4, duration=0.25, rate=rate))])
            except MediaError:
                found.append(None)
            else:
                assert clip.audio is not None
                assert clip.valid == clip.audio.shape[1]
                found.append(clip.audio)
    return found


@pytest.mark.parametrize("name", HOLED)
def test_bytes_overwritten_in_the_middle_cost_what_needs_them(name: str, folder: Path) -> None:
    film, made = SOUNDS.get(name, (None, SOUNDS["flac.flac"][1]))
    made = hiss(made.codec, made.rate)
    path = write(folder / f"holed_{name}", film, made)
    whole = quarters(path, made.rate)
    assert None not in whole
    data = bytearray(path.read_bytes())
    begin = len(data) * 45 // 100
    data[begin : begin + len(data) // 100] = bytes(len(data) // 100)
    path.write_bytes(data)
    holed = quarters(path, made.rate)
    refused = [k for k, found in enumerate(holed) if found is None]
    assert refused == list(range(refused[0], refused[-1] + 1))
    assert len(refused) <= HOLED[name]
    assert refused[0] / 4 <= 2.1
    assert refused[-1] / 4 >= 1.75
    # an MP3 file has no clock: FFmpeg counts the frames that it finds, so that what follows lost ones comes early
    rest = holed[: refused[0]] if name == "mp3.mp3" else holed
    for k, (before, after) in enumerate(zip(whole, rest, strict=False)):
        # without the time of each packet all is decoded from the start, and AAC makes up the noise there another way
        if before is not None and after is not None and not (k == 0 and "aac" in name):
            assert torch.allclose(before, after, atol=5e-3)
    with open_media(path) as media:  # what lies between two stretches is not asked for
        media.read([Span(sound=Sound(start=t, duration=0.2, rate=16000)) for t in (0.25, 4.25)])


@pytest.mark.parametrize("codec", ["flac", "ac3"])
def test_a_wrong_checksum_is_damage_and_no_noise(codec: str, folder: Path) -> None:
    path = write(folder / f"{codec}.mkv", noise=hiss(codec, 48000))
    sound = look(path).sound
    assert sound is not None
    data, row = bytearray(path.read_bytes()), len(sound.size) // 2
    at = int(sound.position[row]) + int(sound.size[row]) // 2
    data[at : at + 3] = bytes(255 - b for b in data[at : at + 3])
    path.write_bytes(data)
    start = (int(sound.ends[row - 1]) - sound.shift) / 48000
    with open_media(path) as media:
        with pytest.raises(MediaError, match="cannot be decoded"):
            media.read([Span(sound=Sound(start=start, duration=0.01))])
        media.read([Span(sound=Sound(start=t, duration=0.5)) for t in (start - 1, start + 1)])
