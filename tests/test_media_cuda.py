"""Decoding on a GPU: frames are those of the processor and stay where they are, memory is flat, fallbacks are told.

`AVSSL_SOAK_FILES` says how many reads the memory is watched for (default 200).
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from media_files import Film, numbers_of, write
from test_media_backends import spans_of, usable

from avssl.core import Box
from avssl.data.choice import Data
from avssl.data.loader import batches
from avssl.media import Decoding, FileTable, look, measured, on_torchcodec, open_media
from avssl.media.on_torchcodec import Fallbacks
from avssl.samplers import RandomClips

pytestmark = pytest.mark.gpu

B = {"bf": "3", "g": "12"}
FILMS = {
    "h264.mp4": Film(options=B),
    "open_gop.mkv": Film(options={"bf": "3", "g": "10", "x264-params": "open-gop=1:scenecut=0"}),
    "transport.ts": Film(options=B),
    "packed.avi": Film(codec="mpeg4", options={"bf": "2", "g": "9"}),
    "hevc.mp4": Film(codec="libx265", options={"x265-params": "log-level=none:bframes=3:keyint=12"}),
    "ten_bits.mp4": Film(codec="libx265", pix_fmt="yuv420p10le", options={"x265-params": "log-level=none:keyint=12"}),
    "vp9.webm": Film(codec="libvpx-vp9", options={"cpu-used": "8", "deadline": "realtime"}),
    "turned.mp4": Film(options=B, rotation=90),
}
"""Large enough for NVDEC, which takes no smaller ones than 144 lines or so."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cuda")


def film(folder: Path, name: str) -> tuple[Path, FileTable]:
    path = folder / name
    if not path.exists():
        write(path, replace(FILMS[name], height=240, width=320))
    return path, look(path)


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Fallbacks:
    """What falls back in this test; a warning of it is an error where none is expected."""
    made = Fallbacks()
    monkeypatch.setattr(on_torchcodec, "fallbacks", lambda: made)
    return made


@pytest.mark.parametrize("name", FILMS)
def test_frames_of_the_gpu_are_those_of_the_processor(
    name: str, folder: Path, cuda: torch.device, ledger: Fallbacks
) -> None:
    usable("torchcodec")
    path, table = film(folder, name)
    numbers = [np.random.default_rng(0).integers(40, size=16).tolist(), [39], [13, 14]]
    spans = spans_of(table, numbers)
    spans += spans_of(table, numbers, boxes=(Box(top=0.11, left=0.23, height=0.7, width=0.6),), size=(112, 112))
    with open_media(path, table) as media:
        expected = media.read(spans)
    with open_media(path, table, backend="torchcodec", device=cuda) as media:
        found = media.read(spans)
    for a, b in zip(expected, found, strict=True):
        assert b.video.device.type == "cuda"
        assert (a.video.float() - b.video.cpu().float()).abs().mean() < 2
    whole = torch.rot90(found[0].video, -1, (-2, -1)) if name == "turned.mp4" else found[0].video
    assert numbers_of(whole.cpu()) == numbers[0]
    assert not ledger.reads


def test_other_backends_are_uploaded_from(folder: Path, cuda: torch.device) -> None:
    path, table = film(folder, "h264.mp4")
    with open_media(path, table, device=cuda) as media:
        (clip,) = media.read(spans_of(table, [[3, 17]]))
    assert clip.video.device.type == "cuda"
    assert numbers_of(clip.video.cpu()) == [3, 17]


def test_the_loader_leaves_frames_on_the_device(
    folder: Path, tmp_path: Path, cuda: torch.device, ledger: Fallbacks, monkeypatch: pytest.MonkeyPatch
) -> None:
    usable("torchcodec")
    monkeypatch.setenv("AVSSL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "films").mkdir()
    for k in range(4):
        (tmp_path / "films" / f"{k}.mp4").write_bytes(film(folder, "h264.mp4")[0].read_bytes())
    pinned: list[torch.Tensor] = []
    pin = torch.Tensor.pin_memory
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda x: (pinned.append(x), pin(x))[1])
    found = {}
    for name, choice in {"cpu": Decoding(), "cuda": Decoding(backend="torchcodec", device="auto")}.items():
        clips = Data(root=tmp_path / "films", decoding=choice).clips(RandomClips(frames=8))
        pinned.clear()
        (batch,) = batches(clips, batch_size=4, device=cuda)
        assert batch.clips[0].video.device.type == "cuda"
        assert any(x.dtype == torch.uint8 for x in pinned) == (name == "cpu")
        found[name] = batch.clips[0].video.float()
    assert (found["cpu"] - found["cuda"]).abs().mean() < 2
    assert not ledger.reads


def test_memory_does_not_grow_with_the_files_that_were_read(
    folder: Path, cuda: torch.device, ledger: Fallbacks
) -> None:
    usable("torchcodec")
    films = [film(folder, name) for name in FILMS]
    reads = int(os.environ.get("AVSSL_SOAK_FILES", "200"))
    rng = np.random.default_rng(0)

    def used() -> tuple[int, int, int]:
        torch.cuda.synchronize(cuda)
        free, total = torch.cuda.mem_get_info(cuda)
        pages = int(Path("/proc/self/statm").read_text().split()[1]) if Path("/proc/self/statm").exists() else 0
        return torch.cuda.memory_allocated(cuda), total - free, pages * os.sysconf("SC_PAGE_SIZE")

    def visit(k: int) -> None:
        path, table = films[k % len(films)]
        with open_media(path, table, backend="torchcodec", device=cuda) as media:
            media.read(spans_of(table, [rng.integers(40, size=16).tolist()], size=(112, 112)))

    for k in range(5 * len(films)):
        visit(k)
    before = used()
    for k in range(reads):
        visit(k)
    after = used()
    assert after[0] == before[0]
    slack = 32 << 20
    assert after[1] <= 1.05 * before[1] + slack
    assert after[2] <= 1.05 * before[2] + slack


def test_what_nvdec_cannot_do_is_told_and_comes_from_the_processor(
    folder: Path, cuda: torch.device, ledger: Fallbacks
) -> None:
    usable("torchcodec")
    path = write(folder / "mjpeg.avi", Film(codec="mjpeg", pix_fmt="yuvj420p", height=240, width=320))
    table = look(path)
    with (
        open_media(path, table, backend="torchcodec", device=cuda) as media,
        pytest.warns(RuntimeWarning, match="mjpeg of 320×240 .* on the processor"),
    ):
        (clip,) = media.read(spans_of(table, [[3, 30]]))
    assert clip.video.device.type == "cuda"
    assert numbers_of(clip.video.cpu()) == [3, 30]
    assert list(ledger.reads.values()) == [1]


def test_the_choice_is_measured(folder: Path, cuda: torch.device, ledger: Fallbacks) -> None:
    usable("torchcodec")
    files = [film(folder, "h264.mp4"), film(folder, "hevc.mp4")]
    choice = measured(files, cuda)
    assert {t.kind.codec for t in choice.timings} == {"h264", "hevc"}
    assert all(t.torchcodec is not None and t.torchcodec > 0 for t in choice.timings)
    assert choice.backend_for(files[0][1]) in {"pyav", "torchcodec"}
