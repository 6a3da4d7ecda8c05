"""A clock of its own must not give labels away: frames shown twice, neighbours that share one, uneven gaps."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avssl.core import MediaInfo, Unfit, generator
from avssl.samplers import ClipOrder, Frozen, Pace

RATES = st.sampled_from([6.0, 8.0, 12.5, 16.0, 23.976, 24.0, 25.0, 30000 / 1001, 30.0, 50.0, 60.0])
SEEDS = st.integers(0, 10**6)


def video(fps: float, frames: int = 3000) -> MediaInfo:
    return MediaInfo(duration=frames / fps, fps=fps, frames=frames, height=40, width=60)


def shown(times: tuple[float, ...], fps: float) -> list[int]:
    return [round(t * fps - 0.5) for t in times]


@given(
    RATES,
    st.none() | RATES,
    st.integers(2, 20),
    st.integers(1, 3),
    st.sampled_from([(1, 2), (1, 2, 3, 4), (3, 2), (4, 5)]),
    SEEDS,
)
def test_all_frames_of_a_paced_clip_are_different(
    fps: float, rate: float | None, frames: int, step: int, paces: tuple[int, ...], seed: int
) -> None:
    sampler, info = Pace(frames=frames, step=step, rate=rate, paces=paces), video(fps)
    if sampler.unfit(info):
        assert rate is not None  # on its own clock a file is long enough for all of these
        assert rate > fps * step * min(paces)
        with pytest.raises(Unfit):
            sampler(info, generator(seed))
        return
    for k in range(12):
        (span,) = sampler(info, generator(seed, k)).spans
        assert len(set(shown(span.times, fps))) == frames


def test_a_file_with_too_few_frames_for_the_clock_has_no_pace() -> None:
    sampler = Pace(rate=30.0)
    why = sampler.unfit(video(16.0))
    assert "has 16 Hz, too few for a clock of 30 Hz: pace 1 would show frames twice" in why
    assert "choose a rate of 16 Hz or less or a larger step, or leave the file out" in why
    assert Frozen(sampler).unfit(video(16.0)) == why
    assert not replace(sampler, rate=16.0).unfit(video(16.0))
    assert not replace(sampler, step=2).unfit(video(16.0))
    assert not replace(sampler, paces=(2, 3)).unfit(video(16.0))
    # 29.97 Hz repeats nothing within 16 frames of a clock of 30 Hz, but does within 600
    assert not sampler.unfit(video(30000 / 1001))
    why = replace(sampler, frames=600).unfit(video(30000 / 1001))
    assert "29.97 Hz or less" in why
    assert not replace(sampler, frames=600, rate=29.97).unfit(video(30000 / 1001))


@settings(max_examples=300)
@given(RATES, st.none() | RATES, st.integers(1, 9), st.integers(1, 2), st.integers(0, 2), st.integers(0, 2), SEEDS)
def test_clips_share_no_frame_and_repeat_theirs_alike(
    fps: float, rate: float | None, frames: int, step: int, gap: int, jitter: int, seed: int
) -> None:
    sampler = ClipOrder(clips=4, frames=frames, step=step, rate=rate, gap=gap, gap_jitter=jitter)
    info = video(fps)
    if sampler.unfit(info):
        assert rate is not None
        assert rate > fps * (step + gap)
        with pytest.raises(Unfit):
            sampler(info, generator(seed))
        return
    for k in range(12):
        clips = sorted(shown(s.times, fps) for s in sampler(info, generator(seed, k)).spans)
        assert all(b[0] > a[-1] for a, b in pairwise(clips))
        assert len({tuple(t - c[0] for t in c) for c in clips}) == 1


def test_equal_gaps_are_equal_wherever_they_lie_in_time() -> None:
    # 30 Hz on a clock of 25 Hz: 4.8 frames from clip to clip, which rounded as sums were 5, 5 and 4
    clips = sorted(
        shown(s.times, 30.0) for s in ClipOrder(clips=4, frames=4, gap=0, rate=25.0)(video(30.0), generator(0)).spans
    )
    assert len({b[0] - a[-1] for a, b in pairwise(clips)}) == 1


def test_clips_that_would_share_a_frame_have_no_order() -> None:
    sampler = ClipOrder(clips=4, frames=1, gap=1, rate=30.0)
    why = sampler.unfit(video(6.0))
    assert "has 6 Hz, too few for a clock of 30 Hz: clips 2 steps of the clock apart would share a frame" in why
    assert "choose a rate of 12 Hz or less or a larger gap, or leave the file out" in why
    assert not replace(sampler, rate=12.0).unfit(video(6.0))
    assert not replace(sampler, gap=4).unfit(video(6.0))


def test_frames_repeated_alike_are_no_reason_to_refuse() -> None:
    sampler = ClipOrder(frames=8, gap=8, rate=30.0)
    assert not sampler.unfit(video(16.0))
    repeats = [np.diff(shown(s.times, 16.0)).tolist() for s in sampler(video(16.0), generator(0)).spans]
    assert 0 in repeats[0]
    assert repeats[0] == repeats[1] == repeats[2]
