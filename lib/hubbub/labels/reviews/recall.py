"""Recall over windows: of all windows that a label is in, the share that score a threshold or more."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hubbub.labels.event_scores import Interval
from hubbub.labels.reviews.logistic import Floats, LogisticFit, explain_unfit, fit_draws, fit_logistic, logit
from hubbub.labels.suggestions.windows import iterate_scored_windows
from hubbub.labels.tables import LabelTables

SCORE_EDGES: Floats = np.concatenate([[0.0], 1 / (1 + np.exp(-np.linspace(-10.0, 8.0, 361))), [1.0]])
"""Edges of the bins that scores of all windows are counted in, float64 [363]: even steps of the logit."""


@dataclass(frozen=True)
class RecallEstimate:
    """The share of windows with a label that score a threshold or more.

    Attributes
    ----------
    label, threshold
        The label, and the score.
    judged, present
        Sampled windows that are settled on, and those of them that the label is in.
    value
        The share, 0 to 1; None: it cannot be told, see `reason`.
    interval
        95 % bootstrap interval of the share.
    reason
        Why there is no share; None where there is one.
    """

    label: str
    threshold: float
    judged: int
    present: int
    value: float | None = None
    interval: Interval | None = None
    reason: str | None = None


def count_scores(scores: npt.ArrayLike, edges: Floats = SCORE_EDGES) -> npt.NDArray[np.int64]:
    """Count scores a bin, int64 [bin]; the last bin holds its upper edge too."""
    return np.histogram(np.asarray(scores, np.float64), edges)[0].astype(np.int64)


def count_window_scores(tables: LabelTables, labels: Collection[str]) -> dict[str, npt.NDArray[np.int64]]:
    """Count all window scores of some labels, in the bins of `SCORE_EDGES`; memory holds one unit at a time.

    Raises
    ------
    LabelsError
        For a part that is missing or torn.
    """
    wanted = [label for label in tables.labels if label in labels]
    columns = [tables.labels.index(label) for label in wanted]
    counts = {label: np.zeros(len(SCORE_EDGES) - 1, np.int64) for label in wanted}
    for windows in iterate_scored_windows(tables) if wanted else ():
        for label, column in zip(wanted, columns, strict=True):
            counts[label] += count_scores(windows.scores[:, column])
    return counts


def estimate_recall(
    label: str,
    scores: npt.ArrayLike,
    present: npt.NDArray[np.bool_],
    counts: npt.NDArray[np.int64],
    *,
    threshold: float,
    edges: Floats = SCORE_EDGES,
    seed: int = 0,
) -> RecallEstimate:
    """Estimate recall from sampled windows that people judged, and the scores of all windows.

    ``P(present | logit(score))`` is fitted on the judged windows (`hubbub.labels.reviews.logistic`) and weighted by how
    many windows have which score. Most windows score low, so the estimate rests on low ones being judged too.

    Parameters
    ----------
    label
        The label.
    scores, present
        Judged windows: float [window], 0 to 1, and bool [window], whether the label is in it.
    counts
        int [bin], all windows of the archive by their score.
    threshold
        The score.
    edges
        float [bin + 1], of the bins, ascending.
    seed
        Of the draws for the interval.
    """
    present = np.asarray(present, bool)
    nothing = RecallEstimate(label, threshold, len(present), int(present.sum()))
    if reason := explain_unfit(present, "window"):
        return replace(nothing, reason=reason)
    fit = fit_logistic(scores, present)
    if not fit.slope > 1e-9:
        return replace(nothing, reason="windows that score higher do not have the label more often")
    if not counts.sum():
        return replace(nothing, reason="there are no windows")
    drawn = [_share_above(draw, counts, edges, threshold) for draw in fit_draws(scores, present, seed=seed)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    value = _share_above(fit, counts, edges, threshold)
    return replace(nothing, value=value, interval=Interval(float(low), float(high)))


def _share_above(fit: LogisticFit, counts: npt.NDArray[np.int64], edges: Floats, threshold: float) -> float:
    """Share of the expected windows with the label that score `threshold` or more; a bin it cuts counts in part."""
    middle = (logit(edges[:-1]) + logit(edges[1:])) / 2
    expected = counts * fit.predict(1 / (1 + np.exp(-middle)))
    above = np.clip((edges[1:] - threshold) / np.diff(edges), 0.0, 1.0)
    return float((expected * above).sum() / expected.sum())
