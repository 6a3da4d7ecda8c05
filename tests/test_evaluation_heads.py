"""Multi-label scores, support vector machines, attentive probe and kept heads: against scikit-learn and brute force."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from avssl.core import MediaError
from avssl.evaluation import (
    VOC07,
    Answers,
    AttentiveProbe,
    Labelled,
    LinearProbe,
    LinearSVM,
    ManyLabelProbe,
    SGDProbe,
    area_under_curve,
    attentive_probe,
    average_precision,
    class_accuracy,
    confusion,
    d_prime,
    linear_probe,
    linear_svm,
    load_head,
    many_label_probe,
    many_label_svm,
    save_head,
    sgd_probe,
    vote,
)
from avssl.evaluation.hold_out import cross_parts


def blobs(
    seed: int, *, items: int = 60, classes: int = 3, apart: float = 1.5, size: int = 6
) -> tuple[Labelled, Labelled]:
    rng = np.random.default_rng(seed)
    labels = np.arange(2 * items) % classes
    values = (apart * np.eye(classes, size)[labels] + rng.normal(size=(2 * items, size))).astype(np.float32)
    return (
        Labelled(values=values[:items], labels=labels[:items]),
        Labelled(values=values[items:], labels=labels[items:]),
    )


def several(seed: int, *, items: int = 80, classes: int = 4, size: int = 6) -> tuple[Labelled, Labelled]:
    """Items with several labels or none; class 0 is rare."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(2 * items, size))
    bars = np.array([1.2, *[0.0] * (classes - 1)])
    labels = (values[:, :classes] + 0.7 * rng.normal(size=(2 * items, classes)) > bars).astype(np.int64)
    return (
        Labelled(values=values[:items], labels=labels[:items]),
        Labelled(values=values[items:], labels=labels[items:]),
    )


def normalize(values: np.ndarray) -> np.ndarray:
    values = values.astype(float)
    lengths: np.ndarray = np.linalg.norm(values, axis=1, keepdims=True)
    return values / lengths


# --- ranking


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=1, max_size=25))
def test_average_precision_and_area_are_scikit_learns_with_ties(pairs: list[tuple[bool, int]]) -> None:
    truth, scores = np.array([int(t) for t, _ in pairs]), np.array([float(s) for _, s in pairs])
    if not truth.any():
        assert np.isnan(average_precision(truth, scores))
        assert np.isnan(area_under_curve(truth, scores))
        return
    assert average_precision(truth, scores) == pytest.approx(average_precision_score(truth, scores), abs=1e-9)
    if truth.all():
        assert np.isnan(area_under_curve(truth, scores))
    else:
        assert area_under_curve(truth, scores) == pytest.approx(roc_auc_score(truth, scores), abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=1, max_size=25))
def test_the_eleven_points_are_those_of_brute_force(pairs: list[tuple[bool, int]]) -> None:
    truth, scores = [int(t) for t, _ in pairs], [s for _, s in pairs]
    if not any(truth):
        return
    points = []
    for bar in set(scores):
        kept = [t for t, s in pairs if s >= bar]
        points.append((10 * sum(kept), sum(kept) / len(kept)))  # ten times the recall, in whole numbers
    wanted = np.mean([max([p for r, p in points if r >= n * sum(truth)], default=0) for n in range(11)])
    assert average_precision(np.array(truth), np.array(scores), points="11") == pytest.approx(wanted, abs=1e-12)


def test_what_is_not_told_does_not_count() -> None:
    truth, scores = np.array([1, 0, -1, 1, 0, -1]), np.array([5.0, 4, 9, 3, 2, 3])
    told = truth >= 0
    assert average_precision(truth, scores) == average_precision(truth[told], scores[told])
    assert area_under_curve(truth, scores) == area_under_curve(truth[told], scores[told]) == 0.75


def test_d_prime_of_chance_is_zero_and_of_the_figures_of_audioset_as_published() -> None:
    assert d_prime(0.5) == pytest.approx(0)
    assert d_prime(0.959) == pytest.approx(2.452, abs=0.01)  # Hershey et al. 2017, table 2: AUC 0.959, d' 2.452


# --- several labels


@pytest.mark.parametrize("cost", [0.01, 1.0, 100.0])
def test_the_probe_of_several_labels_is_a_logistic_regression_of_each(cost: float) -> None:
    train, test = several(0)
    scaler = StandardScaler().fit(train.values)
    found = many_label_probe(train, test, choice=ManyLabelProbe(costs=(cost,)))
    precisions = []
    for k in range(4):
        model = LogisticRegression(C=cost, max_iter=5000, tol=1e-10).fit(
            scaler.transform(train.values), train.labels[:, k]
        )
        wanted = model.decision_function(scaler.transform(test.values))
        np.testing.assert_allclose(found.scores[:, k], wanted, atol=2e-4 * max(1, np.abs(wanted).max()))
        precisions.append(average_precision_score(test.labels[:, k], wanted))
    assert found.values["mAP"] == pytest.approx(np.mean(precisions), abs=1e-6)
    assert found.chance["mAP"] == pytest.approx(test.labels.mean())


def test_untold_labels_are_as_if_the_item_were_not_there() -> None:
    train, test = several(1)
    labels = train.labels.copy()
    labels[::3, 1] = -1
    choice = ManyLabelProbe(costs=(1.0,))
    hidden = many_label_probe(Labelled(values=train.values, labels=labels), test, choice=choice)
    scaler = StandardScaler().fit(train.values)
    told = labels[:, 1] >= 0
    model = LogisticRegression(max_iter=5000, tol=1e-10)
    model.fit(scaler.transform(train.values)[told], labels[told, 1])
    np.testing.assert_allclose(hidden.scores[:, 1], model.decision_function(scaler.transform(test.values)), atol=1e-3)


@pytest.mark.parametrize("protocol", [many_label_probe, many_label_svm])
def test_a_class_that_cannot_be_learnt_is_named_and_one_that_is_not_tested_is_left_out(
    protocol: Callable[[Labelled, Labelled], object],
) -> None:
    train, test = several(2)
    labels = train.labels.copy()
    labels[:, 2] = 0
    with pytest.raises(ValueError, match=r"classes \[2\]"):
        protocol(Labelled(values=train.values, labels=labels), test)
    absent = test.labels.copy()
    absent[:, 2] = 0
    found = many_label_probe(train, Labelled(values=test.values, labels=absent), choice=ManyLabelProbe(costs=(1.0,)))
    assert found.found["classes absent in the test"] == [2]
    assert found.values["mAP"] == pytest.approx(np.nanmean(found.precisions))
    samples = found.resampled([f"g{n // 2}" for n in range(80)], resamples=20)
    assert len(samples["mAP"]) == 20
    assert samples["mAP"].std() > 0


def test_the_penalty_of_several_labels_is_chosen_without_the_test() -> None:
    train, test = several(3)
    other = Labelled(values=-test.values, labels=test.labels[::-1].copy())
    assert many_label_probe(train, test).head.weight.tolist() == many_label_probe(train, other).head.weight.tolist()


# --- support vector machines


def test_the_machine_is_scikit_learns_one_against_the_rest() -> None:
    train, test = blobs(4)
    found = linear_svm(train, test, choice=LinearSVM(costs=(1.0,)))
    scores = [
        LinearSVC(C=1.0, class_weight={1: 2, 0: 1}, random_state=0, max_iter=2000)
        .fit(normalize(train.values), train.labels == k)
        .decision_function(normalize(test.values))
        for k in range(3)
    ]
    assert found.predictions.tolist() == np.argmax(scores, axis=0).tolist()
    plain = linear_svm(train, test, choice=LinearSVM(costs=(1.0,), unit=False, positive=1.0))
    model = LinearSVC(C=1.0, random_state=0, max_iter=2000).fit(train.values.astype(float), train.labels)
    assert plain.predictions.tolist() == model.predict(test.values.astype(float)).tolist()


def test_several_labels_have_a_cost_for_each_class_and_the_average_precision_of_voc07() -> None:
    train, test = several(5)
    choice = LinearSVM(costs=(1e-4, 1.0))
    found = many_label_svm(train, test, choice=choice)
    assert list(found.values) == ["mAP 11-point", "mean AUC"]
    assert len(found.found["C"]) == 4
    for k, cost in enumerate(found.found["C"]):
        model = LinearSVC(C=cost, class_weight={1: 2, 0: 1}, dual=True, random_state=0, max_iter=2000)
        model.fit(normalize(train.values), train.labels[:, k])
        wanted = model.decision_function(normalize(test.values))
        np.testing.assert_allclose(found.scores[:, k], wanted, atol=1e-6)
        assert found.precisions[k] == pytest.approx(average_precision(test.labels[:, k], wanted, points="11"), abs=1e-6)
    assert found.values["mean AUC"] == pytest.approx(roc_auc_score(test.labels, found.scores), abs=1e-9)


def test_the_costs_of_voc07_are_those_of_the_paper() -> None:
    assert (len(VOC07.costs), VOC07.costs[0], VOC07.costs[-1]) == (26, 1e-7, 100.0)


def test_the_cost_is_chosen_in_whole_groups_and_without_the_test() -> None:
    rng = np.random.default_rng(6)
    labels = np.repeat(np.arange(60) % 2, 2)
    values = np.repeat(rng.normal(size=(60, 100)), 2, axis=0)
    values[:, 0] += 2 * labels - 1.0
    groups = tuple(f"g{n // 2}" for n in range(120))
    train = Labelled(values=values, labels=labels, groups=groups)
    part = cross_parts(train, 3, np.random.default_rng(0))
    assert (part[::2] == part[1::2]).all()
    assert {tuple(np.bincount(labels[part == n])) for n in range(3)} == {(20, 20)}
    choice = LinearSVM(costs=(1e-4, 100.0), unit=False)
    alone = linear_svm(Labelled(values=values, labels=labels), train, choice=choice)
    together = linear_svm(train, train, choice=choice)
    assert (alone.found["C"], together.found["C"]) == (100.0, 1e-4)  # the copy of an item tells its label


def test_windows_vote_by_the_sum_of_their_scores() -> None:
    train, test = blobs(7, items=30)
    item = np.repeat(np.arange(30), 4)
    rng = np.random.default_rng(0)
    windows = Labelled(
        values=test.values[item] + rng.normal(size=(120, 6)).astype(np.float32), labels=test.labels[item]
    )
    order = rng.permutation(120)
    found = linear_svm(train, windows.where(order), choice=LinearSVM(costs=(1.0,)), item=item[order])
    assert found.head is not None
    scores = found.head.scores(windows.values).reshape(30, 4, 3).sum(axis=1)
    assert found.predictions.tolist() == scores.argmax(axis=1).tolist()
    assert found.correct["top-1"].tolist() == (scores.argmax(axis=1) == test.labels).tolist()
    with pytest.raises(ValueError, match="windows of one item have different labels"):
        vote(found.head, windows, np.zeros(120, dtype=int))  # type: ignore[arg-type]


# --- top-k, classes


def test_top_k_counts_the_class_among_the_best() -> None:
    train, test = blobs(8, classes=5, apart=0.5)
    found = linear_probe(train, test, choice=LinearProbe(costs=(1.0,), tops=(1, 2, 5)))
    assert found.head is not None
    best = np.argsort(-found.head.scores(test.values), axis=1)
    for k in (1, 2, 5):
        wanted = [t in row[:k] for t, row in zip(test.labels, best, strict=True)]
        assert found.correct[f"top-{k}"].tolist() == wanted
    assert (found.chance["top-2"], found.chance["top-5"]) == (0.4, 1.0)


def test_accuracy_of_a_class_is_its_share_of_the_diagonal() -> None:
    matrix = confusion(np.array([0, 0, 1, 1, 1, 1]), np.array([0, 2, 1, 1, 1, 0]), classes=3)
    np.testing.assert_equal(class_accuracy(matrix), [0.5, 0.75, np.nan])


def test_training_classes_with_gaps_keep_their_numbers() -> None:
    train, test = blobs(9, classes=3, apart=30.0)
    train = Labelled(values=train.values, labels=np.array([0, 4, 7])[train.labels])
    test = Labelled(values=test.values, labels=np.array([0, 4, 7])[test.labels])
    for protocol in (linear_probe, linear_svm):
        assert protocol(train, test).correct["top-1"].mean() == 1


# --- attentive


def needles(seed: int, items: int = 120) -> Labelled:
    """One of eight tokens, anywhere, tells the class by its direction and is marked; the others shout at random."""
    rng = np.random.default_rng(seed)
    labels = np.arange(items) % 2
    tokens = 3 * rng.normal(size=(items, 8, 4))
    tokens[:, :, 0] = 0
    where = rng.integers(8, size=items)
    tokens[np.arange(items), where] = np.stack([np.full(items, 6.0), 6.0 * labels - 3, *np.zeros((2, items))], axis=1)
    return Labelled(values=tokens.astype(np.float32), labels=labels)


def test_the_attentive_probe_finds_what_the_mean_of_the_tokens_hides() -> None:
    train, test = needles(0), needles(1)
    generator = torch.get_rng_state()
    found = attentive_probe(train, test, choice=AttentiveProbe(epochs=40, lr=1e-2, batch=16))
    assert torch.equal(torch.get_rng_state(), generator)
    means = [Labelled(values=p.values.mean(axis=1), labels=p.labels) for p in (train, test)]
    assert found.correct["top-1"].mean() > 0.95
    assert linear_probe(*means).correct["top-1"].mean() < 0.8
    again = attentive_probe(train, test, choice=AttentiveProbe(epochs=40, lr=1e-2, batch=16))
    assert again.found == found.found
    with pytest.raises(ValueError, match="give tokens"):
        attentive_probe(*means)


def test_protocols_of_vectors_refuse_tokens() -> None:
    with pytest.raises(ValueError, match="one vector an item"):
        linear_probe(needles(0), needles(1))


# --- SGD


def test_the_probe_by_sgd_ends_at_the_regression_with_its_decay() -> None:
    """SGD on the whole set with decay λ and the loss' mean has its minimum at C = 1 / (λ M)."""
    train, test = blobs(12)
    found = sgd_probe(train, test, choice=SGDProbe(rates=(0.3,), decays=(0.01,), epochs=400, unit=False))
    scaler = StandardScaler().fit(train.values)
    model = LogisticRegression(C=1 / (0.01 * 60), max_iter=5000, tol=1e-10)
    model.fit(scaler.transform(train.values), train.labels)
    wanted = model.predict_proba(scaler.transform(test.values))
    assert found.head is not None
    scores = torch.from_numpy(found.head.scores(test.values)).softmax(dim=1).numpy()
    np.testing.assert_allclose(scores, wanted, atol=0.01)  # the bias decays too


def test_the_rate_and_decay_of_sgd_are_chosen_without_the_test() -> None:
    train, test = blobs(13)
    choice = SGDProbe(rates=(1e-4, 1.0), decays=(1e-3,), epochs=10)
    other = Labelled(values=-test.values, labels=test.labels[::-1].copy())
    found = sgd_probe(train, test, choice=choice)
    assert found.found == sgd_probe(train, other, choice=choice).found
    assert found.found["chosen"] == "on 25% of the training items"
    generator = torch.get_rng_state()
    assert sgd_probe(train, test, choice=choice).predictions.tolist() == found.predictions.tolist()
    assert torch.equal(torch.get_rng_state(), generator)


# --- kept heads


def fitted() -> list[tuple[Answers, Labelled]]:
    train, test = blobs(10)
    tokens = needles(0, 40)
    return [
        (linear_probe(train, test), test),
        (linear_svm(train, test, choice=LinearSVM(costs=(1.0,))), test),
        (attentive_probe(tokens, tokens, choice=AttentiveProbe(epochs=2)), tokens),
    ]


def test_a_head_that_was_saved_answers_as_it_did(tmp_path: Path) -> None:
    for n, (answers, test) in enumerate(fitted()):
        assert answers.head is not None
        names = [f"class {k}" for k in range(3)]
        card = answers.head.card.named(names, protocol="p", encoder="abc", about={"clips": 2})
        path = tmp_path / f"{n}.safetensors"
        save_head(answers.head.with_card(card), path)
        again = load_head(path)
        assert again.predict(test.values) == [f"class {k}" for k in answers.predictions]
        assert (again.card.protocol, again.card.encoder, again.card.about) == ("p", "abc", {"clips": 2})
        with pytest.raises(ValueError, match="this head takes"):
            again.scores(test.values[..., :-1])
    assert [p.suffix for p in tmp_path.iterdir()] == [".safetensors"] * 3


def test_a_head_of_several_labels_says_all_that_are_more_likely_than_not(tmp_path: Path) -> None:
    train, test = several(11)
    found = many_label_probe(train, test, choice=ManyLabelProbe(costs=(1.0,)))
    card = found.head.card.named("abcd", protocol="p", encoder="", about={})
    save_head(found.head.with_card(card), tmp_path / "head.safetensors")
    said = load_head(tmp_path / "head.safetensors").predict(test.values)
    assert said == [";".join(c for c, s in zip("abcd", row, strict=True) if s > 0) for row in found.scores]
    assert "" in said


def test_what_is_no_head_is_named(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="is not a file"):
        load_head(tmp_path / "nothing.safetensors")
    (tmp_path / "text.safetensors").write_text("text")
    with pytest.raises(MediaError, match="cannot be read as safetensors"):
        load_head(tmp_path / "text.safetensors")
    save_file({"x": np.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(MediaError, match="holds no probe head"):
        load_head(tmp_path / "other.safetensors")
