from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from runpy import run_path
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr, t, ttest_ind

from avssl.report import Comparison, compare, read_pairs, write_comparison
from avssl.report.compare_figures import affinities, epoch_curves, label_curves
from avssl.report.compare_statistics import Answered, Sample, correlation, difference, estimate
from avssl.report.compare_table import Cell, Column, pairing
from avssl.report.compare_words import as_csv, as_latex, as_markdown, tables

VIEW = {"frames": 16, "step": 2, "size": 56, "sound": None, "sample_rate": 16000}
ODD = '<script>alert("1")</script> & |x| $y_1$'


def score(encoder: str, value: float, half: float | None = 0.05, **more: Any) -> dict[str, Any]:
    ends = {} if half is None else {"low": value - half, "high": value + half}
    return {
        "encoder": encoder, "protocol": "linear probe", "metric": "top-1", "label": "motion", "value": value, **ends,
        "interval": "95 %, bootstrap over test items", "n_train": 600, "n_test": 200, "chance": 0.125, "seed": 0,
        "settings": {"clips": 4, "view": VIEW, "modality": "video"}, "found": {},
    } | more  # fmt: skip


def run(
    root: Path,
    name: str,
    scores: Sequence[dict[str, Any]],
    *,
    recipe: str = "pace.py",
    seed: int = 0,
    data: str = "/d/a.csv",
    probes: Sequence[tuple[int, str, float]] = (),
    train: dict[str, Any] | None = None,
    **config: Any,
) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    told = {
        "frames": 16, "encoder": "VideoNet.tiny", "data": {"root": "/d/a.csv", "workers": seed},
        "train": {"epochs": 10, "batch_size": 32, "seed": seed, "out": str(folder)} | (train or {}),
        "run": {"recipe": recipe, "command": f"python recipes/{recipe} --train.out {name}", "started": str(seed)},
    } | config  # fmt: skip
    (folder / "config.json").write_text(json.dumps(told))
    lines = [{"kind": "probe", "step": 10 * e, "epoch": e, "name": n, "value": v} for e, n, v in probes]
    (folder / "metrics.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    if scores:
        about = {"command": "python tools/evaluate.py x", "data": data, "hardware": "2 CPU cores"}
        (folder / "scores.json").write_text(json.dumps(about | {"scores": list(scores)}))
    return folder


def seeds(root: Path, name: str, values: Sequence[float], floors: Sequence[float] = (), **more: Any) -> list[Path]:
    """One run for each value, beside random inits of the same seeds."""
    return [
        run(
            root,
            f"{name}-{i}",
            [score("pretrained", v, seed=i)] + ([score("random init", floors[i], seed=i)] if floors else []),
            recipe=f"{name}.py",
            seed=i,
            **more,
        )
        for i, v in enumerate(values)
    ]


def only(comparison: Comparison, name: str) -> Cell:
    (column,) = comparison.columns
    return cell(comparison, name, column)


def cell(comparison: Comparison, name: str, column: Column) -> Cell:
    (row,) = [r for r in comparison.rows if r.name == name]
    return comparison.cell(row, column)


def names(comparison: Comparison, kind: str) -> list[str]:
    return [r.name for r in comparison.rows if r.kind == kind]


# Who is a seed of whom


def test_runs_of_one_configuration_are_seeds_of_one_method(tmp_path: Path) -> None:
    found = compare(seeds(tmp_path, "pace", [0.5, 0.6, 0.7]))
    assert names(found, "method") == ["pace"]
    (row,) = found.rows
    assert row.seeds == ("0", "1", "2")
    assert (row.epochs, row.encoder, row.data) == ("10", "VideoNet.tiny", "d/a.csv")


def test_other_configurations_are_other_methods_and_say_in_what(tmp_path: Path) -> None:
    a = seeds(tmp_path, "pace", [0.5, 0.6])
    b = run(tmp_path, "long", [score("pretrained", 0.7)], train={"epochs": 20}, size=112)
    found = compare([*a, b])
    assert names(found, "method") == ["pace · epochs 10, size off", "pace · epochs 20, size 112"]
    assert [len(r.runs) for r in found.rows] == [2, 1]


def test_methods_on_other_data_are_named_by_the_data(tmp_path: Path) -> None:
    toybox = {"root": None, "toybox": {"motions": ["grow"], "drifting": True}}
    folders = [
        run(tmp_path, "a", [score("pretrained", 0.5)], data="/d/a.csv"),
        run(tmp_path, "b", [score("pretrained", 0.5)], data="/d/a.csv", train={"epochs": 20}),
        run(tmp_path, "t", [score("pretrained", 0.5)]),
    ]
    told = json.loads((folders[2] / "config.json").read_text()) | {"data": toybox}
    (folders[2] / "config.json").write_text(json.dumps(told))
    assert names(compare(folders), "method") == [
        "pace on d/a.csv · epochs 10",
        "pace on d/a.csv · epochs 20",
        "pace on toybox",
    ]


def test_a_setting_that_is_off_is_one_that_an_older_version_did_not_know(tmp_path: Path) -> None:
    old = run(tmp_path, "old", [score("pretrained", 0.5)])
    new = run(tmp_path, "new", [score("pretrained", 0.6)], seed=1, train={"nesterov": False, "init": None})
    assert names(compare([old, new]), "method") == ["pace"]


def test_two_runs_of_one_seed_count_as_one(tmp_path: Path) -> None:
    folders = [run(tmp_path, n, [score("pretrained", v)], seed=s) for n, v, s in
               (("a", 0.5, 0), ("b", 0.7, 0), ("c", 0.8, 1))]  # fmt: skip
    found = compare(folders)
    told = only(found, "pace").estimate
    assert told is not None
    assert (told.n, told.value) == (2, pytest.approx(0.7))
    assert "a, b are of one seed (0)" in " ".join(found.notes)


# Intervals


def test_one_seed_keeps_its_interval_over_test_items(tmp_path: Path) -> None:
    told = only(compare(seeds(tmp_path, "pace", [0.5])), "pace").estimate
    assert told is not None
    assert (told.low, told.high, told.sd) == (pytest.approx(0.45), pytest.approx(0.55), None)
    assert told.how == "95 %, bootstrap over test items"


def test_several_seeds_by_hand() -> None:
    told = estimate([Sample(value=v, below=0.05, above=0.03, how="items") for v in (0.5, 0.6, 0.7)])
    half = 4.302652729911275 * 0.1 / math.sqrt(3)
    assert (told.value, told.sd) == (pytest.approx(0.6), pytest.approx(0.1))
    assert told.low == pytest.approx(0.6 - math.sqrt(half**2 + 0.05**2))
    assert told.high == pytest.approx(0.6 + math.sqrt(half**2 + 0.03**2))
    assert told.how == "seeds (Student's t) and items"


def test_without_intervals_over_items_only_the_seeds_speak() -> None:
    assert estimate([Sample(value=0.5)]).low is None
    told = estimate([Sample(value=0.4), Sample(value=0.6, below=0.1, above=0.1)])
    assert told.high == pytest.approx(0.5 + float(t.ppf(0.975, 1)) * math.sqrt(0.02) / math.sqrt(2))
    assert told.how == "seeds (Student's t)"


def test_draws_within_a_seed_widen_the_interval(tmp_path: Path) -> None:
    draws = [score("pretrained", v, seed=i) for i, v in enumerate((0.5, 0.6, 0.7))]
    half = 4.302652729911275 * 0.1 / math.sqrt(3)
    one = only(compare([run(tmp_path, "a", draws)]), "pace").estimate
    assert one is not None
    assert (one.n, one.value, one.sd) == (1, pytest.approx(0.6), None)
    assert one.low == pytest.approx(0.6 - math.hypot(half, 0.05))
    two = only(compare([tmp_path / "a", run(tmp_path, "b", draws, seed=1)]), "pace").estimate
    assert two is not None
    assert (two.n, two.low) == (2, pytest.approx(0.6 - math.hypot(half, 0.05)))  # seeds of the same draws add none


def test_naive_features_have_no_seeds(tmp_path: Path) -> None:
    folders = [run(tmp_path, f"r{i}", [score("pretrained", 0.5), score("mean colour", v, seed=i)], seed=i) for i, v in
               enumerate((0.3, 0.4))]  # fmt: skip
    told = only(compare(folders), "mean colour").estimate
    assert told is not None
    assert (told.n, told.value, told.low) == (1, pytest.approx(0.35), pytest.approx(0.30))


def test_draws_of_few_labels_count_for_naive_features_too(tmp_path: Path) -> None:
    draws = [score("mean colour", v, seed=i) for i, v in enumerate((0.5, 0.6, 0.7))]
    folders = [run(tmp_path, f"r{i}", [score("pretrained", 0.5), *draws], seed=i) for i in range(2)]
    told = only(compare(folders), "mean colour").estimate
    assert told is not None
    assert told.low == pytest.approx(0.6 - math.hypot(4.302652729911275 * 0.1 / math.sqrt(3), 0.05))


def test_the_gain_over_random_init_is_taken_seed_by_seed(tmp_path: Path) -> None:
    folders = seeds(tmp_path, "pace", [0.5, 0.6, 0.7], [0.1, 0.2, 0.3])  # a constant gain: no spread over seeds
    gain = only(compare(folders), "pace").gain
    assert gain is not None
    assert gain.value == pytest.approx(0.4)
    assert gain.low == pytest.approx(0.4 - math.hypot(0.05, 0.05))
    assert gain.apart_from_zero is True


def test_a_difference_of_means_is_welchs() -> None:
    a, b = [0.50, 0.60, 0.70, 0.62], [0.3, 0.45, 0.41]
    told = difference([Sample(value=v) for v in a], [Sample(value=v) for v in b])
    wanted = ttest_ind(a, b, equal_var=False).confidence_interval()
    assert (told.low, told.high) == (pytest.approx(wanted.low), pytest.approx(wanted.high))
    assert told.value == pytest.approx(np.mean(a) - np.mean(b))


def test_one_seed_is_lent_the_deviation_of_the_other_side() -> None:
    told = difference([Sample(value=0.5), Sample(value=0.7)], [Sample(value=0.4)])
    half = float(t.ppf(0.975, 1)) * math.sqrt(0.02 * (1 / 2 + 1))
    assert told.high == pytest.approx(0.2 + half)
    assert difference([Sample(value=0.5)], [Sample(value=0.4)]).apart_from_zero is None


def test_the_same_test_items_make_a_narrower_difference() -> None:
    rng = np.random.default_rng(0)
    first = (rng.random(400) < 0.5).astype(float)
    second = first.copy()
    second[:20] = 1 - second[:20]

    def sample(right: np.ndarray, test: str, groups: np.ndarray | None = None) -> Sample:
        answered = Answered(right=right, groups=groups, test=test)
        return Sample(value=float(right.mean()), below=0.05, above=0.05, answered=answered)

    same = difference([sample(second, "a")], [sample(first, "a")])
    other = difference([sample(second, "a")], [sample(first, "b")])
    assert same.low is not None
    assert other.low is not None
    gap = second - first
    assert same.value - same.low == pytest.approx(1.96 * gap.std() / 20, rel=0.1)
    assert other.value - other.low == pytest.approx(math.hypot(0.05, 0.05))
    assert "same test items" in same.how
    groups = np.arange(400) // 20  # what differs is one group: it is there 0, 1, 2 … times, or not at all
    wide = difference([sample(second, "a", groups)], [sample(first, "a", groups)])
    assert wide.low is not None
    assert wide.value - wide.low != pytest.approx(same.value - same.low, rel=0.3)


def test_answers_are_read_and_make_pairs(tmp_path: Path) -> None:
    def told(right: np.ndarray, test: str = "t") -> dict[str, Any]:
        bits = np.packbits(right.astype(np.uint8)).tobytes().hex()
        return {"answers": {"right": bits, "groups": None, "test": test}}

    right = np.arange(200) % 2
    worse = right * (np.arange(200) > 19)
    a = run(tmp_path, "a", [score("pretrained", 0.5, found=told(right))], recipe="a.py")
    b = run(tmp_path, "b", [score("pretrained", 0.45, found=told(worse))], recipe="b.py")
    found = compare([a, b])
    gap = only(found, "b").gap
    assert gap is not None
    assert gap.how == "the same test items"
    assert not only(found, "b").tied
    assert pairing(found).startswith("Differences resample the same")
    c = run(tmp_path, "c", [score("pretrained", 0.45, found={"answers": {"right": "ff", "test": "t"}})], recipe="c.py")
    found = compare([a, c])
    assert only(found, "c").tied  # unpaired intervals overlap
    assert "answers of pretrained" in " ".join(found.problems)


def test_scores_keep_which_test_items_were_right(tmp_path: Path) -> None:
    from avssl.evaluation.answers import Answers, to_scores

    truth, groups = np.arange(200) % 4, [f"g{i // 10}" for i in range(200)]
    folders = []
    for name, wrong in (("a", 0), ("b", 30)):
        right = (np.arange(200) >= wrong).astype(float)
        answers = Answers(
            predictions=truth, correct={"top-1": right, "rank": right * 0.5}, chance={"top-1": 0.25, "rank": 0.0}
        )
        scores = to_scores(
            answers, encoder="pretrained", protocol="kNN", label="x", n_train=9, truth=truth, groups=groups
        )
        assert [set(s.found) >= {"answers"} for s in scores] == [True, False]
        folders.append(run(tmp_path, name, [s.to_json() for s in scores], recipe=f"{name}.py"))
    found = compare(folders)
    (column, _) = found.columns
    a, b = (next(r for r in found.rows if r.name == n).samples[column.key][0].answered for n in ("a", "b"))
    assert a is not None
    assert b is not None
    assert a.right.mean() == 1
    assert b.right.sum() == 170
    assert b.groups is not None
    assert len(set(b.groups.tolist())) == 20
    gap = cell(found, "b", column).gap
    assert gap is not None
    assert (gap.how, gap.value) == ("the same test items", pytest.approx(-0.15))
    half = 1.96 * np.std([-1.0] * 3 + [0.0] * 17) / math.sqrt(20)  # groups, not items, are what is drawn
    assert gap.low == pytest.approx(-0.15 - half, abs=0.04)


def test_the_best_is_marked_and_what_cannot_be_told_from_it(tmp_path: Path) -> None:
    folders = seeds(tmp_path, "high", [0.80, 0.81, 0.82]) + seeds(tmp_path, "near", [0.78, 0.80, 0.81])
    folders += seeds(tmp_path, "low", [0.30, 0.31, 0.32])
    found = compare(folders)
    assert [(only(found, n).best, only(found, n).tied) for n in ("high", "near", "low")] == [
        (True, False), (False, True), (False, False)]  # fmt: skip


def test_a_smaller_error_is_better(tmp_path: Path) -> None:
    folders = [run(tmp_path, n, [score("pretrained", v, metric="mean error")], recipe=f"{n}.py") for n, v in
               (("a", 0.9), ("b", 0.2))]  # fmt: skip
    assert only(compare(folders), "b").best


# Floors, ceiling


def test_floors_stand_in_rows_of_their_own(tmp_path: Path) -> None:
    more = [score("mean colour", 0.60), score("random init", 0.2)]
    a = run(tmp_path, "a", [score("pretrained", 0.5), *more])
    b = run(tmp_path, "b", [score("pretrained", 0.7), *more], recipe="vcop.py")
    sup = run(
        tmp_path, "s", [score("pretrained", 0.9), score("random init", 0.3, seed=1)], recipe="supervised.py", seed=1
    )
    found = compare([a, b, sup])
    assert [(r.kind, r.name) for r in found.rows] == [
        ("method", "pace"), ("method", "vcop"), ("supervised", "supervised"),
        ("random", "random init, VideoNet.tiny"), ("naive", "mean colour"),
    ]  # fmt: skip
    random = only(found, "random init, VideoNet.tiny").estimate
    assert random is not None
    assert (random.n, random.value) == (2, pytest.approx(0.25))  # that of a and of b is one and the same
    assert only(found, "pace").below == ("mean colour",)
    assert only(found, "vcop").below == ()
    assert not only(found, "supervised").best
    assert not [n for n in found.notes if "supervised" in n]


def test_no_supervised_training_at_equal_schedule_is_said(tmp_path: Path) -> None:
    a = run(tmp_path, "a", [score("pretrained", 0.5)], train={"epochs": 40})
    sup = run(tmp_path, "s", [score("pretrained", 0.9)], recipe="supervised.py")
    (note,) = compare([a, sup]).notes
    assert "at another schedule only" in note
    assert note.endswith("tools/supervised.py --data.root /d/a.csv --train.epochs 40 --train.batch-size 32 --frames 16")


def test_random_init_of_other_runs_stands_in_and_is_said(tmp_path: Path) -> None:
    folders = seeds(tmp_path, "a", [0.5]) + seeds(tmp_path, "b", [0.6], [0.2])
    found = only(compare(folders), "a")
    assert found.gain is not None
    assert found.gain.value == pytest.approx(0.3)
    assert found.note == "random init is that of other runs"


def test_random_init_of_another_network_is_no_floor(tmp_path: Path) -> None:
    other = seeds(tmp_path, "b", [0.6], [0.7], encoder="VideoNet.tiny")
    found = compare([*seeds(tmp_path, "a", [0.5], encoder="VideoNet.tiny_fc"), *other])
    assert only(found, "a").gain is None
    assert only(found, "a").note == "no random init beside it"
    assert only(found, "a").below == ()
    assert only(found, "b").below == ("random init, VideoNet.tiny",)


# Guards


@pytest.mark.parametrize(
    ("more", "data", "told"),
    [
        ({"settings": {"clips": 4, "view": VIEW | {"frames": 8}}}, "/d/a.csv", "frames 8"),
        ({"settings": {"clips": 9, "view": VIEW}}, "/d/a.csv", "clips 9"),
        ({"settings": {"clips": 4, "view": VIEW, "split": {"folds": "fold"}}}, "/d/a.csv", "split.folds fold"),
        ({"n_test": 199}, "/d/a.csv", "test items 199"),
        ({"n_train": 300}, "/d/a.csv", "training items 300"),
        ({"chance": 0.3}, "/d/a.csv", "chance 0.3"),
        ({"found": {"fold 1": {"top-1": 0.5}, "fold 2": {"top-1": 0.6}}}, "/d/a.csv", "folds"),
        ({}, "/d/b.csv", "d/b.csv"),
    ],
)
def test_what_was_measured_otherwise_has_a_column_of_its_own(
    tmp_path: Path, more: dict[str, Any], data: str, told: str
) -> None:
    usual = {"settings": {"clips": 4, "view": VIEW}}
    a = run(tmp_path, "a", [score("pretrained", 0.5, **usual)], recipe="a.py")
    b = run(tmp_path, "b", [score("pretrained", 0.6, **(usual | more))], recipe="b.py", data=data)
    found = compare([a, b])
    first, second = found.columns
    assert told in f"{second.data} {second.differs}"
    assert cell(found, "a", second).estimate is None
    assert cell(found, "b", first).estimate is None
    reason = cell(found, "a", second).reason
    assert ("measured otherwise" in reason and "(here " in reason) or "--data /d/b.csv" in reason


def test_what_a_protocol_is_not_given_does_not_part_columns(tmp_path: Path) -> None:
    views = [VIEW, VIEW | {"sound": 1.5, "sample_rate": 8000}]
    seen = [{"view": v, "damaged": i} for i, v in enumerate(views)]
    folders = [run(tmp_path, f"r{i}", [score("pretrained", 0.5, settings=s)], seed=i) for i, s in enumerate(seen)]
    assert len(compare(folders).columns) == 1
    scores = [score("pretrained", 0.5, protocol="kNN on sound", settings={"view": v}) for v in views]
    assert len(compare([run(tmp_path, f"s{i}", [s], seed=i) for i, s in enumerate(scores)]).columns) == 2


def test_folders_inside_a_run_are_read(tmp_path: Path) -> None:
    folder = run(tmp_path, "a", [score("pretrained", 0.5)])
    inner = run(tmp_path, "a/esc10", [score("pretrained", 0.7)], data="/d/esc.csv")
    (inner / "config.json").unlink()
    found = compare([folder])
    assert [c.data for c in found.columns] == ["d/a.csv", "d/esc.csv"]
    assert names(found, "method") == ["pace"]
    run(tmp_path, "a/again", [score("pretrained", 0.9)])
    found = compare([folder])
    assert len(found.columns) == 2
    assert "1 scores that stand elsewhere" in " ".join(found.problems)


def test_a_run_without_scores_is_named_with_the_command(tmp_path: Path) -> None:
    a = run(tmp_path, "a", [score("pretrained", 0.5)])
    started = run(tmp_path, "b", [], recipe="vcop.py")
    done = run(tmp_path, "c c", [], recipe="avts.py")
    (done / "encoder.safetensors").write_bytes(b"\0" * 4)
    found = compare([a, started, done])
    assert found.without == (
        ("b", "python recipes/vcop.py --train.out b --train.resume"),
        ("c c", f"python tools/evaluate.py '{done}'"),
    )
    assert only(found, "vcop").estimate is None
    assert "--train.resume" in only(found, "vcop").reason
    assert "header could not be read" in " ".join(found.problems)
    with pytest.raises(ValueError, match=r"has scores; make them by:\n.*\n  python tools/evaluate.py"):
        compare([started, done])
    with pytest.raises(ValueError, match="no run to compare"):
        compare([])
    with pytest.raises(NotADirectoryError, match="nowhere"):
        compare([tmp_path / "nowhere"])


def test_a_damaged_score_is_told_and_ends_nothing(tmp_path: Path) -> None:
    bad = score("pretrained", 0.5) | {"value": math.nan}
    found = compare([run(tmp_path, "a", [bad, score("pretrained", 0.4, protocol="kNN"), {"no": 1}])])
    assert [c.protocol for c in found.columns] == ["kNN"]
    assert "not finite" in " ".join(found.problems)
    broken = run(tmp_path, "b", [score("pretrained", 0.4)], seed=1)
    (broken / "scores.json").write_text('{"scores": [')
    assert "scores.json: could not be read" in " ".join(compare([tmp_path / "a", broken]).problems)


def test_parameters_come_from_the_header_of_the_weights(tmp_path: Path) -> None:
    folder = run(tmp_path, "a", [score("pretrained", 0.5)])
    header = json.dumps({
        "__metadata__": {"format": "pt"},
        "conv.weight": {"dtype": "F32", "shape": [8, 3, 3], "data_offsets": [0, 288]},
        "bn.running_mean": {"dtype": "F32", "shape": [8], "data_offsets": [288, 320]},
    }).encode()  # fmt: skip
    (folder / "encoder.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 320)
    assert compare([folder]).rows[0].parameters == "72"


# Figures


def fractions(value: float, encoder: str = "pretrained") -> list[dict[str, Any]]:
    return [
        score(encoder, value + s, protocol=f"linear probe, {100 * s:g} % of labels", n_train=round(600 * s) + i, seed=i)
        for s in (0.01, 0.1, 1.0)
        for i in range(1 if s == 1 else 3)
    ]


def test_a_curve_over_the_share_of_labels(tmp_path: Path) -> None:
    scores = fractions(0.0) + fractions(-0.01, "random init")
    found = compare([run(tmp_path, "a", scores), run(tmp_path, "s", fractions(0.005), recipe="supervised.py")])
    assert [c.n_train for c in found.columns] == ["6–8", "60–62", "600"]
    (curve,) = label_curves(found)
    assert curve.log
    assert list(curve.lines) == ["pace", "supervised", "random init, VideoNet.tiny"]
    assert [(x, pytest.approx(y)) for x, y, *_ in curve.lines["pace"]] == [(1, 0.01), (10, 0.1), (100, 1.0)]


def test_the_share_of_labels_is_told_by_settings_or_name(tmp_path: Path) -> None:
    scores = [
        score("pretrained", 0.5, protocol="fine-tune vcop, 0.1 of the labels, head", settings={"share of labels": 0.1}),
        score("pretrained", 0.7, protocol="fine-tune vcop, head", settings={"share of labels": 1.0}),
        score("pretrained", 0.3, protocol="linear probe, 0.5 % of labels on sound"),
        score("pretrained", 0.4, protocol="linear probe, 20 % of labels on sound"),
        score("pretrained", 0.4, protocol="kNN on sound"),
    ]
    found = compare([run(tmp_path, "a", scores)])
    assert [c.share for c in found.columns] == [0.1, 1.0, 0.005, 0.2, None]
    assert [[x for x, *_ in c.lines["pace"]] for c in label_curves(found)] == [[10, 100], [0.5, 20]]


def test_a_curve_over_epochs(tmp_path: Path) -> None:
    name = "motion linear-probe"
    folders = [
        run(
            tmp_path,
            f"r{s}",
            [score("pretrained", 0.5)],
            seed=s,
            probes=[(0, name, 0.2), (5, name, 0.4 + 0.2 * s), (5, "held-out loss", 9.0)],
        )
        for s in range(2)
    ]
    (curve,) = epoch_curves(compare(folders))
    assert curve.title == "motion linear-probe"
    (_, first, low, high), (epoch, last, *_) = curve.lines["pace"]
    assert (first, low, high, epoch, last) == (
        pytest.approx(0.2),
        pytest.approx(0.2),
        pytest.approx(0.2),
        5,
        pytest.approx(0.5),
    )


def test_affinity_of_pretext_and_downstream(tmp_path: Path) -> None:
    name = "held-out accuracy"
    folders = [
        run(tmp_path, n, [score("pretrained", v)], recipe=f"{n}.py", probes=[(0, name, 0.1), (9, name, p)])
        for n, v, p in (("a", 0.5, 0.6), ("b", 0.6, 0.7), ("c", 0.9, 0.65), ("d", 0.95, 0.9))
    ]
    (told,) = affinities(compare(folders))
    assert told.rho == pytest.approx(0.8)
    (few,) = affinities(compare(folders[:2]))
    assert few.rho is None
    assert "needs 3" in few.reason


def test_rank_correlation() -> None:
    x, y = [1.0, 2.0, 2.0, 4.0, 5.0, 9.0], [2.0, 1.0, 3.0, 3.0, 8.0, 7.0]
    rho, p = correlation(x, y)
    assert rho == pytest.approx(spearmanr(x, y).statistic)
    assert correlation([1, 2, 3], [5, 6, 7]) == (pytest.approx(1), pytest.approx(2 / 6))
    assert 0 < p < 0.1
    assert correlation(list(range(9)), list(range(9)))[1] < 0.001
    assert math.isnan(correlation([1, 1, 1], [1, 2, 3])[0])
    with pytest.raises(ValueError, match="at least 3"):
        correlation([1, 2], [1, 2])


# What is written


class Page(HTMLParser):
    """Checks that every element is closed in its turn."""

    VOID = frozenset({"meta", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words += f" {' '.join(data.split())}"


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> tuple[Comparison, Path]:
    """A comparison with everything on its page, and names that are no names."""
    root = tmp_path_factory.mktemp("compare")
    probes = [(0, "held-out accuracy", 0.1), (9, "held-out accuracy", 0.5)]
    scores = [
        score("pretrained", 0.5, label=ODD),
        score("random init", 0.2, label=ODD),
        score("=naive()", 0.6, label=ODD),
    ]
    folders = [
        run(root, "a", scores + fractions(0.0), probes=probes, encoder=ODD),
        run(root, "b", fractions(0.0), recipe=f"{ODD.replace('/', '')}.py", data=f"/{ODD}"),
        run(root, "c", [], recipe="vcop.py"),
    ]
    found = compare(folders)
    pairs = [{"a": "runs/a", "b": "runs/b", "cka": 0.71, "rsa": None}, {"a": "a", "b": "other", "cka": 0.1}]
    (root / "alike.json").write_text(json.dumps({"items": 200, "pairs": pairs}))
    page = write_comparison(found, root / "out", pairs=read_pairs(root / "alike.json"), command=f"python {ODD}")
    return found, page


def test_the_page_is_whole_and_needs_nothing_from_elsewhere(odd: tuple[Comparison, Path]) -> None:
    text = odd[1].read_text(encoding="utf-8")
    page = Page(text)
    for tag, attributes in page.elements:
        for name in ("src", "href", "data", "srcset", "action", "xlink:href"):
            value = attributes.get(name)
            assert value is None or value.startswith("#"), f"<{tag} {name}={value}>"
    assert re.findall(r"url\((?!#)[^)]*\)|@import|https?://", text) == []
    assert not {"script", "iframe", "link", "object", "embed", "img"} & {tag for tag, _ in page.elements}
    policies = [a["content"] for t, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]
    ids = [a["id"] for _, a in page.elements if a.get("id")]
    assert len(ids) == len(set(ids))
    tags = [tag for tag, _ in page.elements]
    assert tags.count("table") == tags.count("caption")


def test_the_page_says_everything_as_text(odd: tuple[Comparison, Path]) -> None:
    words = Page(odd[1].read_text(encoding="utf-8")).words
    for told in (
        '<script>alert("1")</script>', "=naive()", "50.0 ★!", "[45.0, 55.0]", "Δ +30.0", "0.710", "--train.resume",
        "labels (%)", "epoch of pretraining", "needs 3", "not above =naive()",
    ):  # fmt: skip
        assert told in words, told
    assert "other" not in re.findall(r"\w+, seed \w+", words)


def test_an_empty_cell_is_empty_and_says_why(odd: tuple[Comparison, Path]) -> None:
    found, page = odd
    lines = list(csv.DictReader(io.StringIO((page.parent / "compare.csv").read_text(encoding="utf-8"))))
    assert len(lines) == len(found.rows) * len(found.columns)
    assert all(bool(line["value"]) != bool(line["reason"]) for line in lines)
    assert any(not line["value"] for line in lines)
    assert "'=naive()" in {line["method"] for line in lines}
    told = json.loads((page.parent / "compare.json").read_text(encoding="utf-8"))
    assert {c["value"] is None for c in told["cells"] if c["reason"]} == {True}
    assert told["without scores"] == [{"run": "c", "command": "python recipes/vcop.py --train.out c --train.resume"}]
    assert [s["cka"] for s in told["similarity"]] == [0.71]


def test_exports_escape_odd_names(odd: tuple[Comparison, Path]) -> None:
    found, _ = odd
    rows = [line for line in as_markdown(found).splitlines() if line.startswith("| ")]
    assert rows
    assert all(len(re.findall(r"(?<!\\)\|", r)) in {4, 6} for r in rows)
    latex = [line for line in as_latex(found).splitlines() if line and not line.startswith(("%", "\\"))]
    assert r"\& |x| \$y\_1\$" in " ".join(latex)
    for line in latex:
        assert re.findall(r"(?<!\\)[%#_]", line) == []
        assert line.endswith(r"\\") or line.startswith("\\")
    assert as_csv(found).splitlines()[0].startswith("method,kind,data")


def test_the_terminal_shows_the_same_table(odd: tuple[Comparison, Path]) -> None:
    from rich.console import Console

    console = Console(width=160, file=io.StringIO(), record=True)
    for table in tables(odd[0]):
        console.print(table)
    text = console.export_text()
    assert "50.0 ★!" in text
    assert "Δ +30.0" in text
    assert "[45.0, 55.0]" in text
    assert "chance" in text
    assert len(tables(odd[0], width=60)) > len(tables(odd[0], width=160))


def test_a_file_of_likeness_that_is_none_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"pairs": []}')
    with pytest.raises(ValueError, match="no similarities of runs"):
        read_pairs(path)


def test_the_tool_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tool = run_path(str(Path(__file__).parents[1] / "tools/compare.py"))
    folders = (*seeds(tmp_path, "pace", [0.5, 0.6], [0.1, 0.2]), run(tmp_path, "none", [], recipe="vcop.py"))
    tool["main"](tool["Choice"](runs=folders, out=tmp_path / "out"))
    told = capsys.readouterr().out
    assert "55.0 ± 7.1 ★" in told
    assert "No scores   none: python recipes/vcop.py" in told
    assert {p.suffix for p in (tmp_path / "out").iterdir()} == {".html", ".json", ".csv", ".md", ".tex"}
    with pytest.raises(SystemExit, match="no run to compare"):
        tool["main"](tool["Choice"](runs=()))


def test_likeness_is_taken_over_the_items_that_all_have(tmp_path: Path) -> None:
    from avssl.evaluation import Features, linear_cka

    tool = run_path(str(Path(__file__).parents[1] / "tools/alike.py"))
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(12, 4)).astype(np.float32), rng.normal(size=(12, 3)).astype(np.float32)
    order = rng.permutation(12)
    found = {
        "runs/a-0": Features(values=a, index=np.arange(12)),
        "runs/b-0": Features(values=b[order], index=order),
        "runs/c-0": Features(values=2 * a[:10], index=np.arange(10)),
    }
    told = tool["likeness"](found)
    assert told["items"] == 10
    assert [(p["a"], p["b"]) for p in told["pairs"]] == [
        ("runs/a-0", "runs/b-0"), ("runs/a-0", "runs/c-0"), ("runs/b-0", "runs/c-0")]  # fmt: skip
    assert told["pairs"][0]["cka"] == pytest.approx(linear_cka(a[:10], b[:10]))
    assert (told["pairs"][1]["cka"], told["pairs"][1]["rsa"]) == (pytest.approx(1), pytest.approx(1))
    (tmp_path / "alike.json").write_text(json.dumps(told))
    assert [p.a for p in read_pairs(tmp_path / "alike.json")] == ["a-0", "a-0", "b-0"]
