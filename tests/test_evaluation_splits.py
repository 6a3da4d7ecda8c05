"""Which items train and which test, and the leaks that are caught."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avssl.core import MediaInfo
from avssl.data import Item
from avssl.evaluation import Fold, Split, Unscorable, folds, guard, labels_of, many_labels_of
from avssl.evaluation.splits import belonging


def item(n: int, *, label: str = "", split: str = "", group: str = "", path: str = "", **columns: str) -> Item:
    return Item(
        index=n,
        path=Path(path or f"{n}.mp4"),
        info=MediaInfo(duration=1.0, fps=8, frames=8, height=4, width=4),
        label=label,
        split=split,
        group=group,
        columns=columns,
    )


def guarded(items: Sequence[Item], *, split: Split | None = None) -> list[Fold]:
    split = split or Split()
    labels, classes = labels_of(items, "label")
    found = folds(items, split=split)
    for fold in found:
        guard(items, fold, labels=labels, classes=classes, share=split.share_groups, apart=split.apart)
    return found


def test_labels_are_numbered_alphabetically_and_missing_ones_marked() -> None:
    items = [item(0, label="b"), item(1), item(2, label="a"), item(3, label="b", colour="red")]
    labels, classes = labels_of(items, "label")
    assert labels.tolist() == [1, -1, 0, 1]
    assert classes == ("a", "b")


def test_a_column_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(ValueError, match=r"no item has a 'appearence'; the columns are appearance, label"):
        labels_of([item(0, label="x", appearance="disc")], "appearence")


def test_a_label_with_one_class_is_refused() -> None:
    with pytest.raises(ValueError, match="only the class 'x'"):
        labels_of([item(0, label="x"), item(1, label="x")], "label")


def test_the_named_splits_are_taken() -> None:
    items = [item(n, label="ab"[n % 2], split=("train", "val", "test")[n // 2]) for n in range(6)]
    assert [(f.train, f.test) for f in guarded(items)] == [((0, 1), (4, 5))]
    assert [(f.train, f.test) for f in guarded(items, split=Split(test="val"))] == [((0, 1), (2, 3))]
    with pytest.raises(ValueError, match=r"no item of split 'valid'.*'val': 2"):
        guarded(items, split=Split(test="valid"))


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("123")), min_size=2, max_size=30))
def test_every_item_is_tested_once_and_never_by_what_it_trained(pairs: list[tuple[str, str]]) -> None:
    items = [item(n, label=a, fold=f) for n, (a, f) in enumerate(pairs)]
    if len({f for _, f in pairs}) < 2:
        with pytest.raises(ValueError, match="nothing can be left out"):
            folds(items, split=Split(folds="fold"))
        return
    found = folds(items, split=Split(folds="fold"))
    assert sorted(p for f in found for p in f.test) == list(range(len(items)))
    for f in found:
        assert sorted(f.train + f.test) == list(range(len(items)))
        assert len({pairs[p][1] for p in f.test}) == 1
        assert not {pairs[p][1] for p in f.test} & {pairs[p][1] for p in f.train}


def test_one_person_is_left_out_at_a_time() -> None:
    items = [item(n, label="ab"[n % 2], group=f"p{n // 2}") for n in range(6)]
    found = guarded(items, split=Split(group="group"))
    assert [f.name for f in found] == ["group p0", "group p1", "group p2"]
    assert [f.test for f in found] == [(0, 1), (2, 3), (4, 5)]


def test_a_group_on_both_sides_is_named_unless_allowed() -> None:
    items = [item(n, label="ab"[n % 2], split="train" if n < 4 else "test", group=f"video{n % 3}") for n in range(6)]
    with pytest.raises(
        ValueError, match=r"share 2 groups: video1 \(1.mp4 trains, 4.mp4 tests\), video2 \(2.m.* this is a leak"
    ):
        guarded(items)
    assert guarded(items, split=Split(share_groups=True))[0].test == (4, 5)


def test_a_file_on_both_sides_is_named() -> None:
    items = [item(n, label="ab"[n % 2], split="train" if n < 2 else "test", path=f"{n % 3}.mp4") for n in range(4)]
    with pytest.raises(ValueError, match=r"share 1 files: 0.mp4"):
        guarded(items)


def test_groups_inside_one_side_are_no_leak() -> None:
    items = [item(n, label="ab"[n % 2], split="train" if n < 4 else "test", group=f"g{n // 4}") for n in range(8)]
    assert len(guarded(items)) == 1


def test_a_class_that_only_the_test_has_is_named() -> None:
    items = [item(n, label="aabbac"[n], split="train" if n < 4 else "test") for n in range(6)]
    with pytest.raises(ValueError, match="classes that training lacks: 'c'"):
        guarded(items)


def test_training_on_one_class_is_refused() -> None:
    items = [item(n, label="aaab"[n], split="train" if n < 2 else "test") for n in range(4)]
    with pytest.raises(ValueError, match=r"training part has fewer than 2 classes: \['a'\]"):
        guarded(items)


def test_an_item_on_both_sides_is_refused_even_where_groups_may_be_shared() -> None:
    items = [item(n, label="ab"[n % 2]) for n in range(4)]
    with pytest.raises(ValueError, match="1 items train and test"):
        guard(
            items,
            Fold(name="f", train=(0, 1), test=(1, 2)),
            labels=np.array([0, 1, 0, 1]),
            classes=("a", "b"),
            share=True,
        )


def test_folds_and_groups_at_once_are_refused() -> None:
    with pytest.raises(ValueError, match="choose one"):
        folds([item(0, label="a", fold="1")], split=Split(folds="fold", group="group"))


def performed() -> list[Item]:
    """Twelve films by three performers, each in a fold of its own, from two source videos each."""
    return [
        item(n, label="ab"[n % 2], performer=f"p{n // 4}", source=f"s{n // 2}", fold=str(n // 4)) for n in range(12)
    ]


@pytest.mark.parametrize("name", ["performer", "source"])
@pytest.mark.parametrize("rule", ["folds", "group", "split"])
def test_a_planted_leak_is_caught_under_every_rule_and_the_items_are_named(name: str, rule: str) -> None:
    items = performed()
    if rule == "split":
        items = [replace(i, split="test" if i.columns["fold"] == "2" else "train") for i in items]
    split = {"folds": Split(folds="fold", apart=(name,)), "group": Split(group="fold", apart=(name,))}.get(
        rule, Split(apart=(name,))
    )
    assert len(guarded(items, split=split)) == (1 if rule == "split" else 3)
    planted = items[9].columns | {name: items[0].columns[name]}
    items[9] = replace(items[9], columns=planted)
    with pytest.raises(
        Unscorable, match=rf"share 1 values of '{name}': {planted[name]} \(.*\); this is a leak"
    ) as told:
        guarded(items, split=split)
    assert "9.mp4" in str(told.value)
    assert "0.mp4" in str(told.value)


def test_a_source_video_in_two_official_folds_is_caught() -> None:
    items = [item(n, label="ab"[n % 2], group=f"v{n // 2}", fold=str(n // 4)) for n in range(8)]
    assert len(guarded(items, split=Split(folds="fold"))) == 2
    items[7] = replace(items[7], group="v0")
    with pytest.raises(Unscorable, match=r"fold 0: training and test share 1 groups: v0 \(7.mp4 trains, 0.mp4 tests\)"):
        guarded(items, split=Split(folds="fold"))


def test_a_column_to_keep_apart_that_is_not_there_is_named() -> None:
    with pytest.raises(Unscorable, match="no item has a 'actor'"):
        guarded(performed(), split=Split(folds="fold", apart=("actor",)))


def test_several_labels_are_taken_apart_and_guarded() -> None:
    words = ["b;a", "", " a ; c", "c;", "a;b", "b;c"]
    items = [item(n, labels=w, split="train" if n < 4 else "test") for n, w in enumerate(words)]
    labels, classes = many_labels_of(items, "labels")
    assert classes == ("a", "b", "c")
    assert labels.tolist() == [[1, 1, 0], [0, 0, 0], [1, 0, 1], [0, 0, 1], [1, 1, 0], [0, 1, 1]]
    (fold,) = folds(items, split=Split())
    guard(items, fold, labels=labels, classes=classes)
    hidden = replace(items[1], columns={"labels": "", "difficult": "c;z"})
    assert many_labels_of([items[0], hidden, items[2]], "labels")[0].tolist() == [[1, 1, 0], [0, 0, -1], [1, 0, 1]]
    labels[0, 1] = 0
    with pytest.raises(Unscorable, match="classes that training lacks: 'b'"):
        guard(items, fold, labels=labels, classes=classes)
    with pytest.raises(Unscorable, match="only the class 'a'"):
        many_labels_of([item(0, labels="a;a")], "labels")


def test_items_belong_together_that_share_a_group_or_what_is_left_out_or_kept_apart() -> None:
    rows = [("v0", "p0"), ("v0", ""), ("v1", "p0"), ("", "p1"), ("v2", "p1"), ("", ""), ("v3", "")]
    items = [item(n, group=g, person=p) for n, (g, p) in enumerate(rows)]
    assert belonging(items, Split()) == ("v0", "v0", "v1", "", "v2", "", "v3")
    found = belonging(items, Split(group="person"))
    assert found == belonging(items, Split(apart=("person",)))
    assert [found.index(f) if f else None for f in found] == [0, 0, 0, 3, 3, None, 6]
    plain = [replace(i, group="") for i in items]
    assert belonging(plain, Split(group="person")) == ("p0", "", "p0", "p1", "p1", "", "")
    assert belonging(plain, Split()) == ("",) * 7
