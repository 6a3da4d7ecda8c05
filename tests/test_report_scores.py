from __future__ import annotations

import math

import pytest
from report_run import score

from avssl.report.scores import Table, tables
from avssl.report.words import brief, duration, number, share


def verdict(*scores: dict[str, object]) -> Table:
    (table,) = tables(list(scores))
    return table


def test_a_gain_is_claimed_only_if_the_intervals_lie_apart() -> None:
    apart = verdict(score("pretrained", 0.60, 0.05), score("random init", 0.45, 0.05))
    assert apart.good is True
    assert apart.verdict == "Beats random init by 15.0 points; the intervals do not overlap."
    overlap = verdict(score("pretrained", 0.54, 0.05), score("random init", 0.45, 0.05))
    assert overlap.good is False
    assert overlap.verdict == "Does not beat random init: 9.0 points better, but the intervals overlap."


@pytest.mark.parametrize("ours", [0.45, 0.30])
def test_no_better_than_random_init_is_said_so(ours: float) -> None:
    table = verdict(score("pretrained", ours, 0.01), score("random init", 0.45, 0.01))
    assert table.good is False
    assert table.verdict.startswith("Does not beat random init: it is ")


def test_without_random_init_or_intervals_nothing_is_claimed() -> None:
    assert "no gain can be claimed" in verdict(score("pretrained", 0.9)).verdict
    assert verdict(score("pretrained", 0.9)).good is None
    bare = verdict(score("pretrained", 0.9, None), score("random init", 0.2, None))
    assert bare.good is False
    assert "without intervals" in bare.verdict
    assert verdict(score("random init", 0.2)).good is None


def test_a_naive_baseline_and_chance_also_have_to_be_beaten() -> None:
    table = verdict(score("pretrained", 0.6, 0.05), score("random init", 0.3, 0.05), score("mean colour", 0.58, None))
    assert table.good is False
    assert "does not beat the naive baseline “mean colour” (58.0 %)" in table.verdict
    table = verdict(score("pretrained", 0.15, 0.03), score("random init", 0.05, 0.01))
    assert table.good is False
    assert "not above chance" in table.verdict


def test_smaller_may_be_better() -> None:
    scores = [
        score(n, v, 0.05, metric="mean error", chance=1.0) for n, v in (("pretrained", 0.2), ("random init", 0.6))
    ]
    table = verdict(*scores)
    assert table.good is True
    assert [r.encoder for r in table.rows if r.best] == ["pretrained"]


def test_seeds_are_averaged_and_the_widest_interval_is_kept() -> None:
    seeds = [score("pretrained", v, 0.02, seed=i) for i, v in enumerate((0.5, 0.6, 0.7))]
    table = verdict(*seeds, score("random init", 0.65, 0.01))
    row = table.rows[0]
    assert row.value == pytest.approx(0.6)
    assert (row.low, row.high) == (pytest.approx(0.48), pytest.approx(0.72))
    assert row.seeds == "3 seeds (0, 1, 2)"
    assert table.good is False


def test_the_weakest_setting_speaks_for_the_pretrained_encoder() -> None:
    few = score("pretrained", 0.40, 0.01, settings={"k": 1})
    many = score("pretrained", 0.90, 0.01, settings={"k": 20})
    assert verdict(many, few, score("random init", 0.45, 0.01)).good is False


def test_groups_and_the_best() -> None:
    found = tables([score("pretrained", 0.5), score("pretrained", 0.5, label="other"), score("random init", 0.7)])
    assert [(t.label, len(t.rows)) for t in found] == [("motion", 2), ("other", 1)]
    assert [r.best for r in found[0].rows] == [False, True]
    assert found[0].rows[0].kind == "pretrained"


def test_a_score_that_is_not_finite_claims_nothing() -> None:
    table = verdict(score("pretrained", math.nan), score("random init", 0.3))
    assert table.good is None
    assert table.percent(0.5) == 50


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.48612, "0.486"), (150.0, "150"), (2.0, "2"), (12345.6, "12,346"), (9e-4, "9e-4"),
     (2.37e-6, "2.37e-6"), (1e6, "1e6"), (-1.5, "-1.50"), (0.0012, "0.00120"), (math.inf, "not finite")],
)  # fmt: skip
def test_numbers(value: float, text: str) -> None:
    assert number(value) == text


def test_words() -> None:
    assert share(0.6521, "top-1") == "65.2 %"
    assert share(3.2, "mean rank") == "3.20"
    assert [duration(x) for x in (3.21, 62, 3725)] == ["3.2 s", "1 min 02 s", "1 h 02 min"]
    assert brief([1, 2.5, True]) == "1 · 2.5 · true"
    assert brief([[0.25] * 20, [0.5] * 20, [4.0] * 20]) == "3×20 values, 0.250 … 4"
    assert brief([[1, 2], [3, 4]]) == "(1 · 2) · (3 · 4)"
    assert brief({"k": 20, "tau": 0.07}) == "k 20, tau 0.07"
    assert len(brief("x" * 500)) == 90
