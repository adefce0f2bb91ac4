"""Numbers of an archive, each beside a slow way to count them."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubbub.errors import UsageError
from hubbub.labels.coverage import MOST_COLUMNS, audio_by_hour, events_by_hour, span_days
from hubbub.labels.overview import (
    MOST_VALUES,
    SCORE_BINS,
    count_columns,
    count_labels,
    count_scores,
    count_totals,
    find_places,
    group_failures,
    sample_events,
)
from tests.examples import count_examples

BEGIN = datetime(2025, 3, 29, 22, 0, tzinfo=UTC)
ZONES = ("UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "Australia/Lord_Howe")
"""Berlin's clock goes forward in the night after `BEGIN`, Lord Howe's back by half an hour a week later."""

FILE = {"status": "ok", "error": None, "clip_start_s": None, "duration_s": 60.0, "recorded_at": None}


def files_table(*rows: dict[str, Any]) -> pd.DataFrame:
    filled = [{"uri": f"{number}.wav", "clip_id": f"clip {number}", **FILE, **row} for number, row in enumerate(rows)]
    table = pd.DataFrame(filled, columns=["uri", "clip_id", *FILE, *dict.fromkeys(k for r in filled for k in r)][:])
    table = table.loc[:, ~table.columns.duplicated()]
    return table.assign(recorded_at=pd.to_datetime(table["recorded_at"], utc=True))


def events_table(*rows: dict[str, Any]) -> pd.DataFrame:
    base = {"uri": "0.wav", "clip_id": "clip 0", "label": "dog", "onset_s": 0.0, "offset_s": 1.0, "peak": 0.5}
    table = pd.DataFrame([{**base, "onset_at": None, **row} for row in rows], columns=[*base, "onset_at"])
    return table.assign(onset_at=pd.to_datetime(table["onset_at"], utc=True))


clip_rows = st.lists(
    st.fixed_dictionaries(
        {
            "recorded_at": st.none() | st.integers(0, 3 * 86_400).map(lambda s: BEGIN + timedelta(seconds=s)),
            "clip_start_s": st.none() | st.integers(0, 5000).map(float),
            "duration_s": st.integers(1, 9000).map(float),
            "status": st.sampled_from(["ok", "ok", "failed"]),
        }
    ),
    max_size=6,
)


@given(clip_rows, st.sampled_from(ZONES))
@settings(max_examples=count_examples(40), deadline=None)
def test_audio_by_hour_is_what_counting_seconds_gives(rows, zone):
    files = files_table(*rows)
    seconds: Counter[datetime] = Counter()
    for row in rows:
        if row["status"] == "ok" and row["recorded_at"]:
            start = row["recorded_at"] + timedelta(seconds=row["clip_start_s"] or 0)
            for second in range(int(row["duration_s"])):
                seconds[(start + timedelta(seconds=second)).astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H")] += 1
    days = span_days(files, timezone=zone)
    if days is None:
        assert not seconds
        return
    assert days.step == 1
    found = audio_by_hour(files, days)
    expected = np.zeros((days.columns, 24))
    for hour, count in seconds.items():
        expected[days.names.index(hour[:10]), int(hour[11:])] = count
    np.testing.assert_allclose(found.values, expected, atol=1e-6)
    assert found.untimed == sum(row["status"] == "ok" and row["recorded_at"] is None for row in rows)
    assert expected[0].any()  # the first column and the last one are not empty
    assert expected[-1].any()


def test_events_are_counted_in_the_hours_of_the_zone():
    times = [BEGIN + timedelta(hours=hours) for hours in (1.5, 2.5, 3.25)]
    events = events_table(*({"onset_at": at} for at in times))
    days = span_days(files_table(), events, timezone="Europe/Berlin")
    assert days.names == ("2025-03-30",)
    # 00:30, 01:30, and 03:15, since the clock goes forward at two.
    assert np.flatnonzero(events_by_hour(events, days).values[0]).tolist() == [0, 1, 3]
    with pytest.raises(UsageError, match="no such time zone; expected a name such as Europe/Berlin"):
        span_days(files_table(), events, timezone="Berlin")


@given(st.lists(st.none() | st.integers(0, 400 * 86_400), max_size=30))
@settings(max_examples=count_examples(40), deadline=None)
def test_events_by_hour_are_all_there_whatever_the_time(seconds):
    events = events_table(
        *[{"onset_at": None if s is None else BEGIN + timedelta(seconds=s)} for s in seconds], {"onset_at": BEGIN}
    )
    days = span_days(files_table(), events)
    assert days.columns <= MOST_COLUMNS
    found = events_by_hour(events, days)
    known = [BEGIN + timedelta(seconds=s) for s in [*seconds, 0] if s is not None]
    assert found.values.sum() == len(known)
    assert found.untimed == seconds.count(None)
    assert found.values.sum(axis=0).tolist() == [sum(at.hour == hour for at in known) for hour in range(24)]
    first = datetime.fromisoformat(days.names[0]).replace(tzinfo=UTC)
    for column, name in enumerate(days.names):
        begin = datetime.fromisoformat(name).replace(tzinfo=UTC)
        end = begin + timedelta(days=days.step)
        assert (begin - first).days == column * days.step
        assert found.values[column].sum() == sum(begin <= at < end for at in known)


def test_without_times_there_are_no_days():
    assert span_days(files_table({}), events_table()) is None


def test_failures_of_one_reason_are_one_group():
    files = files_table(
        {"uri": "a/b.wav", "status": "failed", "error": "DecodeError: b.wav is not audio"},
        {"uri": "a/c.wav", "status": "failed", "error": "DecodeError: c.wav is not audio"},
        {"uri": "d.wav", "status": "failed", "error": "NonFiniteAudio: the sample at 0.023 s is nan"},
        {"uri": "e.wav", "status": "failed", "error": None},
        {},
    )
    groups = group_failures(files)
    assert [(group.reason, group.clips, group.uri) for group in groups] == [
        ("DecodeError: … is not audio", 2, "a/b.wav"),
        ("NonFiniteAudio: the sample at … s is nan", 1, "d.wav"),
        ("no reason given", 1, "e.wav"),
    ]
    assert sum(group.clips for group in groups) == count_totals(files, events_table()).failed


def test_labels_are_counted_with_those_that_were_not_heard():
    events = events_table(
        {"label": "dog"},
        {"label": "dog", "uri": "1.wav", "offset_s": 3.0},
        {"label": "<script>"},
    )
    counts = count_labels(events, ["rain", "dog"])
    assert [(one.label, one.events, one.recordings, one.total_s) for one in counts] == [
        ("dog", 2, 2, 4.0),
        ("<script>", 1, 1, 1.0),
        ("rain", 0, 0, 0.0),
    ]
    assert count_labels(events_table(), []) == []


@given(st.lists(st.tuples(st.sampled_from(["Oslo", "São", None]), st.sampled_from("abc")), min_size=1, max_size=20))
@settings(max_examples=count_examples(40), deadline=None)
def test_values_of_a_column_add_up(rows):
    files = files_table(*[{"city": city, "note": f"own {n}"} for n, (city, _) in enumerate(rows)])
    events = events_table(*[{"clip_id": f"clip {n}", "label": label} for n, (_, label) in enumerate(rows)] * 2)
    tables = count_columns(files, events, ["a", "b"])
    if len({city for city, _ in rows if city}) < 2:
        assert tables == [] or tables[0].column == "note"
        return
    city = next(table for table in tables if table.column == "city")
    for one in city.values:
        own = [label for value, label in rows if (value or "") == one.value]
        assert (one.recordings, one.audio_s, one.events) == (len(own), 60.0 * len(own), 2 * len(own))
        assert dict(one.by_label) == {"a": 2 * own.count("a"), "b": 2 * own.count("b")}
    assert sum(one.recordings for one in city.values) == len(rows)


def test_columns_of_many_values_of_numbers_and_of_lists_are_left_out():
    rows = [
        {"id": f"{n}", "gain": n / 3, "tags": [1, n], "one": "same", "yes": n % 2 == 0} for n in range(MOST_VALUES + 1)
    ]
    assert [table.column for table in count_columns(files_table(*rows), events_table(), [])] == ["yes"]


def test_places_are_gathered_and_bad_ones_counted():
    rows = [
        {"latitude": 47.1, "longitude": 8.5},
        {"latitude": 47.1, "longitude": 8.5},
        {"latitude": 47.2, "longitude": 8.6},
        {"latitude": float("nan"), "longitude": 8.6},
        {"latitude": 91.0, "longitude": 8.6},
    ]
    found = find_places(files_table(*rows), events_table({"clip_id": "clip 2"}, {"clip_id": "clip 2"}))
    assert [(p.latitude, p.recordings, p.audio_s, p.events) for p in found.points] == [
        (47.1, 2, 120, 0),
        (47.2, 1, 60, 2),
    ]
    assert found.unplaced == 2
    assert find_places(files_table({}), events_table()) is None
    assert find_places(files_table({"latitude": None, "longitude": None}), events_table()) is None


def test_many_places_become_few_and_none_is_lost():
    rng = np.random.default_rng(0)
    rows = [{"latitude": a, "longitude": b} for a, b in rng.uniform(-60, 60, (700, 2))]
    found = find_places(files_table(*rows), events_table(), most=50)
    assert 1 < len(found.points) <= 50
    assert found.cell_deg > 0
    assert sum(point.recordings for point in found.points) == 700


@given(st.lists(st.floats(0, 1, width=32), max_size=30))
@settings(max_examples=count_examples(40), deadline=None)
def test_histograms_count_each_score_once(peaks):
    events = events_table(*[{"peak": peak, "label": "dog"} for peak in peaks], {"label": "unknown", "peak": 1.0})
    files = files_table(
        {"peak_scores": np.array([0.0, 1.0])}, {"peak_scores": np.array([0.26, 0.5])}, {"peak_scores": None}
    )
    dog, rain, other = count_scores(files, events, ["dog", "rain"])
    edges = np.linspace(0, 1, SCORE_BINS + 1)
    slow = [
        sum(low <= peak < high or (high == 1 and peak == 1) for peak in peaks)
        for low, high in zip(edges, edges[1:], strict=False)
    ]
    assert list(dog.events) == slow
    assert [number for number, count in enumerate(dog.clips) if count] == [0, 5]
    assert [number for number, count in enumerate(rain.clips) if count] == [10, 19]
    assert (other.label, sum(other.events), sum(other.clips)) == ("unknown", 1, 0)


@given(st.lists(st.floats(0, 1, width=32), max_size=40), st.integers(0, 12), st.randoms(use_true_random=False))
@settings(max_examples=count_examples(60), deadline=None)
def test_samples_are_spread_and_the_same_in_any_order(peaks, number, random):
    events = events_table(*[{"peak": peak, "uri": f"{n}.wav"} for n, peak in enumerate(peaks)])
    chosen = sample_events(events, number)
    assert len(chosen) == min(number, len(peaks))
    assert chosen["uri"].is_unique
    shuffled = events.sample(frac=1, random_state=random.randrange(2**31))
    assert sample_events(shuffled, number)["uri"].tolist() == chosen["uri"].tolist()
    if number >= 2 and len(peaks) >= 2:
        assert set(chosen["peak"][:2]) == {max(peaks), min(peaks)}


@pytest.mark.parametrize("number", [1, 3, 5, 10])
def test_samples_lie_at_even_ranks(number):
    events = events_table(*[{"peak": n / 100, "uri": f"{n}.wav"} for n in range(101)])
    ranks = sorted(round(100 * peak) for peak in sample_events(events, number)["peak"])
    assert ranks == ([100] if number == 1 else [round(r) for r in np.linspace(0, 100, number)])
