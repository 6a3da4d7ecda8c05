"""Intact but awkward files: misleading flags, timestamps and tracks; and cached tables asked for their ends."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from awkward_streams import remux, with_bytes
from media_files import Film, Noise, bursts, numbered, numbers_of, write

from avssl.core import MediaError, Span
from avssl.data import catalogue, entries
from avssl.media import Coding, FileTable, look, open_media, packed, unpacked


def cached(path: Path) -> FileTable:
    """The table as it comes from the cache: in columns as small as can be."""
    return unpacked(packed(look(path)))


def read(path: Path, numbers: list[int], table: FileTable) -> list[int]:
    assert table.picture is not None
    times = table.picture.instants(np.array(numbers))
    with open_media(path, table) as media:
        (clip,) = media.read([Span(times=tuple(times.tolist()))])
    assert clip.video is not None
    return numbers_of(clip.video)


@pytest.mark.parametrize(("name", "frames", "rate"), [("few.mkv", 7, 25), ("more.mp4", 66, 30), ("one.mkv", 2, 25)])
def test_the_last_frame_is_shown_until_the_end_by_a_cached_table_too(
    name: str, frames: int, rate: int, tmp_path: Path
) -> None:
    path = write(tmp_path / name, Film(frames=frames, rate=rate))
    table = cached(path)
    with open_media(path, table) as media:
        (clip,) = media.read([Span(times=(table.info.duration - 0.001, table.info.duration - 0.5 / rate, -1.0))])
    assert numbers_of(clip.video) == [frames - 1, frames - 1, 0]


FLAGGED: dict[str, Film] = {
    "mpeg4.avi": Film(codec="mpeg4", options={"g": "12"}),
    "mpeg4_b.avi": Film(codec="mpeg4", options={"g": "12", "bf": "2"}),
    "mpeg4.mkv": Film(codec="mpeg4", options={"g": "12", "bf": "2"}),
    "msmpeg4.avi": Film(codec="msmpeg4", options={"g": "12"}),
    "wmv2.avi": Film(codec="wmv2", options={"g": "12"}),
    "flv1.avi": Film(codec="flv", options={"g": "12"}),
    "mpeg2.mkv": Film(codec="mpeg2video", options={"g": "12", "bf": "2", "b": "1M"}),
    "hevc.mkv": Film(codec="libx265", options={"x265-params": "log-level=none:bframes=2:keyint=12"}),
    "vp8.webm": Film(codec="libvpx", options={"b": "300k", "g": "12"}),
}


@pytest.mark.parametrize("name", FLAGGED)
def test_flags_that_take_every_packet_for_a_key_frame_mislead_nobody(name: str, tmp_path: Path) -> None:
    def flag(number: int, packet: av.Packet) -> av.Packet:
        packet.is_keyframe = True
        return packet

    path = remux(write(tmp_path / f"plain_{name}", FLAGGED[name]), tmp_path / name, flag)
    table = cached(path)
    assert [read(path, [k], table)[0] for k in range(40)] == list(range(40))


def test_png_pictures_are_not_added_to_the_one_before(tmp_path: Path) -> None:
    path = write(tmp_path / "pictures.mov", Film(frames=15, codec="png", pix_fmt="rgb24"))
    assert read(path, [12, 10, 5, 6, 0], cached(path)) == [12, 10, 5, 6, 0]


def test_recordings_that_were_joined_follow_one_another(tmp_path: Path) -> None:
    """Timestamps fall back where the second begins."""
    pictures = [numbered(100 + k) for k in range(30)]
    first = write(tmp_path / "a.ts", Film(frames=30, options={"bf": "2"}))
    second = write(tmp_path / "b.ts", Film(frames=30, options={"bf": "2"}, pictures=pictures))
    path = tmp_path / "joined.ts"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    table = cached(path)
    found = read(path, list(range(table.info.frames)), table)
    assert found == sorted(found)
    assert len(set(found)) >= 58
    assert table.info.duration == pytest.approx(2.4, abs=0.1)


def test_one_timestamp_too_many_does_not_cost_all_others(tmp_path: Path) -> None:
    stamps = np.cumsum(np.random.default_rng(1).integers(20, 200, size=40)).tolist()

    def slip(number: int, packet: av.Packet) -> av.Packet:
        if number == 11:
            packet.pts = packet.dts = last[0]
        last[0] = packet.pts
        return packet

    last = [0]
    source = write(tmp_path / "a.mkv", Film(stamps=stamps, tick=Fraction(1, 1000), options={"bf": "0"}))
    path = remux(source, tmp_path / "slip.mkv", slip)
    table = cached(path)
    assert table.picture is not None
    told = table.picture.instants(np.arange(40)) + stamps[0] / 1000
    assert np.abs(np.delete(told - np.array(stamps) / 1000, 11)).max() < 0.002
    assert read(path, [3, 20, 39], table) == [3, 20, 39]


def test_sound_that_is_destroyed_leaves_the_pictures(tmp_path: Path) -> None:
    path = write(tmp_path / "both.mp4", Film(), Noise(samples=bursts(1.6, 44100, [0.5])))
    sound = look(path).sound
    assert sound is not None
    data = bytearray(path.read_bytes())
    for at, size in zip(sound.position.tolist(), sound.size.tolist(), strict=True):
        data[at : at + size] = b"\xff" * size
    path.write_bytes(data)
    table = cached(path)
    assert not table.info.has_sound
    assert read(path, [0, 39], table) == [0, 39]


def test_a_first_frame_that_is_destroyed_leaves_the_others(tmp_path: Path) -> None:
    source = write(tmp_path / "whole.mkv", Film(frames=20, codec="mjpeg", pix_fmt="yuvj420p"))
    path = remux(source, tmp_path / "first.mkv", lambda n, p: with_bytes(p, bytes(50)) if n == 0 else p)
    assert read(path, [1, 19], cached(path)) == [1, 19]


def test_of_several_streams_the_first_that_has_any_packets_counts(tmp_path: Path) -> None:
    source = write(tmp_path / "one.mkv", Film(options={"bf": "2"}))
    path = tmp_path / "two.mkv"
    with av.open(str(source)) as a, av.open(str(path), "w") as b:
        b.add_stream_from_template(a.streams.video[0])
        full = b.add_stream_from_template(a.streams.video[0])
        for packet in a.demux(a.streams.video[0]):
            if packet.size:
                packet.stream = full
                b.mux(packet)
    assert read(path, [0, 7, 39], cached(path)) == [0, 7, 39]


def test_what_makes_no_sense_ends_no_scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(*_: object) -> None:
        raise ZeroDivisionError("division by zero")

    path = write(tmp_path / "a.mp4", Film(frames=5))
    monkeypatch.setattr("avssl.media.build.tracks", stumble)
    with pytest.raises(MediaError, match=r"cannot be made sense of \(ZeroDivisionError"):
        look(path)


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_manifest_without_a_finite_start_is_named(value: str, tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(f"path,end\na.mp4,{value}\n")
    with pytest.raises(MediaError, match=f"line 2: end '{value}' is not a number"):
        entries(tmp_path / "m.csv")


@pytest.fixture
def films(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AVSSL_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "films"
    folder.mkdir()
    for k in range(3):
        write(folder / f"{k}.mp4", Film(frames=10))
    return folder


def test_items_travel_to_other_processes_with_their_tables(films: Path) -> None:
    (item, *_) = catalogue(films).items
    again = pickle.loads(pickle.dumps(item))
    assert again == item
    assert item.table is not None
    assert bytes(again.table) == bytes(item.table)


def test_a_cache_that_cannot_be_written_is_told_and_done_without(
    films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cache").write_text("a file where a folder is to be")
    found = catalogue(films)
    assert len(found) == 3
    assert found.items[0].table is not None
    assert "choose another folder by $AVSSL_CACHE" in capsys.readouterr().err


def test_who_loses_patience_loses_nothing(films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Path] = []

    def then_stop(look: Callable[[Path], FileTable]) -> Callable[[Path], FileTable]:
        def spy(path: Path, proven: set[Coding]) -> FileTable:
            looked.append(path)
            if len(looked) == 3:
                raise KeyboardInterrupt
            return look(path, proven)

        return spy

    with monkeypatch.context() as patch:
        patch.setattr("avssl.data.scan.look", then_stop(look))
        with pytest.raises(KeyboardInterrupt):
            catalogue(films, workers=1)
    monkeypatch.setattr("avssl.data.scan.look", then_stop(look))
    looked.clear()
    assert len(catalogue(films, workers=1)) == 3
    assert len(looked) == 1


def test_a_damaged_index_is_made_again(films: Path, tmp_path: Path) -> None:
    first = catalogue(films)
    (cache,) = (tmp_path / "cache" / "scan").glob("*.tables")
    whole = cache.read_bytes()
    begin = int.from_bytes(whole[-24:-16], "little")
    for place, byte in ((begin, 0xFF), (begin + 3, 0xC3), (len(whole) - 26, 0x41)):
        cache.unlink()
        cache.write_bytes(whole[:place] + bytes([byte]) + whole[place + 1 :])
        assert catalogue(films).items == first.items


def test_frames_of_a_late_clip_do_not_depend_on_how_they_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "many.mp4", Film(frames=250, options={"g": "50", "bf": "3"}))
    table = cached(path)
    picked = [249, 3, 120, 121, 200]
    assert read(path, picked, table) == picked
    with open_media(path) as fresh, open_media(path, table) as by_table:
        span = Span(times=tuple((k + 0.5) / 25 for k in picked))
        assert torch.equal(fresh.read([span])[0].video, by_table.read([span])[0].video)
