"""A model that is too sure gets its temperature, and the calibration error is the sum by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.learn.reliability import fit_temperature, label_probabilities, measure_reliability


def make_scores(temperature: float, activation: str, n: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Scores that are too sure by a temperature, and labels drawn from what they would be without."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.5, (n, 4))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    true = (probabilities.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    sure = logits * temperature
    if activation == "sigmoid":
        return 1 / (1 + np.exp(-sure)), true
    powers = np.exp(sure - sure.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True), true


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_the_temperature_is_found_and_mends_the_error(temperature: float, activation: str):
    scores, true = make_scores(temperature, activation)
    marked = np.eye(4, dtype=bool)[true]
    found = fit_temperature(scores, marked, activation)
    assert found == pytest.approx(temperature, rel=0.08)
    after = measure_reliability(label_probabilities(scores, activation, found), marked).ece
    assert after < 0.03
    if temperature == 2.0:
        assert measure_reliability(label_probabilities(scores, activation), marked).ece > 0.1


def test_a_few_rows_that_are_all_right_do_not_make_a_model_sure_of_everything():
    scores = np.full((30, 3), 0.1)
    scores[:, 0] = 0.8
    assert 0.4 < fit_temperature(scores, np.eye(3, dtype=bool)[np.zeros(30, int)], "softmax") < 1


def test_without_rows_nothing_is_scaled():
    assert fit_temperature(np.empty((0, 3)), np.empty((0, 3), bool), "sigmoid") == 1.0


@given(st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=1, max_size=20))
def test_probabilities_add_up_and_keep_the_order(rows: list[list[float]]):
    scores = np.array(rows)
    for activation in ("softmax", "sigmoid"):
        found = label_probabilities(scores, activation, 3.0)
        assert np.isfinite(found).all()
        np.testing.assert_allclose(found.sum(axis=1), 1)
        assert (np.diff(np.take_along_axis(found, scores.argsort(axis=1), axis=1), axis=1) >= -1e-9).all()


def test_the_error_by_hand():
    """Two clips at 0.9, one right: 0.4 off. Two at 0.6, both right: 0.4 off."""
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]])
    found = measure_reliability(probabilities, np.eye(2, dtype=bool)[[0, 1, 0, 0]])
    assert [(one.clips, one.accuracy) for one in found.bins] == [(2, 1.0), (2, 0.5)]
    assert found.ece == pytest.approx(0.4)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_where_any_number_of_labels_is_right_each_is_a_question_of_its_own(temperature: float):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.5, (2000, 4))
    marked = rng.random(logits.shape) < 1 / (1 + np.exp(-logits))
    scores = 1 / (1 + np.exp(-logits * temperature))
    found = fit_temperature(scores, marked, "sigmoid", one_is_right=False)
    assert found == pytest.approx(temperature, rel=0.08)
    probabilities = label_probabilities(scores, "sigmoid", found, one_is_right=False)
    np.testing.assert_allclose(probabilities, 1 / (1 + np.exp(-logits * temperature / found)), rtol=1e-5)
    assert measure_reliability(probabilities, marked).ece < 0.03
