"""Linear probe, kNN, retrieval, baselines, intervals: against scikit-learn, brute force and chance."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from avssl.evaluation import (
    Answers,
    Labelled,
    LinearProbe,
    NearestNeighbours,
    Retrieval,
    Score,
    across_runs,
    bootstrap,
    confusion,
    frame_difference,
    linear_probe,
    mean_colour,
    mean_log_mel,
    nearest,
    nearest_neighbours,
    read_scores,
    retrieval,
    scores_table,
    write_scores,
)

Protocol = Callable[[Labelled, Labelled], Answers]
PROTOCOLS: list[Protocol] = [linear_probe, nearest_neighbours, retrieval]


def blobs(seed: int, items: int = 60, classes: int = 3, apart: float = 1.0, size: int = 8) -> tuple[Labelled, Labelled]:
    """Train and test parts whose classes lie `apart` (in standard deviations) around centres of their own."""
    rng = np.random.default_rng(seed)
    centres = np.eye(classes, size) * apart
    labels = np.arange(2 * items) % classes
    values = (centres[labels] + rng.normal(size=(2 * items, size))).astype(np.float32)
    return Labelled(values=values[:items], labels=labels[:items]), Labelled(
        values=values[items:], labels=labels[items:]
    )


# --- all protocols


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_separable_features_are_told_apart_always(protocol: Protocol) -> None:
    train, test = blobs(0, apart=60.0)
    assert next(iter(protocol(train, test).correct.values())).mean() == 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_random_features_are_at_chance(protocol: Protocol) -> None:
    train, test = blobs(1, items=400, classes=4, apart=0.0)
    answers = protocol(train, test)
    first = next(iter(answers.correct))
    chance = answers.chance[first]
    assert chance == pytest.approx(0.25)
    assert abs(answers.correct[first].mean() - chance) < 3 * np.sqrt(chance * (1 - chance) / 400)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_one_class_is_refused(protocol: Protocol) -> None:
    part = Labelled(values=np.ones((4, 2), np.float32), labels=np.zeros(4, dtype=int))
    with pytest.raises(ValueError, match="fewer than 2 classes"):
        protocol(part, part)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_one_sample_of_each_class_is_enough(protocol: Protocol) -> None:
    train = Labelled(values=10 * np.eye(3, dtype=np.float32), labels=np.arange(3))
    test = Labelled(values=np.eye(3, dtype=np.float32)[[2, 0, 1]], labels=np.array([2, 0, 1]))
    assert next(iter(protocol(train, test).correct.values())).tolist() == [1, 1, 1]


def test_features_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="1 of 2 features are not finite"):
        Labelled(values=np.array([[0.0], [np.nan]]), labels=np.array([0, 1]))


# --- linear


@pytest.mark.parametrize("cost", [0.01, 1.0])
def test_linear_probe_is_scikit_learns_regression_on_features_standardised_by_train(cost: float) -> None:
    train, test = blobs(2, apart=1.5)
    test = Labelled(values=test.values * 3 + 1, labels=test.labels)  # standardising test by itself would undo this
    scaler = StandardScaler().fit(train.values)
    model = LogisticRegression(C=cost, max_iter=500).fit(scaler.transform(train.values), train.labels)
    ours = linear_probe(train, test, choice=LinearProbe(costs=(cost,))).predictions
    assert ours.tolist() == model.predict(scaler.transform(test.values)).tolist()


def trap(groups: tuple[str, ...] = ()) -> tuple[Labelled, Labelled]:
    """Train wants a weak penalty: a faint feature decides there, a loud noisy one says nothing. In the test the faint
    one is reversed, so that a strong penalty scores better there."""
    rng = np.random.default_rng(3)
    labels = np.arange(200) % 2
    noise = rng.normal(size=(200, 40))
    sign = 2.0 * labels - 1
    faint = sign[:, None] * 0.3 + 0.1 * rng.normal(size=(200, 1))
    train = np.concatenate([faint + 2 * noise[:, :1], noise], axis=1)
    test = np.concatenate([-faint + 2 * noise[:, :1], noise], axis=1)
    part = Labelled(values=train.astype(np.float32), labels=labels, groups=groups)
    return part, Labelled(values=test.astype(np.float32), labels=labels)


@pytest.mark.parametrize("groups", [(), tuple(f"g{n // 4}" for n in range(200))])
def test_the_penalty_is_chosen_on_train_even_where_test_would_choose_another(groups: tuple[str, ...]) -> None:
    train, test = trap(groups)
    costs = (1e-6, 1.0)
    by_test = [linear_probe(train, test, choice=LinearProbe(costs=(c,))).correct["top-1"].mean() for c in costs]
    assert by_test[0] > by_test[1] + 0.2  # the trap is set
    chosen = linear_probe(train, test, choice=LinearProbe(costs=costs))
    assert chosen.found["C"] == 1.0
    assert chosen.correct["top-1"].mean() == by_test[1]


def test_the_choice_of_the_penalty_does_not_depend_on_test_at_all() -> None:
    train, test = blobs(4, apart=1.0)
    other = Labelled(values=-test.values, labels=test.labels[::-1].copy())
    assert linear_probe(train, test).found == linear_probe(train, other).found


def test_groups_are_kept_together_while_the_penalty_is_chosen() -> None:
    """Two copies of each item: a hold-out by items would look up the copy and choose no penalty at all."""
    rng = np.random.default_rng(5)
    labels = np.repeat(np.arange(80) % 2, 2)
    signal = (2.0 * labels - 1)[:, None] * 0.9
    base = np.repeat(rng.normal(size=(80, 200)), 2, axis=0)
    base[:, :1] += signal
    values = base.astype(np.float32)
    choice = LinearProbe(costs=(1e-3, 100.0), draws=4)
    alone = linear_probe(Labelled(values=values, labels=labels), Labelled(values=values, labels=labels), choice=choice)
    together = Labelled(values=values, labels=labels, groups=tuple(f"g{n // 2}" for n in range(160)))
    grouped = linear_probe(together, Labelled(values=values, labels=labels), choice=choice)
    assert "groups" in grouped.found["C chosen"]
    assert (alone.found["C"], grouped.found["C"]) == (100.0, 1e-3)


def test_groups_that_are_the_classes_leave_nothing_to_hold_out() -> None:
    train, test = blobs(6, apart=60.0, classes=2)
    train = Labelled(values=train.values, labels=train.labels, groups=tuple(f"g{k}" for k in train.labels))
    found = linear_probe(train, test)
    assert "too small" in found.found["C chosen"]
    assert found.correct["top-1"].mean() == 1


def test_a_feature_that_is_constant_in_train_changes_nothing() -> None:
    train, test = blobs(7)
    rng = np.random.default_rng(0)
    more = Labelled(values=np.c_[train.values, np.full(60, 5.0)], labels=train.labels)
    noisy = Labelled(values=np.c_[test.values, 5 + 100 * rng.normal(size=60)], labels=test.labels)
    assert linear_probe(more, noisy).predictions.tolist() == linear_probe(train, test).predictions.tolist()


def test_chance_under_imbalance_is_that_of_the_most_frequent_class() -> None:
    rng = np.random.default_rng(8)
    labels = np.array([0] * 90 + [1] * 10)
    part = Labelled(values=rng.normal(size=(100, 3)), labels=labels)
    for protocol in (linear_probe, nearest_neighbours):
        assert protocol(part, part).chance["top-1"] == pytest.approx(0.9)


def test_confusion_is_scikit_learns() -> None:
    rng = np.random.default_rng(9)
    truth, said = rng.integers(0, 4, size=(2, 50))
    assert confusion(truth, said, classes=4).tolist() == confusion_matrix(truth, said, labels=range(4)).tolist()


# --- neighbours


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5), st.booleans())
def test_nearest_is_brute_force_with_ties_to_the_lower_position(seed: int, k: int, centre: bool) -> None:
    rng = np.random.default_rng(seed)
    gallery = rng.integers(-1, 2, size=(9, 3)).astype(np.float32)  # few values: many ties, some rows are zero
    queries = rng.integers(-1, 2, size=(4, 3)).astype(np.float32)
    positions, cosines = nearest(queries, gallery, k=k, centre=centre)
    mean = gallery.mean(axis=0, dtype=float) if centre else np.zeros(3)
    for q, query in enumerate(queries - mean):
        scored = []
        for p, row in enumerate(gallery - mean):
            length = np.sqrt((row**2).sum() * (query**2).sum())
            scored.append((-round(float((row * query).sum() / length), 6) + 0.0 if length > 1e-12 else 0.0, p))
        best = sorted(scored)[:k]
        assert positions[q].tolist() == [p for _, p in best]
        np.testing.assert_allclose(cosines[q], [-s for s, _ in best], atol=2e-6)


def test_nearest_is_scikit_learns_where_nothing_ties_whatever_the_chunk() -> None:
    rng = np.random.default_rng(10)
    gallery, queries = rng.normal(size=(50, 6)), rng.normal(size=(23, 6))
    wanted = NearestNeighbors(n_neighbors=7, metric="cosine").fit(gallery).kneighbors(queries, return_distance=False)
    for chunk in (5, 23, 1000):
        assert nearest(queries, gallery, k=7, chunk=chunk)[0].tolist() == wanted.tolist()


def test_copies_tie_exactly_whatever_their_number() -> None:
    rng = np.random.default_rng(11)
    row = rng.normal(size=(1, 513)).astype(np.float32)
    positions, cosines = nearest(row, np.repeat(row, 37, axis=0), k=37)
    assert positions[0].tolist() == list(range(37))
    assert set(cosines[0]) == {1.0}


def test_a_gallery_smaller_than_k_is_refused() -> None:
    with pytest.raises(ValueError, match="gallery of 3"):
        nearest(np.ones((1, 2)), np.ones((3, 2)), k=4)


def test_the_vote_is_weighted_by_similarity() -> None:
    """Two neighbours of class 1 at cosine 0.6 against one of class 0 at 1: a count says 1, a low temperature says 0."""
    train = Labelled(values=np.array([[1.0, 0.0], [0.6, 0.8], [0.6, 0.8]]), labels=np.array([0, 1, 1]))
    test = Labelled(values=np.array([[1.0, 0.0]]), labels=np.array([0]))
    for temperature, wanted in ((0.07, 0), (100.0, 1)):
        votes = np.exp(np.array([1.0, 0.6]) / temperature) * [1, 2]
        assert wanted == int(np.argmax(votes))
        choice = NearestNeighbours(k=(3,), temperature=temperature)
        assert nearest_neighbours(train, test, choice=choice).predictions.tolist() == [wanted]


def test_equal_votes_go_to_the_lower_class() -> None:
    train = Labelled(values=np.array([[0.6, 0.8], [0.6, -0.8]]), labels=np.array([1, 0]))
    test = Labelled(values=np.array([[1.0, 0.0]]), labels=np.array([0]))
    assert nearest_neighbours(train, test).predictions.tolist() == [0]
    swapped = Labelled(values=train.values[::-1].copy(), labels=train.labels[::-1].copy())
    assert nearest_neighbours(swapped, test).predictions.tolist() == [0]


def test_retrieval_counts_a_hit_among_the_first_k() -> None:
    gallery = np.array([[1.0, 0.0], [0.9, 0.1], [0.5, 0.5], [0.0, 1.0]])
    train = Labelled(values=gallery, labels=np.array([0, 0, 1, 2]))
    test = Labelled(values=np.array([[1.0, 0.0], [1.0, 0.01]]), labels=np.array([1, 0]))
    answers = retrieval(train, test, choice=Retrieval(ranks=(1, 2, 3, 50)))
    assert {m: c.tolist() for m, c in answers.correct.items()} == {"R@1": [0, 1], "R@2": [0, 1], "R@3": [1, 1]}
    assert answers.predictions.tolist() == [0, 0]


def test_chance_of_retrieval_is_what_shuffled_galleries_reach() -> None:
    labels = np.array([0] * 5 + [1] * 2 + [2])
    rng = np.random.default_rng(12)
    test = Labelled(values=rng.normal(size=(4, 5)), labels=np.array([0, 1, 2, 2]))
    hits = np.zeros(2)
    for _ in range(600):
        train = Labelled(values=rng.normal(size=(8, 5)), labels=labels)
        answers = retrieval(train, test, choice=Retrieval(ranks=(1, 3)))
        hits += [answers.correct["R@1"].mean(), answers.correct["R@3"].mean()]
    np.testing.assert_allclose(hits / 600, [answers.chance["R@1"], answers.chance["R@3"]], atol=0.04)


# --- intervals and scores


@settings(max_examples=30, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=60), st.integers(0, 99))
def test_the_interval_covers_the_mean_and_is_repeatable(values: list[bool], seed: int) -> None:
    correct = np.array(values, dtype=float)
    low, high, what = bootstrap(correct, seed=seed, resamples=200)
    assert 0 <= low <= correct.mean() + 1e-12
    assert correct.mean() - 1e-12 <= high <= 1
    assert (low, high, what) == bootstrap(correct, seed=seed, resamples=200)


def test_the_interval_is_that_of_a_proportion_and_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(13)
    inside = 0
    for n in range(200):
        low, high, _ = bootstrap((rng.random(100) < 0.4).astype(float), seed=n, resamples=300)
        inside += low <= 0.4 <= high
    assert 0.88 <= inside / 200 <= 1


def test_groups_widen_the_interval_when_their_items_agree() -> None:
    correct = np.repeat(np.arange(20) % 2, 10).astype(float)
    groups = [f"g{n // 10}" for n in range(200)]
    low, high, what = bootstrap(correct)
    wide_low, wide_high, wide = bootstrap(correct, groups=groups)
    assert (what, wide) == ("95 %, bootstrap over test items", "95 %, bootstrap over test groups")
    assert wide_high - wide_low > 2 * (high - low)


def a_score(value: float = 0.5, *, encoder: str = "pretrained", seed: int = 0, protocol: str = "linear probe") -> Score:
    return Score(
        encoder=encoder,
        protocol=protocol,
        metric="top-1",
        label="label",
        value=value,
        low=value - 0.1,
        high=value + 0.1,
        interval="bootstrap",
        n_train=10,
        n_test=5,
        chance=0.125,
        seed=seed,
        settings={"C": [0.1, 1.0], "view": {"frames": 16}},
        found={"C": 0.1},
    )


def test_scores_go_through_json(tmp_path: Path) -> None:
    scores = [a_score(), a_score(0.25, encoder="mean colour")]
    write_scores(scores, tmp_path / "scores.json", command="c", data="d", hardware="h")
    assert read_scores(tmp_path / "scores.json") == scores
    content = json.loads((tmp_path / "scores.json").read_text())
    assert set(content) == {"command", "data", "hardware", "scores"}


def test_scores_of_another_shape_are_refused() -> None:
    for wrong in ({"metrics": 1}, {}):
        values = a_score().to_json() | wrong
        if not wrong:
            del values["chance"]
        with pytest.raises(ValueError, match="missing or unknown"):
            Score.from_json(values)


def test_a_score_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="value of 'pretrained'"):
        a_score(float("nan"))


def test_runs_merge_to_mean_and_deviation() -> None:
    merged = across_runs([[a_score(0.4), a_score(0.1, encoder="x")], [a_score(0.6, seed=1), a_score(0.1, encoder="x")]])
    assert [(s.encoder, s.value) for s in merged] == [("pretrained", 0.5), ("x", 0.1)]
    assert merged[0].high - merged[0].value == pytest.approx(np.std([0.4, 0.6], ddof=1))
    assert merged[0].found["seeds"] == [0, 1]


def test_the_table_shows_every_encoder_and_chance() -> None:
    scores = [
        a_score(0.654),
        a_score(0.4, encoder="random init", seed=0),
        a_score(0.6, encoder="random init", seed=1),
        a_score(0.31, encoder="mean log-mel", protocol="linear probe on sound"),
    ]
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(scores_table(scores))
    text = console.export_text()
    for wanted in ("65.4", "50.0", "±14.1", "mean log-mel", "31.0", "chance", "12.5", "label on sound"):
        assert wanted in text


def test_the_table_fits_a_terminal_of_80_columns() -> None:
    columns = [("linear probe", "top-1"), ("kNN", "top-1"), *(("retrieval", f"R@{k}") for k in (1, 5, 10))]
    scores = [
        replace(a_score(1.0, encoder="frame difference", protocol=p), metric=m, label="appearance") for p, m in columns
    ]
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(scores_table(scores))
    text = console.export_text()
    assert "…" not in text
    assert text.count("100.0") == 5
    assert text.count("retrieval") == 1
    for wanted in ("linear", "R@1", "R@5", "R@10", "frame difference", "appearance"):
        assert wanted in text


# --- baselines


def test_mean_colour_is_mean_and_deviation_of_each_channel() -> None:
    video = torch.zeros(2, 4, 3, 8, 8, dtype=torch.uint8)
    video[0, :, 0] = 255
    video[1, ::2, 2] = 255
    wanted = torch.tensor([[1.0, 0, 0, 0, 0, 0], [0, 0, 0.5, 0, 0, 0.5]])
    torch.testing.assert_close(mean_colour(video), wanted)
    torch.testing.assert_close(mean_colour(video.float() / 255), wanted)


def test_frame_difference_says_where_something_changes_and_nothing_of_what_stands_still() -> None:
    rng = torch.Generator().manual_seed(0)
    video = torch.rand(1, 1, 3, 16, 16, generator=rng).repeat(1, 5, 1, 1, 1)
    assert frame_difference(video).abs().sum() == 0
    video[:, 1::2, :, 4:8, 8:12] = 0
    video[:, ::2, :, 4:8, 8:12] = 1
    wanted = torch.zeros(16)
    wanted[1 * 4 + 2] = 1
    torch.testing.assert_close(frame_difference(video)[0], wanted)
    assert frame_difference(video[:, :1]).tolist() == [[0.0] * 16]


def test_mean_log_mel_finds_the_pitch_and_is_finite_in_silence() -> None:
    features = mean_log_mel(16000, mels=32)
    time = torch.arange(16000) / 16000
    tones = torch.stack([torch.sin(2 * torch.pi * f * time) for f in (300.0, 1000.0, 4000.0)]).unsqueeze(1)
    found = features(tones)
    assert found.shape == (3, 64)
    peaks = found[:, :32].argmax(dim=1).tolist()
    assert peaks == sorted(set(peaks))
    assert torch.isfinite(features(torch.zeros(1, 2, 100))).all()
