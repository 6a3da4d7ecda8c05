"""Packing a data set: what goes in comes out, whatever is in the way."""

from __future__ import annotations

import csv
import errno
import hashlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from media_files import Film, Noise, bursts, number_of, numbered, write
from PIL import Image

from avssl.core import MediaError, Trajectory
from avssl.data import Clips, Data, catalogue, entries, write_manifest
from avssl.data.poses import write_poses
from avssl.media import index_of
from avssl.packing import Pack, clip, pack, report_table, run, workers
from avssl.samplers import UniformClips

TOOL = Path(__file__).parent.parent / "tools" / "pack.py"


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AVSSL_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of films, a stretch, a picture, sound, and two damaged files."""
    root = tmp_path_factory.mktemp("source")
    (root / "a b").mkdir()
    sound = Noise(samples=bursts(1.6, 44100, [0.4]))
    write(root / "a b" / "one.mp4", Film(), sound)
    write(root / "two.avi", Film(codec="mpeg4", height=96, width=128))
    write(root / "three.mkv", Film(frames=60))
    write(root / "four.flac", None, Noise(samples=bursts(1.0, 16000, [0.3]), rate=16000, codec="flac"))
    Image.fromarray(numbered(9, 100, 140)).save(root / "five.png")
    (root / "six.mp4").write_bytes(b"this is no film" * 100)
    # whole at either end, and damaged in the middle, where packing comes across it first
    content = bytearray(write(root / "seven.flac", None, Noise(samples=_hiss(5.0), codec="flac")).read_bytes())
    content[len(content) // 2] ^= 0xFF
    (root / "seven.flac").write_bytes(content)
    rows = [
        "path,label,split,group,start,end,person",
        "a b/one.mp4,wave,train,g1,,,Ada",
        "two.avi,clap,train,g2,,,Bert",
        "three.mkv,clap,test,g2,0.4,1.2,Bert",
        "three.mkv,wave,test,g2,1.2,2.0,Bert",
        "six.mp4,wave,test,g3,,,Cem",
        "four.flac,,train,g3,,,Cem",
        "seven.flac,,train,g3,,,Cem",
        "five.png,wave,,g3,,,Ada",
    ]
    (root / "list.csv").write_text("\n".join(rows) + "\n")
    return root / "list.csv"


def _hiss(seconds: float) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, (1, round(seconds * 44100))).astype(np.float32)


def choice(source: Path, out: Path) -> Pack:
    return Pack(source=source, out=out, short_side=48, workers=1, shard_size=15_000)


@pytest.fixture(scope="module")
def packed(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("packed") / "out"
    pack(choice(source, out))
    return out


def shards(out: Path) -> dict[str, bytes]:
    """What a pack is: the same for the same source and choice."""
    names = [
        "manifest.csv",
        "sha256sums.txt",
        *(p.name for p in out.glob("*.tar")),
        *(p.name for p in out.glob("*.index")),
    ]
    return {n: (out / n).read_bytes() for n in sorted(names)}


def test_what_was_listed_comes_out_as_a_data_set(source: Path, packed: Path) -> None:
    before, after = catalogue(source), catalogue(packed, damaged="stop")
    before = [i for i in before if i.path.name != "seven.flac"]
    assert len(after) == len(before) == 6
    for a, b in zip(before, after, strict=True):
        assert (a.label, a.split, a.group) == (b.label, b.split, b.group)
        assert a.columns["person"] == b.columns["person"]
        assert b.columns["source"] == a.path.relative_to(source.parent).as_posix()
        assert (a.info.frames, a.info.has_sound) == (b.info.frames, b.info.has_sound)
        assert a.info.duration == pytest.approx(b.info.duration, abs=1e-3)
        assert b.path.parent.suffix == ".tar"
    rows = {r["path"].split("/")[1]: r for r in csv.DictReader((packed / "manifest.csv").read_text().splitlines())}
    assert "start" not in rows["00000002.mp4"]  # or what was cut out would be cut again
    assert (rows["00000002.mp4"]["source_start"], rows["00000002.mp4"]["source_end"]) == ("0.4", "1.2")
    assert rows["00000001.mp4"]["source_start"] == ""


def test_shards_are_small_enough_and_whole(packed: Path) -> None:
    tars = sorted(packed.glob("*.tar"))
    assert [t.name for t in tars] == [f"{i:06d}.tar" for i in range(len(tars))]
    assert len(tars) > 1
    told = dict(reversed(line.split("  ")) for line in (packed / "sha256sums.txt").read_text().splitlines())
    for tar in tars:
        with tarfile.open(tar) as file:
            members = [m for m in file if m.name.endswith(".json")]
            assert tar.stat().st_size <= 15_000 or len(members) == 1
            for member in members:
                assert json.load(file.extractfile(member))["person"]
        assert hashlib.sha256(tar.read_bytes()).hexdigest() == told[tar.name]
        index = json.loads(index_of(tar).read_bytes())
        for name, (begin, size) in index["members"].items():
            with tarfile.open(tar) as file:
                assert file.extractfile(name).read() == tar.read_bytes()[begin : begin + size]


def test_members_read_as_when_taken_out(packed: Path, tmp_path: Path) -> None:
    for tar in packed.glob("*.tar"):
        with tarfile.open(tar) as file:
            file.extractall(tmp_path / tar.name, filter="data")
    (tmp_path / "manifest.csv").write_bytes((packed / "manifest.csv").read_bytes())
    sampler = UniformClips(n=2, frames=4, step=2)
    inside, outside = (Clips.of(catalogue(r).items, sampler) for r in (packed, tmp_path))
    assert len(inside) == len(outside) == 4
    for position in range(4):
        a, b = inside.example(position), outside.example(position)
        for x, y in zip(a.clips, b.clips, strict=True):
            assert torch.equal(x.video, y.video)
            assert torch.equal(x.times, y.times)
    assert number_of(inside.example(2).clips[0].video[0]) == 10  # 0.4 s of three.mkv


def test_recipes_take_it_as_their_root(packed: Path) -> None:
    clips = Data(root=packed).clips(UniformClips(n=1, frames=4))
    assert [i.label for i in clips.items] == ["wave", "clap"]
    assert clips.held_out is not None
    assert len(clips.held_out.items) == 2


def test_the_report_tells_bytes_likeness_and_speed(source: Path, packed: Path) -> None:
    told = json.loads((packed / "report.json").read_text())
    assert told["files"] == 6
    assert told["bytes"] == sum(len(_bytes(e.path)) for e in entries(packed))
    assert 28 < told["psnr_worst"] <= told["psnr_mean"] < 60
    assert told["frames"] == 4 * 4 + 1
    assert len(told["damaged"]) == 2
    assert "six.mp4" in told["damaged"][0]
    assert "seven.flac" in told["damaged"][1]
    assert told["speed"]["files"] == 4
    assert min(told["speed"]["ratios"]) > 0
    # two stretches of 0.8 s are a third each of a file that lasts 2.4 s
    sizes = [
        (source.parent / n).stat().st_size for n in ("a b/one.mp4", "two.avi", "four.flac", "five.png", "three.mkv")
    ]
    assert told["source_bytes"] == pytest.approx(sum(sizes[:4]) + sizes[4] * 2 / 3, abs=2)
    assert "pack : source" in (packed / "report.txt").read_text()


def _bytes(path: Path) -> bytes:
    with tarfile.open(path.parent) as file:
        return file.extractfile(path.name).read()


def test_processes_change_nothing(source: Path, packed: Path, tmp_path: Path) -> None:
    pack(replace(choice(source, tmp_path / "out"), workers=2))
    assert shards(tmp_path / "out") == shards(packed)


def test_it_goes_on_where_it_was_killed(
    source: Path, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    words = f"--source {source.name} --out {out} --short-side 48 --workers 1 --shard-size 15000".split()
    with subprocess.Popen([sys.executable, str(TOOL), *words], cwd=source.parent, stderr=subprocess.PIPE) as process:
        until = time.monotonic() + 60
        while time.monotonic() < until and not (out / ".pack" / "000000.tar.json").exists() and process.poll() is None:
            time.sleep(0.001)
        os.kill(process.pid, signal.SIGKILL)
    assert (out / "000000.tar").exists()
    first = (out / "000000.tar").stat().st_mtime_ns
    (out / "000001.tar.part").write_bytes(b"half a shard")
    made: list[int] = []

    def counted(job: clip.Job) -> clip.Made:
        made.append(job.item.index)
        return clip.make(job)

    monkeypatch.setattr(run, "make", counted)
    pack(choice(source, out))
    assert shards(out) == shards(packed)
    assert (out / "000000.tar").stat().st_mtime_ns == first
    assert 0 not in made
    assert not [p for p in out.iterdir() if p.suffix == ".part"]
    made.clear()
    pack(choice(source, out))
    assert not set(made) - {6}  # but for the damaged one all is there


def test_a_clip_that_is_done_is_not_made_again(
    source: Path, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    def some(job: clip.Job) -> clip.Made:
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(job.item.index)
        return clip.make(job)

    monkeypatch.setattr(run, "make", some)
    small = replace(choice(source, tmp_path / "out"), shard_size=1_000_000)
    with pytest.raises(KeyboardInterrupt):
        pack(small)
    assert made == [0, 1]
    monkeypatch.setattr(run, "make", lambda job: made.append(job.item.index) or clip.make(job))
    os.utime(source.parent / "two.avi")  # which is another file, for all that is known
    pack(small)
    assert made == [0, 1, 1, 2, 3, 5, 6, 7]


@pytest.mark.parametrize("refuses", [False, True])
def test_a_process_that_dies_costs_its_own_file_only(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refuses: bool
) -> None:
    class Pool:
        """Dies at the third job, fails all that were waiting with it, and may take no more."""

        def __init__(self) -> None:
            self.dead = False

        def submit(self, work: Callable[[clip.Job], clip.Made], job: clip.Job) -> Future[clip.Made]:
            future: Future[clip.Made] = Future()
            if self.dead and refuses:
                raise BrokenProcessPool("dead")
            self.dead = self.dead or job.item.index == 2
            if self.dead:
                future.set_exception(BrokenProcessPool("dead"))
            else:
                future.set_result(work(job))
            return future

        def shutdown(self, *, wait: bool, cancel_futures: bool = False) -> None:
            return

    monkeypatch.setattr(workers, "_pool", lambda count: Pool())
    jobs = [clip.Job(item=i, proxy=None, folder=tmp_path) for i in catalogue(source)]
    made = list(workers.made_in_order(jobs, workers=2, work=lambda job: clip.Made(index=job.item.index, member="x")))
    assert [m.index for m in made] == [j.item.index for j in jobs]
    assert [m.index for m in made if m.error] == [2]
    assert "died" in str(made[2].error)


def test_a_damaged_file_can_stop_it(source: Path, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="six"):
        pack(replace(choice(source, tmp_path / "out"), damaged="stop"))
    rows = [r for r in source.read_text().splitlines() if not r.startswith("six")]
    fewer = source.parent / "fewer.csv"
    fewer.write_text("\n".join(rows) + "\n")
    with pytest.raises(MediaError, match=r"seven.flac: its sound .* cannot be decoded"):
        pack(replace(choice(fewer, tmp_path / "out2"), damaged="stop"))


def test_a_full_disk_is_told(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(job: clip.Job) -> clip.Made:
        raise OSError(errno.ENOSPC, "No space left on device", str(job.folder / job.key))

    monkeypatch.setattr(run, "make", full)
    with pytest.raises(MediaError, match=r"no room left.*goes on"):
        pack(choice(source, tmp_path / "out"))


def test_copies_are_the_files_themselves(source: Path, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"2 lines .* stretches, and copying cannot cut"):
        pack(replace(choice(source, tmp_path / "no"), codec="copy"))
    report = pack(replace(choice(source.parent / "a b", tmp_path / "out"), codec="copy"))
    assert report.share == 1
    (path,) = [e.path for e in entries(tmp_path / "out")]
    assert path.name == "00000000.mp4"
    assert _bytes(path) == (source.parent / "a b" / "one.mp4").read_bytes()


def test_poses_go_with_their_clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where the source is told by a relative path, too
    source, out = Path("source"), Path("out")
    source.mkdir()
    write(source / "film.mkv", Film(frames=60))
    whole = Trajectory(np.arange(80) / 20, np.tile(np.eye(3, 4), (80, 1, 1)))
    whole.poses[:, 0, 3] = whole.times**2
    write_poses(source / "camera.csv", whole)
    (source / "manifest.csv").write_text("path,poses,start,end\nfilm.mkv,camera.csv,0.5,1.5\nfilm.mkv,camera.csv,,\n")
    write_manifest(entries(source), Path("told.csv"))
    pack(choice(source, out))
    shutil.move(out, "elsewhere")
    for copied in (catalogue(Path("told.csv")), catalogue(Path("elsewhere"))):
        for item, start in zip(copied, (0.5, 0.0), strict=True):
            assert item.info.camera is not None
            first = float(item.columns.get("source_start") or start)  # a clip begins with a whole frame
            assert first == pytest.approx(start, abs=0.03)
            for instant in (0.1, 0.9):
                assert np.allclose(item.info.camera.at(instant), whole.at(first + instant), atol=1e-6)


def test_other_choices_do_not_go_into_the_same_folder(source: Path, packed: Path, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="other choices"):
        pack(replace(choice(source, packed), gop=8))
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(MediaError, match="something else"):
        pack(choice(source, tmp_path))
    with pytest.raises(MediaError, match="inside the source"):
        pack(choice(source.parent, source.parent / "out"))


def test_names_may_be_odd(tmp_path: Path) -> None:
    odd = tmp_path / "in" / os.fsdecode(b'wave\xff, "1"')
    odd.mkdir(parents=True)
    write(odd / os.fsdecode(b"a\n\xfe.b.mp4"), Film(frames=3))
    (tmp_path / "in" / "wave").mkdir()
    write(tmp_path / "in" / "wave" / "ä.mp4", Film(frames=3))
    report = pack(choice(tmp_path / "in", tmp_path / "out"))
    assert (report.files, report.damaged) == (2, ())
    found = catalogue(tmp_path / "out", damaged="stop")
    assert {i.columns["source"] for i in found} == {'wave\\xff, "1"/a\n\\xfe.b.mp4', "wave/ä.mp4"}
    assert len({i.label for i in found}) == 2


def test_a_pack_can_be_packed(packed: Path, tmp_path: Path) -> None:
    report = pack(replace(choice(packed, tmp_path / "out"), short_side=32, codec="h264-fastdecode"))
    assert (report.files, report.damaged) == (6, ())
    assert report_table(report).row_count >= 4


WEBDATASET = """
import sys, webdataset
for sample in webdataset.WebDataset(sys.argv[1:], shardshuffle=False).decode():
    print(sample["__key__"], sample["json"]["person"], *sorted(k for k in sample if k[0] != "_"))
"""


def test_webdataset_reads_it(packed: Path) -> None:
    if importlib.util.find_spec("webdataset") is None:
        pytest.skip("webdataset is not installed")
    tars = [str(p) for p in sorted(packed.glob("*.tar"))]
    # by itself: it leaves files open
    done = subprocess.run([sys.executable, "-c", WEBDATASET, *tars], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "00000000 Ada json mp4",
        "00000001 Bert json mp4",
        "00000002 Bert json mp4",
        "00000003 Bert json mp4",
        "00000005 Cem flac json",
        "00000007 Ada jpg json",
    ]
