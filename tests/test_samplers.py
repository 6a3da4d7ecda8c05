"""Properties that every sampler has, whatever the file."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avssl.core import MediaInfo, Sampler, Unfit, generator
from avssl.samplers import (
    AudioOffset,
    ClipOrder,
    ConsecutiveClips,
    ForeignSound,
    Frozen,
    Pace,
    RandomClips,
    Stages,
    TemporalOrderTriple,
    UniformClips,
)

PICTURE = MediaInfo(duration=0.0, frames=1, height=40, width=60)


def video(frames: int = 150, fps: float = 25.0, **sound: float) -> MediaInfo:
    heard = {"sound_start": 0.0, "sound_duration": frames / fps} | sound
    info = MediaInfo(duration=frames / fps, fps=fps, frames=frames, height=40, width=60, sample_rate=16000, channels=1)
    return replace(info, **heard)


SAMPLERS: list[Sampler] = [
    RandomClips(n=2, frames=8, step=2),
    RandomClips(n=2, frames=8, rate=10.0, sound=0.7),
    RandomClips(n=2, frames=4, spread="uniform"),
    RandomClips(frames=0, sound=0.5),
    UniformClips(n=3, frames=8, sound=0.5, short="reject"),
    Pace(frames=8),
    Pace(frames=4, rate=12.0, paces=(1, 3)),
    TemporalOrderTriple(shortest=0.2, longest=1.0),
    ClipOrder(frames=4, gap=3, gap_jitter=2),
    ClipOrder(frames=4, gap=1, rate=7.0, by_motion=True),
    ClipOrder(clips=4, frames=1, gap=5, mirrored=True),
    AudioOffset(frames=8, sound=0.8, min_shift=0.3),
    AudioOffset(frames=4, sound=0.5, shifted=0.25, other=0.25, paired=True, max_shift=1.0),
    Stages(((0, AudioOffset(frames=4, shifted=0.0, other=0.5)), (5, AudioOffset(frames=4)))),
    Frozen(Pace(frames=8)),
    ForeignSound(AudioOffset(frames=8, sound=0.8, paired=True)),
    ConsecutiveClips(n=3, frames=4, step=2),
    ConsecutiveClips(n=4, frames=3, rate=10.0),
]

files = st.builds(
    lambda frames, fps, begin, end: video(
        frames, fps, sound_start=begin, sound_duration=max(0.0, frames / fps - begin - end)
    ),
    st.integers(2, 400),
    st.sampled_from([8.0, 12.5, 15.0, 24.0, 25.0, 30000 / 1001, 30.0, 59.94, 60.0]),
    st.sampled_from([-0.05, 0.0, 0.021, 0.5]),
    st.sampled_from([-0.02, 0.0, 0.03, 1.0]),
)
named = pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda s: type(s).__name__)


@named
@settings(max_examples=40)
@given(info=files, other=files, seed=st.integers(0, 10**6))
def test_what_is_cut_lies_inside_the_file_or_the_file_is_refused(
    sampler: Sampler, info: MediaInfo, other: MediaInfo, seed: int
) -> None:
    both = replace(info, others=(other,))
    if sampler.unfit(info) or sampler.unfit(other):
        if why := sampler.unfit(info):
            assert "leave the file out" in why or "choose" in why
            with pytest.raises(Unfit):
                sampler(both, generator(seed))
        return
    plan = sampler(both, generator(seed))
    assert plan == sampler(both, generator(seed))
    sources = (info, other)
    for span in plan.spans:
        pictures, sounds = (sources[k] for k in span.files)
        for t in span.times:
            assert 0 <= t < pictures.duration
            assert t * pictures.fps % 1 == pytest.approx(0.5, abs=1e-6)
        if span.sound is not None:
            assert span.sound.start >= sounds.sound_start - 1 / 16000
            end = sounds.sound_start + sounds.sound_duration
            assert span.sound.start + span.sound.duration <= end + 1 / 16000 + 1e-9


@named
def test_a_label_says_something_of_the_example_or_of_each_of_its_clips(sampler: Sampler) -> None:
    info = replace(video(), others=(video(200, 30.0),))
    for seed in range(20):
        plan = sampler(info, generator(seed))
        for value in plan.labels.values():
            assert not isinstance(value, tuple) or len(value) == len(plan.spans)


@named
def test_a_frame_more_or_less_decides_whether_a_file_is_refused_and_nothing_is_repeated(sampler: Sampler) -> None:
    fits = [not sampler.unfit(video(n)) for n in range(2, 200)]
    assert fits == sorted(fits)
    assert fits[-1]
    assert not fits[0]
    least = video(2 + fits.index(True))
    if not isinstance(sampler, Frozen):
        for span in sampler(replace(least, others=(least,)), generator(0)).spans:
            assert len(set(span.times)) == len(span.times)


def test_a_refusal_says_how_long_the_file_is_what_is_needed_and_what_to_do() -> None:
    why = RandomClips(frames=16, step=8).unfit(video(75))
    assert why.startswith("3 s long, this sampler needs 4.84 s: choose fewer frames, smaller steps")
    assert "has no sound" in RandomClips(sound=1.0).unfit(replace(video(), channels=0, sample_rate=0))
    assert "has no frames" in RandomClips().unfit(MediaInfo(duration=3.0, sample_rate=8000, channels=1))
    assert "0.4 s of sound" in RandomClips(frames=2, sound=1.0).unfit(video(sound_duration=0.4))
    assert "min_shift 9.0" in AudioOffset(min_shift=9.0).unfit(video())


@pytest.mark.parametrize("sampler", [RandomClips(n=2), UniformClips(n=2)])
def test_a_picture_is_one_frame(sampler: Sampler) -> None:
    assert [s.times for s in sampler(PICTURE, generator(0)).spans] == [(0.0,), (0.0,)]


@pytest.mark.parametrize("sampler", [Pace(), TemporalOrderTriple(), ClipOrder(), AudioOffset()])
def test_time_is_not_asked_of_pictures(sampler: Sampler) -> None:
    assert "leave the file out" in sampler.unfit(PICTURE)


def test_consecutive_clips_are_one_clip_in_parts() -> None:
    starts = set()
    for seed in range(50):
        spans = ConsecutiveClips(n=3, frames=4, step=2, rate=12.5)(video(), generator(seed)).spans
        times = np.array([t for span in spans for t in span.times])
        assert [len(span.times) for span in spans] == [4, 4, 4]
        assert np.diff(times) == pytest.approx([0.16] * 11)  # two steps of a clock of 12.5 Hz
        starts.add(round(times[0] * 25 - 0.5))
    assert min(starts) < 20
    assert max(starts) > 85  # of 150 frames the 12 span 45
    assert "no moving frames" in ConsecutiveClips().unfit(PICTURE)


def test_of_a_file_without_frames_sound_alone_is_cut() -> None:
    info = MediaInfo(duration=3.0, sample_rate=8000, channels=1, sound_duration=3.0)
    starts = []
    for seed in range(200):
        (span,) = RandomClips(sound=1.0)(info, generator(seed)).spans
        assert span.times == ()
        assert span.sound is not None
        starts.append(span.sound.start)
    assert 0 <= min(starts) < 0.1
    assert 1.9 < max(starts) <= 2.0


def test_every_start_is_drawn_equally_often() -> None:
    info = video(20)
    sampler = RandomClips(frames=4, step=2)
    firsts = [round(sampler(info, generator(s)).spans[0].times[0] * 25 - 0.5) for s in range(2800)]
    counts = np.bincount(firsts)
    assert len(counts) == 14  # 20 frames, of which a clip spans 7
    assert ((counts - 200) ** 2 / 200).sum() < 35  # χ² with 13 degrees of freedom: 34.5 at 0.001


@pytest.mark.parametrize("spread", ["near", "uniform"])
def test_the_distance_of_two_clips_has_the_law_that_is_asked_for(spread: str) -> None:
    sampler = RandomClips(n=2, frames=1, spread=spread)  # type: ignore[arg-type]
    info = video(101)
    plans = [sampler(info, generator(s)).spans for s in range(4000)]
    signed = np.array([b.times[0] - a.times[0] for a, b in plans]) * 25
    # of a room of 100 steps: linearly decreasing has the mean 1/3, uniform 1/2; the standard errors are below 0.5
    assert abs(signed).mean() == pytest.approx(100 / 3 if spread == "near" else 50, abs=2)
    assert abs((signed > 0).mean() - (signed < 0).mean()) < 0.06


def test_uniform_clips_reach_from_the_first_frame_to_the_last_and_never_change() -> None:
    sampler = UniformClips(n=3, frames=4)
    plans = [sampler(video(), generator(s)) for s in range(3)]
    assert plans[0] == plans[1] == plans[2]
    first, middle, last = plans[0].spans
    assert first.times[0] == 0.5 / 25
    assert last.times[-1] == 149.5 / 25
    assert middle.times[0] == 73.5 / 25
    (single,) = UniformClips(n=1, frames=4)(video(), generator(0)).spans
    assert single == middle


def test_an_evaluation_drops_no_short_file() -> None:
    short = video(3)
    plan = UniformClips(n=2, frames=5, sound=1.0)(short, generator(0))
    for span in plan.spans:
        assert [round(t * 25 - 0.5) for t in span.times] == [0, 1, 2, 2, 2]
    assert "0.12 s long" in UniformClips(n=2, frames=5, short="reject").unfit(short)


def test_steps_count_on_the_clock_that_is_asked_for() -> None:
    for fps in (10.0, 25.0, 50.0):
        (span,) = RandomClips(frames=5, step=2, rate=10.0)(video(400, fps), generator(1)).spans
        assert np.diff(span.times) == pytest.approx(0.2)
    (span,) = RandomClips(frames=50, rate=25.0)(video(400, 30000 / 1001), generator(1)).spans
    assert abs(np.diff(span.times) - 0.04).max() < 1001 / 30000
    assert span.times[-1] - span.times[0] == pytest.approx(49 / 25, abs=0.5 / 29)


def test_a_curriculum_changes_stage_with_the_epoch_and_a_file_must_fit_all() -> None:
    easy, hard = RandomClips(frames=2), RandomClips(frames=100)
    stages = Stages(((0, easy), (50, hard)))
    assert [stages.at(e) for e in (0, 49, 50, 90)] == [easy, easy, hard, hard]
    assert "stage from epoch 50" in stages.unfit(video(50))
    assert SAMPLERS[13].others == 1
    assert SAMPLERS[13].at(5).others == 0
    with pytest.raises(ValueError, match="0 first"):
        Stages(((1, easy),))


def test_a_frozen_clip_shows_one_instant_that_says_nothing_of_the_label() -> None:
    sampler, sums, counts = Frozen(Pace(frames=8)), np.zeros(4), np.zeros(4)
    for seed in range(2000):
        plan = sampler(video(), generator(seed))
        instants = {t for s in plan.spans for t in s.times}
        assert len(instants) == 1
        assert len(plan.spans[0].times) == 8
        sums[plan.labels["pace"]] += instants.pop()
        counts[plan.labels["pace"]] += 1
    assert sums / counts == pytest.approx(3.0, abs=0.3)  # the standard error is 0.08 s


def test_foreign_sound_is_that_of_another_file_at_a_place_of_its_own() -> None:
    info, other = video(), video(300, 30.0)
    sampler = ForeignSound(AudioOffset(frames=8, sound=0.8, paired=True))
    gaps = []
    for seed in range(1500):
        plan = sampler(replace(info, others=(other,)), generator(seed))
        assert all(s.files == (0, 1) for s in plan.spans)
        true = plan.labels["in_sync"].index(1)
        gaps.append([plan.spans[k].sound.start - 5.0 for k in (true, 1 - true)])
    means = np.mean(gaps, axis=0)
    assert abs(means[0] - means[1]) < 0.4  # in sync or not, the same law; the standard error is 0.1 s
    with pytest.raises(Unfit, match=r"info\.others is empty"):
        sampler(info, generator(0))
    with pytest.raises(ValueError, match="cuts no sound"):
        ForeignSound(RandomClips())(replace(info, others=(other,)), generator(0))


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: RandomClips(frames=0), "frames 0"),
        (lambda: RandomClips(step=0), "step 0"),
        (lambda: RandomClips(rate=0.0), "rate 0.0"),
        (lambda: RandomClips(n=3, spread="uniform"), "n = 2"),
        (lambda: Pace(paces=(1, 1)), "different"),
        (lambda: TemporalOrderTriple(shortest=1.0, longest=1.5), "shortest"),
        (lambda: ConsecutiveClips(n=0), "n 0"),
        (lambda: ClipOrder(clips=1), "2 or more"),
        (lambda: ClipOrder(clips=2, mirrored=True), "single class"),
        (lambda: AudioOffset(shifted=0.8, other=0.3), "at most 1"),
        (lambda: AudioOffset(sound=None), "asks for sound"),
        (lambda: AudioOffset(min_shift=2.0, max_shift=1.0), "max_shift"),
    ],
)
def test_a_knob_that_makes_no_sense_is_refused_at_once(make: type, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        make()
