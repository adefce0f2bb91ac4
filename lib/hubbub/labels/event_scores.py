"""Everything that `hubbub score` says of found events: F1 with intervals, error rates, how far onsets are off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from hubbub.labels.event_metrics import EventMetrics, EventScore, event_metrics, match_pairs, ratio

DRAWS, LEVEL = 1000, 0.95


@dataclass(frozen=True)
class Interval:
    """Where a score lies with 95 % confidence."""

    low: float
    high: float


@dataclass(frozen=True)
class OnsetError:
    """How far the onsets of matched events are off, in seconds; above 0: found late.

    Attributes
    ----------
    events
        Matched events.
    median_s
        Median of the signed errors: the bias.
    median_absolute_s
        Median of their sizes.
    spread_s
        From the 10th to the 90th percentile of the signed errors.
    """

    events: int
    median_s: float
    median_absolute_s: float
    spread_s: tuple[float, float]


@dataclass(frozen=True)
class EventScores:
    """Scores of found events.

    Attributes
    ----------
    metrics
        By the tolerance of each, in the order asked for.
    segment_interval, event_intervals
        Of the F1 over all labels.
    segment_error_rate, event_error_rates
        Substitutions, deletions and insertions, over the reference; 0 is perfect, above 1 is worse than silence.
    onsets
        Of the events that match with the largest tolerance.
    """

    metrics: tuple[EventMetrics, ...]
    segment_interval: Interval
    event_intervals: tuple[Interval, ...]
    segment_error_rate: float
    event_error_rates: tuple[float, ...]
    onsets: OnsetError


def score_events(
    truth: pd.DataFrame,
    found: pd.DataFrame,
    recordings: Sequence[str],
    *,
    drawn_as: Sequence[str] | None = None,
    tolerances_s: Sequence[float] = (1.0, 0.2),
    segment_s: float = 1.0,
    seed: int = 0,
) -> EventScores:
    """Score found events against true ones.

    Parameters
    ----------
    truth, found
        uri, label, onset_s, offset_s.
    recordings
        The uris of all recordings that were annotated, those without events too.
    drawn_as
        For the intervals, what each of `recordings` is drawn with, as the clips of one recording are, which have its
        noise in common; None: each alone.
    tolerances_s
        By which an onset may be off, in seconds; the offset by as much, or half of the event.
    segment_s
        Of the segment-based scores.
    seed
        Of the drawing of recordings, for the intervals.
    """
    metrics = tuple(event_metrics(truth, found, tolerance_s=value, segment_s=segment_s) for value in tolerances_s)
    parts = [_count_recording(uri, truth, found, tolerances_s, segment_s) for uri in recordings]
    counts = np.array(parts, float).reshape(len(recordings), 1 + len(tolerances_s), 4)
    together = pd.factorize(np.asarray(recordings if drawn_as is None else drawn_as, dtype=object))[0]
    drawn = np.zeros((together.max(initial=-1) + 1, *counts.shape[1:]))
    np.add.at(drawn, together, counts)
    intervals = _draw_intervals(drawn, seed)
    support = counts[:, 0, 2].sum()
    return EventScores(
        metrics,
        intervals[0],
        tuple(intervals[1:]),
        ratio(counts[:, 0, 3].sum(), support),
        tuple(ratio(counts[:, place, 3].sum(), counts[:, place, 2].sum()) for place in range(1, counts.shape[1])),
        _measure_onsets(truth, found, max(tolerances_s)),
    )


def _count_recording(
    uri: str, truth: pd.DataFrame, found: pd.DataFrame, tolerances_s: Sequence[float], segment_s: float
) -> list[tuple[float, float, float, float]]:
    """Hits, called, support and errors of one recording: of segments, then of events by each tolerance."""
    true, called = truth[truth["uri"] == uri], found[found["uri"] == uri]
    rows = []
    first = event_metrics(true, called, tolerance_s=tolerances_s[0], segment_s=segment_s)
    rows.append(_with_errors(first.segment, _count_segment_errors(true, called, segment_s)))
    for tolerance_s in tolerances_s:
        metrics = event_metrics(true, called, tolerance_s=tolerance_s, segment_s=segment_s)
        rows.append(_with_errors(metrics.event, _count_event_errors(true, called, tolerance_s, metrics.event)))
    return rows


def _with_errors(score: EventScore, errors: float) -> tuple[float, float, float, float]:
    return score.hits, score.called, score.support, errors


def _count_segment_errors(true: pd.DataFrame, called: pd.DataFrame, segment_s: float) -> float:
    """Substitutions, deletions and insertions: in a segment, what is missing and what is too much pair up."""
    active, found = (_mark_segments(table, segment_s) for table in (true, called))
    errors = 0
    for segment in active.keys() | found.keys():
        right, said = active.get(segment, set()), found.get(segment, set())
        errors += max(len(right - said), len(said - right))
    return errors


def _mark_segments(table: pd.DataFrame, segment_s: float) -> dict[int, set[str]]:
    marked: dict[int, set[str]] = {}
    for label, onset_s, offset_s in table[["label", "onset_s", "offset_s"]].itertuples(index=False):
        for segment in range(int(onset_s / segment_s), int(np.ceil(offset_s / segment_s))):
            marked.setdefault(segment, set()).add(label)
    return marked


def _count_event_errors(true: pd.DataFrame, called: pd.DataFrame, tolerance_s: float, score: EventScore) -> float:
    """Errors of events; a wrong label at the right time counts once, as a substitution."""
    missed, wrong = score.support - score.hits, score.called - score.hits
    if not missed or not wrong:
        return missed + wrong
    right, of = match_pairs(true, called, tolerance_s=tolerance_s)
    left_true = true.drop(true.index[right]).assign(label="")
    left_called = called.drop(called.index[of]).assign(label="")
    substituted = len(match_pairs(left_true, left_called, tolerance_s=tolerance_s)[0])
    return missed + wrong - substituted


def _draw_intervals(counts: npt.NDArray[np.float64], seed: int) -> list[Interval]:
    """F1 over recordings drawn with replacement, of each kind of count."""
    n = len(counts)
    if not n:
        return [Interval(0.0, 0.0)] * counts.shape[1]
    drawn = counts[np.random.default_rng(seed).integers(0, n, (DRAWS, n))].sum(axis=1)  # [draw, kind, count]
    f1 = 2 * drawn[..., 0] / np.maximum(drawn[..., 1] + drawn[..., 2], 1e-12)
    low, high = np.quantile(f1, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return [Interval(float(a), float(b)) for a, b in zip(low, high, strict=True)]


def _measure_onsets(truth: pd.DataFrame, found: pd.DataFrame, tolerance_s: float) -> OnsetError:
    right, of = match_pairs(truth, found, tolerance_s=tolerance_s)
    errors = found["onset_s"].to_numpy(float)[of] - truth["onset_s"].to_numpy(float)[right]
    if not len(errors):
        return OnsetError(0, float("nan"), float("nan"), (float("nan"), float("nan")))
    low, middle, high = np.quantile(errors, [0.1, 0.5, 0.9])
    absolute = float(np.median(np.abs(errors)))
    return OnsetError(len(errors), float(middle), absolute, (float(low), float(high)))
