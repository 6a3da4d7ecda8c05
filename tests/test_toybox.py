"""The toybox is what it says it is: crossed factors, disjoint looks, motion by physics, files complete or absent."""

from __future__ import annotations

import csv
import itertools
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avssl.core import MediaError, generator
from avssl.media.toybox import (
    DEFAULT_MOTIONS,
    MOTIONS,
    SHAPES,
    TIMBRES,
    Toybox,
    cast,
    draw_motion,
    draw_scene,
    frame_times,
    frames,
    make_toybox,
    mask,
    scene_truth,
    sound,
    truth,
)
from avssl.media.toybox.drawing import draw_livery

TINY = Toybox(train=8, test=4, seconds=2.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_toybox(TINY, tmp_path_factory.mktemp("cache"))


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def decoded(path: Path) -> tuple[np.ndarray, list[float], np.ndarray, list[float]]:
    pictures, shown, samples, heard = [], [], [], []
    with av.open(str(path)) as file:
        for frame in file.decode():
            assert frame.time is not None
            if isinstance(frame, av.VideoFrame):
                pictures.append(frame.to_ndarray(format="rgb24"))
                shown.append(frame.time)
            else:
                samples.append(frame.to_ndarray()[0])
                heard.append(frame.time)
    return np.stack(pictures), shown, np.concatenate(samples) if samples else np.zeros(0), heard


def scenes(toybox: Toybox):
    return [draw_scene(toybox, role) for role in cast(toybox)]


# --- files -----------------------------------------------------------------------------------------------------------


def test_the_manifest_names_every_file_and_every_file_is_named(folder: Path):
    table = rows(folder)
    assert list(table[0]) == ["path", "label", "split", "group", "appearance", "timbre"]
    assert sorted(r["path"] for r in table) == sorted(f"clips/{p.name}" for p in (folder / "clips").iterdir())
    assert Counter(r["split"] for r in table) == {"train": 8, "test": 4}


def test_files_hold_the_frames_and_the_sound_they_promise(folder: Path):
    for row in rows(folder)[::5]:
        path = folder / row["path"]
        pictures, shown, samples, heard = decoded(path)
        assert pictures.shape == (32, 64, 64, 3)
        assert shown == pytest.approx(np.arange(32) / 16)
        assert heard[0] == pytest.approx(0, abs=1e-3)
        assert 2 * 16000 <= len(samples) <= 2 * 16000 + 2048
        with av.open(str(path)) as file:
            assert file.streams.video[0].codec_context.name == "h264"
            assert file.streams.audio[0].codec_context.name == "aac"
            assert file.streams.audio[0].codec_context.sample_rate == 16000


def test_decoded_files_show_and_sound_like_the_scene(folder: Path):
    for scene in scenes(TINY)[::4]:
        pictures, _, samples, _ = decoded(folder / "clips" / f"{scene.role.stem}.mp4")
        light = np.array([0.299, 0.587, 0.114])  # colour is kept at half the resolution only
        assert np.abs(pictures @ light - frames(scene, TINY) @ light).mean() < 3
        wave = sound(scene, TINY)
        scores = [
            np.corrcoef(wave[500:-500], samples[500 + k : len(wave) - 500 + k])[0, 1] for k in range(-300, 301, 1)
        ]
        assert abs(int(np.argmax(scores)) - 300) <= 1
        assert max(scores) > 0.8


def test_without_sound_there_is_no_sound_stream(tmp_path: Path):
    silent = make_toybox(Toybox(train=1, test=1, seconds=1.0, silent=True), tmp_path)
    for row in rows(silent):
        with av.open(str(silent / row["path"])) as file:
            assert not file.streams.audio
        assert len(truth(silent / row["path"]).heard) == 0


def test_truth_of_a_file_is_the_truth_of_its_scene(folder: Path):
    for scene, row in zip(scenes(TINY), rows(folder), strict=True):
        kept, known = truth(folder / row["path"]), scene_truth(scene, TINY)
        assert (kept.motion, kept.appearance, kept.timbre, kept.group) == (
            row["label"],
            row["appearance"],
            row["timbre"],
            row["group"],
        )
        for name in ("times", "impacts", "speeds", "heard", "position", "velocity", "radius"):
            np.testing.assert_allclose(getattr(kept, name), getattr(known, name), atol=1e-6)
        assert kept.position.shape == kept.velocity.shape == (32, 2)


def test_truth_of_a_stranger_is_refused(tmp_path: Path):
    with pytest.raises(MediaError, match="no truth"):
        truth(tmp_path / "clips" / "holiday.mp4")


# --- the cache -------------------------------------------------------------------------------------------------------


def test_the_same_choices_give_the_same_bytes_and_others_do_not(folder: Path, tmp_path: Path):
    again = make_toybox(TINY, tmp_path)
    assert contents(again) == contents(folder)
    assert Toybox(train=8, test=4, seconds=2.0, seed=1).name != TINY.name
    a, b = (frames(scenes(Toybox(train=1, test=0, seconds=1.0, seed=s))[0], Toybox(seconds=1.0)) for s in (0, 1))
    assert (a != b).any()


def test_a_second_call_makes_nothing(folder: Path):
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    assert make_toybox(TINY, folder.parent) == folder
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before


def test_the_cache_folder_can_be_chosen_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AVSSL_CACHE", str(tmp_path))
    assert make_toybox(Toybox(train=1, test=0, seconds=0.5)).parent == tmp_path


SCRIPT = """
import sys
from pathlib import Path
from avssl.media.toybox import Toybox, make_toybox
print(make_toybox(Toybox(train=30, test=6, seconds=0.5, size=32), Path(sys.argv[1])))
"""  # as users write scripts: no guard; and more clips than are made in one process


def start(root: Path, script: Path) -> subprocess.Popen[str]:
    if not script.exists():  # one that has just been started may be about to read it
        script.write_text(SCRIPT)
    command = [sys.executable, str(script), str(root)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def test_a_killed_run_leaves_nothing_half_valid_and_two_runs_at_once_agree(tmp_path: Path):
    root = tmp_path / "cache"
    killed = start(root, tmp_path / "script.py")
    while not list(root.glob(".toybox-*/clips/*.mp4")):  # some clips are there, not all
        assert killed.poll() is None, killed.communicate()
        time.sleep(0.01)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert list(root.glob(".toybox-*/clips/*.mp4"))
    assert not list(root.glob("toybox-*"))

    both = [start(root, tmp_path / "script.py") for _ in range(2)]
    outputs = [p.communicate(timeout=100) for p in both]
    assert [p.returncode for p in both] == [0, 0], outputs
    assert outputs[0][0] == outputs[1][0]
    made = Path(outputs[0][0].strip())
    assert len(rows(made)) == len(list((made / "clips").iterdir())) == len(list((made / "truth").iterdir())) == 36


def test_leavings_of_old_runs_are_swept_and_new_ones_left_alone(tmp_path: Path):
    small = Toybox(train=1, test=0, seconds=0.5)
    old, new = tmp_path / f".{small.name}-old", tmp_path / f".{small.name}-new"
    for left in (old, new):
        (left / "clips").mkdir(parents=True)
    os.utime(old, (0, 0))
    make_toybox(small, tmp_path)
    assert not old.exists()
    assert new.exists()


def test_a_failure_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def broken(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("avssl.media.toybox.making.write_clip", broken)
    with pytest.raises(OSError, match="disk full"):
        make_toybox(TINY, tmp_path)
    assert not [p for p in tmp_path.iterdir() if p.is_dir()]


# --- factors ---------------------------------------------------------------------------------------------------------

LARGE = Toybox(train=6000, test=2000)


def dependence(a: list[str], b: list[str]) -> float:
    """Chi-square of the table of two columns, in standard deviations above what independence gives."""
    left, right = sorted(set(a)), sorted(set(b))
    table = np.array([[0.0] * len(right)] * len(left))
    for x, y in zip(a, b, strict=True):
        table[left.index(x), right.index(y)] += 1
    wanted = np.outer(table.sum(1), table.sum(0)) / table.sum()
    freedom = (len(left) - 1) * (len(right) - 1)
    return float((((table - wanted) ** 2 / wanted).sum() - freedom) / np.sqrt(2 * freedom))


def test_motion_looks_and_timbre_tell_nothing_of_one_another():
    for split in ("train", "test"):
        roles = [r for r in cast(LARGE) if r.split == split]
        columns = {
            "motion": [r.motion for r in roles],
            "shape": [r.shape for r in roles],
            "timbre": [r.timbre for r in roles],
            "place": [str(r.number * 8 // len(roles)) for r in roles],
        }
        for (name, a), (other, b) in itertools.combinations(columns.items(), 2):
            assert dependence(a, b) < 4, (split, name, other)
        assert dependence(columns["motion"], [r.group for r in roles]) < 4
        assert dependence(columns["motion"], [str(r.livery) for r in roles]) < 4
    assert dependence(columns["motion"], columns["motion"]) > 1000  # the measure sees what is dependent


def test_looks_camera_and_mirror_do_not_tell_the_motion():
    drawn = scenes(Toybox(train=1500, test=0))
    motions = [s.role.motion for s in drawn]
    for value in (
        [s.mirrored for s in drawn],
        [len(s.bars) for s in drawn],
        [int(np.hypot(*s.camera_velocity) * 40) for s in drawn],
        [int(np.arctan2(*s.camera_velocity) // (np.pi / 4)) for s in drawn],
        [int(s.livery.colour.argmax()) for s in drawn],
        [int(s.pitch * 4) for s in drawn],
    ):
        assert dependence(motions, [str(v) for v in value]) < 4


@given(st.integers(10, 400), st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_classes_are_balanced_to_within_one(count: int, seed: int):
    roles = [r for r in cast(Toybox(train=count, test=count, seed=seed)) if r.split == "test"]
    motions = Counter(r.motion for r in roles)
    assert set(motions) == set(DEFAULT_MOTIONS)
    assert max(motions.values()) - min(motions.values()) <= 1
    for motion in motions:
        shapes = Counter(dict.fromkeys(SHAPES, 0)) + Counter(r.shape for r in roles if r.motion == motion)
        assert max(shapes.values()) <= -(-motions[motion] // len(SHAPES))


def test_both_splits_hold_all_classes_but_no_individual_and_no_hue_are_shared():
    roles = cast(Toybox())
    by = {s: [r for r in roles if r.split == s] for s in ("train", "test")}
    for s in by.values():
        assert {r.motion for r in s} == set(DEFAULT_MOTIONS)
        assert {r.shape for r in s} == set(SHAPES)
        assert {r.timbre for r in s} == set(TIMBRES)
    assert not {r.group for r in by["train"]} & {r.group for r in by["test"]}
    hues = {
        split: np.array([hue(draw_livery(split, k, seed=0).colour) for k in range(10)]) for split in ("train", "test")
    }
    gap = np.abs(hues["train"][:, None] - hues["test"])
    assert np.minimum(gap, 1 - gap).min() > 0.005
    assert ((hues["train"] * 12 % 1) < 0.62).all()


def hue(colour: np.ndarray) -> float:
    import colorsys

    return colorsys.rgb_to_hsv(*colour)[0]


def test_a_livery_is_the_same_on_every_shape_and_backgrounds_are_never_the_same():
    drawn = scenes(Toybox(train=300, test=0))
    colours: dict[int, set[tuple[float, ...]]] = {}
    for s in drawn:
        colours.setdefault(s.role.livery, set()).add(tuple(s.livery.colour))
    assert {len(c) for c in colours.values()} == {1}
    assert len(set().union(*colours.values())) == len(colours)
    assert len({s.ground.texture for s in drawn}) == len(drawn)
    shapes = [s.role.shape for s in drawn]
    assert dependence(shapes, [str(s.role.livery % 5) for s in drawn]) < 4
    assert dependence(shapes, [str(s.ground.colour.argmax()) for s in drawn]) < 4


# --- motion ----------------------------------------------------------------------------------------------------------

motion_names = st.sampled_from(MOTIONS)
seeds = st.integers(0, 10**6)
lengths = st.floats(1.0, 12.0)


@given(motion_names, seeds, lengths)
@settings(max_examples=150, deadline=None)
def test_velocity_is_the_change_of_position(name, seed: int, seconds: float):
    motion = draw_motion(name, seconds, generator(seed))
    t = generator(seed, 1).uniform(0.01, seconds - 0.01, size=200)
    h = 1e-5
    near = np.abs(t[:, None] - motion.impacts).min(-1, initial=1.0) < 2 * h
    t = t[~near]
    before, now, after = motion.at(t - h), motion.at(t), motion.at(t + h)
    np.testing.assert_allclose((after.position - before.position) / (2 * h), now.velocity, atol=1e-3)


@given(motion_names, seeds, lengths)
@settings(max_examples=150, deadline=None)
def test_things_stay_in_the_picture_and_impacts_in_the_clip(name, seed: int, seconds: float):
    motion = draw_motion(name, seconds, generator(seed))
    state = motion.at(np.linspace(0, seconds, 400))
    assert (state.position > -0.02).all()
    assert (state.position < 1.02).all()
    assert (state.radius > 0.02).all()
    assert (np.diff(motion.impacts) > 0).all()
    assert ((motion.impacts > 0) & (motion.impacts < seconds)).all()
    assert len(motion.impacts) == len(motion.speeds)
    assert (motion.speeds > 0).all()


@pytest.mark.parametrize(
    ("forward", "backward"), [("bounce", "rebound"), ("speed_up", "slow_down"), ("grow", "shrink")]
)
@given(seed=seeds)
@settings(max_examples=30, deadline=None)
def test_twins_are_one_another_run_backwards(forward, backward, seed: int):
    t = frame_times(Toybox())
    a, b = draw_motion(forward, 5.0, generator(seed)), draw_motion(backward, 5.0, generator(seed))
    ahead, back = a.at(t), b.at(t)
    np.testing.assert_allclose(ahead.position, back.position[::-1], atol=1e-9)
    np.testing.assert_allclose(ahead.velocity, -back.velocity[::-1], atol=1e-9)
    np.testing.assert_allclose(ahead.radius, back.radius[::-1], atol=1e-9)
    np.testing.assert_allclose(a.impacts, (5.0 - b.impacts)[::-1])
    np.testing.assert_allclose(a.speeds, b.speeds[::-1])


def test_twins_show_the_same_pictures_in_the_other_order_so_no_single_frame_tells_them():
    """With the camera and the bars at rest, pictures of a class and its twin can be paired one to one."""
    toybox = Toybox(train=1, test=0, distractors=0, drifting_camera=False, motions=("bounce",))
    twin = Toybox(train=1, test=0, distractors=0, drifting_camera=False, motions=("rebound",))
    a, b = (mask(draw_scene(t, cast(t)[0]), t) for t in (toybox, twin))
    np.testing.assert_allclose(a.sum((1, 2)), b[::-1].sum((1, 2)), rtol=0.02, atol=0.5)  # but for the spin


@pytest.mark.parametrize("name", ["bounce", "rebound", "speed_up", "slow_down", "zigzag", "splash"])
@given(seed=seeds)
@settings(max_examples=25, deadline=None)
def test_impacts_are_where_velocity_breaks_and_nowhere_else(name, seed: int):
    motion = draw_motion(name, 5.0, generator(seed))
    t = np.linspace(0, 5, 5001)
    jump = np.linalg.norm(np.diff(motion.at(t).velocity, axis=0), axis=-1)
    breaks = np.flatnonzero(jump > 0.06)
    found = [(t[k], t[k + 1]) for k in breaks]
    alone = [i for i in motion.impacts if any(lo - 1e-9 <= i <= hi + 1e-9 for lo, hi in found)]
    strong = motion.impacts[motion.speeds > 0.07]
    assert set(strong) <= set(alone)
    assert len(found) <= len(motion.impacts)


@given(seed=seeds)
@settings(max_examples=50, deadline=None)
def test_orbits_differ_in_speed_and_their_ranges_do_not_overlap(seed: int):
    t = np.linspace(0, 10, 4000)
    mean = {}
    for name in ("slow_orbit", "fast_orbit"):
        mean[name] = np.linalg.norm(draw_motion(name, 10.0, generator(seed)).at(t).velocity, axis=-1).mean()
    assert mean["slow_orbit"] < 0.75 < 0.8 < mean["fast_orbit"]


@given(seed=seeds)
@settings(max_examples=30, deadline=None)
def test_bounces_get_lower_till_the_end_of_the_clip(seed: int):
    motion = draw_motion("bounce", 5.0, generator(seed))
    assert (np.diff(motion.speeds) < 0).all()
    assert len(motion.impacts) >= 3
    assert motion.speeds[-1] ** 2 / motion.speeds[0] ** 2 > 0.03  # still to be seen
    grown = draw_motion("grow", 5.0, generator(seed)).at(np.array([0.0, 5.0])).radius
    assert grown[1] / grown[0] > 2


# --- pictures and sound ----------------------------------------------------------------------------------------------


def test_the_thing_is_drawn_where_it_is_to_parts_of_a_pixel():
    toybox = Toybox(train=24, test=0, motions=MOTIONS, seconds=2.0)
    middle = (np.arange(toybox.size) + 0.5) / toybox.size
    for scene in scenes(toybox):
        cover, state = mask(scene, toybox), scene.at(frame_times(toybox))
        margin = state.radius[:, None] + 0.02
        whole = ((state.position > margin) & (state.position < 1 - margin)).all(-1)
        weight = cover.sum((1, 2))
        centre = np.stack([(cover.sum(1) * middle).sum(-1), (cover.sum(2) * middle).sum(-1)], -1) / weight[:, None]
        assert whole.any(), scene.role
        off = np.abs(centre - state.position)[whole].max()
        assert off * toybox.size < (1.0 if scene.role.shape == "triangle" else 0.2), scene.role


def test_the_frames_differ_from_the_background_where_the_thing_is():
    toybox = Toybox(train=20, test=0, distractors=0, drifting_camera=False, seconds=2.0)
    for scene in scenes(toybox):
        if scene.motion.bursts:
            continue
        shown, cover = frames(scene, toybox).astype(float), mask(scene, toybox)
        seen = (cover == 0).any(0)  # pixels whose background is seen at some time
        bare = np.where((cover == 0)[..., None], shown, np.nan)
        ground = np.nanmedian(np.where(seen[..., None], bare, 0.0), axis=0)
        inside, outside = (cover == 1) & seen, (cover == 0) & seen
        difference = np.abs(shown - ground).sum(-1)
        assert difference[outside].max() < 2
        assert difference[inside].mean() > 60, scene.role


def test_a_frozen_clip_shows_one_picture_and_its_sound_goes_on():
    frozen, usual = (Toybox(train=4, test=0, seconds=2.0, frozen=f) for f in (True, False))
    for a, b in zip(scenes(frozen), scenes(usual), strict=True):
        shown = frames(a, frozen)
        assert (shown == shown[:1]).all()
        known = scene_truth(a, frozen)
        assert (known.velocity == 0).all()
        np.testing.assert_array_equal(sound(a, frozen), sound(b, usual))


def test_shuffled_sound_is_of_another_motion_and_leaves_the_picture():
    shuffled, usual = (Toybox(train=6, test=0, shuffled_sound=f) for f in (True, False))
    for a, b in zip(scenes(shuffled), scenes(usual), strict=True):
        np.testing.assert_array_equal(frames(a, shuffled)[::20], frames(b, usual)[::20])
        known = scene_truth(a, shuffled)
        assert known.heard.tolist() != known.impacts.tolist() or len(known.impacts) == 0


def loudness(wave: np.ndarray, rate: int, step: int = 64) -> np.ndarray:
    """Energy of the change from sample to sample, in stretches of 4 ms."""
    change = np.diff(wave, prepend=0.0) ** 2
    return change[: len(change) // step * step].reshape(-1, step).mean(-1)


def test_impacts_sound_when_they_happen_to_within_a_frame_and_in_the_file_too(tmp_path: Path):
    toybox = Toybox(train=10, test=0, seconds=3.0, motions=("bounce", "rebound", "speed_up", "slow_down", "splash"))
    folder, step = make_toybox(toybox, tmp_path), 64 / 16000
    checked = 0
    for scene in scenes(toybox):
        path = folder / "clips" / f"{scene.role.stem}.mp4"
        for wave in (sound(scene, toybox), decoded(path)[2]):
            energy = loudness(wave, 16000)
            for instant, speed in zip(scene.motion.impacts, scene.motion.speeds, strict=True):
                if speed < 0.6 or not 0.2 < instant < 2.8:
                    continue
                k, frame = int(instant / step), round(1 / 16 / step)
                window = np.log(energy[k - 2 * frame : k + 2 * frame] + 1e-9)
                rise = np.array(
                    [window[j : j + 4].mean() - window[j - 8 : j].mean() for j in range(8, len(window) - 4)]
                )
                assert abs(int(rise.argmax()) + 8 - 2 * frame) <= frame, (scene.role, instant)
                checked += 1
    assert checked > 30


def test_harder_impacts_are_louder_and_larger_things_sound_lower():
    toybox = Toybox(train=40, test=0, motions=("bounce",))
    falling = 0
    for scene in scenes(toybox):
        wave = sound(scene, toybox)
        peaks = [np.abs(wave[int(i * 16000) :][:800]).max() for i in scene.motion.impacts]
        falling += peaks[0] > peaks[-1]
    assert falling >= 38
    grown = next(s for s in scenes(Toybox(train=40, test=0, motions=("grow",))) if s.role.timbre == "wood")
    wave = sound(grown, toybox)
    power = [np.abs(np.fft.rfft(wave[int(i * 16000) :][:1600])) for i in grown.motion.impacts[[0, -1]]]
    assert power[0].argmax() > 1.5 * power[1].argmax()


def test_timbres_sound_different_at_the_same_pitch():
    """The share of energy outside the strongest tenth of the spectrum orders the timbres from tone to noise."""
    from avssl.media.toybox.hearing import _ring

    flat = {}
    for timbre in TIMBRES:
        spectrum = np.sort(np.abs(np.fft.rfft(_ring(timbre, np.float64(400.0), 16000, generator(0)))) ** 2)
        flat[timbre] = spectrum[: -len(spectrum) // 20].sum() / spectrum.sum()
    assert flat["brush"] > 3 * max(flat["bell"], flat["string"])


# --- choices ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [{"train": 0, "test": 0}, {"size": 63}, {"sample_rate": 7}, {"motions": ()}, {"seconds": 0.0}, {"seed": -1}],
)
def test_impossible_choices_are_refused_by_name(wrong: dict[str, object]):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Toybox(**wrong)  # type: ignore[arg-type]
