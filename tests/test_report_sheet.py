from __future__ import annotations

import base64
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from report_run import chirp, make_run, moving_blob, write_draws

from avssl.report import Draw, Drawn, contact_sheet, read_draws, write_contact_sheet
from avssl.report.pixels import data_uri, envelope, frames_of, spectrogram, strip, thin_out
from avssl.report.sheet import caption, extent

ROOT = Path(__file__).parents[1]


def picture(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def share_of(image: np.ndarray, colour: tuple[int, int, int]) -> float:
    return float((np.abs(image - np.array(colour)).max(axis=-1) < 12).mean())


def test_the_sheet_shows_the_frames() -> None:
    pink = np.zeros((16, 3, 32, 32), np.uint8) + np.array([255, 20, 147], np.uint8)[:, None, None]
    times = tuple(np.arange(16) / 25)
    with_frames = picture(contact_sheet([Draw(path="a.mp4", clips=(Drawn(times=times, video=pink),), duration=2.0)]))
    without = picture(contact_sheet([Draw(path="a.mp4", clips=(Drawn(times=times),), duration=2.0)]))
    assert with_frames.shape[1] == 2 * 1240
    assert share_of(with_frames, (255, 20, 147)) > 0.3
    assert share_of(without, (255, 20, 147)) == 0


def test_the_strokes_of_the_time_line_lie_at_their_instants() -> None:
    clip = Drawn(times=(0.0, 1.0, 4.0), video=np.zeros((3, 1, 8, 8), np.uint8))
    image = picture(contact_sheet([Draw(path="a.mp4", clips=(clip,), duration=4.0)]))
    line = image[2 * (28 + 22 + 13)]  # through the middle of the time line, without a row of parameters
    blue = np.flatnonzero(np.abs(line - np.array([0, 114, 178])).max(axis=-1) < 40)
    strokes = sorted({round((x / 2 - 28) / (1240 - 56), 2) for x in blue})
    assert strokes
    assert {min([0.0, 0.25, 1.0], key=lambda want: abs(want - s)) for s in strokes} == {0.0, 0.25, 1.0}
    assert all(min(abs(s - want) for want in (0.0, 0.25, 1.0)) <= 0.01 for s in strokes)


def test_draws_of_every_kind_make_one_sheet(tmp_path: Path) -> None:
    write_draws(tmp_path)
    problems: list[str] = []
    draws = read_draws(tmp_path, problems)
    assert problems == []
    assert [len(d.clips) for d in draws] == [3, 3, 1, 1, 1]
    assert draws[2].clips[0].sound == (1.6, 1.0)
    out = write_contact_sheet(tmp_path, tmp_path / "new" / "sheet.png")
    assert out.read_bytes() == contact_sheet(draws)
    single = picture(contact_sheet(draws[:1]))
    assert picture(out.read_bytes()).shape[0] > single.shape[0]


def test_names_with_signs_of_mathematics_are_written_as_they_are() -> None:
    clip = Drawn(times=(0.0,), video=np.zeros((1, 3, 8, 8), np.uint8))
    assert contact_sheet([Draw(path="cost_$x^$_<b>.mp4", clips=(clip,), labels={"$": "$_{"})]).startswith(b"\x89PNG")


def test_no_draws_is_told_with_its_remedy(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"--train\.epochs 0"):
        write_contact_sheet(tmp_path, tmp_path / "sheet.png")
    with pytest.raises(ValueError, match="no draws"):
        contact_sheet([])


@pytest.mark.parametrize("shape", [(1, 1, 5, 7), (3, 2, 16, 16), (40, 3, 9, 30), (2, 3, 90, 9)])
@pytest.mark.parametrize("kind", ["uint8", "float32"])
def test_frames_of_any_shape_can_be_shown(shape: tuple[int, ...], kind: str) -> None:
    video = (np.random.default_rng(0).random(shape) * (255 if kind == "uint8" else 1)).astype(kind)
    frames, index = frames_of(video)
    assert frames.shape == (min(16, shape[0]), shape[2], shape[3], 3)
    assert frames.dtype == np.uint8
    assert index[0] == 0
    assert index[-1] == shape[0] - 1
    assert contact_sheet([Draw(path="a", clips=(Drawn(times=(0.5,) * shape[0], video=video),))])
    if shape[1] == 2:
        assert frames[..., 2].max() == 0


def test_strips_keep_the_order_of_the_frames() -> None:
    frames = np.stack([np.full((8, 8, 3), v, np.uint8) for v in (10, 90, 200)])
    sheet = strip(frames, height=16, gap=2)
    assert sheet.shape == (16, 3 * 16 + 2 * 2, 3)
    assert [int(sheet[8, x, 0]) for x in (8, 17, 26, 44)] == [10, 255, 90, 200]


def test_data_uris_can_be_read_back() -> None:
    flat = np.full((20, 30, 3), 77, np.uint8)
    head, body = data_uri(flat).split(",")
    assert head == "data:image/png;base64"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(body)))), flat)
    yy, xx = np.mgrid[0:112, 0:112]
    grain = np.random.default_rng(0).integers(0, 6, (112, 112, 3))
    natural = ((yy + xx)[..., None] + grain).astype(np.uint8)
    head, body = data_uri(natural).split(",")
    assert head == "data:image/jpeg;base64"
    back = np.asarray(Image.open(io.BytesIO(base64.b64decode(body)))).astype(int)
    assert np.abs(back - natural).mean() < 3


def test_a_tone_is_one_line_at_its_height() -> None:
    rate, hertz = 16000, 1000.0
    wave = np.sin(2 * np.pi * hertz * np.arange(rate) / rate)[None]
    level = spectrogram(wave, rate, height=56).astype(int).sum(axis=-1)[:, 320]
    mel = np.log10(1 + hertz / 700) / np.log10(1 + rate / 2 / 700)
    assert abs(level.argmax() / 56 - (1 - mel)) < 0.05


@pytest.mark.parametrize("samples", [1, 3, 17, 16000])
@pytest.mark.parametrize("value", [0.0, 1.0, np.nan])
def test_any_sound_can_be_shown(samples: int, value: float) -> None:
    audio = np.full((2, samples), value, np.float32)
    assert spectrogram(audio, 16000.0).shape == (56, 640, 3)
    low, high = envelope(audio)
    assert len(low) == min(240, samples)
    assert (low <= high).all()
    if value == 0:
        assert spectrogram(audio, 16000.0).max() < 10  # silence is dark, not stretched to noise


def test_captions_tell_where_the_clip_was_cut() -> None:
    video = moving_blob(np.arange(32) / 25)
    clip = Drawn(
        times=(1.5, 0.25), sound=(2.0, 0.5), video=video, audio=chirp(0, 0.5), other="b.mp4", other_sound="c.wav"
    )
    told = "clip 3, 1.50 → 0.25 s, 16 of 32 frames shown, from b.mp4, sound 2.00 – 2.50 s, sound from c.wav"
    assert caption(clip, 2) == told
    assert extent(Draw(path="", clips=(clip,), duration=2.2)) == (0.0, 2.5)
    assert extent(Draw(path="", clips=(Drawn(sound=(-0.5, 1.0)),), duration=2.2)) == (-0.5, 2.2)


def test_thinning_out_keeps_both_ends() -> None:
    assert thin_out(5, 16).tolist() == [0, 1, 2, 3, 4]
    assert thin_out(100, 4).tolist() == [0, 33, 66, 99]


RECIPE = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from report_run import write_draws
words = sys.argv[1:]
assert words[words.index("--train.epochs") + 1] == "0", words
if "--fail" in words:
    sys.exit(3)
out = Path(words[words.index("--train.out") + 1])
out.mkdir()
if words[words.index("--span") + 1] == "2.5":
    write_draws(out)
"""


def test_inspect_sampler_runs_the_recipe_without_training(tmp_path: Path) -> None:
    recipe, sheet = tmp_path / "recipe.py", tmp_path / "sheet.png"
    recipe.write_text(RECIPE.format(tests=str(Path(__file__).parent)))

    def inspect(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "tools" / "inspect_sampler.py"), str(recipe), "--out", str(sheet), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    good = inspect("--span", "2.5")
    assert good.returncode == 0, good.stderr
    assert good.stdout.strip() == str(sheet)
    assert picture(sheet.read_bytes()).shape[1] == 2480
    assert "status 3" in inspect("--fail").stderr
    assert "draws.json is missing" in inspect("--span", "1").stderr


def test_the_report_tool_prints_where_the_page_lies(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    command = [sys.executable, str(ROOT / "tools" / "report.py")]
    done = subprocess.run([*command, str(run)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(run / "report.html")
    assert (run / "report.html").stat().st_size > 10_000
    lost = subprocess.run([*command, str(tmp_path / "no")], capture_output=True, text=True, check=False)
    assert lost.returncode == 1
    assert "no such run folder" in lost.stderr
