"""Of damaged, lying and endless files something is read, or a `MediaError` says why not, at once; nothing leaks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from awkward_kinds import KINDS
from guarded import outcome
from media_files import Film, Noise, bursts, numbered, numbers_of, write
from PIL import Image

from avssl.core import MediaError, Sound, Span
from avssl.media import look, open_media, packed, unpacked

LIMIT = 5
"""Seconds of the processor after which a file is said to hang."""

ENDLESS = 1 << 40
"""Bytes of a file that holds next to nothing."""

FILM, NOISE = Film(options={"g": "10", "bf": "2"}), Noise(samples=bursts(1.6, 44100, [0.5]))


def source(path: Path, film: Film = FILM) -> bytes:
    """The bytes of a whole file in the container that the name says."""
    write(path, film, NOISE, options={"movflags": "faststart"} if path.suffix == ".mp4" else None)
    return path.read_bytes()


def cut_off(share: float) -> Callable[[Path], object]:
    return lambda p: p.write_bytes((data := source(p))[: round(len(data) * share)])


def overwritten(seed: int, bits: int = 0) -> Callable[[Path], object]:
    """A stretch of zeros, or so many bits of all that are flipped."""

    def make(path: Path) -> None:
        data, rng = bytearray(source(path)), np.random.default_rng(seed)
        begin = int(rng.integers(len(data)))
        if not bits:
            data[begin : begin + len(data) // 5] = bytes(len(data[begin : begin + len(data) // 5]))
        for bit in rng.integers(8 * len(data), size=bits).tolist():
            data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)

    return make


def lying(box: bytes, at: int, value: bytes) -> Callable[[Path], object]:
    """An MP4 with another number at a place of all boxes of some name."""

    def make(path: Path) -> None:
        data = bytearray(source(path))
        found = data.find(box)
        assert found > 0
        while found > 0:
            data[found + at : found + at + len(value)] = value
            found = data.find(box, found + 4)
        path.write_bytes(data)

    return make


def lying_element(element: bytes, value: bytes) -> Callable[[Path], object]:
    """A Matroska file with another size, or content, behind an element's ID."""

    def make(path: Path) -> None:
        data = bytearray(source(path))
        at = data.index(element) + len(element)
        data[at : at + len(value)] = value
        path.write_bytes(data)

    return make


def endless(kind: str) -> Callable[[Path], object]:
    """A whole file, behind which there are zeros for a terabyte."""

    def make(path: Path) -> None:
        if kind in KINDS:
            KINDS[kind](path)
        elif kind == "png":
            Image.fromarray(numbered(1)).save(path)
        else:
            write(path, noise=Noise(samples=NOISE.samples, codec=kind))
        os.truncate(path, ENDLESS)

    return make


def renamed(suffix: str) -> Callable[[Path], object]:
    return lambda p: p.write_bytes(source(p.with_name(f"right_{p.name}{suffix}")))


def huge_picture(path: Path) -> None:
    """A PNG that says it has 60000 × 60000 pixels."""
    Image.fromarray(numbered(1)).save(path)
    data = bytearray(path.read_bytes())
    data[16:24] = (60000).to_bytes(4, "big") * 2
    path.write_bytes(data)


def loop(path: Path) -> None:
    path.symlink_to(path.with_name(f"other_{path.name}"))
    path.with_name(f"other_{path.name}").symlink_to(path)


MOST = b"\xff" * 4
DAMAGED: Mapping[str, Callable[[Path], object]] = {
    **{f"cut_{k}.mp4": cut_off(k / 11) for k in range(1, 11)},
    **{f"cut_{k}.mkv": cut_off(k / 4) for k in range(1, 4)},
    **{f"cut_{k}.avi": cut_off(k / 4) for k in range(1, 4)},
    **{f"cut_{k}.ts": cut_off(k / 4) for k in range(1, 4)},
    **{f"zeroed_{k}.{suffix}": overwritten(k) for k in range(3) for suffix in ("mp4", "mkv", "ts", "avi")},
    **{f"flipped_{k}.{suffix}": overwritten(9 + k, 60) for k in range(3) for suffix in ("mp4", "mkv", "ts", "avi")},
    "named_wrongly.mp4": renamed(".mkv"),
    "named_wrongly.jpg": renamed(".avi"),
    "named_wrongly.wav": renamed(".ts"),
    "nothing.mkv": lambda p: p.write_bytes(b""),
    "noise.ts": lambda p: p.write_bytes(np.random.default_rng(0).bytes(1 << 20)),
    "noise.mp3": lambda p: p.write_bytes(np.random.default_rng(1).bytes(1 << 20)),
    "zeros.h264": lambda p: p.write_bytes(bytes(1 << 20)),
    "endless.mp4": endless("front.mp4"),
    "endless.mkv": endless("b_frames.mp4"),
    "endless.ts": endless("transport.ts"),
    "endless.mpg": endless("program.mpg"),
    "endless.webp": endless("animated.webp"),
    "endless.png": endless("png"),
    "endless.wav": endless("pcm_s16le"),
    "endless_device.mp4": lambda p: p.symlink_to("/dev/zero"),
    "long.mp4": lying(b"mvhd", 20, MOST),
    "long_track.mp4": lying(b"mdhd", 20, MOST),
    "no_clock.mp4": lying(b"mdhd", 16, bytes(4)),
    "many_samples.mp4": lying(b"stsz", 12, b"\x7f\xff\xff\xff"),
    "large_samples.mp4": lying(b"stsz", 8, b"\x7f\xff\xff\xff"),
    "long_samples.mp4": lying(b"stts", 16, MOST),
    "far_samples.mp4": lying(b"stco", 12, MOST),
    "large_box.mp4": lying(b"mdat", -4, MOST),
    "large_frames.mp4": lying(b"avc1", 28, MOST),
    "large_cluster.mkv": lying_element(b"\x1f\x43\xb6\x75", b"\x01" + b"\xff" * 7),
    "large_segment.mkv": lying_element(b"\x18\x53\x80\x67", b"\x01\x7f" + b"\xff" * 6),
    "long.mkv": lying_element(b"\x44\x89\x88", b"\x7f\xf0" + bytes(6)),  # infinite
    "huge.png": huge_picture,
    "loop.mp4": loop,
    "pipe.mkv": os.mkfifo,
    "folder.avi": lambda p: p.mkdir(),
    "list.m3u8": lambda p: p.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{p.name}\n#EXT-X-ENDLIST\n"),
    "list.ffconcat": lambda p: p.write_text(f"ffconcat version 1.0\nfile {p.name}\n"),
    "stream.sdp": lambda p: p.write_text(
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\n"
    ),
}


@dataclass(frozen=True)
class Report:
    """What became of the files, and how many descriptors were open after each."""

    outcomes: Mapping[str, str]
    open: tuple[int, ...]
    code: int
    last: str


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp("faults")
    for name, make in DAMAGED.items():
        make(folder / name)
    paths = [str(folder / name) for name in DAMAGED]
    command = [sys.executable, str(Path(__file__).with_name("guarded.py")), str(LIMIT), *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    ends = [t for t in told if "end" in t]
    for name in DAMAGED:
        if name.startswith("endless"):
            (folder / name).unlink()
    return Report(
        outcomes={Path(t["end"]).name: t["outcome"] for t in ends},
        open=tuple(t["open"] for t in ends),
        code=done.returncode,
        last=f"{told[-1] if told else ''} {done.stderr[-2000:]}",
    )


def test_no_damaged_file_hangs_or_crashes(report: Report) -> None:
    assert report.code not in {-signal.SIGALRM, -signal.SIGPROF}, f"hangs: {report.last}"
    assert report.code == 0, report.last
    assert report.outcomes.keys() == DAMAGED.keys()
    assert len(set(report.open)) == 1


@pytest.mark.parametrize(("name", "wanted"), [
    ("cut_9.mp4", "read"),
    ("cut_3.ts", "read"),
    ("named_wrongly.jpg", "read"),
    ("named_wrongly.mp4", "read"),
    ("endless.mp4", "read"),
    ("long.mp4", "read"),
    ("nothing.mkv", "refused"),
    ("noise.ts", "refused"),
    ("noise.mp3", "refused"),
    ("endless.mkv", "refused"),
    ("endless.png", "refused"),
    ("endless.wav", "refused"),
    ("endless_device.mp4", "refused"),
    ("huge.png", "refused"),
    ("loop.mp4", "refused"),
    ("pipe.mkv", "refused"),
    ("folder.avi", "refused"),
    ("list.m3u8", "refused"),
    ("list.ffconcat", "refused"),
    ("stream.sdp", "refused"),
])  # fmt: skip
def test_what_is_there_is_read_and_what_is_not_is_refused(report: Report, name: str, wanted: str) -> None:
    assert report.outcomes[name] == wanted


def unlinked(path: Path) -> None:
    path.unlink()


def replaced(path: Path) -> None:
    """Another file of the same size takes its place, at another time."""
    path.write_bytes(bytes(path.stat().st_size))
    os.utime(path, ns=(1, 1))


def disguised(path: Path) -> None:
    """The same, and the file system says that nothing happened."""
    status = path.stat()
    path.write_bytes(np.random.default_rng(0).bytes(status.st_size))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def shortened(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 3)


@pytest.mark.parametrize("change", [unlinked, replaced, disguised, shortened])
@pytest.mark.parametrize("suffix", ["mp4", "ts", "wav", "png", "webp"])
def test_a_file_that_changes_between_look_and_read_is_an_error(
    change: Callable[[Path], None], suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"changing.{suffix}"
    if suffix == "wav":
        write(path, noise=Noise(samples=NOISE.samples, codec="pcm_s16le"))
    elif suffix == "webp":
        KINDS["animated.webp"](path)
    elif suffix == "png":
        Image.fromarray(numbered(3)).save(path)
    else:
        source(path)
    table = unpacked(packed(look(path)))
    change(path)
    sound = Sound(start=0.5, duration=0.1)
    spans = [Span(times=(0.0, table.info.duration / 2))] if table.info.has_video else [Span(sound=sound)]
    if change is disguised and suffix == "wav":  # whatever bytes there are, they are samples
        return
    with pytest.raises(MediaError), open_media(path, table) as media:
        media.read(spans)


def test_a_file_that_vanishes_while_it_is_read_is_read_or_an_error(tmp_path: Path) -> None:
    path = tmp_path / "vanishing.mp4"
    source(path)
    table = look(path)
    with open_media(path, table) as media:
        (clip,) = media.read([Span(times=(0.5,))])
        assert clip.video is not None
        assert numbers_of(clip.video) == [12]
        path.unlink()
        with pytest.raises(MediaError, match=r"vanishing\.mp4: .*[Nn]o such file"):
            media.read([Span(times=(0.5,))])


def test_who_may_not_read_a_file_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "secret.mp4"
    source(path)
    path.chmod(0)
    if os.geteuid() == 0:  # root may read all: a process of somebody else tries
        for folder in [tmp_path, *tmp_path.parents[:2]]:
            folder.chmod(0o755)
        child = os.fork()
        if not child:
            try:
                os.setuid(65534)
                what = outcome(path)
                os._exit(0 if what[0] == "refused" and "ermission denied" in what[1] else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    else:
        assert outcome(path)[0] == "refused"
