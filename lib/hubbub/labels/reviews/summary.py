"""What verdicts on label tables give, all together: for the page and for the command line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from hubbub.labels.reviews.agreement import Agreement, measure_agreement
from hubbub.labels.reviews.precision import RangeShare, Share, count_by_range, count_right
from hubbub.labels.reviews.reading import current_verdicts, read_reviews, settle_verdicts
from hubbub.labels.reviews.recall import RecallEstimate, count_window_scores, estimate_recall
from hubbub.labels.reviews.thresholds import ThresholdSuggestion, check_precision, suggest_threshold
from hubbub.labels.tables import LabelTables


@dataclass(frozen=True)
class LabelReview:
    """What verdicts on one label's events and windows give.

    Attributes
    ----------
    label
        The label that the model gives.
    reviewed
        Events that somebody judged.
    right, wrong, unsure, tied
        Of these: right and wrong by most who say yes or no; those that nobody says either of; and those of which as
        many say yes as no. The last two are left out of all shares.
    others
        Labels that reviewers say wrong events are, with how many say so, the most frequent first.
    above
        Of events that score the present threshold or more, the share that is right; None where the label has no rule.
    ranges
        The share that is right in each range of scores.
    threshold
        The threshold for the precision that was asked for; None where none was, or the label has no rule.
    recall
        Recall of windows at the present threshold; None where no windows were judged, or the label has no rule.
    """

    label: str
    reviewed: int
    right: int
    wrong: int
    unsure: int
    tied: int
    others: tuple[tuple[str, int], ...]
    above: Share | None
    ranges: tuple[RangeShare, ...]
    threshold: ThresholdSuggestion | None
    recall: RecallEstimate | None


@dataclass(frozen=True)
class ReviewSummary:
    """What verdicts on label tables give.

    Attributes
    ----------
    decisions
        All decisions ever taken, undone ones among them.
    reviewers
        Names, sorted, with how many events and windows each has a word on.
    labels
        The labels that have one, in the order of the label tables; others after them, sorted.
    agreement
        Pairs of reviewers who judged an event in common.
    """

    decisions: int
    reviewers: tuple[tuple[str, int], ...]
    labels: tuple[LabelReview, ...]
    agreement: tuple[Agreement, ...]

    @property
    def thresholds(self) -> dict[str, float]:
        """The thresholds that are suggested, by label."""
        found = {own.label: own.threshold.threshold for own in self.labels if own.threshold is not None}
        return {label: threshold for label, threshold in found.items() if threshold is not None}


def summarise_reviews(
    tables: LabelTables,
    *,
    precision: float | None = None,
    reviews: pd.DataFrame | None = None,
    events: pd.DataFrame | None = None,
    window_counts: Mapping[str, npt.NDArray[np.int64]] | None = None,
    seed: int = 0,
) -> ReviewSummary:
    """Summarise the verdicts on label tables: precision, thresholds, recall, agreement.

    Parameters
    ----------
    tables
        The label tables.
    precision
        Suggest thresholds for this precision, above 0 and below 1; None: suggest none.
    reviews
        As `read_reviews` gives them; None: read them.
    events
        All events of the tables, of which the columns label and peak are used; None: read them, if they are needed.
    window_counts
        Windows by score and label, as `count_window_scores` counts them, or those of some units that stand for all;
        None: count them, if they are needed.
    seed
        Of the draws for intervals; the same seed gives the same intervals.

    Raises
    ------
    LabelsError
        When a part of the label tables or of the reviews is torn.
    UsageError
        For a precision that cannot be, or a bucket that cannot be reached.
    """
    if precision is not None:
        check_precision(precision)
    reviews = read_reviews(tables.path) if reviews is None else reviews
    verdicts = current_verdicts(reviews)
    settled, windows = settle_verdicts(verdicts), settle_verdicts(verdicts, "window")
    windows = windows[windows["outcome"].isin(["right", "wrong"])]
    peaks = _peaks_by_label(tables, events) if precision is not None and len(settled) else {}
    thresholds = {label: rule.needed_peak for label, rule in tables.rules.items()}
    counts = window_counts
    if counts is None:
        counts = count_window_scores(tables, set(windows["event_label"]) & set(thresholds))
    judged = set(settled["event_label"]) | set(windows["event_label"])
    labels = [label for label in tables.labels if label in judged] + sorted(judged - set(tables.labels))

    def describe(label: str) -> LabelReview:
        own, present = settled[settled["event_label"] == label], thresholds.get(label)
        outcomes = own["outcome"].value_counts()
        recall = None
        seen = windows[windows["event_label"] == label]
        if len(seen) and label in counts and present is not None:
            is_there = (seen["outcome"] == "right").to_numpy()
            recall = estimate_recall(label, seen["score"], is_there, counts[label], threshold=present, seed=seed)
        return LabelReview(
            label=label,
            reviewed=len(own),
            **{name: int(outcomes.get(name, 0)) for name in ("right", "wrong", "unsure", "tied")},
            others=_count_others(verdicts, label),
            above=None if present is None else count_right(own, present),
            ranges=count_by_range(own),
            threshold=_suggest(label, own, peaks, precision, present, seed),
            recall=recall,
        )

    return ReviewSummary(
        decisions=len(reviews),
        reviewers=tuple(sorted(Counter(verdicts["reviewer"]).items())),
        labels=tuple(map(describe, labels)),
        agreement=measure_agreement(verdicts),
    )


def _suggest(
    label: str,
    settled: pd.DataFrame,
    peaks: Mapping[str, np.ndarray],
    precision: float | None,
    present: float | None,
    seed: int,
) -> ThresholdSuggestion | None:
    if precision is None or present is None:
        return None
    judged = settled[settled["outcome"].isin(["right", "wrong"])]
    right = (judged["outcome"] == "right").to_numpy()
    held = peaks.get(label, np.empty(0))
    return suggest_threshold(label, judged["score"], right, held, wanted=precision, present=present, seed=seed)


def _peaks_by_label(tables: LabelTables, events: pd.DataFrame | None) -> dict[str, np.ndarray]:
    events = tables.events() if events is None else events
    return {str(label): own.to_numpy(np.float64) for label, own in events.groupby("label")["peak"]}


def _count_others(verdicts: pd.DataFrame, label: str) -> tuple[tuple[str, int], ...]:
    own = verdicts[(verdicts["event_label"] == label) & (verdicts["verdict"] == "no")]
    counts = Counter(own["label"].dropna())
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
