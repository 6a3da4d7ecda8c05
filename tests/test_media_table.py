"""The packet table: made once, kept as bytes, and reading by it gives what plain decoding gives, from fewer packets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from awkward_streams import with_bytes
from media_files import Film, Noise, bursts, numbers_of, write
from test_media import KINDS

from avssl.core import MediaError, Span
from avssl.media import Coding, FileTable, Stamp, feed, look, open_media, packed, unpacked
from avssl.media.packets import AnyPacket, Track
from avssl.media.table import PictureTable, SoundTable
from avssl.media.units import droppable, starts_decoding, vops

SCATTERED = {"transport.ts", "program.mpg"}
"""Containers whose packets are not in one piece."""

REFERRED = {
    "b_frames.mp4",
    "open_gop.mkv",
    "hevc.mp4",
    "ten_bits.mkv",
    "packed.avi",
    "h264.avi",
    "flash.flv",
    "transport.ts",
    "program.mpg",
}
"""Kinds with pictures that no other refers to."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


def made(folder: Path, name: str) -> Path:
    path = folder / name
    options = {"movflags": "frag_keyframe+empty_moov"} if name == "fragmented.mp4" else None
    return path if path.exists() else write(path, KINDS[name], options=options)


def picture(table: FileTable) -> PictureTable:
    assert table.picture is not None
    return table.picture


@pytest.mark.parametrize("name", KINDS)
def test_bytes_of_the_file_are_read_where_they_lie_in_one_piece(name: str, folder: Path) -> None:
    table = look(made(folder, name))
    assert picture(table).raw == (name not in SCATTERED)
    assert bool(picture(table).droppable.any()) == (name in REFERRED or name in {"fragmented.mp4", "late.mkv"} | B_LIKE)


B_LIKE = {"raw.h264", "odd_444.mkv"}


def plainly(path: Path) -> list[np.ndarray]:
    """Every frame of a file, decoded from the start in order of showing."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "NONE"
        return [f.reformat(format="rgb24").to_ndarray() for f in container.decode(video=0)]


@pytest.mark.parametrize("name", sorted(REFERRED))
def test_frames_decoded_without_those_that_nobody_needs_are_the_same_to_the_bit(name: str, folder: Path) -> None:
    path = made(folder, name)
    table = look(path)
    everything = replace(
        table, picture=replace(picture(table), droppable=np.zeros_like(picture(table).droppable), starts=zeros(table))
    )
    times = [(k + 0.5) / 25 for k in range(40)]
    with open_media(path, everything) as media:
        (whole,) = media.read([Span(times=tuple(times))])
    assert len(plainly(path)) == 40
    with open_media(path, table) as media:
        for k in range(40):
            (alone,) = media.read([Span(times=(times[k],))])
            assert torch.equal(alone.video[0], whole.video[k])


def zeros(table: FileTable) -> np.ndarray:
    return np.zeros_like(picture(table).starts)


def test_packets_that_nobody_needs_are_never_fed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made(folder, "b_frames.mp4")
    table = look(path)
    fed: list[int] = []
    plain = feed.RawFeed.packets

    def spy(self: feed.RawFeed, rows: np.ndarray) -> Iterator[tuple[int, AnyPacket]]:
        for row, packet in plain(self, rows):
            fed.append(row)
            yield row, packet

    monkeypatch.setattr(feed.RawFeed, "packets", spy)
    last = int(np.argmax(picture(table).rows))  # the frame that is decoded last
    with open_media(path, table) as media:
        media.read([Span(times=((last + 0.5) / 25,))])
    unneeded = set(np.flatnonzero(picture(table).droppable).tolist()) - {int(picture(table).rows[last])}
    assert fed
    assert min(fed) == picture(table).starts[last]
    assert not set(fed) & unneeded


def equal(a: FileTable, b: FileTable) -> bool:
    def columns(t: FileTable) -> list[np.ndarray]:
        parts = [p for p in (t.picture, t.sound) if p is not None]
        return [v for p in parts for v in vars(p).values() if isinstance(v, np.ndarray)]

    def others(t: FileTable) -> list[object]:
        parts = [p for p in (t.picture, t.sound) if p is not None]
        told = [v for p in parts for v in vars(p).values() if not isinstance(v, np.ndarray)]
        return [t.stamp, t.info, *told]

    same = all(np.array_equal(x, y) for x, y in zip(columns(a), columns(b), strict=True))
    return same and others(a) == others(b)


@pytest.mark.parametrize("name", ["late.mkv", "packed.avi", "transport.ts"])
def test_a_table_comes_back_from_its_bytes(name: str, folder: Path) -> None:
    path = write(folder / f"sound_{name}", KINDS[name], Noise(samples=bursts(1.6, 48000, [0.5]), rate=48000))
    table = look(path)
    data = packed(table)
    again = unpacked(data)
    assert equal(table, again)
    assert isinstance(again.sound, SoundTable)
    assert len(data) < 40 * (40 + 75) + 3000  # bytes: small columns, and the header
    with open_media(path, table) as a, open_media(path, again) as b:
        span = Span(times=tuple((k + 0.5) / 25 for k in range(0, 40, 3)))
        assert torch.equal(a.read([span])[0].video, b.read([span])[0].video)


def test_of_a_picture_only_what_it_holds_is_kept(tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(np.zeros((10, 20, 3), np.uint8)).save(tmp_path / "a.png")
    table = look(tmp_path / "a.png")
    assert equal(unpacked(packed(table)), table)
    assert (table.info.is_picture, table.picture, table.sound) == (True, None, None)
    with open_media(tmp_path / "a.png", table) as media:
        assert media.read([Span(times=(0.0,))])[0].video.shape == (1, 3, 10, 20)


def test_bytes_that_are_no_table_are_refused_whatever_they_are(folder: Path) -> None:
    """Of a hundred thousand damaged tables each is refused or is a table; nothing else happens."""
    data = packed(look(made(folder, "b_frames.mp4")))
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(100_000):
        hurt = bytearray(data[: rng.integers(len(data))] if rng.random() < 0.2 else data)
        for _ in range(int(rng.integers(1, 4))):
            if hurt:
                # as often in the first bytes, which say what follows, as anywhere
                hurt[int(rng.integers(min(len(hurt), 16) if rng.random() < 0.5 else len(hurt)))] = int(
                    rng.integers(256)
                )
        try:
            unpacked(bytes(hurt))
        except ValueError:
            refused += 1
    assert refused > 50_000


def test_packets_of_any_bytes_are_looked_into_without_an_error() -> None:
    rng = np.random.default_rng(1)
    headers = (b"", b"\1" + bytes(30), b"\1" * 30)
    for n in range(20_000):
        data = rng.integers(4 if n % 2 else 256, size=int(rng.integers(1, 60)), dtype=np.uint8).tobytes()
        for codec in ("h264", "hevc", "mpeg4", "mpeg2video", "vp9"):
            for header in headers:
                assert droppable(data, codec, header) in range(-9, 8)
                assert starts_decoding(data, codec, header) in {True, False}
        assert all(0 <= at < len(data) for at, _ in vops(data))


def test_a_file_that_has_changed_is_not_read_by_its_old_table(folder: Path) -> None:
    path = write(folder / "changing.mp4", Film(frames=10))
    table = look(path)
    write(path, Film(frames=12))
    with open_media(path, table) as media, pytest.raises(MediaError, match="has changed since it was looked into"):
        media.read([Span(times=(0.1,))])
    path.unlink()
    with open_media(path, table) as media, pytest.raises(MediaError, match="No such file"):
        media.read([Span(times=(0.1,))])


def test_pictures_that_were_packed_together_are_read_one_by_one(folder: Path) -> None:
    """As DivX packs them: a B picture lies behind the P picture that it refers to, and an empty one in its place."""
    source = write(
        folder / "loose.avi",
        Film(frames=41, codec="mpeg4", options={"bf": "1", "g": "20", "sc_threshold": "1000000000"}),
    )
    path = folder / "packed_b.avi"
    with av.open(str(source)) as a, av.open(str(path), "w") as b:
        stream = b.add_stream_from_template(a.streams.video[0])
        loose = [p for p in a.demux(a.streams.video[0]) if p.size]
        kinds = [vops(bytes(p))[0][1] for p in loose]
        joined: list[bytes] = []
        for packet, kind in zip(loose, kinds, strict=True):
            if kind == 2 and len(vops(joined[-1])) == 1:
                joined[-1] += bytes(packet)
                joined.append(b"\0\0\1\xb6\x50\xc0")  # a P picture that is not coded
            else:
                joined.append(bytes(packet))
        assert kinds.count(2) > 10
        for n, data in enumerate(joined):
            copy = with_bytes(loose[n], data)
            copy.pts = copy.dts = n
            copy.time_base = loose[0].time_base
            copy.stream = stream
            b.mux(copy)
    info = look(path).info
    assert info.frames == 41
    with open_media(path) as media:
        for wanted in (list(range(41)), [40], [7, 3], [22]):
            (clip,) = media.read([Span(times=tuple((k + 0.5) / 25 for k in wanted))])
            assert numbers_of(clip.video) == wanted


def test_a_coding_is_proved_once_for_all_files_that_have_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [write(tmp_path / f"{k}.mp4", Film(), Noise(samples=bursts(1.6, 44100, [0.5]))) for k in range(3)]
    files.append(write(tmp_path / "other.mp4", Film(height=64)))
    proofs: list[Path] = []

    def spy(told: object, track: Track, table: PictureTable, stamp: Stamp) -> bool:
        proofs.append(track.path)
        return True

    monkeypatch.setattr("avssl.media.build._same", spy)
    proven: set[Coding] = set()
    tables = [look(f, proven) for f in files]
    assert proofs == [files[0], files[3]]
    assert len(proven) == 3  # the pictures of two sizes, and the sound
    assert all(t.picture is not None and t.picture.raw for t in tables)
    monkeypatch.setattr("avssl.media.build._same", lambda *_: False)
    table = look(files[1])
    assert table.picture is not None
    assert not table.picture.raw  # what did not pass is read by the demuxer
