"""Frames by time: the frame shown at an instant is the one that comes, in files of many kinds."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from awkward_streams import remux, with_bytes
from media_files import Film, Noise, bursts, number_of, numbers_of, write

from avssl.core import MediaError, MediaInfo, Sound, Span
from avssl.media import feed, look, open_media, probe
from avssl.media.frames import shown_at

FAST = {"cpu-used": "8", "deadline": "realtime"}
B = {"bf": "3", "g": "12"}
KINDS: dict[str, Film] = {
    "b_frames.mp4": Film(options=B),
    "no_b_frames.mp4": Film(options={"bf": "0", "g": "10"}),
    "open_gop.mkv": Film(options={"bf": "3", "g": "10", "x264-params": "open-gop=1:scenecut=0"}),
    "intra_refresh.mp4": Film(options={"x264-params": "intra-refresh=1:keyint=12:bframes=0"}),
    "fragmented.mp4": Film(options=B),
    "late.mkv": Film(options=B, stamps=[5000 + 40 * i for i in range(40)], tick=Fraction(1, 1000)),
    "packed.avi": Film(codec="mpeg4", options={"bf": "2", "g": "9"}),
    "mpeg4.avi": Film(codec="mpeg4", options={"bf": "0", "g": "9"}),
    "h264.avi": Film(options=B),
    "mjpeg.avi": Film(codec="mjpeg", pix_fmt="yuvj420p"),
    "vp8.webm": Film(codec="libvpx", options={"auto-alt-ref": "1", "lag-in-frames": "16", "b": "300k"}),
    "vp9.webm": Film(codec="libvpx-vp9", options=FAST),
    "hevc.mp4": Film(codec="libx265", options={"x265-params": "log-level=none:bframes=3:keyint=12"}),
    "transport.ts": Film(options=B),
    "program.mpg": Film(codec="mpeg2video", options={"bf": "2", "g": "12", "b": "1M"}),
    "raw.h264": Film(options=B),
    "flash.flv": Film(options=B),
    "animation.gif": Film(codec="gif", pix_fmt="rgb8"),
    "ten_bits.mkv": Film(pix_fmt="yuv420p10le", options=B),
    "odd_444.mkv": Film(height=47, width=63, pix_fmt="yuv444p", options=B),
    "odd_420.mp4": Film(codec="mpeg4", height=47, width=63),
    "lossless.mkv": Film(codec="ffv1", pix_fmt="bgr0"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("media")


def middles(info: MediaInfo) -> list[float]:
    return [(k + 0.5) / info.fps for k in range(info.frames)]


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_gives_the_frame_that_is_shown(name: str, folder: Path) -> None:
    film = KINDS[name]
    options = {"movflags": "frag_keyframe+empty_moov"} if name == "fragmented.mp4" else None
    path = write(folder / name, film, options=options)
    info = probe(path)
    assert (info.frames, info.height, info.width) == (40, film.height, film.width)
    assert (info.duration, info.fps) == (pytest.approx(1.6, abs=0.002), pytest.approx(25))
    assert not info.has_sound
    rng = np.random.default_rng(0)
    times = middles(info)
    with open_media(path) as media:
        assert media.info == info
        wanted = [list(range(40)), rng.integers(40, size=16).tolist(), [39, 0, 0, 38], [int(rng.integers(40))]]
        clips = media.read([Span(times=tuple(times[k] for k in w)) for w in wanted])
        for w, clip in zip(wanted, clips, strict=True):
            assert numbers_of(clip.video) == w
            assert clip.times.dtype == torch.float64
            assert clip.times.tolist() == pytest.approx([k / 25 for k in w], abs=0.0006)
        for k in rng.integers(40, size=6).tolist():  # the state of the decoder must not matter
            (clip,) = media.read([Span(times=(times[k],))])
            assert numbers_of(clip.video) == [k]


def test_with_variable_rate_a_frame_is_shown_until_the_next_one(folder: Path) -> None:
    stamps = np.cumsum(np.random.default_rng(1).integers(5, 200, size=40)) + 700
    path = write(folder / "vfr.mkv", Film(stamps=stamps.tolist(), tick=Fraction(1, 1000), options=B))
    instants = np.random.default_rng(2).uniform(0, (stamps[-1] - stamps[0]) / 1000, size=50)
    expected = [int(np.flatnonzero(stamps - stamps[0] <= 1000 * t)[-1]) for t in instants]
    with open_media(path) as media:
        (clip,) = media.read([Span(times=tuple(instants.tolist()))])
        (edges,) = media.read([Span(times=tuple(((stamps - stamps[0]) / 1000).tolist()))])
    assert numbers_of(clip.video) == expected
    assert numbers_of(edges.video) == list(range(40))  # a frame begins at its own instant


def test_an_edit_list_hides_frames(folder: Path) -> None:
    """A copy that starts at frame 7, inside a group of pictures, is decoded from 0 but shown from 7 on."""
    source = write(folder / "whole.mp4", Film(options={"bf": "2", "g": "20"}))
    path = folder / "edited.mp4"
    with av.open(str(source)) as a, av.open(str(path), "w") as b:
        stream = b.add_stream_from_template(a.streams.video[0])
        tick = a.streams.video[0].time_base
        shift = round(7 / 25 / tick)
        for packet in a.demux(a.streams.video[0]):
            if packet.size:
                packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, stream
                b.mux(packet)
    info = probe(path)
    assert info.frames == 33
    with open_media(path) as media:
        (clip,) = media.read([Span(times=tuple(middles(info)))])
    assert numbers_of(clip.video) == list(range(7, 40))


@pytest.mark.parametrize("group", ["closed", "open"])
def test_a_stream_that_begins_inside_a_group_of_pictures_starts_at_its_first_key_frame(
    group: str, folder: Path
) -> None:
    """Of an open group the frames that lead the key frame, and refer to what is missing, are not shown."""
    options = {"bf": "2", "g": "20", "x264-params": f"open-gop={int(group == 'open')}:scenecut=0:b-adapt=0"}
    source = write(folder / f"long_{group}.ts", Film(frames=60, options=options))
    path = remux(source, folder / f"cut_{group}.ts", lambda number, packet: packet if number >= 6 else None)
    info = probe(path)
    with open_media(path) as media:
        (clip,) = media.read([Span(times=tuple(middles(info)))])
    found = numbers_of(clip.video)
    assert found == list(range(found[0], 60))
    assert found[0] in ({20} if group == "closed" else {20, 21, 22})


def test_pictures_that_only_others_refer_to_are_not_shown(folder: Path) -> None:
    """VP8 keeps them in packets of their own; here a shown one is made such."""
    source = write(folder / "shown.webm", Film(codec="libvpx", options={"b": "300k"}))

    def hide(number: int, packet: av.Packet) -> av.Packet:
        data = bytes(packet)
        return with_bytes(packet, bytes([data[0] & ~0x10]) + data[1:]) if number == 10 else packet

    path = remux(source, folder / "hidden.webm", hide)
    info = probe(path)
    assert info.frames == 39
    with open_media(path) as media:
        (clip,) = media.read([Span(times=tuple(media._table.picture.instants(np.arange(39)).tolist()))])
    assert numbers_of(clip.video) == [k for k in range(40) if k != 10]


@pytest.mark.parametrize("suffix", ["ts", "mp4"])
def test_each_frame_alone_is_that_of_the_whole(suffix: str, folder: Path) -> None:
    """With a picture that is refreshed bit by bit, what is flagged as a key frame often is none."""
    options = {"x264-params": "intra-refresh=1:keyint=12:bframes=0:scenecut=0"}
    path = write(folder / f"refresh.{suffix}", Film(frames=60, options=options))
    with av.open(str(path)) as container:
        assert sum(p.is_keyframe for p in container.demux(video=0) if p.size) == 5
    with open_media(path) as media:
        (whole,) = media.read([Span(times=tuple((k + 0.5) / 25 for k in range(60)))])
        for k in range(60):
            (clip,) = media.read([Span(times=((k + 0.5) / 25,))])
            assert torch.equal(clip.video[0], whole.video[k])


def test_behind_a_damaged_key_frame_frames_are_those_of_plain_playing(folder: Path) -> None:
    """Where nothing comes from the nearest key frame on, decoding starts at the beginning."""
    source = write(folder / "keyed.webm", Film(codec="libvpx-vp9", options={**FAST, "g": "20"}))
    path = remux(source, folder / "unkeyed.webm", lambda n, p: with_bytes(p, bytes(50)) if n == 20 else p)
    with open_media(path) as media:
        instants = tuple((k + 0.5) / 25 for k in range(40) if k != 20)
        (whole,) = media.read([Span(times=instants)])
        (clip,) = media.read([Span(times=(25.5 / 25,))])
        assert torch.equal(clip.video[0], whole.video[24])


def test_decoding_from_the_start_is_the_last_resort_near_the_start_only(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(folder / "near.webm", Film(codec="libvpx-vp9", options={**FAST, "g": "20"}))
    path = remux(source, folder / "far.webm", lambda n, p: with_bytes(p, bytes(50)) if n == 20 else p)
    span = Span(times=(25.5 / 25,))
    table = look(path).picture
    assert table is not None
    row = int(table.rows[int(shown_at(table, span.times, path)[0])])
    for most, refused in ((row, False), (row - 1, True)):
        monkeypatch.setattr("avssl.media.frames.LAST_RESORT", most)
        with (
            open_media(path) as media,
            pytest.raises(MediaError, match="cannot be decoded") if refused else nullcontext(),
        ):
            media.read([span])


def test_a_lost_frame_of_an_avi_does_not_move_the_others(folder: Path) -> None:
    source = write(folder / "before.avi", Film(options={"bf": "0", "g": "5"}))
    path = remux(source, folder / "after.avi", lambda n, p: with_bytes(p, bytes(60)) if n == 14 else p)
    with open_media(path) as media:
        (clip,) = media.read([Span(times=tuple((k + 0.5) / 25 for k in (13, 15, 16, 39)))])
        assert numbers_of(clip.video) == [13, 15, 16, 39]
        with pytest.raises(MediaError, match="frame 14"):
            media.read([Span(times=(14.5 / 25,))])


@pytest.mark.parametrize("name", ["b_frames.mp4", "late.mkv", "transport.ts", "packed.avi"])
def test_packets_that_are_not_in_one_piece_come_from_the_demuxer(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are demuxed for each read, and those that are far away are sought."""
    path = write(folder / f"demuxed_{name}", KINDS[name])
    monkeypatch.setattr("avssl.media.packets._Piece.position", lambda *_: -1)
    monkeypatch.setattr(feed, "FAR_ROWS", 5)
    info = probe(path)
    with open_media(path) as media:
        assert not media._table.picture.raw
        for k in [0, 39, 13, 25, 2]:
            (clip,) = media.read([Span(times=(middles(info)[k],))])
            assert numbers_of(clip.video) == [k]


def test_before_the_start_the_first_frame_and_after_the_end_an_error(folder: Path) -> None:
    path = write(folder / "ends.mp4", Film(frames=10))
    with open_media(path) as media:
        assert media.info.duration == pytest.approx(0.4)
        (clip,) = media.read([Span(times=(-3.0, 0.399))])
        assert numbers_of(clip.video) == [0, 9]
        for late in (0.4, 0.41, 99.0):
            with pytest.raises(MediaError, match=rf"no frame is shown at {late:g} s; the 10 frames last 0.4 s"):
                media.read([Span(times=(0.1, late))])


def test_turned_video_is_read_upright(folder: Path) -> None:
    """Of the file turned by a quarter the whole is the turned whole, and a crop is the crop of the whole."""
    from avssl.core import Box

    plain = write(folder / "plain.mp4", Film(frames=3))
    with open_media(plain) as media:
        (straight,) = media.read([Span(times=(0.05,))])
    for angle in (90, 180, 270):
        path = write(folder / f"turned{angle}.mp4", Film(frames=3, rotation=angle))
        info = probe(path)
        assert (info.height, info.width) == ((48, 64) if angle == 180 else (64, 48))
        box = Box(top=0.25, left=0.25, height=0.5, width=0.25)
        with open_media(path) as media:
            whole, crop = media.read([Span(times=(0.05,)), Span(times=(0.05,), boxes=(box,))])
        assert torch.equal(whole.video, torch.rot90(straight.video, angle // 90, (-2, -1)))
        h, w = info.height, info.width
        inside = whole.video[..., h // 4 : h // 4 + h // 2, w // 4 : w // 2]
        assert (crop.video.float() - inside.float()).abs().mean() < 2


def test_files_are_read_in_threads_and_refused_after_a_fork(folder: Path) -> None:
    path = write(folder / "threads.mp4", Film(options=B), Noise(samples=bursts(1.6, 44100, [0.5])))

    def work(seed: int) -> bool:
        wanted = np.random.default_rng(seed).integers(40, size=8).tolist()
        with open_media(path) as media:
            (clip,) = media.read(
                [Span(times=tuple((k + 0.5) / 25 for k in wanted), sound=Sound(start=0.2, duration=0.5))]
            )
        return numbers_of(clip.video) == wanted

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(24)))
    media = open_media(path)
    media._process = os.getpid() + 1  # what a forked child would see
    with pytest.raises(MediaError, match="another process"):
        media.read([Span(times=(0.0,))])
    media._process = os.getpid()
    media.close()
    with pytest.raises(MediaError, match="closed"):
        media.read([Span(times=(0.0,))])


def test_frames_and_sound_of_several_spans_come_in_one_read(folder: Path) -> None:
    path = write(folder / "both.mp4", Film(options=B), Noise(samples=bursts(1.6, 44100, [0.5], channels=2)))
    with open_media(path) as media:
        film, sound, both = media.read(
            [
                Span(times=(0.5, 0.1), size=(20, 30)),
                Span(sound=Sound(start=0.4, duration=0.2, mono=False, rate=44100)),
                Span(times=(1.5,), sound=Sound(start=-0.1, duration=0.5)),
            ]
        )
    assert film.video.shape == (2, 3, 20, 30)
    assert film.audio is None
    assert film.valid is None
    assert sound.audio.shape == (2, 8820)
    assert sound.video is None
    assert number_of(both.video[0]) == 37
    assert both.audio.shape == (1, 8000)
    assert both.audio.dtype == torch.float32
    assert int(both.valid) == 6400
    assert float(both.audio[:, :1600].abs().max()) == 0
