"""Splits: every row on one side, a group never on two, and a reason for everything refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubbub.errors import TrainingError
from hubbub.learn.splits import SplitRule, choose_rule, split_rows
from tests.examples import count_examples


def table(**columns) -> pd.DataFrame:
    n = len(columns["labels"])
    plain = {
        "row": range(n),
        "clip_id": [f"c{i}" for i in range(n)],
        "uri": [f"{i}.wav" for i in range(n)],
        "fold": [None] * n,
        "split": [None] * n,
        "group": [None] * n,
    }
    rows = pd.DataFrame(plain | columns)
    return rows.astype({"fold": "Int32"})


def one_each(names: str) -> list[list[str]]:
    return [[name] for name in names]


@st.composite
def grouped_rows(draw) -> pd.DataFrame:
    """Two labels, up to 12 groups; each group in one fold, as a data set that was made well."""
    groups = draw(st.lists(st.tuples(st.integers(1, 3), st.sampled_from("ab")), min_size=6, max_size=12))
    sizes = [draw(st.integers(1, 4)) for _ in groups]
    lines = [
        (name, fold, f"g{number}")
        for number, ((fold, name), size) in enumerate(zip(groups, sizes, strict=True))
        for _ in range(size)
    ]
    return table(
        labels=[[name] for name, _, _ in lines], fold=[fold for _, fold, _ in lines], group=[g for *_, g in lines]
    )


@settings(max_examples=count_examples(60), deadline=None)
@given(rows=grouped_rows(), by=st.sampled_from(["fold", "group"]), seed=st.integers(0, 9), share=st.floats(0, 0.6))
def test_every_row_is_on_one_side_and_no_group_on_two(rows, by, seed, share):
    rule = SplitRule(by=by, test_fold=1 if by == "fold" else None, validation_share=share, seed=seed)
    try:
        split = split_rows(rows, rule)
    except TrainingError:
        return  # too few labels on one side, or no such fold: refused, as the tests below show
    parts = [split.train, split.validation, split.test]
    assert sorted(row for part in parts for row in part["row"]) == list(rows["row"])
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not set(parts[one]["group"]) & set(parts[other]["group"])
    assert [(split.labels[target],) for target in split.train["target"]] == list(split.train["labels"])
    again = split_rows(rows.sample(frac=1, random_state=seed), rule)
    assert sorted(again.validation["row"]) == sorted(split.validation["row"])


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.5])
def test_validation_takes_its_share_of_each_label(share):
    rows = table(labels=one_each("ab" * 40), fold=[1, 1, 2, 2] * 20)
    split = split_rows(rows, SplitRule(by="fold", test_fold=1, validation_share=share))
    counts = split.validation["label"].value_counts()
    assert all(abs(counts.get(label, 0) - 20 * share) <= (1 if share else 0) for label in "ab")


@settings(max_examples=count_examples(60), deadline=None)
@given(
    groups=st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=12), min_size=3, max_size=8),
    seed=st.integers(0, 9),
)
def test_a_group_validates_where_one_can_go(groups, seed):
    """Three groups or more: one validates, unless each of those that train is the only one of some label."""
    lines = [(label, f"g{number}") for number, labels in enumerate(groups) for label in labels]
    rows = table(labels=[[label] for label, _ in lines], group=[group for _, group in lines])
    try:
        split = split_rows(rows, SplitRule(by="group", seed=seed))
    except TrainingError:
        return
    training = pd.concat([split.train, split.validation])
    holders = training.groupby("label")["unit"].agg(set)
    can_go = [unit for unit in training["unit"].unique() if all(units != {unit} for units in holders)]
    assert bool(can_go) == bool(len(split.validation))
    assert set(split.train["label"]) == set(training["label"])


def test_one_of_five_voices_validates_and_has_every_label():
    """A tenth of five groups is less than one; each voice says all ten digits."""
    lines = [(str(digit), f"voice {voice}") for digit in range(10) for voice in range(5) for _ in range(4)]
    rows = table(labels=[[label] for label, _ in lines], group=[group for _, group in lines])
    split = split_rows(rows, SplitRule(by="group"))
    assert split.validation["group"].nunique() == split.test["group"].nunique() == 1
    assert split.validation["label"].nunique() == 10


def test_a_label_with_one_clip_trains_and_is_not_tested():
    for seed in range(20):
        split = split_rows(table(labels=one_each("ab" * 10 + "c")), SplitRule(by="group", seed=seed))
        assert "c" in set(split.train["label"])
        assert len(split.test)


def test_many_groups_are_drawn_each_by_itself():
    rows = table(labels=one_each("aab" * 4000))
    split = split_rows(rows, SplitRule(by="group"))
    counts = split.validation["label"].value_counts()
    assert abs(len(split.validation) / len(rows) - 0.08) < 0.01
    assert abs(counts["a"] / counts["b"] - 2) < 0.3


def test_one_group_is_refused_by_what_is_needed():
    with pytest.raises(TrainingError, match="no group can test: there is 1 group"):
        split_rows(table(labels=one_each("abab"), group=["x"] * 4), SplitRule(by="group"))


def test_validation_leaves_every_label_something_to_train_on():
    rows = table(labels=one_each("aabbab"), fold=[2, 2, 2, 2, 1, 1])
    split = split_rows(rows, SplitRule(by="fold", test_fold=1, validation_share=0.9))
    assert sorted(split.train["label"]) == ["a", "b"]


def test_the_windows_of_a_clip_stay_together():
    rows = table(labels=one_each("ab" * 20), clip_id=[f"c{i // 4}-{i % 2}" for i in range(40)])
    rows["uri"] = rows["clip_id"]
    split = split_rows(rows, SplitRule(by="group", validation_share=0.3))
    assert not set(split.test["clip_id"]) & set(split.train["clip_id"])
    assert not set(split.validation["clip_id"]) & set(split.train["clip_id"])


def test_the_data_sets_own_validation_rows_are_used():
    rows = table(labels=one_each("abababab"), split=["train"] * 4 + ["val"] * 2 + ["test"] * 2)
    split = split_rows(rows, SplitRule(by="split", validation_share=0.5))
    assert [len(part) for part in (split.train, split.validation, split.test)] == [4, 2, 2]


def test_rows_without_a_label_are_left_out_and_counted():
    rows = table(labels=[["a"], [], ["b"], ["a"], ["b"], []], fold=[1, 1, 1, 2, 2, 2])
    split = split_rows(rows, SplitRule(by="fold", test_fold=2))
    assert (len(split.train), len(split.test), split.skipped) == (2, 2, 2)


def test_rows_with_several_labels_carry_all_of_them():
    labels = [["b", "a"], ["a"], ["c"], ["c", "a"], ["b"], ["c"]]
    split = split_rows(table(labels=labels, fold=[1, 1, 1, 2, 2, 1]), SplitRule(by="fold", test_fold=2))
    assert split.labels == ("a", "b", "c")
    assert split.is_multilabel
    parts = (split.train, split.validation, split.test)
    carried = {
        uri: marks for part in parts for uri, marks in zip(part["uri"], split.table[part["target"]], strict=True)
    }
    assert {uri: "".join("abc"[place] for place in np.flatnonzero(marks)) for uri, marks in carried.items()} == {
        f"{number}.wav": "".join(sorted(names)) for number, names in enumerate(labels)
    }
    # A row with one label is of that label's kind, as in a store where no row has several.
    np.testing.assert_array_equal(split.table[:3], np.eye(3))


def test_every_label_of_a_row_keeps_a_group_to_train_on():
    """`x` is in one group alone, and in each row beside a rarer label, which other groups have as well."""
    labels = [["x", "y"], ["x", "y"], ["x", "z"], ["x", "z"], ["y"], ["z"], *one_each("ab" * 20)]
    groups = ["g0"] * 4 + [f"g{number}" for number in range(1, 43)]
    for seed in range(12):
        rule = SplitRule(by="group", test_share=0.5, validation_share=0.4, seed=seed)
        split = split_rows(table(labels=labels, group=groups), rule)
        assert (split.train["unit"] == "g0").sum() == 4


def test_a_label_named_twice_is_carried_once():
    split = split_rows(table(labels=[["a", "a"], ["b"], ["a"], ["b"]], fold=[1, 1, 2, 2]), SplitRule("fold", 2))
    assert not split.is_multilabel


REFUSED = [
    # rows, rule, what the message says
    (
        table(labels=one_each("ab"), fold=[1, 2]).iloc[:0],
        {"by": "group"},
        "0 rows with features: all clips of the store failed",
    ),
    (table(labels=[[], []], fold=[1, 2]), {"test_fold": 1}, "none of the 2 rows is labelled"),
    (
        table(labels=one_each("abab"), fold=[1, 1, 2, 2]),
        {"test_fold": 7},
        r"no fold 7; .*\(there are: 1, 2\)",
    ),
    (table(labels=one_each("abab")), {"test_fold": 1}, "the clips have no folds"),
    (table(labels=one_each("abab"), fold=[1, 1, 2, None]), {"test_fold": 1}, r"1 labelled row without a fold.*3\.wav"),
    (table(labels=one_each("aaab"), fold=[2, 2, 2, 1]), {"test_fold": 1}, "one label in 2 training rows: 'a'"),
    (table(labels=one_each("abc"), fold=[2, 2, 1]), {"test_fold": 1}, "label 'c' has test rows but none to train on"),
    (
        table(labels=one_each("abab"), fold=[1, 1, 2, 2], group=["x", "y", "z", "y"]),
        {"test_fold": 1},
        "group 'y' would be in both training and test",
    ),
    (table(labels=one_each("ab"), split=["train", "tset"]), {"by": "split"}, "is 'tset'; expected train, val or test"),
    (table(labels=one_each("ab"), split=["train", "train"]), {"by": "split"}, "no 'test'.*--split-by group"),
    (table(labels=one_each("ab"), fold=[1, 2]), {"by": "folds"}, "did you mean 'fold'"),
    (table(labels=one_each("ab"), fold=[1, 2]), {}, r"which rows test\? .*there are: 1, 2"),
    (table(labels=one_each("ab"), fold=[1, 2]), {"by": "fold"}, "needs a test fold"),
    (table(labels=one_each("ab"), fold=[1, 2]), {"by": "group", "test_fold": 1}, "give one of the two"),
]


@pytest.mark.parametrize(("rows", "asked", "message"), REFUSED)
def test_refused_with_a_reason(rows, asked, message):
    with pytest.raises(TrainingError, match=message):
        split_rows(rows, choose_rule(rows, **{"by": None, "test_fold": None} | asked))


def test_what_tests_follows_from_the_rows():
    folds, marked = table(labels=[["a"]], fold=[1]), table(labels=[["a"]], split=["test"])
    assert choose_rule(folds, by=None, test_fold=1) == SplitRule(by="fold", test_fold=1)
    assert choose_rule(marked, by=None, test_fold=None) == SplitRule(by="split")


def test_a_test_without_labels_is_no_split():
    """As of a challenge: nothing could be scored on it, so that some of the training rows test."""
    rows = table(labels=[["a"], ["b"], []], split=["train", "train", "test"])
    assert choose_rule(rows, by=None, test_fold=None) == SplitRule(by="group")


def test_segments_of_one_file_stay_together_where_no_group_is_given():
    rows = table(labels=one_each("ab" * 20), clip_id=[f"segment-{i}" for i in range(40)])
    rows["uri"] = [f"file-{i // 4}.wav" for i in range(40)]
    split = split_rows(rows, SplitRule(by="group", validation_share=0.3))
    assert not (set(split.test["uri"]) | set(split.validation["uri"])) & set(split.train["uri"])


def test_a_group_stays_on_its_side_when_the_store_grows():
    """Else an evaluation on the grown store would test on what was trained on."""
    few, many = (table(labels=one_each("ab" * n), group=[f"g{i}" for i in range(2 * n)]) for n in (20, 60))
    rule = SplitRule(by="group")
    held_out = set(split_rows(few, rule).test["group"])
    assert held_out == set(split_rows(many, rule).test["group"]) & set(few["group"])


def with_copies(rows: pd.DataFrame, each: int) -> pd.DataFrame:
    """The rows, as recorded, and `each` augmented copies of every one, anywhere among them."""
    copies = [rows.assign(variant=number, row=rows["row"] + number * len(rows)) for number in range(each + 1)]
    return pd.concat(copies).sample(frac=1, random_state=0).reset_index(drop=True).astype({"variant": "int32"})


@settings(max_examples=count_examples(60), deadline=None)
@given(rows=grouped_rows(), by=st.sampled_from(["fold", "group"]), each=st.integers(1, 3), seed=st.integers(0, 9))
def test_augmented_copies_train_with_their_clip_and_change_no_side(rows, by, each, seed):
    rule = SplitRule(by=by, test_fold=1 if by == "fold" else None, validation_share=0.3, seed=seed)
    try:
        plain = split_rows(rows, rule)
    except TrainingError:
        return
    split = split_rows(with_copies(rows, each), rule)
    for name in ("validation", "test"):
        assert sorted(getattr(split, name)["row"]) == sorted(getattr(plain, name)["row"])
        assert (getattr(split, name)["variant"] == 0).all()
    assert split.train.groupby("clip_id")["variant"].apply(sorted).to_dict() == {
        name: list(range(each + 1)) for name in plain.train["clip_id"]
    }
    assert split.labels == plain.labels
    assert [split.labels[target] for target in split.train["target"]] == list(split.train["label"])
    assert list(split.train["row"]) == sorted(split.train["row"])


def test_copies_alone_are_nothing_to_train_on():
    rows = table(labels=one_each("abab"), fold=[1, 1, 2, 2], variant=[0, 0, 1, 1])
    with pytest.raises(TrainingError, match="0 training rows and 2 test rows"):
        split_rows(rows, SplitRule(by="fold", test_fold=1))


def test_copies_without_a_label_are_not_counted_among_what_is_left_out():
    rows = with_copies(table(labels=[*one_each("abab"), []], fold=[1, 1, 2, 2, 2]), 2)
    split = split_rows(rows, SplitRule(by="fold", test_fold=1, validation_share=0))
    assert (len(split.train), len(split.test), split.skipped) == (6, 2, 1)


def test_the_channels_of_a_clip_stay_together():
    clips = table(labels=one_each("ab" * 20))
    rows = pd.concat([clips.assign(channel=name) for name in ("1", "2", "mix")], ignore_index=True)
    split = split_rows(rows, SplitRule(by="group", validation_share=0.3))
    sides = [set(part["clip_id"]) for part in (split.train, split.validation, split.test)]
    assert sum(len(side) for side in sides) == 40
    for part in (split.train, split.validation, split.test):
        assert (part.groupby("clip_id")["channel"].apply(sorted).map(len) == 3).all()
