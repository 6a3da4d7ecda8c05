"""Tar files that anybody wrote are listed as folders are, with what the members beside the media say."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import tarfile
from pathlib import Path

import pytest
import torch
from media_files import Film, write
from PIL import Image

from avssl.core import MediaError, Span
from avssl.data import Clips, catalogue, entries
from avssl.media import index_of, look, open_media, tar_members, write_index
from avssl.media import tar as tar_room
from avssl.samplers import UniformClips


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AVSSL_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    root = tmp_path_factory.mktemp("films")
    return [write(root / f"{n}.mp4", Film(frames=n, options={"g": "5"})).read_bytes() for n in (10, 20, 30)]


def shard(path: Path, members: dict[str, bytes], kind: int = tarfile.PAX_FORMAT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=kind) as out:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            out.addfile(member, io.BytesIO(content))
    return path


def test_members_beside_the_media_tell_its_columns(tmp_path: Path, films: list[bytes]) -> None:
    told = {"label": "wave", "split": "test", "group": "g1", "age": 30, "hand": None}
    picture = io.BytesIO()
    Image.new("RGB", (20, 10)).save(picture, "PNG")
    shard(
        tmp_path / "a-0.tar",
        {
            "0001.mp4": films[0],
            "0001.json": json.dumps(told).encode(),
            "0002.cls": b"3\n",
            "0002.mp4": films[1],
            "readme.txt": b"about",
        },
    )
    shard(tmp_path / "a-1.tar", {"k.left.png": picture.getvalue(), "k.json": b'["no columns"]'})
    found = entries(tmp_path)
    assert [e.path.relative_to(tmp_path).as_posix() for e in found] == [
        "a-0.tar/0001.mp4",
        "a-0.tar/0002.mp4",
        "a-1.tar/k.left.png",
    ]
    assert [(e.label, e.split, e.group) for e in found] == [("wave", "test", "g1"), ("3", "", ""), ("", "", "")]
    assert (found[0].columns["age"], found[0].columns["hand"]) == ("30", "")
    assert [i.info.frames for i in catalogue(tmp_path)] == [10, 20, 1]
    assert [i.info.frames for i in catalogue(tmp_path / "a-0.tar")] == [10, 20]


def test_folders_mean_the_same_inside_as_outside(tmp_path: Path, films: list[bytes]) -> None:
    shard(tmp_path / "train" / "0.tar", {"wave/a.mp4": films[0], "clap/b.mp4": films[1]})
    shard(tmp_path / "0.tar", {"test/wave/c.mp4": films[2]})
    assert [(e.path.name, e.label, e.split) for e in entries(tmp_path)] == [
        ("c.mp4", "wave", "test"),
        ("b.mp4", "clap", "train"),
        ("a.mp4", "wave", "train"),
    ]


def test_tar_files_beside_loose_media_are_left_alone(tmp_path: Path, films: list[bytes]) -> None:
    shard(tmp_path / "all.tar", {"a.mp4": films[0]})
    (tmp_path / "a.mp4").write_bytes(films[0])
    assert [e.path for e in entries(tmp_path)] == [tmp_path / "a.mp4"]


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_kind_of_tar_file_is_read(tmp_path: Path, films: list[bytes], kind: int) -> None:
    long = "/".join(["long name " * 4] * 3) + "/ä.mp4"
    path = shard(tmp_path / "x.tar", {"./a.mp4": films[0], long: films[1]}, kind)
    with tarfile.open(path, "a", format=kind) as out:
        link = tarfile.TarInfo("b.mp4")
        link.type, link.linkname = tarfile.LNKTYPE, "./a.mp4"
        out.addfile(link)
    assert {p: look(path / p).info.frames for p in tar_members(path)} == {"a.mp4": 10, long: 20, "b.mp4": 10}
    assert {e.path.name: e.label for e in entries(tmp_path)} == {"a.mp4": "", "b.mp4": "", "ä.mp4": "long name " * 4}


def test_an_index_is_believed_only_where_it_fits(
    tmp_path: Path, films: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = shard(tmp_path / "x.tar", {"a.mp4": films[0], "b.mp4": films[1]})
    walked = tar_members(path)
    write_index(path, walked)
    walks: list[Path] = []
    walk = tar_room._walked
    monkeypatch.setattr(tar_room, "_walked", lambda tar: walks.append(tar) or walk(tar))

    def members() -> dict[str, tuple[int, int]]:
        tar_room.members.cache_clear()
        return dict(tar_members(path))

    assert members() == walked
    assert not walks
    content = json.loads(index_of(path).read_text())
    for wrong in (
        "",
        "{}",
        "[1]",
        json.dumps(content | {"size": 1}),
        json.dumps(content | {"members": {"a.mp4": [0, 5]}}),
        json.dumps(content | {"members": {"a.mp4": ["x"]}}),
        json.dumps(content | {"members": {"b.mp4": walked["a.mp4"], "a.mp4": walked["b.mp4"]}}),
    ):
        index_of(path).write_text(wrong)
        walks.clear()
        assert members() == walked
        assert walks == [path]
    # of the same size, and the index is that of the file before
    index_of(path).write_text(json.dumps(content))
    shard(path, {"b.mp4": films[1], "a.mp4": films[0]})
    assert path.stat().st_size == content["size"]
    assert look(path / "a.mp4").info.frames == 10
    assert list(members()) == ["b.mp4", "a.mp4"]


def test_what_is_known_of_members_is_kept_until_the_tar_file_changes(
    tmp_path: Path, films: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = shard(tmp_path / "x.tar", {"a.mp4": films[0], "b.mp4": films[1]})
    first = catalogue(tmp_path)
    looked: list[Path] = []
    monkeypatch.setattr("avssl.data.scan.look", lambda p, *proven: looked.append(p) or look(p, *proven))
    assert [i.info for i in catalogue(tmp_path)] == [i.info for i in first]
    assert not looked
    shard(path, {"a.mp4": films[2], "b.mp4": films[1]})
    assert [i.info.frames for i in catalogue(tmp_path)] == [30, 20]
    clips = Clips.of(first.items, UniformClips(n=1, frames=2))
    with pytest.raises(MediaError, match=r"x\.tar/a\.mp4: it has changed"):
        clips.example(0)


def test_errors_name_the_member(tmp_path: Path, films: list[bytes]) -> None:
    path = shard(tmp_path / "x.tar", {"a.mp4": films[0], "bad.mp4": b"no film" * 99, "cut.mp4": films[1][:700]})
    found = catalogue(tmp_path)
    assert [i.path.name for i in found] == ["a.mp4"]
    assert [Path(e.path) for e in found.rejected] == [path / "bad.mp4", path / "cut.mp4"]
    with (
        pytest.raises(MediaError, match=r"x\.tar/a\.mp4: no frame is shown at 9 s"),
        open_media(path / "a.mp4") as media,
    ):
        media.read([Span(times=(9.0,))])
    shard(tmp_path / "y" / "y.tar", {"a.mp4": films[0], "a.json": b"{"})
    with pytest.raises(MediaError, match=r"y\.tar/a\.json: this is not JSON"):
        entries(tmp_path / "y")


def test_a_compressed_tar_file_is_refused_with_a_remedy(tmp_path: Path, films: list[bytes]) -> None:
    path = shard(tmp_path / "x.tar", {"a.mp4": films[0]})
    with gzip.open(tmp_path / "x.tar.gz", "wb") as out:
        out.write(path.read_bytes())
    path.unlink()
    with pytest.raises(MediaError, match=r"x\.tar\.gz is compressed.*gunzip"):
        look(tmp_path / "x.tar.gz" / "a.mp4")
    with pytest.raises(MediaError, match=r"compressed tar files are in it; .*gunzip"):
        entries(tmp_path)
    shutil.move(tmp_path / "x.tar.gz", path)  # which only says so
    with pytest.raises(MediaError, match=r"no tar file.*uncompressed"):
        entries(tmp_path)


def test_a_tar_file_that_was_cut_short_is_told(tmp_path: Path, films: list[bytes]) -> None:
    path = shard(tmp_path / "x.tar", {"a.mp4": films[0], "b.mp4": films[1]})
    path.write_bytes(path.read_bytes()[: tar_members(path)["b.mp4"][0] + 100])
    with pytest.raises(MediaError, match=r"x\.tar: "):
        entries(tmp_path)


def test_pictures_of_a_known_table_are_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = io.BytesIO()
    Image.new("RGB", (20, 10), (10, 200, 30)).save(content, "PNG")
    path = shard(tmp_path / "x.tar", {"a.png": content.getvalue()}) / "a.png"
    table = look(path)
    monkeypatch.setattr("avssl.media.files.members", lambda *_: pytest.fail("looked through the tar file again"))
    with open_media(path, table) as media:
        video = media.read([Span(times=(0.0,))])[0].video
    assert torch.equal(video[0, :, 0, 0], torch.tensor([10, 200, 30], dtype=torch.uint8))
