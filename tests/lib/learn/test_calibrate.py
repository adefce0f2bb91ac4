"""The threshold: best on the rows given, and the middle of what is equally good."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import f1_score

from hubbub.learn.calibrate import GRID, calibrate


@pytest.mark.parametrize(
    ("scores", "targets", "threshold"),
    [
        ([[0.9, 0.0], [0.0, 0.9]], [[1, 0], [0, 1]], 0.5),  # all are right: the middle
        ([[0.42, 0.0], [0.28, 0.0]], [[1, 0], [0, 0]], 0.35),  # between the sound and the background
        ([[0.3, 0.0], [0.1, 0.0]], [[1, 0], [0, 0]], 0.25),  # a model that is never sure is heard all the same
    ],
)
def test_the_threshold_parts_sounds_from_backgrounds(scores, targets, threshold):
    found = calibrate(np.array(scores), np.array(targets))
    assert found.threshold == threshold
    assert found.f1 == 1
    assert found.rows == 2


@given(st.data())
def test_no_other_threshold_is_better(data):
    shape = (data.draw(st.integers(1, 12)), 3)
    scores = data.draw(arrays(np.float64, shape, elements=st.floats(0, 1)))
    targets = data.draw(arrays(np.int8, shape, elements=st.integers(0, 1)))
    found = calibrate(scores, targets)
    tried = [f1_score(targets, scores >= threshold, average="micro", zero_division=0) for threshold in GRID]
    assert found.f1 == pytest.approx(max(tried))
    assert tried[list(GRID).index(found.threshold)] == pytest.approx(max(tried))
