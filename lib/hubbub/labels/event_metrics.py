"""Scores of events against reference events: segment-based and event-based F1, as in DCASE."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

EVENT_COLUMNS = ("uri", "label", "onset_s", "offset_s")


def ratio(part: float, whole: float) -> float:
    """Divide; 0 where there is nothing to divide by."""
    return float(part / whole) if whole else 0.0


def precision_recall_f1(hits: float, called: float, support: float) -> tuple[float, float, float]:
    """Return precision, recall and F1 of `hits` among `called` and `support`."""
    return ratio(hits, called), ratio(hits, support), ratio(2 * hits, called + support)


@dataclass(frozen=True)
class EventScore:
    """Precision, recall and F1 from counts (of segments or of events)."""

    hits: int
    """True positives."""
    called: int
    """Everything predicted: true and false positives."""
    support: int
    """Everything true: true positives and false negatives."""

    @property
    def precision(self) -> float:
        """Of what was predicted, the share that is true; 0 where nothing was predicted."""
        return ratio(self.hits, self.called)

    @property
    def recall(self) -> float:
        """Of what is true, the share predicted; 0 where nothing is true."""
        return ratio(self.hits, self.support)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 where both are 0."""
        return ratio(2 * self.hits, self.called + self.support)


@dataclass(frozen=True)
class EventMetrics:
    """How well events were found: by fixed segments of time, and event by event."""

    segment: EventScore
    """Over all segments and labels (micro average)."""
    event: EventScore
    """Over all events (micro average)."""
    segment_by_label: dict[str, EventScore]
    """Segment-based score of each label, labels sorted."""
    event_by_label: dict[str, EventScore]
    """Event-based score of each label, labels sorted."""
    segment_s: float
    """Length of a segment in seconds."""
    tolerance_s: float
    """How far a found onset may lie from the true one, in seconds."""


def event_metrics(
    truth: pd.DataFrame, predicted: pd.DataFrame, *, tolerance_s: float = 1.0, segment_s: float = 1.0
) -> EventMetrics:
    """Compare found events with true ones.

    Segment-based: time is cut into segments; a label is active in every segment one of its events touches.
    Event-based: a found event is a hit when label and recording are equal, its onset is within
    `tolerance_s` of the true onset, and its offset within the larger of `tolerance_s` and half of the true
    event's length; each event is matched at most once and as many as possible are matched.

    Parameters
    ----------
    truth, predicted
        Tables with the columns uri, label, onset_s, offset_s (seconds from the recording's start). Only
        recordings that someone annotated belong in here: an event in any other counts as false.
    tolerance_s
        Above 0. The paper below uses 0.25 for isolated events; city sound rarely has onsets that sharp.
    segment_s
        Above 0.

    Raises
    ------
    ValueError
        For a missing column, an event that does not end after it starts, or a number out of range.

    Notes
    -----
    A. Mesaros, T. Heittola, T. Virtanen, "Metrics for polyphonic sound event detection", Applied Sciences
    6(6), 2016; the offset may miss by up to 50 % of the length, as there.
    """
    if not (tolerance_s > 0 and segment_s > 0):
        raise ValueError(f"tolerance_s {tolerance_s:g} and segment_s {segment_s:g} must be above 0")
    for name, table in (("truth", truth), ("predicted", predicted)):
        _check_events(name, table)
    segment = _by_label(truth, predicted, lambda true, found: count_segment_hits(true, found, segment_s))
    event = _by_label(truth, predicted, lambda true, found: count_event_hits(true, found, tolerance_s))
    return EventMetrics(_total(segment), _total(event), segment, event, segment_s, tolerance_s)


def match_events(
    truth: pd.DataFrame, predicted: pd.DataFrame, *, tolerance_s: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Say which events the event-based score of `event_metrics` counts as hits.

    Returns
    -------
    true_found, predicted_right : bool arrays
        One value a row of `truth` and of `predicted`, in their order; equally many are True.
    """
    true_found, predicted_right = np.zeros(len(truth), bool), np.zeros(len(predicted), bool)
    true, found = match_pairs(truth, predicted, tolerance_s=tolerance_s)
    true_found[true], predicted_right[found] = True, True
    return true_found, predicted_right


def match_pairs(
    truth: pd.DataFrame, predicted: pd.DataFrame, *, tolerance_s: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of `truth` and of `predicted` that `event_metrics` pairs as hits, int64 [hit] each."""
    true_of, found_of = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    true_rows, found_rows = _rows(truth), _rows(predicted)
    for key in true_rows.keys() & found_rows.keys():
        true, found = true_rows[key], found_rows[key]
        partner = _partners(_times(truth.iloc[true]), _times(predicted.iloc[found]), tolerance_s)
        true_of.append(true[partner >= 0])
        found_of.append(found[partner[partner >= 0]])
    return np.concatenate(true_of), np.concatenate(found_of)


def _check_events(name: str, table: pd.DataFrame) -> None:
    missing = [column for column in EVENT_COLUMNS if column not in table.columns]
    if missing:
        raise ValueError(f"{name} lacks {', '.join(missing)}; it has: {', '.join(map(str, table.columns))}")
    wrong = table[~(table["onset_s"] < table["offset_s"])]
    if len(wrong):
        row = wrong.iloc[0]
        raise ValueError(f"{name}: event {row['onset_s']} to {row['offset_s']} s in {row['uri']} has no length")


Count = Callable[[np.ndarray, np.ndarray], EventScore]


def _by_label(truth: pd.DataFrame, predicted: pd.DataFrame, count: Count) -> dict[str, EventScore]:
    """Sum `count` over the recordings of each label; `count` gets two [event, (onset_s, offset_s)] arrays."""
    true, found = _spans(truth), _spans(predicted)
    nothing = np.empty((0, 2))
    scores: dict[str, list[EventScore]] = {}
    for key in sorted(true.keys() | found.keys()):
        score = count(true.get(key, nothing), found.get(key, nothing))
        scores.setdefault(key[0], []).append(score)
    return {label: _sum(parts) for label, parts in scores.items()}


def _spans(table: pd.DataFrame) -> dict[tuple[str, str], np.ndarray]:
    """Return {(label, uri): float64 [event, (onset_s, offset_s)]}."""
    return {key: _times(table.iloc[rows]) for key, rows in _rows(table).items()}


def _rows(table: pd.DataFrame) -> dict[tuple[str, str], np.ndarray]:
    """Return {(label, uri): int [event]}, the positions of their rows."""
    rows: dict[tuple[str, str], list[int]] = {}
    for row, key in enumerate(zip(table["label"].astype(str), table["uri"].astype(str), strict=True)):
        rows.setdefault(key, []).append(row)
    return {key: np.array(found) for key, found in rows.items()}


def _times(table: pd.DataFrame) -> np.ndarray:
    return table[["onset_s", "offset_s"]].to_numpy(np.float64)


def _sum(parts: Sequence[EventScore]) -> EventScore:
    return EventScore(
        sum(part.hits for part in parts),
        sum(part.called for part in parts),
        sum(part.support for part in parts),
    )


def _total(by_label: dict[str, EventScore]) -> EventScore:
    return _sum(list(by_label.values()))


def count_segment_hits(true: np.ndarray, found: np.ndarray, segment_s: float) -> EventScore:
    """Count segments of one label in one recording; [event, (onset_s, offset_s)] each."""
    actual, called = _segments(true, segment_s), _segments(found, segment_s)
    return EventScore(len(actual & called), len(called), len(actual))


def _segments(spans: np.ndarray, segment_s: float) -> set[int]:
    """Numbers of the segments that a span touches; an offset on a seam does not reach the next one."""
    first = np.floor(spans[:, 0] / segment_s).astype(np.int64)
    end = np.ceil(spans[:, 1] / segment_s).astype(np.int64)
    return {number for start, stop in zip(first, end, strict=True) for number in range(start, stop)}


def count_event_hits(true: np.ndarray, found: np.ndarray, tolerance_s: float) -> EventScore:
    """Count events of one label in one recording; [event, (onset_s, offset_s)] each."""
    return EventScore(int((_partners(true, found, tolerance_s) >= 0).sum()), len(found), len(true))


def _partners(true: np.ndarray, found: np.ndarray, tolerance_s: float) -> np.ndarray:
    """Return int [true event]: the found event matched with it, or -1; as many as possible are matched."""
    if not len(true) or not len(found):
        return np.full(len(true), -1)
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import maximum_bipartite_matching

    return maximum_bipartite_matching(csr_matrix(_fits(true, found, tolerance_s)), perm_type="column")


def _fits(true: np.ndarray, found: np.ndarray, tolerance_s: float) -> np.ndarray:
    """Return bool [true event, found event]: close enough to be a hit."""
    offset_tolerance_s = np.maximum(tolerance_s, (true[:, 1] - true[:, 0]) / 2)[:, None]
    onset_fits = np.abs(true[:, None, 0] - found[None, :, 0]) <= tolerance_s + _ROUNDING_S
    offset_fits = np.abs(true[:, None, 1] - found[None, :, 1]) <= offset_tolerance_s + _ROUNDING_S
    return onset_fits & offset_fits


# Half a nanosecond: a difference that equals the tolerance on paper stays within it in float64.
_ROUNDING_S = 5e-10
