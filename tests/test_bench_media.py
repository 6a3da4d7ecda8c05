"""The benchmark of readers: what it asks for, what it takes for wrong, and what it makes of measurements."""

import ctypes
import ctypes.util
import json
import platform
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from media_files import Film, numbers_of, write

from avssl.core import Span
from avssl.media import open_media

sys.path.append(str(Path(__file__).parent.parent / "tools"))

from bench_check import Reference
from bench_ffmpeg import LIBRARIES, _empty_library
from bench_files import lengthened
from bench_jobs import JOBS, Job, Source, Visit, draw_visits, sources
from bench_ours import Ours
from bench_report import as_json, draw, summary, tables, text_of
from bench_rounds import Pair, Row
from bench_scale import Growth
from bench_worker import Run

JOB = Job(name="small", about="", frames=4, step=2, clips=2, short=32, crop=28)


class Reader:
    """Stands in for the process of a contender; its frames come so much too late."""

    def __init__(self, paths: list[str], late: int = 0) -> None:
        self._ours, self._late = Ours(), late
        self._ours.prepare(paths)

    def tell(self, _: str, visits: list[Visit]) -> list[list[tuple[np.ndarray, None]]]:
        asked = [v.shifted(self._late, 39) for v in visits]
        return [[(video.numpy(), None) for video, _ in self._ours.read(v)] for v in asked]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # bars of numbers tell frames apart even after they are scaled and averaged
    return write(tmp_path_factory.mktemp("bench") / "film.mp4", Film(frames=40, height=96, width=128))


@pytest.mark.parametrize("job", JOBS, ids=lambda j: j.name)
def test_visits_stay_inside_the_file_and_repeat(job: Job) -> None:
    instants = np.arange(120) / 25
    files = [
        Source(path=Path(f"{i}.mp4"), height=240, width=320, fps=25.0, instants=instants, sound=True) for i in range(2)
    ]
    visits = draw_visits(job, files, 40, np.random.default_rng(3))
    assert visits == draw_visits(job, files, 40, np.random.default_rng(3))
    assert {v.path for v in visits} == {"0.mp4", "1.mp4"}
    for visit in visits:
        assert min(visit.scaled) == job.short
        assert len(visit.cuts) == job.clips
        for cut in visit.cuts:
            assert len(cut.numbers) == job.frames
            assert cut.times == tuple(instants[list(cut.numbers)])
            assert set(np.diff(cut.numbers)) == {job.step}
            assert cut.top + job.crop <= visit.scaled[0]
            assert cut.left + job.crop <= visit.scaled[1]
            assert (cut.sound is not None) == job.sound
            top, left, high, wide = visit.source_box(cut)
            assert top + high <= 240
            assert left + wide <= 320
            assert min(top, left) >= 0


def test_files_that_are_too_short_are_no_source() -> None:
    short = Source(path=Path("a"), height=9, width=9, fps=25.0, instants=np.arange(30) / 25, sound=False)
    with pytest.raises(ValueError, match="31 frames"):
        draw_visits(JOBS[0], [short], 1, np.random.default_rng(0))


@pytest.mark.parametrize("late", [0, 1, -2])
def test_other_frames_are_found_out(film: Path, late: int) -> None:
    (source,) = sources([film])
    visits = draw_visits(JOB, [source], 3, np.random.default_rng(0))
    reference = Reference(Reader([str(film)]), visits, {str(film): 40})  # type: ignore[arg-type]
    check = reference.check(Reader([str(film)], late))  # type: ignore[arg-type]
    assert check.clips == 6
    assert check.other == (6 if late else 0)
    assert bool(check.note) == bool(late)


def test_a_lengthened_film_goes_on_with_the_same_frames(film: Path) -> None:
    long = lengthened(film, film.with_name("long.mp4"), 4)
    with open_media(long) as media:
        assert media.info.frames == 120
        (clip,) = media.read([Span(times=tuple((k + 0.5) / 25 for k in (0, 39, 40, 57, 119)))])
    assert clip.video is not None
    assert numbers_of(clip.video) == [0, 39, 0, 17, 39]


def _row(contender: str, factors: list[float], **words: object) -> Row:
    ours = Run(clips=10, wall=1.0, cpu=2.0, peak=40.0)
    pairs = [Pair(ours=ours, theirs=replace(ours, wall=f, cpu=3 * f)) for f in factors]
    return replace(Row(job="J2", mode="steady", contender=contender, pairs=pairs), **words)


def test_ratios_are_taken_within_a_pair_and_wrong_peers_do_not_count(tmp_path: Path) -> None:
    rows = [
        _row("quick", [1.0, 1.2, 1.1], right=False, note="other frames in 4 of 4 clips"),
        _row("right", [2.0, 1.6, 4.0]),
        _row("limit", [0.5]),
        _row("broken", [], failed="crashed"),
    ]
    assert rows[1].ratios("wall") == (2.0, 1.6, 4.0)
    assert rows[1].ratios("cpu") == pytest.approx((3.0, 2.4, 6.0))
    assert rows[1].rates == pytest.approx((5.0, 10 / 6))
    told = summary(rows)
    assert "best right peer by CPU time: right, ours 3.00 ×" in told
    assert "best of all by CPU time: quick, ours 1.65 ×" in told
    assert "ours reaches 0.50 of the limit" in told
    grown = [Growth(what="2 h over 10 s", contender="ours", first=4.0, ratios=(0.9, 1.0, 1.3))]
    page = text_of(tables(rows, grown, {"decord": "not installed"}, {"J2": "about it"}))
    for words in ("other frames in 4 of 4", "cannot: crashed", "missing: decord: not installed", "1.00 [0.90–1.30]"):
        assert words in page
    assert json.loads(as_json(rows, grown, {}, {}))["rows"][1]["ours_over_it_wall"] == [2.0, 1.6, 4.0]
    draw(rows, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.skipif(platform.system() != "Linux", reason="the libraries are those of Linux")
def test_an_empty_library_leads_to_the_one_it_stands_for(tmp_path: Path) -> None:
    real = ctypes.util.find_library("m")
    if real is None or platform.libc_ver()[0] != "glibc":
        pytest.skip("no libm of glibc here")
    stub = tmp_path / "libavssl-test.so.1"
    stub.write_bytes(_empty_library(stub.name, real))
    cos = ctypes.CDLL(str(stub)).cos
    cos.restype, cos.argtypes = ctypes.c_double, [ctypes.c_double]
    assert cos(0.0) == 1.0
    assert "avcodec" in LIBRARIES
