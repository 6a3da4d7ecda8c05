"""A tar file is a folder: its members are read where they lie, as if they had been taken out."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
import torch
from media_files import Film, Noise, bursts, numbered, write
from PIL import Image

from avssl.core import MediaError, Sound, Span
from avssl.media import look, open_media, packed, unpacked

KINDS = ["raw.mp4", "raw.avi", "raw.mkv", "demuxed.ts", "sound.ogg", "still.png", "odd names/a,b: c.mp4"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same files in a folder and in a tar file beside it."""
    root = tmp_path_factory.mktemp("tar")
    (root / "odd names").mkdir()
    noise = Noise(samples=bursts(1.6, 44100, [0.5, 1.1]))
    write(root / "raw.mp4", Film(), noise)
    write(root / "raw.avi", Film(codec="mpeg4"), Noise(samples=noise.samples, codec="mp3", sample_fmt="s16p"))
    write(root / "raw.mkv", Film(codec="libvpx"), Noise(samples=bursts(1.6, 48000, [0.5]), codec="libopus", rate=48000))
    write(root / "demuxed.ts", Film(), noise)
    write(root / "sound.ogg", None, Noise(samples=noise.samples, codec="libopus", rate=48000))
    write(root / "odd names" / "a,b: c.mp4", Film(), noise)
    Image.fromarray(numbered(5)).save(root / "still.png")
    with tarfile.open(root / "shard.tar", "w") as shard:
        for name in KINDS:
            shard.add(root / name, name)
    return root


@pytest.mark.parametrize("name", KINDS)
def test_a_member_is_read_as_the_file_is(folder: Path, name: str) -> None:
    outside, inside = folder / name, folder / "shard.tar" / name
    table = look(inside)
    info = look(outside).info
    assert table.info == info
    span = Span(
        times=(0.4, 0.0, 1.2) if info.frames > 1 else (0.0,) * info.frames,
        sound=Sound(start=0.3, duration=0.5) if info.has_sound else None,
    )
    with open_media(outside) as media:
        told = media.read([span])[0]
    for known in (None, unpacked(packed(table))):
        with open_media(inside, known) as media:
            found = media.read([span])[0]
        for a, b in ((told.video, found.video), (told.audio, found.audio), (told.times, found.times)):
            assert (a is None and b is None) or (a is not None and b is not None and torch.equal(a, b))


def test_a_member_that_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(MediaError, match=r"shard\.tar has no member 'none\.mp4'"):
        look(folder / "shard.tar" / "none.mp4")


def test_what_is_no_tar_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "bad.tar").write_bytes(b"not a tar" * 200)
    with pytest.raises(MediaError, match="no tar file"):
        look(tmp_path / "bad.tar" / "a.mp4")


def test_a_folder_named_like_a_tar_file_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "clips.tar").mkdir()
    path = write(tmp_path / "clips.tar" / "a.mp4", Film())
    assert look(path).info.frames == 40


def test_a_tar_file_that_was_written_anew_is_not_read_with_the_old_table(folder: Path, tmp_path: Path) -> None:
    shard = tmp_path / "shard.tar"
    for names in (["raw.mp4"], ["raw.avi", "raw.mp4"]):
        with tarfile.open(shard, "w") as out:
            for name in names:
                out.add(folder / name, name)
        if len(names) == 1:
            table = look(shard / "raw.mp4")
    with pytest.raises(MediaError, match="changed"), open_media(shard / "raw.mp4", table) as media:
        media.read([Span(times=(0.0,))])
    assert look(shard / "raw.mp4").info == table.info
