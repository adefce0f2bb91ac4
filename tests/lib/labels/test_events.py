"""Window scores to events: by hand, against a slow definition, and what must always hold."""

from __future__ import annotations

import time
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubbub.errors import SettingsError
from hubbub.labels.events import Event, EventRule, events_from_windows
from tests.examples import count_examples

PLAIN = EventRule(threshold=0.5, release=0.5)


def windows(count, *, hop_s=1.0, length_s=5.0):
    start_s = np.arange(count) * hop_s
    return start_s, start_s + length_s


def spans(scores, rule=PLAIN, *, hop_s=1.0, length_s=1.0, duration_s=None):
    """Return (onset, offset) of the events of one label."""
    start_s, end_s = windows(len(scores), hop_s=hop_s, length_s=length_s)
    duration_s = end_s[-1] if duration_s is None else duration_s
    found = events_from_windows(start_s, end_s, np.array(scores)[:, None], ["dog"], rule, duration_s)
    return [(event.onset_s, event.offset_s) for event in found]


HYSTERESIS = EventRule(threshold=0.5, release=0.35)


@pytest.mark.parametrize(
    ("scores", "rule", "expected"),
    [
        ([0, 0, 0], PLAIN, []),  # silence
        ([0, 0.5, 0], PLAIN, [(1, 2)]),  # the threshold itself is enough
        ([1, 1, 1], PLAIN, [(0, 3)]),  # from end to end
        ([1, 0, 1], PLAIN, [(0, 1), (2, 3)]),  # two events
        ([0.4, 0.6, 0.4, 0.3], HYSTERESIS, [(0, 3)]),  # hysteresis holds before and after the peak
        ([0.4, 0.4, 0.3], HYSTERESIS, []),  # but alone it starts nothing
        ([0.6, 0.3, 0.4], HYSTERESIS, [(0, 1)]),  # and does not jump a gap
        ([1, 0, 1], EventRule(0.5, 0.5, merge_gap_s=1), [(0, 3)]),  # a gap of exactly merge_gap_s closes
        ([1, 0, 0, 1], EventRule(0.5, 0.5, merge_gap_s=1.9), [(0, 1), (3, 4)]),  # a longer one does not
        (
            [1, 0, 1, 1],
            EventRule(0.5, 0.5, min_duration_s=2),
            [(2, 4)],
        ),  # one second is too short, two are not
        (
            [1, 0, 1],
            EventRule(0.5, 0.5, merge_gap_s=1, min_duration_s=3),
            [(0, 3)],
        ),  # merged first, then measured
    ],
)
def test_rules_by_hand(scores, rule, expected):
    assert spans(scores, rule) == expected


@pytest.mark.parametrize(
    ("scores", "duration_s", "expected"),
    [
        # 5 s windows every second; a sound from 4 to 9 s fills window 4 and half of 2, 3, 5 and 6.
        ([0, 0, 0.5, 0.8, 1, 0.8, 0.5, 0, 0], 13, (4, 9)),
        ([1, 1, 1, 0, 0, 0, 0, 0, 0], 13, (0, 5)),  # the first window speaks from the very start
        ([0, 0, 0, 0, 0, 0, 1, 1, 1], 13, (8, 13)),  # the last to the very end
        ([0, 0, 0, 0, 0, 0, 0, 1, 1], 12.4, (9, 12.4)),  # which may lie before the padded window's
    ],
)
def test_overlapping_windows_find_the_true_edges(scores, duration_s, expected):
    assert spans(scores, length_s=5.0, duration_s=duration_s) == [expected]


def test_a_last_window_cut_short_begins_where_its_sound_begins():
    start_s, end_s = np.array([0.0, 5.0, 10.0]), np.array([5.0, 10.0, 12.0])
    found = events_from_windows(start_s, end_s, np.array([[0.0], [0.0], [1.0]]), ["dog"], PLAIN, 12.0)
    assert astuple(found[0]) == ("dog", 10.0, 12.0, 1.0, 1.0)


def test_peak_and_mean_are_over_time_with_the_merged_gap():
    start_s, end_s = np.array([0.0, 1.0, 3.0]), np.array([1.0, 3.0, 4.0])
    rule = EventRule(0.5, 0.5, merge_gap_s=2)
    found = events_from_windows(start_s, end_s, np.array([[0.6], [0.0], [1.0]]), ["dog"], rule, 4.0)
    assert found == [Event("dog", 0.0, 4.0, 1.0, pytest.approx(0.4))]  # (0.6 x 1 + 0 x 2 + 1 x 1) / 4


def test_labels_have_their_own_rules_and_come_in_order_of_time():
    rules = {"dog": EventRule(0.9, 0.9), "rain": PLAIN}
    scores = np.array([[0.6, 0.0], [0.95, 0.6], [0.0, 0.6], [1.0, 0.0]])
    found = events_from_windows(*windows(4, length_s=1.0), scores, ["dog", "rain"], rules, 4.0)
    assert [(event.label, event.onset_s) for event in found] == [("dog", 1), ("rain", 1), ("dog", 3)]


def test_float16_scores_keep_float64_times():
    hours = 100
    start_s = np.arange(hours * 3600, dtype=np.float64) + 0.123456789
    scores = np.zeros((len(start_s), 1), np.float16)
    scores[-10] = 1
    found = events_from_windows(start_s, start_s + 1, scores, ["dog"], PLAIN, start_s[-1] + 1)
    assert found[0].onset_s == pytest.approx(hours * 3600 - 10 + 0.123456789, abs=1e-9)


@pytest.mark.parametrize("duration_s", [0.0, 3.0])
def test_no_windows_no_events(duration_s):
    assert events_from_windows(np.empty(0), np.empty(0), np.empty((0, 2)), ["a", "b"], PLAIN, duration_s) == []


@st.composite
def recordings(draw):
    count = draw(st.integers(1, 30))
    hop_s = draw(st.sampled_from([0.1, 0.5, 1.0, 2.5]))
    length_s = hop_s * draw(st.sampled_from([1, 2, 2.5, 5]))
    start_s, end_s = windows(count, hop_s=hop_s, length_s=length_s)
    # Durations that cut the last window, end with it, or (a header that lied) end long before.
    duration_s = end_s[-1] * draw(st.sampled_from([0.3, 0.9, 1.0]))
    steps = draw(st.lists(st.integers(0, 20), min_size=2 * count, max_size=2 * count))
    return start_s, end_s, np.array(steps).reshape(count, 2) / 20, duration_s


rules = st.builds(
    lambda threshold, part, shortest, gap: EventRule(threshold, threshold * part, shortest, gap),
    st.sampled_from([0.05, 0.3, 0.5, 0.8, 1.0]),
    st.sampled_from([0.2, 0.7, 1.0]),
    st.sampled_from([0.0, 0.5, 2.0]),
    st.sampled_from([0.0, 0.5, 2.0]),
)


def _slow(start_s, end_s, scores, rule, duration_s):
    """One label, one window at a time, one rule after the other."""
    pieces = []
    for i, score in enumerate(scores.tolist()):
        onset_s = 0.0 if i == 0 else (end_s[i - 1] + start_s[i]) / 2
        offset_s = duration_s if i == len(scores) - 1 else (end_s[i] + start_s[i + 1]) / 2
        onset_s, offset_s = min(onset_s, duration_s), min(offset_s, duration_s)
        if onset_s < offset_s:
            pieces.append((onset_s, offset_s, score))
    runs, run = [], []
    for piece in pieces:
        if piece[2] >= rule.release:
            run.append(piece)
        elif run:
            runs.append(run)
            run = []
    if run:
        runs.append(run)
    runs = [run for run in runs if max(score for *_, score in run) >= rule.threshold]
    merged = []
    for run in runs:
        if merged and run[0][0] - merged[-1][1] <= rule.merge_gap_s + 1e-9:
            merged[-1] = (merged[-1][0], run[-1][1])
        else:
            merged.append((run[0][0], run[-1][1]))
    events = []
    for onset_s, offset_s in merged:
        if offset_s - onset_s >= rule.min_duration_s - 1e-9:
            inside = [piece for piece in pieces if piece[0] >= onset_s and piece[1] <= offset_s]
            mean = sum((end - start) * score for start, end, score in inside) / (offset_s - onset_s)
            events.append((onset_s, offset_s, max(score for *_, score in inside), mean))
    return events


@given(recordings(), rules)
@settings(max_examples=count_examples(200), deadline=None)
def test_equals_the_slow_definition(recording, rule):
    start_s, end_s, scores, duration_s = recording
    found = events_from_windows(start_s, end_s, scores, ["dog", "rain"], rule, duration_s)
    for order, label in enumerate(["dog", "rain"]):
        ours = [astuple(event)[1:] for event in found if event.label == label]
        slow = _slow(start_s, end_s, scores[:, order], rule, duration_s)
        assert [event[:3] for event in ours] == [event[:3] for event in slow]
        assert [event[3] for event in ours] == pytest.approx([event[3] for event in slow])


@given(recordings(), rules)
@settings(max_examples=count_examples(100), deadline=None)
def test_what_must_always_hold(recording, rule):
    *arrays, duration_s = recording
    found = events_from_windows(*arrays, ["dog", "rain"], rule, duration_s)
    assert [event.onset_s for event in found] == sorted(event.onset_s for event in found)
    for event in found:
        assert 0 <= event.onset_s < event.offset_s <= duration_s
        assert event.peak >= event.mean
        assert event.peak >= rule.threshold
        assert event.offset_s - event.onset_s >= rule.min_duration_s - 1e-9
    for label in ("dog", "rain"):
        own = [event for event in found if event.label == label]
        for one, after in zip(own, own[1:], strict=False):
            assert after.onset_s - one.offset_s > rule.merge_gap_s


@given(recordings(), rules, st.floats(0.0, 1.0))
@settings(max_examples=count_examples(100), deadline=None)
def test_a_needed_peak_above_the_threshold_drops_events_and_changes_none(recording, rule, part):
    *arrays, duration_s = recording
    strict = rule.with_needed_peak(rule.threshold + part * (1 - rule.threshold))
    labels = ["dog", "rain"]
    kept = [
        event
        for event in events_from_windows(*arrays, labels, rule, duration_s)
        if np.float32(event.peak) >= np.float32(strict.needed_peak)
    ]
    assert events_from_windows(*arrays, labels, strict, duration_s) == kept


def test_a_needed_peak_below_the_threshold_is_a_lower_threshold():
    rule = EventRule(0.5, 0.35).with_needed_peak(0.8)
    assert (rule.threshold, rule.needed_peak, rule.to_dict()["least_peak"]) == (0.5, 0.8, 0.8)
    lower = rule.with_needed_peak(0.4)
    assert (lower.threshold, lower.needed_peak, "least_peak" in lower.to_dict()) == (0.4, 0.4, False)


def _time(events):
    return sum(event.offset_s - event.onset_s for event in events)


@given(recordings(), rules, st.floats(0.0, 1.0))
@settings(max_examples=count_examples(100), deadline=None)
def test_raising_the_threshold_never_adds_event_time(recording, rule, part):
    *arrays, duration_s = recording
    higher = rule.threshold + part * (1 - rule.threshold)
    strict = EventRule(higher, rule.release, rule.min_duration_s, rule.merge_gap_s)
    labels = ["dog", "rain"]
    loose_s = _time(events_from_windows(*arrays, labels, rule, duration_s))
    assert _time(events_from_windows(*arrays, labels, strict, duration_s)) <= loose_s + 1e-9


@given(recordings(), rules, st.floats(0.0, 10.0))
@settings(max_examples=count_examples(100), deadline=None)
def test_merging_gaps_never_lengthens_the_list(recording, rule, gap_s):
    *arrays, duration_s = recording
    # With a minimum duration it may: pieces too short alone are long enough together, as they should be.
    apart = EventRule(rule.threshold, rule.release)
    merged = EventRule(rule.threshold, rule.release, merge_gap_s=gap_s)
    many, few = (events_from_windows(*arrays, ["a", "b"], each, duration_s) for each in (apart, merged))
    assert len(few) <= len(many)
    assert _time(few) >= _time(many) - 1e-9


def test_a_hundred_thousand_windows_of_ten_labels_take_seconds_not_minutes():
    scores = np.random.default_rng(0).random((100_000, 10)).astype(np.float16)
    start_s, end_s = windows(len(scores))
    began = time.perf_counter()
    found = events_from_windows(start_s, end_s, scores, list("abcdefghij"), HYSTERESIS, end_s[-1])
    assert time.perf_counter() - began < 10  # about 1 s on one core; a Python loop over windows takes many
    assert len(found) > 100_000


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"threshold": 0.0}, "threshold 0 is no score"),  # everything would be an event
        ({"threshold": 1.2}, "threshold 1.2 is no score"),
        ({"threshold": float("nan")}, "threshold nan"),
        ({"threshold": 0.3}, "release 0.35 does not fit threshold 0.3.*up to 0.3"),
        ({"release": 0.0}, "release 0 does not fit"),  # no event would ever end
        ({"min_duration_s": -1.0}, "min_duration_s -1 is no length of time"),
        ({"merge_gap_s": float("inf")}, "merge_gap_s inf is no length of time"),
        ({"late_s": 0.7}, "late_s 0.7 is no small shift"),
    ],
)
def test_rules_that_mean_nothing_are_refused(values, message):
    with pytest.raises(SettingsError, match=message):
        EventRule(**values)


def test_a_rule_at_another_threshold_keeps_its_proportion():
    rule = EventRule(0.5, 0.35, 1.0, 2.0).with_threshold(0.2)
    assert astuple(rule) == pytest.approx((0.2, 0.14, 1.0, 2.0, 0.0, 0.0, 0.3, 0.0, 0.0))


def test_onsets_are_moved_by_what_they_are_off_but_stay_in_their_events():
    start_s = np.arange(20) * 0.1
    scores = np.zeros((20, 1))
    scores[5:7], scores[12:] = 0.8, 0.8
    rule = EventRule(0.5, 0.35, late_s=0.15)
    events = events_from_windows(start_s, start_s + 0.1, scores, ["dog"], rule, 2.0)
    assert [(event.onset_s, event.offset_s) for event in events] == [
        pytest.approx((0.6, 0.7)),  # 0.15 s later would leave a quarter of it
        pytest.approx((1.35, 2.0)),
    ]
    assert [event.mean for event in events] == pytest.approx([0.8, 0.8])
    early = events_from_windows(start_s, start_s + 0.1, np.ones((20, 1)), ["dog"], EventRule(late_s=-0.1), 2.0)
    assert early[0].onset_s == 0.0
    assert "late_s" not in EventRule().to_dict()
    assert EventRule(**rule.to_dict()) == rule


def test_events_of_a_label_never_overlap_wherever_their_onsets_go():
    start_s = np.arange(20) / 10
    scores = np.ones((20, 1))
    scores[9] = 0.0
    found = events_from_windows(start_s, start_s + 0.1, scores, ["dog"], EventRule(late_s=-0.3), 2.0)
    assert [(one.onset_s, one.offset_s) for one in found] == [(0.0, pytest.approx(0.9)), (pytest.approx(0.9), 2.0)]


def test_what_a_later_onset_leaves_over_is_not_unknown():
    start_s = np.arange(20) / 10
    scores = np.zeros((20, 1))
    scores[5:15] = 0.9
    rules = {"dog": EventRule(0.5, 0.35, late_s=0.3), "unknown": EventRule(0.3, 0.2)}
    found = events_from_windows(start_s, start_s + 0.1, scores, ["dog"], rules, 2.0)
    assert [(one.label, one.onset_s) for one in found] == [("dog", pytest.approx(0.8))]


def test_what_scores_and_is_no_event_of_any_label_is_unknown():
    """A second of 0.4 for rain is unknown at 0.3; next to it, in an event of dog's, it is not."""
    start_s = np.arange(10, dtype=float)
    scores = np.zeros((10, 2))
    scores[2, 1] = scores[6, 1] = 0.4
    scores[6, 0] = 0.9
    rules = {"dog": EventRule(0.5, 0.35), "rain": EventRule(0.5, 0.35), "unknown": EventRule(0.3, 0.2)}
    events = events_from_windows(start_s, start_s + 1, scores, ["dog", "rain"], rules, 10.0)
    assert [(event.label, event.onset_s, event.offset_s) for event in events] == [("unknown", 2, 3), ("dog", 6, 7)]
    assert events[0].peak == 0.4
    less = {name: rule for name, rule in rules.items() if name != "unknown"}
    assert [one.label for one in events_from_windows(start_s, start_s + 1, scores, ["dog", "rain"], less, 10.0)] == [
        "dog"
    ]


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"dog": PLAIN}, "label 'rain' has no rule"),
        ({"dog": PLAIN, "rain": PLAIN, "rains": PLAIN}, "unknown label 'rains': did you mean 'rain'"),
    ],
)
def test_a_rule_for_each_label_and_no_other(rules, message):
    with pytest.raises(SettingsError, match=message):
        events_from_windows(*windows(2), np.zeros((2, 2)), ["dog", "rain"], rules, 2.0)


@pytest.mark.parametrize(
    ("start_s", "end_s", "scores", "message"),
    [
        ([0, 1], [1, 2], np.zeros((2, 3)), r"for 1 label; got \[2\], \[2\], \[2, 3\]"),
        ([0, 1], [1], np.zeros((2, 1)), r"got \[2\], \[1\], \[2, 1\]"),
        ([1, 0], [2, 1], np.zeros((2, 1)), "in order of time"),
        ([0, 1], [0, 2], np.zeros((2, 1)), "ending after it starts"),
        ([0, 1], [1, 2], np.array([[0.0], [np.nan]]), "1 of 2 windows"),
    ],
)
def test_windows_that_do_not_fit_are_refused(start_s, end_s, scores, message):
    with pytest.raises(ValueError, match=message):
        events_from_windows(np.array(start_s, float), np.array(end_s, float), scores, ["dog"], PLAIN, 2.0)
