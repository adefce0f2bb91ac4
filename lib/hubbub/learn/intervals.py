"""How sure scores are: bootstrap intervals over clips, and a paired test of two models on the same clips.

B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", 1993; Q. McNemar, "Note on the sampling error of the
difference between correlated proportions or percentages", 1947, in its exact form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hubbub.labels.event_scores import Interval
from hubbub.learn.clip_metrics import Calls

RESAMPLES = 2_000
"""Draws of clips, with replacement, of which intervals are taken."""


@dataclass(frozen=True)
class ScoreIntervals:
    """95 % intervals of a model's scores."""

    accuracy: Interval
    macro_f1: Interval


@dataclass(frozen=True)
class PairedTest:
    """Two models on the same clips.

    Attributes
    ----------
    only_first, only_second
        Clips that one of them alone recognised.
    p_value
        Of McNemar's exact test: how probable so uneven a share of these is where both models are as good, two-sided.
    difference
        Accuracy of the second less that of the first, 95 % interval.
    """

    only_first: int
    only_second: int
    p_value: float
    difference: Interval


def bootstrap_interval(calls: Calls, *, seed: int = 0) -> ScoreIntervals:
    """Return intervals of accuracy and macro F1: percentiles over clips drawn with replacement.

    Parameters
    ----------
    calls
        Of at least one clip. Macro F1 is over the labels that a draw holds or calls.
    seed
        Of the draws; the same seed gives the same intervals.
    """
    # Drawing clips with replacement is drawing how many there are of each kind: a hundred clips of two labels are of
    # four kinds at most.
    outcomes = np.concatenate([calls.marked, calls.called, calls.right[:, None]], axis=1)
    kinds, counts = np.unique(outcomes, axis=0, return_counts=True)
    n_labels, n_clips, scores = calls.marked.shape[1], int(counts.sum()), np.empty((RESAMPLES, 2))
    marked, called, right = kinds[:, :n_labels], kinds[:, n_labels:-1], kinds[:, -1].astype(np.float64)
    hit, size = (marked & called).astype(np.float64), marked.astype(np.float64) + called
    for number, drawn in enumerate(np.random.default_rng(seed).multinomial(n_clips, counts / n_clips, size=RESAMPLES)):
        hits, sizes = drawn @ hit, drawn @ size
        scores[number] = drawn @ right / n_clips, (2 * hits / np.maximum(sizes, 1)).sum() / (sizes > 0).sum()
    low, high = np.percentile(scores, [2.5, 97.5], axis=0)
    return ScoreIntervals(Interval(float(low[0]), float(high[0])), Interval(float(low[1]), float(high[1])))


def compare_paired(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_], *, seed: int = 0) -> PairedTest:
    """Compare two models by the clips that they recognise; `first` and `second` are bool [clip], of the same clips."""
    from scipy.stats import binomtest

    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    uneven = only_first + only_second
    p_value = float(binomtest(only_first, uneven).pvalue) if uneven else 1.0
    counts = np.array([only_first, len(first) - uneven, only_second])
    draws = np.random.default_rng(seed).multinomial(len(first), counts / len(first), size=RESAMPLES)
    drawn = (draws[:, 2] - draws[:, 0]) / len(first)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return PairedTest(only_first, only_second, p_value, Interval(float(low), float(high)))
