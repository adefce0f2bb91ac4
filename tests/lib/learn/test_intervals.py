"""Intervals hold what they promise, and the paired test is scipy's and hand-made cases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from hubbub.learn.clip_metrics import Calls
from hubbub.learn.intervals import bootstrap_interval, compare_paired


def calls_of(true: np.ndarray, predicted: np.ndarray, n_labels: int) -> Calls:
    one_hot = np.eye(n_labels, dtype=bool)
    return Calls(one_hot[true], one_hot[predicted], predicted)


def test_the_interval_of_accuracy_is_that_of_a_binomial():
    """Of 400 clips, 320 right: 0.8, give or take 1.96 standard errors of 0.02."""
    true = np.zeros(400, int)
    predicted = np.repeat([0, 1], [320, 80])
    found = bootstrap_interval(calls_of(true, predicted, 2)).accuracy
    assert (found.low, found.high) == pytest.approx((0.8 - 1.96 * 0.02, 0.8 + 1.96 * 0.02), abs=0.006)


def test_macro_f1_lies_within_its_interval():
    rng = np.random.default_rng(0)
    true = rng.integers(0, 4, 200)
    predicted = np.where(rng.random(200) < 0.7, true, rng.integers(0, 4, 200))
    found = bootstrap_interval(calls_of(true, predicted, 4)).macro_f1
    assert found.low < f1_score(true, predicted, average="macro") < found.high
    assert found == bootstrap_interval(calls_of(true, predicted, 4)).macro_f1


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_the_paired_test_looks_at_what_differs(pairs: list[tuple[bool, bool]]):
    first, second = np.array(pairs).T
    found = compare_paired(first, second)
    assert (found.only_first, found.only_second) == (
        sum(a and not b for a, b in pairs),
        sum(b and not a for a, b in pairs),
    )
    other = compare_paired(second, first)
    assert found.p_value == pytest.approx(other.p_value)
    assert found.difference.low <= second.mean() - first.mean() <= found.difference.high


def test_the_p_value_by_hand():
    """Five clips differ, all one way: twice one half to the fifth."""
    first, second = np.array([True] * 5 + [False] * 5), np.zeros(10, bool)
    assert compare_paired(first, second).p_value == pytest.approx(2 * 0.5**5)
    assert compare_paired(first, first).p_value == 1.0
