"""Scores of scores, whatever the threshold: PSDS and partial AUC of a detector's frame or window scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from hubbub.audio.activity import find_runs

PSDS_TOLERANCE = 0.7
"""How much of a detection must be event, and of an event detection: DTC and GTC of PSDS scenario 1."""

PSDS_SPREAD = 1.0
"""What the spread over labels takes off."""

PSDS_MOST_FALSE = 100.0
"""False events an hour up to which the curve counts."""

PAUC_MOST_FALSE = 0.1
"""Share of the inactive segments, called, up to which the curve counts."""


@dataclass(frozen=True)
class ScoredRecording:
    """Scores of one recording: frame i lasts from `edge_s[i]` to `edge_s[i + 1]`.

    Attributes
    ----------
    edge_s
        float64 [frame + 1].
    scores
        float [frame, label], 0 to 1.
    """

    edge_s: npt.NDArray[np.float64]
    scores: npt.NDArray[np.floating]


def compute_psds(recordings: Mapping[str, ScoredRecording], truth: pd.DataFrame, labels: Sequence[str]) -> float:
    """Polyphonic sound detection score over all thresholds, scenario 1 without cross-triggers; 0 to 1.

    Ç. Bilen et al., "A framework for the robust evaluation of sound event detection", 2020; thresholds are all values
    that the scores take, as J. Ebbers et al., "Threshold independent evaluation of sound event detection scores", 2022,
    have them.

    Parameters
    ----------
    recordings
        Scores by uri.
    truth
        uri, label, onset_s, offset_s, of these recordings.
    labels
        In the order of the scores. Those without a true event do not count.
    """
    hours = sum(float(one.edge_s[-1] - one.edge_s[0]) for one in recordings.values()) / 3600
    curves = []
    for place, label in enumerate(labels):
        own = truth[truth["label"] == label]
        if len(own):
            curves.append(_trace_label(recordings, own, place, hours))
    if not curves or not hours:
        return 0.0
    rates = np.unique(np.concatenate([[0.0, PSDS_MOST_FALSE], *(rate for rate, _ in curves)]))
    rates = rates[rates <= PSDS_MOST_FALSE]
    found = np.stack([_best_up_to(rate, share, rates) for rate, share in curves])
    height = np.maximum(found.mean(axis=0) - PSDS_SPREAD * found.std(axis=0), 0.0)
    return float((height[:-1] * np.diff(rates)).sum() / PSDS_MOST_FALSE)


def compute_mean_pauc(
    recordings: Mapping[str, ScoredRecording], truth: pd.DataFrame, labels: Sequence[str], *, segment_s: float = 1.0
) -> float:
    """Mean over labels of the area under the ROC curve of segments up to a share of false ones, 0 to 1.

    A segment's score is the highest of the frames in it. The curve is a staircase, and its area is divided by that of
    perfect scores, as DCASE 2024's task 4 does it; chance has `PAUC_MOST_FALSE` / 2.
    """
    areas = []
    for place, label in enumerate(labels):
        own = {uri: table for uri, table in truth[truth["label"] == label].groupby("uri")}
        actual, scores = [], []
        for uri, one in recordings.items():
            highest, active = _make_segments(one, place, own.get(uri), segment_s)
            scores.append(highest)
            actual.append(active)
        y = np.concatenate(actual) if actual else np.zeros(0, bool)
        if y.any() and not y.all():
            areas.append(_measure_area(y, np.concatenate(scores)))
    return float(np.mean(areas)) if areas else float("nan")


def _measure_area(actual: npt.NDArray[np.bool_], scores: npt.NDArray[np.floating]) -> float:
    order = np.argsort(-scores, kind="stable")
    right, wrong = np.cumsum(actual[order]), np.cumsum(~actual[order])
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)  # of equal scores all or none are called
    rate, share = wrong[last] / wrong[-1], right[last] / right[-1]
    rates = np.unique(np.concatenate([[0.0, PAUC_MOST_FALSE], rate[rate <= PAUC_MOST_FALSE]]))
    found = _best_up_to(rate, share, rates)
    return float((found[:-1] * np.diff(rates)).sum() / PAUC_MOST_FALSE)


def _make_segments(
    one: ScoredRecording, place: int, events: pd.DataFrame | None, segment_s: float
) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.bool_]]:
    count = max(1, int(np.ceil(float(one.edge_s[-1]) / segment_s - 1e-9)))
    highest = np.zeros(count)
    first = np.floor(one.edge_s[:-1] / segment_s + 1e-9).astype(int)
    last = np.ceil(one.edge_s[1:] / segment_s - 1e-9).astype(int) - 1
    for segment in (first, last):  # frames are shorter than segments
        np.maximum.at(highest, np.clip(segment, 0, count - 1), one.scores[:, place].astype(float))
    active = np.zeros(count, bool)
    if events is not None:
        for onset_s, offset_s in events[["onset_s", "offset_s"]].to_numpy():
            active[int(onset_s / segment_s) : int(np.ceil(offset_s / segment_s))] = True
    return highest, active


def _trace_label(
    recordings: Mapping[str, ScoredRecording], truth: pd.DataFrame, place: int, hours: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """False events an hour and share of true events found, at each threshold."""
    spans = {uri: table[["onset_s", "offset_s"]].to_numpy(float) for uri, table in truth.groupby("uri")}
    thresholds = np.unique(np.concatenate([np.unique(one.scores[:, place]) for one in recordings.values()]))
    false, hits = np.zeros(len(thresholds)), np.zeros(len(thresholds))
    for uri, one in recordings.items():
        own = spans.get(uri, np.empty((0, 2)))
        scores = one.scores[:, place]
        values, which = np.unique(scores, return_inverse=True)
        # Between two of a recording's own values, a threshold finds what the higher of them does.
        own_step = np.searchsorted(values, thresholds)
        counts = np.array([_count(one.edge_s, which >= step, own) for step in range(len(values))] + [(0, 0)])
        false += counts[own_step, 0]
        hits += counts[own_step, 1]
    return false / hours, hits / len(truth)


def _count(
    edge_s: npt.NDArray[np.float64], active: npt.NDArray[np.bool_], true: npt.NDArray[np.float64]
) -> tuple[int, int]:
    """False detections, and true events that are found."""
    first, stop = find_runs(active)
    if not len(first):
        return 0, 0
    onset_s, offset_s = edge_s[first], edge_s[stop]
    if not len(true):
        return len(first), 0
    shared = np.minimum(offset_s[:, None], true[None, :, 1]) - np.maximum(onset_s[:, None], true[None, :, 0])
    shared = np.maximum(shared, 0.0)  # [detection, event]
    is_right = shared.sum(axis=1) >= PSDS_TOLERANCE * (offset_s - onset_s) - 1e-9
    covered = shared[is_right].sum(axis=0) >= PSDS_TOLERANCE * (true[:, 1] - true[:, 0]) - 1e-9
    return int((~is_right).sum()), int(covered.sum())


def _best_up_to(
    rate: npt.NDArray[np.float64], share: npt.NDArray[np.float64], at: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """The largest share with no more false events than each of `at`, rising."""
    order = np.argsort(rate, kind="stable")
    best = np.maximum.accumulate(share[order])
    place = np.searchsorted(rate[order], at, side="right") - 1
    return np.where(place >= 0, best[np.maximum(place, 0)], 0.0)
