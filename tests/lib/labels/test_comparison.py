"""What changed between two labellings, beside a slow way to find it; beside itself nothing; swapping swaps."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubbub.labels.comparison import LEAST_IOU, compare_events, match_overlapping
from tests.examples import count_examples

COLUMNS = ["uri", "label", "onset_s", "offset_s", "peak"]


def events_table(rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=COLUMNS).astype({"onset_s": float, "offset_s": float, "peak": float})


def files_table(*rows) -> pd.DataFrame:
    """Files as (uri, status) or (uri, status, clip_start_s, clip_end_s)."""
    filled = [(*row, None, None)[:4] for row in rows]
    return pd.DataFrame(filled, columns=["uri", "status", "clip_start_s", "clip_end_s"]).assign(error="DecodeError: no")


FILES = files_table(("a", "ok"), ("b", "ok"))

# A coarse grid, so that there are equal ratios, equal times and events that touch.
event_rows = st.lists(
    st.tuples(
        st.sampled_from("ab"),
        st.sampled_from(["dog", "rain"]),
        st.integers(0, 8),
        st.integers(1, 5),
        st.sampled_from([0.5, 0.75, 1.0]),
    ).map(lambda row: (row[0], row[1], row[2] / 2, (row[2] + row[3]) / 2, row[4])),
    max_size=14,
)


def intersection_over_union(one, two) -> float:
    if (one.uri, one.label) != (two.uri, two.label):
        return 0.0
    shared = min(one.offset_s, two.offset_s) - max(one.onset_s, two.onset_s)
    return max(0.0, shared) / (max(one.offset_s, two.offset_s) - min(one.onset_s, two.onset_s))


def match_slowly(first: pd.DataFrame, second: pd.DataFrame) -> list[float]:
    """Take the best pair of all, again and again; the ratios of the pairs, sorted."""
    ours, theirs, found = list(first.itertuples()), list(second.itertuples()), []
    while True:
        pairs = [(intersection_over_union(a, b), a, b) for a, b in product(ours, theirs)]
        pairs = [pair for pair in pairs if pair[0] >= LEAST_IOU]
        if not pairs:
            return sorted(found)
        times = [
            (-iou, *(bound(getattr(a, n), getattr(b, n)) for n in ("onset_s", "offset_s") for bound in (min, max)))
            for iou, a, b in pairs
        ]
        iou, a, b = pairs[min(range(len(pairs)), key=lambda number: times[number])]
        ours.remove(a)
        theirs.remove(b)
        found.append(iou)


@given(event_rows, event_rows)
@settings(max_examples=count_examples(60), deadline=None)
def test_pairs_are_those_that_the_slow_way_finds(one, two):
    first, second = events_table(one), events_table(two)
    ours, theirs = match_overlapping(first, second)
    assert len(set(ours.tolist())) == len(ours) == len(set(theirs.tolist()))
    pairs = [
        intersection_over_union(a, b)
        for a, b in zip(first.iloc[ours].itertuples(), second.iloc[theirs].itertuples(), strict=True)
    ]
    assert sorted(pairs) == pytest.approx(match_slowly(first, second))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("other_order", [(0, 1), (1, 0)])
def test_of_equal_pairs_the_earliest_comes_first_in_any_order(order: tuple[int, int], other_order: tuple[int, int]):
    """A chain of three pairs of one ratio: its middle one would leave two events without a partner."""
    first = events_table([("a", "dog", 0.0, 3.0, 1), ("a", "dog", 1.0, 4.0, 1)]).iloc[list(order)]
    second = events_table([("a", "dog", 0.5, 3.5, 1), ("a", "dog", 1.5, 4.5, 1)]).iloc[list(other_order)]
    for one, two in ((first, second), (second, first)):
        ours, theirs = match_overlapping(one, two)
        starts = zip(one["onset_s"].iloc[ours], two["onset_s"].iloc[theirs], strict=True)
        assert sorted(map(sorted, starts)) == [[0.0, 0.5], [1.0, 1.5]]


@given(event_rows)
@settings(max_examples=count_examples(30), deadline=None)
def test_nothing_changes_beside_itself(rows):
    events = events_table(rows)
    found = compare_events(FILES, events, FILES, events)
    assert len(found.in_both) == len(events)
    assert len(found.changed) == len(found.appeared) == len(found.vanished) == 0
    assert (found.by_file["changes"] == 0).all()
    assert found.by_label["in_both"].sum() == len(events)
    assert np.allclose(found.by_label[["onset_shift_s", "offset_shift_s", "score_shift"]], 0)


@given(event_rows, event_rows)
@settings(max_examples=count_examples(15), deadline=None)
def test_swapping_swaps(one, two):
    first, second = events_table(one), events_table(two)
    there = compare_events(FILES, first, FILES, second)
    back = compare_events(FILES, second, FILES, first)

    def order(table: pd.DataFrame) -> list[tuple]:
        return sorted(table.itertuples(index=False, name=None))

    assert order(there.appeared[COLUMNS]) == order(back.vanished[COLUMNS])
    assert order(there.vanished[COLUMNS]) == order(back.appeared[COLUMNS])
    assert len(there.in_both) == len(back.in_both)
    swapped = {"only_first": "only_second", "only_second": "only_first"}
    one_way, other = there.by_label.set_index("label"), back.by_label.rename(columns=swapped).set_index("label")
    for label in one_way.index:
        counts = ["in_both", "only_first", "only_second"]
        assert one_way.loc[label, counts].tolist() == other.loc[label, counts].tolist()
        for shift in ("onset_shift_s", "offset_shift_s"):
            assert one_way.loc[label, shift] == pytest.approx(-other.loc[label, shift], nan_ok=True, abs=1e-12)
    # Every event is somewhere, once.
    assert len(there.in_both) + len(there.vanished) == len(first)
    assert len(there.in_both) + len(there.appeared) == len(second)


def test_shifts_are_second_less_first():
    first = events_table([("a", "dog", 1.0, 3.0, 0.5), ("a", "dog", 5.0, 7.0, 0.5), ("b", "dog", 0.0, 1.0, 0.9)])
    second = events_table([("a", "dog", 1.2, 3.0, 0.7), ("a", "dog", 5.0, 7.4, 0.5), ("b", "rain", 0.0, 1.0, 0.9)])
    found = compare_events(FILES, first, FILES, second)
    dog, rain = found.by_label.to_dict("records")
    assert (dog["label"], dog["in_both"], dog["only_first"], dog["only_second"]) == ("dog", 2, 1, 0)
    assert dog["onset_shift_s"] == pytest.approx(0.1)
    assert dog["offset_shift_s"] == pytest.approx(0.2)
    assert dog["score_shift"] == pytest.approx(0.1)
    assert (rain["label"], rain["in_both"], rain["only_second"]) == ("rain", 0, 1)
    assert found.by_file[["uri", "changes"]].to_numpy().tolist() == [["b", 2], ["a", 0]]
    assert len(found.changed) == 2


@pytest.mark.parametrize(("offset_s", "is_one"), [(2.0, True), (2.01, False)])
def test_half_of_what_both_cover_is_enough(offset_s: float, is_one: bool):
    first, second = events_table([("a", "dog", 0.0, 1.0, 1)]), events_table([("a", "dog", 0.0, offset_s, 1)])
    assert len(match_overlapping(first, second)[0]) == is_one


def test_audio_that_one_has_not_analysed_is_no_change():
    events = events_table([("a", "dog", 1.0, 2.0, 1), ("a", "dog", 11.0, 12.0, 1), ("c", "dog", 1.0, 2.0, 1)])
    ours = files_table(("a", "ok"), ("c", "ok"), ("d", "failed"))
    theirs = files_table(("a", "ok", 0.0, 10.0), ("a", "failed", 10.0, 20.0), ("c", "failed"), ("d", "ok"), ("e", "ok"))
    found = compare_events(ours, events, theirs, events_table([]))
    assert found.vanished["onset_s"].tolist() == [1.0]
    assert found.not_compared == (2, 0)
    assert found.recordings == 1
    assert (found.only_first, found.only_second) == ((), ("e",))
    assert found.failed_first["uri"].tolist() == ["d"]
    assert found.failed_second["uri"].tolist() == ["a", "c"]
