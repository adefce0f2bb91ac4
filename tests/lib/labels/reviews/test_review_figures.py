"""What verdicts give, against slow oracles and against archives whose truth is known."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubbub.errors import UsageError
from hubbub.labels.reviews import logistic
from hubbub.labels.reviews.agreement import measure_agreement
from hubbub.labels.reviews.logistic import LogisticFit, fit_draws, fit_logistic, logit
from hubbub.labels.reviews.precision import count_by_range, count_right, wilson_interval
from hubbub.labels.reviews.reading import settle_verdicts
from hubbub.labels.reviews.recall import SCORE_EDGES, count_scores, estimate_recall
from hubbub.labels.reviews.thresholds import ThresholdSuggestion, expect_precision, suggest_threshold
from tests.examples import count_examples

Outcomes = st.lists(st.tuples(st.integers(0, 100), st.booleans()), min_size=20, max_size=60)


def verdicts(*rows: tuple[str, str, str]) -> pd.DataFrame:
    """Verdicts of (reviewer, event, verdict)."""
    frame = pd.DataFrame(rows, columns=["reviewer", "event", "verdict"])
    told = {"kind": "event", "uri": "a.wav", "clip_id": "c", "event_label": "dog", "label": None, "source": "random"}
    return frame.assign(**told, onset_s=0.0, offset_s=1.0, score=np.float32(0.7))


def test_most_of_those_who_say_yes_or_no_decide():
    settled = settle_verdicts(
        verdicts(
            *(("ada", "a", "yes"), ("bo", "a", "yes"), ("cy", "a", "no")),
            *(("ada", "b", "yes"), ("bo", "b", "no"), ("cy", "b", "unsure")),
            *(("ada", "c", "unsure"), ("ada", "d", "no"), ("bo", "d", "unsure")),
        )
    )
    assert dict(zip(settled["event"], settled["outcome"], strict=True)) == {
        "a": "right",
        "b": "tied",
        "c": "unsure",
        "d": "wrong",
    }
    share = count_right(settled)
    assert (share.right, share.judged, share.value) == (1, 2, 0.5)
    assert settle_verdicts(verdicts()).empty
    assert math.isnan(count_right(settle_verdicts(verdicts())).value)


@given(st.integers(0, 40), st.integers(0, 40))
def test_wilson_intervals_hold_the_shares_that_a_test_does_not_reject(right: int, wrong: int):
    """The interval is where the score test does not reject, which a search finds as well."""
    judged = right + wrong
    interval = wilson_interval(right, judged)
    if not judged:
        assert (interval.low, interval.high) == (0, 1)
        return
    shares = np.linspace(0, 1, 20_001)
    is_held = np.abs(right / judged - shares) <= 1.959964 * np.sqrt(shares * (1 - shares) / judged) + 1e-12
    assert interval.low == pytest.approx(shares[is_held][0], abs=1e-4)
    assert interval.high == pytest.approx(shares[is_held][-1], abs=1e-4)


def test_ranges_hold_their_lower_edge():
    settled = pd.DataFrame(
        {
            "score": np.array([0.7, 0.69, 1.0, 0.9, 0.95, 0.0], np.float32),
            "outcome": ["right", "wrong", "right", "wrong", "tied", "right"],
        }
    )
    found = [(own.low, own.high, own.share.right, own.share.judged) for own in count_by_range(settled)]
    assert found == [(0, 0.1, 1, 1), (0.6, 0.7, 0, 1), (0.7, 0.8, 1, 1), (0.9, 1.0, 1, 2)]


def fit_slowly(scores: np.ndarray, right: np.ndarray) -> tuple[float, float]:
    """The same fit by a general optimiser."""
    from scipy.optimize import minimize

    x = logit(scores)
    middle, scale = x.mean(), x.std() if x.std() > 1e-9 else 1.0

    def loss(at: np.ndarray) -> float:
        z = at[0] + at[1] * (x - middle) / scale
        return float(np.logaddexp(0, np.where(right, -z, z)).sum() + (at**2).sum() / 200)

    at = minimize(loss, np.zeros(2), method="BFGS", options={"gtol": 1e-8}).x
    return float(at[0] - at[1] * middle / scale), float(at[1] / scale)


@settings(max_examples=count_examples(50))
@given(Outcomes)
def test_fits_are_those_of_a_general_optimiser(outcomes: list[tuple[int, bool]]):
    """Scores that part right from wrong completely are among them, and scores that are all equal."""
    scores, right = np.array([o[0] for o in outcomes]) / 100, np.array([o[1] for o in outcomes])
    fit, (intercept, slope) = fit_logistic(scores, right), fit_slowly(scores, right)
    grid = np.linspace(scores.min(), scores.max(), 9)
    assert fit.predict(grid) == pytest.approx(LogisticFit(intercept, slope).predict(grid), abs=1e-4)


def test_a_drawn_fit_is_the_fit_of_what_was_drawn():
    rng = np.random.default_rng(5)
    scores = rng.uniform(0.2, 1, 40)
    right = rng.random(40) < scores
    weights = np.random.default_rng(3).multinomial(40, np.full(40, 1 / 40), size=400)
    drawn = next(iter(fit_draws(scores, right, seed=3)))
    again = fit_logistic(np.repeat(scores, weights[0]), np.repeat(right, weights[0]))
    grid = np.linspace(0.2, 1, 9)
    assert drawn.predict(grid) == pytest.approx(again.predict(grid), abs=0.01)  # the prior's unit differs a little


@given(st.lists(st.integers(10, 100), min_size=1, max_size=50), st.floats(0.1, 4), st.floats(-3, 3))
def test_expected_precision_is_the_mean_of_what_is_kept_and_rises(peaks: list[int], slope: float, intercept: float):
    fit = LogisticFit(intercept, slope)
    values, counts = np.unique(np.array(peaks) / 100, return_counts=True)
    expected = expect_precision(fit, values, counts)
    slow = [np.mean([fit.predict(peak / 100) for peak in peaks if peak / 100 >= value]) for value in values]
    assert expected == pytest.approx(np.array(slow))
    assert (np.diff(expected) >= -1e-12).all()


def make_archive(count: int, seed: int, slope: float = 1.2, intercept: float = -0.4) -> tuple[np.ndarray, np.ndarray]:
    """Peaks of events as float16 stores them, and which are right: P(right) is logistic in the score's logit."""
    rng = np.random.default_rng(seed)
    peaks = rng.beta(1.2, 1.0, count) * 0.7 + 0.3
    peaks = peaks.astype(np.float16).astype(np.float64)
    return peaks, rng.random(count) < LogisticFit(intercept, slope).predict(peaks)


def find_threshold_slowly(peaks: np.ndarray, scores: np.ndarray, right: np.ndarray, wanted: float) -> float | None:
    """The lowest peak from which on the mean probability is what is wanted."""
    fit = fit_logistic(scores, right)
    for peak in sorted(set(peaks)):
        if fit.predict(peaks[peaks >= peak]).mean() >= wanted:
            return float(peak)
    return None


@pytest.mark.parametrize("wanted", [0.5, 0.7, 0.8, 0.9, 0.97])
def test_thresholds_are_those_of_a_plain_search(wanted: float):
    peaks, right = make_archive(3000, 1)
    chosen = np.random.default_rng(2).choice(3000, 150, replace=False)
    found = suggest_threshold("dog", peaks[chosen], right[chosen], peaks, wanted=wanted, present=0.3)
    slow = find_threshold_slowly(peaks, peaks[chosen], right[chosen], wanted)
    if slow is None:
        assert found.threshold is None
        assert "no threshold reaches" in str(found.reason)
        return
    assert found.threshold is not None
    assert found.kept == (peaks >= slow).sum() == (peaks >= found.threshold).sum()
    assert found.low is not None
    assert found.low <= found.threshold <= (found.high or 1)


def test_thresholds_part_events_that_peak_close_to_each_other():
    """Few digits would take in events that are not meant."""
    peaks = 0.5 + np.arange(3000) * 1e-5
    scores = np.concatenate([np.linspace(0.3, 0.51, 30), np.linspace(0.51, 0.9, 30)])
    right = np.arange(60) % 10 < np.repeat([2, 8], 30)
    wanted = float(fit_logistic(scores, right).predict(0.525))
    found = suggest_threshold("dog", scores, right, peaks, wanted=wanted, present=0.3)
    assert found.threshold is not None
    assert found.threshold == find_threshold_slowly(peaks, scores, right, wanted)
    assert found.kept == (peaks >= found.threshold).sum() < 3000


def test_thresholds_rise_with_the_precision():
    peaks, right = make_archive(2000, 3)
    asked = np.linspace(0.5, 0.95, 19)
    found = [suggest_threshold("dog", peaks[:200], right[:200], peaks, wanted=w, present=0.3).threshold for w in asked]
    reached = [1.0 if threshold is None else threshold for threshold in found]
    assert all(first <= second for first, second in pairwise(reached))
    assert reached[0] == 0.3  # all events are right often enough: the threshold stays
    assert reached[-1] > 0.5


CHOICES = {
    "random": lambda peaks, rng: rng.choice(len(peaks), 200, replace=False),
    "worst": lambda peaks, rng: np.argsort(peaks)[rng.choice(len(peaks) // 2, 200, replace=False)],
    "balanced": lambda peaks, rng: np.concatenate(
        [rng.choice(np.flatnonzero((peaks >= low) & (peaks < low + 0.175)), 50) for low in (0.3, 0.475, 0.65, 0.825)]
    ),
}


DEVIATIONS = {"random": 0.05, "worst": 0.1, "balanced": 0.05}
"""Of the precision got, over archives; low scores alone say less of high ones."""


@pytest.fixture
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals of fewer draws, where many archives are gone through."""
    monkeypatch.setattr(logistic, "RESAMPLES", 100)


@pytest.mark.usefixtures("few_draws")
@pytest.mark.parametrize("choice", CHOICES)
def test_the_precision_asked_for_is_the_precision_got(choice: str):
    """However events were chosen by score; the fit's errors over 25 archives are as large as chance makes them."""
    errors, held = [], []
    for seed in range(25):
        peaks, right = make_archive(5000, seed)
        chosen = CHOICES[choice](peaks, np.random.default_rng(seed))
        found = suggest_threshold("dog", peaks[chosen], right[chosen], peaks, wanted=0.85, present=0.3, seed=seed)
        if found.threshold is None:
            continue
        got = right[peaks >= found.threshold].mean()
        errors.append(got - 0.85)
        assert found.expected_interval is not None
        held.append(found.expected_interval.low <= got <= found.expected_interval.high)
    print(f"{choice}: mean error {np.mean(errors):+.3f}, deviation {np.std(errors):.3f}, held {np.mean(held):.2f}")
    assert len(errors) >= 20
    assert abs(np.mean(errors)) < 0.02
    assert np.std(errors) < DEVIATIONS[choice]
    assert np.mean(held) > 0.8


@pytest.mark.parametrize(
    ("scores", "right", "reason"),
    [
        ([0.5] * 19, [True, False] * 9 + [True], "19 of the 20 events that are needed are judged"),
        (np.linspace(0.3, 1, 30), [True] * 30, "all 30 judged events are right"),
        (np.linspace(0.3, 1, 30), [False] * 30, "none of the 30 judged events is right"),
        (np.linspace(0.3, 1, 30), [True] * 15 + [False] * 15, "not more often right"),
        ([0.6] * 30, [True, False] * 15, "not more often right"),
        (np.linspace(0.3, 0.9, 30), [True, False] * 14 + [True, True], "no threshold reaches 0.9"),
    ],
)
def test_thresholds_that_cannot_be_told_say_why(scores: list[float], right: list[bool], reason: str):
    found = suggest_threshold("dog", scores, np.array(right), scores, wanted=0.9, present=0.3)
    assert reason in str(found.reason)
    assert (found.threshold, found.low, found.high, found.kept) == (None, None, None, len(scores))


def test_no_events_and_precisions_that_cannot_be():
    scores, right = np.linspace(0.3, 1, 30), np.arange(30) > 14
    assert "no events" in str(suggest_threshold("dog", scores, right, [], wanted=0.9, present=0.3).reason)
    for wanted in (0, 1, 90, float("nan")):
        with pytest.raises(UsageError, match="such as 0.9"):
            suggest_threshold("dog", scores, right, scores, wanted=wanted, present=0.3)


def test_scores_that_part_right_from_wrong_place_the_threshold_between():
    scores = np.concatenate([np.linspace(0.3, 0.5, 20), np.linspace(0.7, 0.99, 20)])
    found: ThresholdSuggestion = suggest_threshold("dog", scores, scores > 0.6, scores, wanted=0.95, present=0.3)
    assert found.threshold is not None
    assert 0.45 < found.threshold <= 0.7
    assert found == suggest_threshold("dog", scores, scores > 0.6, scores, wanted=0.95, present=0.3)  # same draws


@pytest.mark.usefixtures("few_draws")
def test_recall_is_the_recall_of_the_archive():
    """Few windows have the label and most score low; windows are judged from all ranges of scores."""
    errors, held = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        scores = 1 / (1 + np.exp(-rng.normal(-2.5, 2, 20_000)))
        present = rng.random(20_000) < LogisticFit(-1.0, 1.1).predict(scores)
        edges = np.quantile(scores, np.linspace(0, 1, 9))
        ranges = [np.flatnonzero((scores >= low) & (scores <= high)) for low, high in pairwise(edges)]
        chosen = np.concatenate([rng.choice(own, 40, replace=False) for own in ranges])
        found = estimate_recall("dog", scores[chosen], present[chosen], count_scores(scores), threshold=0.5)
        truth = (present & (scores >= 0.5)).sum() / present.sum()
        assert found.value is not None
        assert found.interval is not None
        errors.append(found.value - truth)
        held.append(found.interval.low <= truth <= found.interval.high)
    print(
        f"recall {truth:.2f}: mean error {np.mean(errors):+.3f}, deviation {np.std(errors):.3f}, held {np.mean(held)}"
    )
    assert abs(np.mean(errors)) < 0.03
    assert np.mean(held) > 0.85


def test_recall_by_a_plain_sum():
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.01, 0.99, 300)
    present = rng.random(300) < scores
    all_scores = rng.uniform(0, 1, 2000)
    fit = fit_logistic(scores, present)
    falling = []
    for threshold in (0.1, 0.5, 0.9):
        found = estimate_recall("dog", scores, present, count_scores(all_scores), threshold=threshold).value
        slow = fit.predict(all_scores[all_scores >= threshold]).sum() / fit.predict(all_scores).sum()
        assert found == pytest.approx(slow, abs=0.005)
        falling.append(found)
    assert falling == sorted(falling, reverse=True)


def test_a_bin_that_the_threshold_cuts_counts_in_part():
    scores, present = np.linspace(0.01, 0.99, 50), np.arange(50) % 10 < np.repeat([1, 9], 25)
    counts, edges = np.array([100, 100]), np.array([0.0, 0.5, 1.0])
    shares = [
        estimate_recall("dog", scores, present, counts, threshold=t, edges=edges).value or 0 for t in (0, 0.5, 0.75, 1)
    ]
    assert shares == pytest.approx([1, shares[1], shares[1] / 2, 0])
    assert 0.5 < shares[1] < 1


def test_recall_that_cannot_be_told_says_why():
    counts = count_scores(np.array([0.0, 0.5, 1.0]))
    assert counts.sum() == 3
    assert counts[0] == counts[-1] == 1
    few = estimate_recall("dog", [0.5], np.array([True]), counts, threshold=0.5)
    assert (few.value, few.reason) == (None, "1 of the 20 windows that are needed are judged")
    scores, present = np.linspace(0.1, 0.9, 30), np.arange(30) > 14
    assert "more often" in str(estimate_recall("dog", scores, ~present, counts, threshold=0.5).reason)
    assert "no windows" in str(estimate_recall("dog", scores, present, counts * 0, threshold=0.5).reason)
    assert len(SCORE_EDGES) == len(counts) + 1


def test_agreement_is_cohens_kappa():
    from sklearn.metrics import cohen_kappa_score

    rng = np.random.default_rng(0)
    rows = [(who, f"e{number}", rng.choice(["yes", "no", "unsure"])) for who in "abc" for number in range(60)]
    rows += [("loner", "other", "yes")]
    found = {(pair.first, pair.second): pair for pair in measure_agreement(verdicts(*rows))}
    assert set(found) == {("a", "b"), ("a", "c"), ("b", "c")}
    said = {who: {event: word for by, event, word in rows if by == who and word != "unsure"} for who in "abc"}
    for (first, second), pair in found.items():
        shared = sorted(set(said[first]) & set(said[second]))
        one, other = ([said[who][event] for event in shared] for who in (first, second))
        assert pair.judged == len(shared)
        assert pair.share == pytest.approx(np.mean([a == b for a, b in zip(one, other, strict=True)]))
        assert pair.kappa == pytest.approx(cohen_kappa_score(one, other))


def test_reviewers_who_always_say_yes_have_no_kappa():
    (pair,) = measure_agreement(verdicts(("a", "1", "yes"), ("b", "1", "yes"), ("b", "2", "no")))
    assert (pair.judged, pair.agreed, pair.share, pair.kappa) == (1, 1, 1.0, None)
    assert measure_agreement(verdicts()) == ()
