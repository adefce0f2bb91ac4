"""Find events, with onset and offset, in the scores of overlapping windows.

A window of 5 s with a dog does not say when in those 5 s. Windows that overlap do, together: each speaks
only for the stretch around its centre, up to the middle of what it shares with its neighbours, so an event
about as long as a window gets its true onset and offset::

    windows    |---- 0 ----|
                     |---- 1 ----|
                           |---- 2 ----|
    speaks for  000000000|1111111|22222222
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property

import numpy as np

from hubbub.audio.activity import find_runs
from hubbub.errors import SettingsError, suggest_nearest
from hubbub.io.text import count_noun
from hubbub.labels.candidates import find_candidates

UNKNOWN = "unknown"
"""What an event is called where some label scores, and none enough for its own rule; its rule goes by the highest score
of all labels."""

MOST_LATE_S = 0.5
"""Seconds that an onset may be moved, either way."""

LEAST_LEFT = 0.5
"""Share of an event's length that stays where its onset is moved."""

# Half a nanosecond: a length that equals a rule's on paper passes it in float64 too.
_ROUNDING_S = 5e-10


@dataclass(frozen=True)
class EventRule:
    """When scores of one label make an event.

    Raises
    ------
    SettingsError
        For a threshold or release outside 0 to 1, a release above the threshold, or a negative time.
    """

    threshold: float = 0.5
    """An event reaches this score at least once; 0 to 1, above 0."""
    release: float = 0.35
    """An event goes on while the score is at least this; 0 to `threshold`, above 0."""
    min_duration_s: float = 0.0
    """Shorter events are dropped, after merging; seconds."""
    merge_gap_s: float = 0.0
    """Events of a label with a gap up to this between them become one; seconds."""
    median_s: float = 0.0
    """Scores become the median over so many seconds around them first; 0: they stay."""
    step_s: float = 0.0
    """Above 0: events are candidates (`hubbub.labels.candidates`) whose score reaches the threshold and whose mean is
    at least the release; their borders lie where the means of so many seconds before and after differ most. 0: an event
    lasts from where the score rises above the release to where it falls below."""
    least_change: float = 0.3
    """Of candidates: neighbours whose mean scores differ by less are one; 0 to 1."""
    late_s: float = 0.0
    """Events begin so much later than their scores say, or earlier below 0; seconds: what onsets are off by where it is
    clear when something begins. Half of an event's length stays at least."""
    least_peak: float = 0.0
    """Of the events that all of this makes, those whose highest score is lower are dropped; 0 to 1. Unlike a higher
    threshold, which may part an event where its score dips, this leaves the others as they are, and what people said of
    them."""

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise SettingsError(f"threshold {self.threshold:g} is no score; give one above 0 and up to 1")
        if not 0 < self.release <= self.threshold:
            raise SettingsError(
                f"release {self.release:g} does not fit threshold {self.threshold:g}: an event ends where its "
                f"score falls below the release; give one above 0 and up to {self.threshold:g}"
            )
        if not 0 < self.least_change <= 1:
            raise SettingsError(
                f"least_change {self.least_change:g} is no change of a score; give one above 0, up to 1"
            )
        if not 0 <= self.least_peak <= 1:
            raise SettingsError(f"least_peak {self.least_peak:g} is no score; give one from 0 to 1")
        if not abs(self.late_s) <= MOST_LATE_S:
            raise SettingsError(f"late_s {self.late_s:g} is no small shift; give {MOST_LATE_S:g} s at most, either way")
        for name in ("min_duration_s", "merge_gap_s", "median_s", "step_s"):
            if not 0 <= getattr(self, name) < np.inf:
                raise SettingsError(f"{name} {getattr(self, name):g} is no length of time; give 0 or more seconds")

    def to_dict(self) -> dict[str, float]:
        """The rule as run.json and bundle.json hold it: what was added later only where it is not at its default."""
        later = [] if self.median_s else ["median_s"]
        later += [] if self.step_s else ["step_s", "least_change"]
        later += [] if self.late_s else ["late_s"]
        later += [] if self.least_peak else ["least_peak"]
        return {name: value for name, value in asdict(self).items() if name not in later}

    @property
    def needed_peak(self) -> float:
        """Score that an event reaches at least once: the threshold, or `least_peak` where that is higher."""
        return max(self.threshold, self.least_peak)

    def with_threshold(self, threshold: float) -> EventRule:
        """Return this rule at another threshold; the release keeps its proportion to it."""
        release = threshold * (self.release / self.threshold)
        return replace(self, threshold=threshold, release=release, least_peak=0.0)

    def with_needed_peak(self, peak: float) -> EventRule:
        """Return this rule for events that reach `peak`: above the threshold, those it makes that do."""
        return self.with_threshold(peak) if peak <= self.threshold else replace(self, least_peak=peak)


@dataclass(frozen=True)
class Event:
    """One span of a recording in which a label is present."""

    label: str
    """The label."""
    onset_s: float
    """Start, in seconds from the recording's start."""
    offset_s: float
    """End, in seconds from the recording's start; above `onset_s`."""
    peak: float
    """Highest score of the windows in it."""
    mean: float
    """Mean score over its time, merged gaps included, before its onset is moved; never above `peak`."""


def events_from_windows(
    start_s: np.ndarray,
    end_s: np.ndarray,
    scores: np.ndarray,
    labels: Sequence[str],
    rules: Mapping[str, EventRule] | EventRule,
    duration_s: float,
) -> list[Event]:
    """Turn window scores of one recording into events.

    For each label: stretches where the score stays at `release` or above and reaches `threshold`; then gaps
    up to `merge_gap_s` are closed; then what is shorter than `min_duration_s` is dropped. Where there is a rule for
    `UNKNOWN`, and no such label, the highest score of all labels makes events of that name, outside those of labels.

    Parameters
    ----------
    start_s, end_s
        float64 [window], seconds from the recording's start, neither ever falling; the last window may end
        after the recording (padded) or with it.
    scores
        float [window, label], 0 to 1, any float dtype.
    labels
        Names, in the order of the scores' columns.
    rules
        One rule for all labels, or one for each.
    duration_s
        Length of the recording; the last window speaks to its end, none beyond.

    Returns
    -------
    list of Event
        Sorted by onset, then by the order of `labels`. Events of one label never overlap.

    Raises
    ------
    SettingsError
        For a label without a rule, or a rule for an unknown label.
    ValueError
        For shapes that do not fit each other, times out of order, or a score that is NaN.
    """
    by_label = _rule_of_each(labels, rules)
    start_s, end_s = np.asarray(start_s, np.float64), np.asarray(end_s, np.float64)
    values = np.asarray(scores)
    _check(start_s, end_s, values, labels)
    edge_s = find_edges(start_s, end_s, duration_s)
    kept = np.flatnonzero(np.diff(edge_s) > 0)
    if not len(kept):
        return []
    edge_s = np.append(edge_s[kept], edge_s[kept[-1] + 1])
    found = [
        (event.onset_s, order, event)
        for order, label in enumerate(labels)
        for event in LabelScores(values[kept, order].astype(np.float64), edge_s).find_events(label, by_label[label])
    ]
    if UNKNOWN in by_label and UNKNOWN not in labels:
        highest = values[kept].max(axis=1).astype(np.float64)
        for onset_s, _, event in found:
            scored_s = onset_s - max(0.0, by_label[event.label].late_s)  # where its scores rose
            highest[(edge_s[1:] > scored_s) & (edge_s[:-1] < event.offset_s)] = 0.0
        strange = LabelScores(highest, edge_s).find_events(UNKNOWN, by_label[UNKNOWN])
        found += [(event.onset_s, len(labels), event) for event in strange]
    return [event for _, _, event in sorted(found, key=lambda item: item[:2])]


def _rule_of_each(labels: Sequence[str], rules: Mapping[str, EventRule] | EventRule) -> Mapping[str, EventRule]:
    if isinstance(rules, EventRule):
        return dict.fromkeys(labels, rules)
    for label in labels:
        if label not in rules:
            raise SettingsError(f"label '{label}' has no rule: {suggest_nearest(label, rules)}")
    for label in rules:
        if label not in labels and label != UNKNOWN:
            raise SettingsError(f"a rule is given for the unknown label '{label}': {suggest_nearest(label, labels)}")
    return rules


def _check(start_s: np.ndarray, end_s: np.ndarray, scores: np.ndarray, labels: Sequence[str]) -> None:
    count = len(start_s)
    if start_s.ndim != 1 or end_s.shape != (count,) or scores.shape != (count, len(labels)):
        raise ValueError(
            "expected start_s [window], end_s [window], scores [window, label] for "
            f"{count_noun(len(labels), 'label')}; "
            f"got {list(start_s.shape)}, {list(end_s.shape)}, {list(scores.shape)}"
        )
    if not ((np.diff(start_s) >= 0).all() and (np.diff(end_s) >= 0).all() and (start_s < end_s).all()):
        raise ValueError("expected windows in order of time, each ending after it starts; sort them by start_s")
    if np.isnan(scores).any():
        raise ValueError(
            f"{np.isnan(scores).any(axis=1).sum()} of {count_noun(count, 'window')} have a score that is NaN"
        )


def find_edges(start_s: np.ndarray, end_s: np.ndarray, duration_s: float) -> np.ndarray:
    """Return float64 [window + 1]: window i speaks from edge i to edge i + 1.

    The middle of the overlap lies half-way between the centres of equally long windows; a last window that
    was cut short does not pull it into audio that only its neighbour has.
    """
    between = (end_s[:-1] + start_s[1:]) / 2
    edge_s = np.concatenate([[0.0], between, [duration_s]]) if len(start_s) else np.zeros(1)
    return np.clip(edge_s, 0.0, max(duration_s, 0.0))


@dataclass(frozen=True)
class LabelScores:
    """Scores of one label; what is smoothed and divided into candidates for one rule is kept for the next."""

    scores: np.ndarray
    """float64 [window]."""
    edge_s: np.ndarray
    """float64 [window + 1]: each score holds from one edge to the next, all about as long."""
    _smooth: dict[float, np.ndarray] = field(default_factory=dict, init=False, repr=False, compare=False)
    _candidates: dict[tuple[float, ...], tuple[np.ndarray, ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @cached_property
    def _window_s(self) -> float:
        return float(np.median(np.diff(self.edge_s)))

    @cached_property
    def _highest(self) -> float:
        return float(self.scores.max(initial=0.0))

    def find_events(self, label: str, rule: EventRule) -> list[Event]:
        """Find the events that a rule makes."""
        if not self._highest >= rule.threshold:  # as of most labels in most recordings
            return []
        edge_s, scores = self.edge_s, self._smoothed(rule.median_s)
        first, stop = self._find_stretches(rule)
        first, stop = _merge(first, stop, edge_s, rule.merge_gap_s)
        long = edge_s[stop] - edge_s[first] >= rule.min_duration_s - _ROUNDING_S
        first, stop = first[long], stop[long]
        onset_s, offset_s = edge_s[first], edge_s[stop]
        peak = _reduce(np.maximum, scores, first, stop)
        if rule.least_peak:
            kept = peak.astype(np.float32) >= np.float32(rule.least_peak)  # as label tables hold it
            first, stop, onset_s, offset_s, peak = first[kept], stop[kept], onset_s[kept], offset_s[kept], peak[kept]
        mean = _reduce(np.add, scores * np.diff(edge_s), first, stop) / (offset_s - onset_s)
        if rule.late_s:
            before_s = np.concatenate([edge_s[:1], offset_s])[: len(onset_s)]  # events of a label never overlap
            onset_s = np.clip(onset_s + rule.late_s, before_s, offset_s - LEAST_LEFT * (offset_s - onset_s))
        columns = (onset_s, offset_s, peak, np.minimum(mean, peak))
        return [Event(label, *row) for row in zip(*(column.tolist() for column in columns), strict=True)]

    def _smoothed(self, median_s: float) -> np.ndarray:
        """The median over `median_s`, an odd number of windows; at the ends the outermost score is repeated."""
        size = round(median_s / self._window_s) // 2 * 2 + 1 if median_s else 1
        if size < 3:
            return self.scores
        if median_s not in self._smooth:
            from scipy.ndimage import median_filter

            self._smooth[median_s] = median_filter(self.scores, size, mode="nearest")
        return self._smooth[median_s]

    def _find_stretches(self, rule: EventRule) -> tuple[np.ndarray, np.ndarray]:
        """The first window and the one after the last of each stretch that the rule takes for an event."""
        if rule.step_s:
            edges, means, peaks = self._find_candidates(rule)
            taken = (means >= rule.release) & (peaks >= rule.threshold)
            return edges[:-1][taken], edges[1:][taken]
        scores = self._smoothed(rule.median_s)
        first, stop = find_runs(scores >= rule.release)
        loud = _reduce(np.maximum, scores, first, stop) >= rule.threshold
        return first[loud], stop[loud]

    def _find_candidates(self, rule: EventRule) -> tuple[np.ndarray, ...]:
        """Edges of the candidates, their means and their peaks."""
        asked = (rule.median_s, rule.step_s, rule.least_change)
        if asked not in self._candidates:
            scores = self._smoothed(rule.median_s)
            edges, means = find_candidates(scores, max(1, round(rule.step_s / self._window_s)), rule.least_change)
            self._candidates[asked] = edges, means, _reduce(np.maximum, scores, edges[:-1], edges[1:])
        return self._candidates[asked]


def _merge(first: np.ndarray, stop: np.ndarray, edge_s: np.ndarray, gap_s: float) -> tuple[np.ndarray, np.ndarray]:
    apart = edge_s[first[1:]] - edge_s[stop[:-1]] > gap_s + _ROUNDING_S
    begins = np.concatenate([np.ones(min(len(first), 1), bool), apart])
    ends = np.concatenate([apart, np.ones(min(len(first), 1), bool)])
    return first[begins], stop[ends]


def _reduce(ufunc: np.ufunc, values: np.ndarray, first: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Reduce each ``values[first:stop]``; the spans are not empty and do not overlap."""
    if not len(first):
        return np.empty(0)
    # reduceat takes the end of a span from the next index, which must lie within the array.
    padded = np.append(values, 0.0)
    return ufunc.reduceat(padded, np.column_stack([first, stop]).ravel())[::2]
