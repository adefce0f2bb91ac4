"""Clip and event scores: against scikit-learn, against slow definitions, and by hand."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support

from hubbub.labels.event_metrics import event_metrics, match_events
from hubbub.learn.clip_metrics import call_labels, clip_metrics
from tests.examples import count_examples

LABELS = ("dog", "rain", "siren", "saw")


@st.composite
def clip_sets(draw):
    count = draw(st.integers(1, 40))
    true = draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
    seed = draw(st.integers(0, 2**32 - 1))
    return np.array(true), np.random.default_rng(seed).random((count, 4)).astype(np.float32)


@given(clip_sets())
@settings(max_examples=count_examples(60), deadline=None)
def test_clip_metrics_equal_scikit_learns(clips):
    true, scores = clips
    ours = clip_metrics(call_labels(np.eye(4, dtype=bool)[true], scores), scores, LABELS)
    called = scores.argmax(axis=1)
    assert ours.accuracy == pytest.approx(accuracy_score(true, called))
    assert ours.macro_f1 == pytest.approx(f1_score(true, called, average="macro", zero_division=0))
    assert (ours.confusion == confusion_matrix(true, called, labels=range(4))).all()
    theirs = precision_recall_fscore_support(true, called, labels=range(4), zero_division=0)
    for score, precision, recall, f1, support in zip(ours.per_class, *theirs, strict=True):
        assert (score.precision, score.recall, score.f1, score.support) == pytest.approx(
            (precision, recall, f1, support)
        )


def test_clip_metrics_become_json_that_says_the_same():
    scores = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
    metrics = clip_metrics(call_labels(np.eye(2, dtype=bool)[[0, 1, 1]], scores), scores, ["dog", "rain"])
    data = json.loads(json.dumps(metrics.to_dict()))
    assert data["labels"] == ["dog", "rain"]
    assert data["confusion"] == [[1, 0], [1, 1]]  # rows true, columns predicted
    assert data["clips"] == 3
    assert data["per_class"][1] == {
        "label": "rain",
        "precision": 1.0,
        "recall": 0.5,
        "f1": pytest.approx(2 / 3),
        "support": 2,
        "average_precision": pytest.approx(1.0),  # 0.8 and 0.4 of rain, 0.1 of the dog
        "roc_auc": pytest.approx(1.0),
    }


def test_no_clips_score_zero():
    metrics = clip_metrics(call_labels(np.empty((0, 2), bool), np.empty((0, 2))), np.empty((0, 2)), ["dog", "rain"])
    assert (metrics.accuracy, metrics.macro_f1, metrics.confusion.sum()) == (0, 0, 0)


@pytest.mark.parametrize(
    ("marked", "scores", "message"),
    [
        (np.eye(2, dtype=bool), np.zeros((2, 3)), r"got bool \[2, 2\] and \[2, 3\]"),  # a score too many
        (np.eye(2, dtype=bool)[:1], np.zeros((2, 2)), r"got bool \[1, 2\] and \[2, 2\]"),  # a clip too many
        (np.array([0, 1]), np.zeros((2, 2)), r"got int64 \[2\]"),  # places of labels
        (np.zeros((2, 2), bool), np.zeros((2, 2)), "2 of 2 clips carry no label"),
        (np.eye(2, dtype=bool), np.array([[0.1, 0.2], [np.nan, 0.3]]), "1 of 2 clips"),  # argmax would call NaN best
    ],
)
def test_calls_are_refused(marked, scores, message):
    with pytest.raises(ValueError, match=message):
        call_labels(marked, scores)


@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
@settings(max_examples=count_examples(60), deadline=None)
def test_several_labels_a_clip_are_scored_as_scikit_learn_does(seed, count):
    rng = np.random.default_rng(seed)
    marked = rng.random((count, 4)) < 0.4
    marked[~marked.any(axis=1), rng.integers(4)] = True
    scores, thresholds = rng.random((count, 4)), rng.random(4)
    calls = call_labels(marked, scores, thresholds)
    ours = clip_metrics(calls, scores, LABELS)
    called = scores >= thresholds
    theirs = precision_recall_fscore_support(marked, called, zero_division=0)
    for score, precision, recall, f1, support in zip(ours.per_class, *theirs, strict=True):
        assert (score.precision, score.recall, score.f1, score.support) == pytest.approx(
            (precision, recall, f1, support)
        )
    there = marked.any(axis=0) | called.any(axis=0)
    assert ours.macro_f1 == pytest.approx(theirs[2][there].mean())
    best = scores.argmax(axis=1)
    assert ours.accuracy == pytest.approx(np.mean([row[top] for row, top in zip(marked, best, strict=True)]))
    # A clip counts once, under a label that it carries.
    assert ours.confusion.sum() == count
    assert np.trace(ours.confusion) == round(ours.accuracy * count)
    assert marked[np.arange(count), calls.true].all()


def table(*rows, uri="a.wav"):
    frame = pd.DataFrame(rows, columns=["label", "onset_s", "offset_s"])
    return frame.assign(uri=uri).astype({"onset_s": float, "offset_s": float})


TRUTH = table(("dog", 2.0, 6.0), ("rain", 10.0, 11.0))


@pytest.mark.parametrize(
    ("predicted", "segments", "events"),  # (hits, called) of 5 true segments and 2 true events
    [
        (TRUTH, (5, 5), (2, 2)),  # perfect
        (table(), (0, 0), (0, 0)),  # nothing found
        (table(("dog", 2.5, 5.5)), (4, 4), (0, 1)),  # touches the same four segments, starts too late
        (table(("dog", 2.25, 6.0)), (4, 4), (1, 1)),  # onset off by exactly the tolerance
        (table(("dog", 2.26, 6.0)), (4, 4), (0, 1)),  # a hair more
        (table(("dog", 2.0, 8.0)), (4, 6), (1, 1)),  # offset off by half the true length
        (table(("dog", 2.0, 8.01)), (4, 7), (0, 1)),  # a hair more
        (table(("rain", 10.0, 11.5)), (1, 2), (1, 1)),  # half of one second
        (table(("rain", 10.0, 11.51)), (1, 2), (0, 1)),  # half a second is the rule for a short one
        (table(("rain", 2.0, 6.0)), (0, 4), (0, 1)),  # right time, wrong label
        (table(("dog", 2.0, 6.0), uri="b.wav"), (0, 4), (0, 1)),  # right time, another recording
        (table(("dog", 2.0, 6.0), ("dog", 2.1, 6.1)), (4, 5), (1, 2)),  # a true event is matched once
    ],
)
def test_event_metrics_by_hand(predicted, segments, events):
    metrics = event_metrics(TRUTH, predicted, tolerance_s=0.25, segment_s=1.0)
    assert (metrics.segment.hits, metrics.segment.called, metrics.segment.support) == (*segments, 5)
    assert (metrics.event.hits, metrics.event.called, metrics.event.support) == (*events, 2)


def test_as_many_events_as_possible_are_matched():
    # Matching greedily by onset would give found 1.0 to true 0.9 and leave found 0.7 without a partner.
    truth = table(("dog", 0.9, 3.0), ("dog", 1.2, 3.0))
    found = table(("dog", 0.7, 3.0), ("dog", 1.0, 3.0))
    assert event_metrics(truth, found, tolerance_s=0.25).event.hits == 2


def test_hits_are_told_in_the_order_of_the_rows():
    found = pd.concat([table(("rain", 10.0, 11.0), uri="b.wav"), table(("rain", 10.0, 11.0)), table(("dog", 3.0, 9.0))])
    true_found, predicted_right = match_events(TRUTH, found, tolerance_s=0.25)
    assert true_found.tolist() == [False, True]
    assert predicted_right.tolist() == [False, True, False]


def test_each_label_has_its_own_score():
    metrics = event_metrics(TRUTH, table(("dog", 2.0, 6.0), ("saw", 0.0, 1.0)))
    assert list(metrics.event_by_label) == ["dog", "rain", "saw"]
    assert [score.f1 for score in metrics.event_by_label.values()] == [1.0, 0.0, 0.0]
    assert metrics.event.f1 == pytest.approx(0.5)


@st.composite
def event_tables(draw):
    rows = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["a.wav", "b.wav"]),
                st.sampled_from(LABELS[:2]),
                st.integers(0, 40),
                st.integers(1, 20),
            ),
            max_size=5,
        )
    )
    return pd.DataFrame(
        [(uri, label, start / 4, (start + length) / 4) for uri, label, start, length in rows],
        columns=["uri", "label", "onset_s", "offset_s"],
    ).astype({"uri": "string", "label": "string", "onset_s": float, "offset_s": float})


def _slow_segments(events, segment_s):
    """Ask every segment of every recording whether an event lies in it."""
    return {
        (uri, label, number)
        for uri, label, onset_s, offset_s in events.itertuples(index=False)
        for number in range(200)
        if onset_s < (number + 1) * segment_s and offset_s > number * segment_s
    }


def _slow_hits(truth, predicted, tolerance_s):
    """Try every assignment of found events to true ones."""
    true, found = list(truth.itertuples(index=False)), list(predicted.itertuples(index=False))
    few, many = sorted((true, found), key=len)

    def fits(one, other):
        actual, called = (one, other) if few is true else (other, one)
        longest = max(tolerance_s, (actual.offset_s - actual.onset_s) / 2)
        return (
            actual[:2] == called[:2]
            and abs(actual.onset_s - called.onset_s) <= tolerance_s
            and abs(actual.offset_s - called.offset_s) <= longest
        )

    return max(
        sum(fits(one, other) for one, other in zip(few, order, strict=True))
        for order in itertools.permutations(many, len(few))
    )


@given(event_tables(), event_tables(), st.sampled_from([0.5, 1.0, 1.5]))
@settings(max_examples=count_examples(80), deadline=None)
def test_event_metrics_equal_the_definitions(truth, predicted, length_s):
    metrics = event_metrics(truth, predicted, tolerance_s=length_s, segment_s=length_s)
    actual, called = _slow_segments(truth, length_s), _slow_segments(predicted, length_s)
    assert metrics.segment.hits == len(actual & called)
    assert (metrics.segment.called, metrics.segment.support) == (len(called), len(actual))
    assert metrics.event.hits == _slow_hits(truth, predicted, length_s)
    true_found, predicted_right = match_events(truth, predicted, tolerance_s=length_s)
    assert true_found.sum() == predicted_right.sum() == metrics.event.hits


@given(event_tables())
def test_events_against_themselves_are_perfect(events):
    unique = events.drop_duplicates()
    metrics = event_metrics(unique, unique)
    expected = 1.0 if len(unique) else 0.0
    assert (metrics.segment.f1, metrics.event.f1) == (expected, expected)


@pytest.mark.parametrize(
    ("predicted", "settings_", "message"),
    [
        (TRUTH.drop(columns="onset_s"), {}, "predicted lacks onset_s; it has: label, offset_s, uri"),
        (table(("dog", 3.0, 3.0)), {}, r"event 3.0 to 3.0 s in a.wav has no length"),
        (TRUTH, {"tolerance_s": 0}, "must be above 0"),
        (TRUTH, {"segment_s": -1}, "must be above 0"),
    ],
)
def test_event_metrics_refuse(predicted, settings_, message):
    with pytest.raises(ValueError, match=message):
        event_metrics(TRUTH, predicted, **settings_)
