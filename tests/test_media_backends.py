"""Every backend gives the right frame or says honestly that it cannot; the same tests for each of them."""

from __future__ import annotations

import ctypes
import io
import os
import sys
import tarfile
import warnings
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
import torch
import tyro
from awkward_kinds import KINDS as AWKWARD
from media_files import Film, Noise, bursts, numbers_of, write
from test_media import KINDS, remux, with_bytes

from avssl.core import Box, MediaError, Sound, Span
from avssl.data.choice import Data
from avssl.data.loader import batches
from avssl.media import (
    Decoding,
    FileTable,
    Kind,
    Measured,
    Timing,
    device_of,
    kind_of,
    look,
    measured,
    open_media,
    timings,
)
from avssl.media.decoding import Backend
from avssl.media.ffmpeg_libraries import find_ffmpeg
from avssl.media.matroska import CODECS, STEP, film_of
from avssl.media.on_torchcodec import Fallbacks, torchcodec_decoders
from avssl.media.table import Decoder
from avssl.samplers import RandomClips

B = {"bf": "3", "g": "12"}
MORE: dict[str, Film] = {
    "vfr.mkv": Film(
        options=B, tick=Fraction(1, 1000), stamps=np.cumsum(np.random.default_rng(1).integers(5, 90, size=40)).tolist()
    ),
    "turned.mp4": Film(options=B, rotation=90),
    "many_keys.mp4": Film(options={"bf": "0", "g": "4"}),
}
FILMS = {
    name: KINDS[name]
    for name in (
        "b_frames.mp4",
        "open_gop.mkv",
        "intra_refresh.mp4",
        "packed.avi",
        "h264.avi",
        "mjpeg.avi",
        "vp8.webm",
        "vp9.webm",
        "hevc.mp4",
        "transport.ts",
        "program.mpg",
        "raw.h264",
        "animation.gif",
        "ten_bits.mkv",
        "odd_444.mkv",
        "odd_420.mp4",
        "lossless.mkv",
    )
} | MORE
NAMES = (*FILMS, "edited.mp4")

CAN: dict[Backend, set[str]] = {
    "pyav": set(NAMES),
    "torchcodec": set(NAMES) - {"animation.gif"},
    "decord": {"b_frames.mp4", "vp8.webm", "vp9.webm", "ten_bits.mkv", "odd_444.mkv", "odd_420.mp4", "lossless.mkv"}
    | {"vfr.mkv", "many_keys.mp4"},
}
"""What a backend has to be able to give; of all else it has to say that it cannot."""


def usable(backend: Backend) -> ModuleType | None:
    """Skip the test if the backend is not installed; where a GPU has to be there, it has to be, too."""
    if backend == "torchcodec":
        try:
            return torchcodec_decoders()
        except ImportError as e:
            if os.environ.get("AVSSL_REQUIRE_CUDA") == "1":
                pytest.fail(f"AVSSL_REQUIRE_CUDA=1, and torchcodec cannot be used: {e}")
            pytest.skip(f"torchcodec cannot be used: {e}")
    if backend == "decord":
        pytest.importorskip("decord")
    return None


BACKENDS = pytest.mark.parametrize("backend", ["pyav", "torchcodec", "decord"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("backends")


@pytest.fixture(scope="module")
def tables(folder: Path) -> dict[str, tuple[Path, FileTable]]:
    """The files of all kinds, each with its table."""
    for name, film in FILMS.items():
        write(folder / name, film)
    source = write(folder / "whole.mp4", Film(options={"bf": "2", "g": "20"}))
    with av.open(str(source)) as a, av.open(str(folder / "edited.mp4"), "w") as b:  # shown from frame 7 on
        stream = b.add_stream_from_template(a.streams.video[0])
        shift = round(7 / 25 / a.streams.video[0].time_base)
        for packet in a.demux(a.streams.video[0]):
            if packet.size:
                packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, stream
                b.mux(packet)
    return {name: (folder / name, look(folder / name)) for name in NAMES}


def spans_of(table: FileTable, numbers: list[list[int]], **how: Any) -> list[Span]:
    assert table.picture is not None
    times = table.picture.instants(np.arange(len(table.picture.rows)))
    return [Span(times=tuple(times[n].tolist()), **how) for n in numbers]


def upright(video: torch.Tensor, name: str) -> torch.Tensor:
    """The frames as they were drawn, so that their numbers can be read."""
    return torch.rot90(video, -1, (-2, -1)) if name == "turned.mp4" else video


@pytest.mark.parametrize(("backend", "name"), [(b, n) for b, able in CAN.items() for n in NAMES if n in able])
def test_a_backend_gives_the_frames_that_are_shown(
    backend: Backend, name: str, tables: dict[str, tuple[Path, FileTable]]
) -> None:
    usable(backend)
    path, table = tables[name]
    count = table.info.frames
    first = 7 if name == "edited.mp4" else 0
    rng = np.random.default_rng(0)
    for _ in range(3):
        wanted = [rng.integers(count, size=5).tolist(), [int(rng.integers(count))], [count - 1, 0, 0]]
        with open_media(path, table, backend=backend) as media:
            clips = media.read(spans_of(table, wanted))
            again = media.read(spans_of(table, wanted[:1]))
        for numbers, clip in zip(wanted, clips, strict=True):
            assert [n - first for n in numbers_of(upright(clip.video, name))] == numbers
        assert torch.equal(again[0].video, clips[0].video)


@pytest.mark.parametrize(("backend", "name"), [(b, n) for b, able in CAN.items() for n in NAMES if n not in able])
def test_a_backend_says_what_it_cannot_do_and_what_can(
    backend: Backend, name: str, tables: dict[str, tuple[Path, FileTable]]
) -> None:
    usable(backend)
    path, table = tables[name]
    with pytest.raises(MediaError, match=rf"backend {backend} .*; choose backend pyav") as caught:
        open_media(path, table, backend=backend)
    assert caught.value.path == str(path)


@pytest.mark.parametrize(
    "name", ["b_frames.mp4", "turned.mp4", "ten_bits.mkv", "odd_420.mp4", "mjpeg.avi", "lossless.mkv"]
)
def test_torchcodec_crops_scales_and_converts_as_the_default_does(
    name: str, tables: dict[str, tuple[Path, FileTable]]
) -> None:
    usable("torchcodec")
    path, table = tables[name]
    wander = tuple(Box(top=0.02 * t, left=0.5 - 0.05 * t, height=0.5, width=0.5) for t in range(6))
    numbers = [[0, 9, 5, 31, 22, 39]]
    spans = [
        *spans_of(table, numbers),
        *spans_of(table, numbers, size=(20, 24)),
        *spans_of(table, numbers, size=(90, 100)),
        *spans_of(table, numbers, boxes=(Box(top=0.25, left=0.125, height=0.5, width=0.75),), size=(17, 40)),
        *spans_of(table, numbers, boxes=wander, size=(16, 16)),
    ]
    with open_media(path, table) as media:
        expected = media.read(spans)
    with open_media(path, table, backend="torchcodec") as media:
        found = media.read(spans)
    for a, b in zip(expected, found, strict=True):
        assert a.video.shape == b.video.shape
        assert b.video.is_contiguous()
        gap = (a.video.float() - b.video.float()).abs()
        assert gap.mean() < 1
        assert torch.equal(a.times, b.times)


@pytest.mark.skipif("AVSSL_ALL_KINDS" not in os.environ, reason="half a minute; set AVSSL_ALL_KINDS=1 to run it")
@pytest.mark.parametrize("backend", ["torchcodec", "decord"])
def test_no_backend_gives_another_frame_of_any_awkward_kind(backend: Backend, tmp_path: Path) -> None:
    usable(backend)
    able = 0
    told: list[MediaError] = []
    for name, make in AWKWARD.items():
        make(tmp_path / name)
        table = look(tmp_path / name)
        if table.picture is None:
            continue
        rng = np.random.default_rng(0)
        numbers = [rng.integers(table.info.frames, size=6).tolist() for _ in range(3)]
        spans = spans_of(table, numbers, size=(table.info.height, table.info.width))
        with open_media(tmp_path / name, table) as media:
            expected = media.read(spans)
        try:
            with open_media(tmp_path / name, table, backend=backend) as media:
                found = [media.read([span])[0] for span in spans]
        except MediaError as e:
            told.append(e)
            continue
        able += 1
        for a, b in zip(expected, found, strict=True):
            gaps = (a.video.float() - b.video.float()).abs().mean((1, 2, 3))
            assert gaps.max() < 6, f"{name}: {gaps.tolist()}"
    assert {e.remedy for e in told} == {"choose backend pyav"}
    assert able > {"torchcodec": 90, "decord": 30}[backend]


@BACKENDS
def test_sound_is_always_ours_and_frames_come_beside_it(backend: Backend, folder: Path) -> None:
    usable(backend)
    path = write(folder / "both.mp4", Film(options=B), Noise(samples=bursts(1.6, 44100, [0.5])))
    spans = [Span(times=(0.5,), sound=Sound(start=0.4, duration=0.5)), Span(sound=Sound(start=0.1, duration=0.2))]
    with open_media(path) as media:
        expected = media.read(spans)
    with open_media(path, backend=backend) as media:
        found = media.read(spans)
        assert media.info == look(path).info
    assert numbers_of(found[0].video) == [12]
    assert all(torch.equal(a.audio, b.audio) for a, b in zip(expected, found, strict=True))


@BACKENDS
def test_a_member_of_a_tar_file_is_read_where_it_lies(
    backend: Backend, folder: Path, tables: dict[str, tuple[Path, FileTable]]
) -> None:
    usable(backend)
    with tarfile.open(folder / f"{backend}.tar", "w") as tar:
        tar.add(tables["mjpeg.avi"][0], "before.avi")
        tar.add(tables["b_frames.mp4"][0], "clip.mp4")
    path = folder / f"{backend}.tar" / "clip.mp4"
    table = look(path)
    with open_media(path, table, backend=backend) as media:
        (clip,) = media.read(spans_of(table, [[3, 20]]))
    assert numbers_of(clip.video) == [3, 20]


def test_a_frame_that_is_destroyed_costs_torchcodec_no_other(folder: Path) -> None:
    usable("torchcodec")
    source = write(folder / "keys.mkv", Film(codec="mjpeg", pix_fmt="yuvj420p"))
    path = remux(source, folder / "hurt.mkv", lambda n, p: with_bytes(p, bytes(50)) if n == 11 else p)
    table = look(path)
    with open_media(path, table, backend="torchcodec") as media:
        (clip,) = media.read(spans_of(table, [[10, 12, 39]]))
        assert numbers_of(clip.video) == [10, 12, 39]
        with pytest.raises(MediaError, match=r"backend torchcodec does not give frame 11; choose backend pyav"):
            media.read(spans_of(table, [[10, 11]]))


@pytest.mark.parametrize("codec", ["h264", "mpeg4"])
def test_the_file_for_torchcodec_holds_the_packets_that_are_needed_and_no_others(
    codec: str, tables: dict[str, tuple[Path, FileTable]], monkeypatch: pytest.MonkeyPatch
) -> None:
    usable("torchcodec")
    files: list[bytes] = []

    def spy(*arguments: Any) -> bytes:
        files.append(film_of(*arguments))
        return files[-1]

    monkeypatch.setattr("avssl.media.on_torchcodec.film_of", spy)
    path, table = tables["b_frames.mp4" if codec == "h264" else "packed.avi"]
    assert table.picture is not None
    last = int(np.flatnonzero(table.picture.starts == table.picture.starts[0])[-1])
    with open_media(path, table, backend="torchcodec") as media:
        media.read(spans_of(table, [[last]]))
    with av.open(io.BytesIO(files[0])) as container:
        fed = sum(p.size > 0 for p in container.demux(video=0))
    run = int(table.picture.rows[last]) + 1
    assert 0 < fed < run
    assert fed == run - int(table.picture.droppable[: run - 1].sum())


def test_a_run_of_packets_is_a_file_that_ffmpeg_reads(tables: dict[str, tuple[Path, FileTable]]) -> None:
    told = Decoder(codec="h264", header=b"\1header", width=64, height=48)
    parts = [(bytes([n % 251 + 1]) * (n % 7 + 1), n % 10 == 0) for n in range(2000)]  # 80 s: several clusters
    with av.open(io.BytesIO(film_of("h264", told, parts))) as container:
        stream = container.streams.video[0]
        assert container.format.name == "matroska,webm"
        assert (stream.codec_context.name, stream.codec_context.extradata) == ("h264", b"\1header")
        found = [(bytes(p), round(p.pts * p.time_base * 1000)) for p in container.demux(stream) if p.size]
    assert found == [(data, n * STEP) for n, (data, _) in enumerate(parts)]
    assert {av.Codec(c, "r").canonical_name for c in CODECS} == set(CODECS)


class _Decoders(ModuleType):
    """As much of torchcodec as asking for the status takes."""

    def __init__(self, *, falls_back: bool) -> None:
        super().__init__("decoders")
        self.asked = 0
        self.falls_back = falls_back

    def VideoDecoder(self, *_: Any, **__: Any) -> Any:  # noqa: N802
        self.asked += 1
        status = type("Status", (), {"__bool__": lambda _: self.falls_back, "__str__": lambda _: "NVcuvid unavailable"})
        return SimpleNamespace(cpu_fallback=status())


def test_what_falls_back_to_the_processor_is_told_once_and_counted() -> None:
    decoders, ledger = _Decoders(falls_back=True), Fallbacks()
    device = torch.device("cuda", 0)
    kind = ("h264", 64, 48, "yuv420p", 0)
    with pytest.warns(RuntimeWarning, match=r"h264 of 64×48 \(yuv420p\) on the processor.*NVcuvid.*backend pyav"):
        ledger.note(decoders, kind, b"", device)
    for _ in range(2):
        ledger.note(decoders, kind, b"", device)  # a second warning would be an error
    assert decoders.asked == 1
    assert list(ledger.reads.values()) == [3]
    with pytest.warns(RuntimeWarning, match="vp8"):
        ledger.note(decoders, ("vp8", 64, 48, "yuv420p", 0), b"", device)
    assert sorted(ledger.reads.values()) == [1, 3]


def test_what_a_gpu_decodes_is_not_told() -> None:
    decoders, ledger = _Decoders(falls_back=False), Fallbacks()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            ledger.note(decoders, ("h264", 64, 48, "yuv420p", 0), b"", torch.device("cuda", 0))
    assert decoders.asked == 1
    assert not ledger.reads


def test_the_real_torchcodec_can_be_asked_whether_it_falls_back(
    tables: dict[str, tuple[Path, FileTable]], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoders = usable("torchcodec")
    assert decoders is not None
    files: list[bytes] = []
    monkeypatch.setattr("avssl.media.on_torchcodec.film_of", lambda *a: (files.append(film_of(*a)), files[-1])[1])
    ledger = Fallbacks()
    for name in ("b_frames.mp4", "packed.avi", "vp9.webm", "transport.ts"):
        path, table = tables[name]
        with open_media(path, table, backend="torchcodec") as media:
            media.read(spans_of(table, [[20]]))
        ledger.note(decoders, (name, 64, 48, "yuv420p", 0), files[-1], torch.device("cpu"))
    assert len(files) == 4
    assert not ledger.reads


def test_a_backend_that_is_not_there_is_named_with_the_remedy(
    tables: dict[str, tuple[Path, FileTable]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, table = tables["b_frames.mp4"]
    monkeypatch.setattr("avssl.media.on_torchcodec.torchcodec_decoders", _missing)
    with pytest.raises(MediaError, match=r"torchcodec cannot be used \(gone\); install avssl\[torchcodec\], or choose"):
        open_media(path, table, backend="torchcodec")
    monkeypatch.setitem(sys.modules, "decord", None)
    with pytest.raises(MediaError, match=r"decord cannot be used .*; pip install decord, or choose backend pyav"):
        open_media(path, table, backend="decord")


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (RuntimeError("Could not open input buffer"), MediaError),
        (torch.OutOfMemoryError("CUDA out of memory"), torch.OutOfMemoryError),
        (torch.AcceleratorError("CUDA error: an illegal memory access was encountered"), torch.AcceleratorError),
    ],
)
def test_no_file_is_blamed_for_what_happens_to_the_device(
    error: Exception,
    raised: type[Exception],
    tables: dict[str, tuple[Path, FileTable]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_: bytes) -> None:
        raise error

    path, table = tables["b_frames.mp4"]
    monkeypatch.setattr("avssl.media.on_torchcodec.torchcodec_decoders", lambda: SimpleNamespace(Demuxer=fail))
    with open_media(path, table, backend="torchcodec") as media, pytest.raises(raised):
        media.read(spans_of(table, [[3]]))


def _missing() -> ModuleType:
    raise ImportError("gone")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere FFmpeg has to be installed")
def test_the_libraries_of_the_av_wheel_are_found_by_their_plain_names() -> None:
    origin = find_ffmpeg()
    assert origin in {"av", "system"}
    if origin == "av":
        major = av.library_versions["libavcodec"][0]
        library = ctypes.CDLL(f"libavcodec.so.{major}")
        assert library.avcodec_version() >> 16 == major


def test_a_device_is_known_or_named() -> None:
    assert device_of("cpu") == torch.device("cpu")
    assert device_of("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    for wrong in ("gpu", "meta"):
        with pytest.raises(ValueError, match=f"device {wrong!r}|device '{wrong}'"):
            device_of(wrong)
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="there is no CUDA here"):
            device_of("cuda")


def test_frames_are_decoded_for_the_device_that_batches_go_to() -> None:
    first, cpu = torch.device("cuda", 1), torch.device("cpu")
    told = {name: Decoding(device=name) for name in ("auto", "cuda", "cpu", "cuda:3")}
    assert {n: d.towards(first).device for n, d in told.items()} == {
        "auto": "cuda:1",
        "cuda": "cuda:1",
        "cpu": "cpu",
        "cuda:3": "cuda:3",
    }
    assert {n: d.towards(cpu).device for n, d in told.items()} == {n: n.replace("auto", "cpu") for n in told}
    assert isinstance(Measured(device="auto").towards(first), Measured)


def test_the_choice_reaches_the_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVSSL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "films").mkdir()
    write(tmp_path / "films" / "a.avi", Film())
    data = tyro.cli(
        Data,
        args=["--root", str(tmp_path / "films"), "--decoding.backend", "decord", "--workers", "0", "--damaged", "stop"],
    )
    assert data.decoding == Decoding(backend="decord")
    again = Data.from_json({"root": str(tmp_path / "films"), "decoding": {"backend": "decord", "device": "auto"}})
    assert again.decoding == Decoding(backend="decord", device="auto")
    clips = data.clips(RandomClips(frames=4))
    assert clips.decoding == Decoding(backend="decord", device="cpu")
    auto = replace(clips, decoding=again.decoding)
    assert batches(auto, batch_size=1, device="cpu").clips.decoding == clips.decoding
    usable("decord")
    with pytest.raises(MediaError, match="backend decord finds wrong frames in AVI; choose backend pyav"):
        next(iter(batches(clips, batch_size=1)))


def test_auto_stays_with_the_default_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AVSSL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "films").mkdir()
    write(tmp_path / "films" / "a.mp4", Film())
    data = Data(root=tmp_path / "films", decoding=Decoding(backend="auto", device="cpu"), workers=0)
    clips = data.clips(RandomClips(frames=4))
    assert "Films are decoded for cpu by pyav." in capsys.readouterr().err
    assert isinstance(clips.decoding, Measured)
    assert next(iter(batches(clips, batch_size=1))).clips[0].video.shape[:2] == (1, 4)


def timing(kind: Kind, pyav: float, torchcodec: float | None) -> Timing:
    return Timing(kind=kind, files=4, rounds=5, pyav=pyav, torchcodec=torchcodec, why="" if torchcodec else "no")


def test_only_kinds_that_were_measured_to_be_quicker_leave_the_default(
    tables: dict[str, tuple[Path, FileTable]],
) -> None:
    quick, even, cannot = (kind_of(tables[n][1]) for n in ("b_frames.mp4", "vp9.webm", "mjpeg.avi"))
    assert quick == Kind(codec="h264", pix_fmt="yuv420p", lines=240)
    choice = Measured(
        backend="auto",
        device="cuda",
        timings=(timing(quick, 0.010, 0.004), timing(even, 0.010, 0.009), timing(cannot, 0.010, None)),
    )
    taken = {n: choice.backend_for(tables[n][1]) for n in ("b_frames.mp4", "vp9.webm", "mjpeg.avi", "ten_bits.mkv")}
    assert taken == {"b_frames.mp4": "torchcodec", "vp9.webm": "pyav", "mjpeg.avi": "pyav", "ten_bits.mkv": "pyav"}
    assert choice.backend_for(None) == "pyav"
    assert (
        "h264, yuv420p, up to 240 lines: pyav 10.00 ms a clip, torchcodec 4.00 ms (4 files, 5 rounds): torchcodec"
        in (choice.told)
    )
    assert "torchcodec cannot (no)" in choice.told


def test_both_backends_are_timed_on_files_of_each_kind(tables: dict[str, tuple[Path, FileTable]]) -> None:
    usable("torchcodec")
    files = [tables[n] for n in ("b_frames.mp4", "vfr.mkv", "animation.gif", "edited.mp4")]
    found = {t.kind.codec: t for t in timings(files, torch.device("cpu"), rounds=1)}
    assert {c: t.files for c, t in found.items()} == {"h264": 3, "gif": 1}
    assert found["h264"].pyav > 0
    assert found["h264"].torchcodec is not None
    assert found["gif"].torchcodec is None
    assert "gif" in found["gif"].why
    assert measured(files, "cpu").timings == ()
