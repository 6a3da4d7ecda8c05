"""Labels are what the instants say, all of them occur, and nothing else gives them away."""

import math
from collections import Counter
from dataclasses import replace
from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avssl.core import MediaInfo, Plan, Unfit, generator
from avssl.samplers import AudioOffset, ClipOrder, Pace, TemporalOrderTriple, permutation, permutation_index

INFO = MediaInfo(
    duration=6.0, fps=25.0, frames=150, height=4, width=6, sample_rate=16000, channels=1, sound_duration=6.0
)
OTHER = replace(INFO, duration=8.0, fps=30.0, frames=240, sound_duration=8.0)
WITH_OTHER = replace(INFO, others=(OTHER,))


def frames(plan: Plan) -> list[list[int]]:
    return [[round(t * 25 - 0.5) for t in s.times] for s in plan.spans]


def test_permutations_are_numbered_in_lexicographic_order() -> None:
    for n in range(1, 6):
        for index, order in enumerate(permutations(range(n))):
            assert permutation(index, n) == order
            assert permutation_index(order) == index
    with pytest.raises(ValueError, match="0 to 5"):
        permutation(6, 3)
    with pytest.raises(ValueError, match="not a permutation"):
        permutation_index((0, 2))


@given(st.integers(0, 10**6))
def test_pace_is_the_distance_of_the_frames(seed: int) -> None:
    sampler = Pace(frames=8, step=2, paces=(1, 3, 4))
    plan = sampler(INFO, generator(seed))
    (shown,) = frames(plan)
    assert set(np.diff(shown)) == {2 * sampler.paces[plan.labels["pace"]]}


def test_neither_the_place_in_the_file_nor_its_length_tells_the_pace() -> None:
    sampler = Pace(frames=8)
    middles: dict[int, list[float]] = {k: [] for k in range(4)}
    for seed in range(4000):
        plan = sampler(INFO, generator(seed))
        middles[plan.labels["pace"]].append(float(np.mean(plan.spans[0].times)))
    assert min(len(m) for m in middles.values()) > 850
    for m in middles.values():  # uniform over the 122 places of the fastest: standard errors 0.045 and 0.02 s
        assert np.mean(m) == pytest.approx(3.0, abs=0.2)
        assert np.std(m) == pytest.approx(122 / 25 / math.sqrt(12), abs=0.1)
    shortest = 29  # frames that pace 4 needs: with one less the file is refused for pace 1 too
    assert Pace(frames=8).unfit(replace(INFO, frames=shortest - 1, duration=(shortest - 1) / 25))
    assert not Pace(frames=8).unfit(replace(INFO, frames=shortest, duration=shortest / 25))


@given(st.integers(0, 10**6))
def test_in_order_means_that_the_middle_frame_lies_between_the_others(seed: int) -> None:
    sampler = TemporalOrderTriple(shortest=0.2, longest=1.0)
    plan = sampler(INFO, generator(seed))
    ((first,), (middle,), (last,)) = frames(plan)
    low, high = sorted((first, last))
    assert plan.labels["in_order"] == int(low < middle < high)
    assert 10 <= high - low <= 25
    assert min(abs(middle - first), abs(middle - last)) >= 5


def test_outer_frames_and_the_distance_to_the_nearer_one_tell_nothing_of_the_order() -> None:
    sampler = TemporalOrderTriple(shortest=0.2, longest=1.0, positives=0.25)
    rows = []
    for seed in range(6000):
        plan = sampler(INFO, generator(seed))
        ((first,), (middle,), (last,)) = frames(plan)
        nearer = min(abs(middle - first), abs(middle - last))
        rows.append((plan.labels["in_order"], abs(first - last), (first + last) / 2, nearer, first < last))
    table = np.array(rows, float)
    yes, no = table[table[:, 0] == 1], table[table[:, 0] == 0]
    assert len(yes) / len(table) == pytest.approx(0.25, abs=0.03)
    for column in range(1, 5):
        error = math.hypot(yes[:, column].std() / math.sqrt(len(yes)), no[:, column].std() / math.sqrt(len(no)))
        assert abs(yes[:, column].mean() - no[:, column].mean()) < 4 * error
    assert table[:, 4].mean() == pytest.approx(0.5, abs=0.03)


def test_triples_come_from_where_something_moves() -> None:
    lively = replace(INFO, motion=(0.0, 0.0, 1.0))  # the last two of six seconds
    for sampler in (TemporalOrderTriple(shortest=0.2, longest=0.6), ClipOrder(frames=2, gap=1, by_motion=True)):
        starts = [min(t for s in sampler(lively, generator(k)).spans for t in s.times) for k in range(300)]
        assert min(starts) > 2.5
        assert np.mean(starts) > 4.0
        still = replace(INFO, motion=(0.0, 0.0))
        assert min(min(f) for k in range(100) for f in frames(sampler(still, generator(k)))) < 20
    unmoved = TemporalOrderTriple(shortest=0.2, longest=0.6, by_motion=False)
    assert min(min(f) for k in range(100) for f in frames(unmoved(lively, generator(k)))) < 40


@pytest.mark.parametrize("clips", [2, 3, 4])
def test_the_order_of_the_clips_is_the_permutation_of_the_label(clips: int) -> None:
    sampler, seen = ClipOrder(clips=clips, frames=4, gap=3, gap_jitter=2), Counter[int]()
    for seed in range(40 * math.factorial(clips)):
        plan = sampler(INFO, generator(seed))
        shown = frames(plan)
        begins = [f[0] for f in shown]
        assert permutation_index(tuple(int(k) for k in np.argsort(np.argsort(begins)))) == plan.labels["order"]
        ordered = sorted(shown)
        gaps = [b[0] - a[-1] - 1 for a, b in pairwise(ordered)]
        assert all(3 <= g <= 5 for g in gaps)
        seen[plan.labels["order"]] += 1
    assert sorted(seen) == list(range(sampler.classes))
    assert min(seen.values()) > 15


def test_vcop_of_the_paper_needs_sixty_four_frames() -> None:
    for count, fits in ((63, False), (64, True)):
        assert (not ClipOrder().unfit(replace(INFO, frames=count, duration=count / 25))) == fits


def test_mirrored_orders_share_a_class_of_twelve() -> None:
    sampler, classes = ClipOrder(clips=4, frames=1, gap=5, mirrored=True), {}
    for seed in range(1000):
        plan = sampler(INFO, generator(seed))
        order = tuple(int(k) for k in np.argsort(np.argsort([f[0] for f in frames(plan)])))
        classes.setdefault(plan.labels["order"], set()).add(order)
    assert sorted(classes) == list(range(12)) == list(range(sampler.classes))
    assert all(len(orders) == 2 and {o[::-1] for o in orders} == orders for orders in classes.values())


@given(st.integers(0, 10**6), st.booleans())
def test_in_sync_means_that_sound_and_frames_start_together(seed: int, paired: bool) -> None:
    sampler = AudioOffset(frames=8, sound=1.0, min_shift=0.5, max_shift=2.0, shifted=0.3, other=0.3, paired=paired)
    plan = sampler(WITH_OTHER, generator(seed))
    both = [x if isinstance(x, tuple) else (x,) for x in (plan.labels["in_sync"], plan.labels["negative"])]
    for span, in_sync, kind in zip(plan.spans, *both, strict=True):
        shift = span.sound.start - (plan.spans[0].times[0] - 0.5 / 25)
        fps = 30.0 if kind == 2 else 25.0
        assert span.sound.start * fps == pytest.approx(round(span.sound.start * fps), abs=1e-6)
        assert in_sync == int(kind == 0)
        assert span.files == ((0, 1) if kind == 2 else (0, 0))
        assert kind != 0 or abs(shift) < 1e-9
        assert kind != 1 or 0.5 - 1e-9 <= abs(shift) <= 2.0 + 1e-9
    if paired:
        assert sorted(both[0]) == [0, 1]
        assert plan.spans[1].times == ()  # the frames come once


def test_kinds_come_in_the_shares_asked_for_and_pairs_in_either_order() -> None:
    shares = Counter(
        AudioOffset(frames=4, shifted=0.25, other=0.5)(WITH_OTHER, generator(s)).labels["negative"] for s in range(2000)
    )
    assert [shares[k] / 2000 for k in range(3)] == pytest.approx([0.25, 0.25, 0.5], abs=0.05)
    pairs = [AudioOffset(frames=4, paired=True)(INFO, generator(s)).labels["in_sync"][0] for s in range(1000)]
    assert np.mean(pairs) == pytest.approx(0.5, abs=0.07)


@pytest.mark.parametrize("max_shift", [None, 1.5])
def test_places_of_frames_and_sound_have_one_law_in_sync_or_not(max_shift: float | None) -> None:
    sampler = AudioOffset(frames=8, sound=1.0, min_shift=0.8, max_shift=max_shift)
    heard: dict[int, list[tuple[float, float]]] = {0: [], 1: []}
    for seed in range(6000):
        plan = sampler(INFO, generator(seed))
        heard[plan.labels["in_sync"]].append((plan.spans[0].sound.start, plan.spans[0].times[0]))
    false, true = (np.array(heard[k]) for k in (0, 1))
    for quantile in (0.1, 0.25, 0.5, 0.75, 0.9):
        assert np.quantile(false, quantile, axis=0) == pytest.approx(np.quantile(true, quantile, axis=0), abs=0.35)
    assert np.mean(false[:, 0] < false[:, 1]) == pytest.approx(0.5, abs=0.05)  # sound is not always the later


def test_another_files_sound_needs_another_file_that_fits() -> None:
    sampler = AudioOffset(frames=4, shifted=0.0, other=0.5)
    assert sampler.unfit(INFO) == ""
    with pytest.raises(Unfit, match=r"info\.others is empty"):
        sampler(INFO, generator(0))
    with pytest.raises(Unfit, match="of sound"):
        sampler(replace(INFO, others=(replace(OTHER, sound_duration=0.2),)), generator(0))
