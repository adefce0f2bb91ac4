"""The threshold that gives a wanted precision, from verdicts on some events and the peaks of all."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hubbub.errors import UsageError
from hubbub.labels.event_scores import Interval
from hubbub.labels.reviews.logistic import Floats, LogisticFit, explain_unfit, fit_draws, fit_logistic

_DIGITS = 4  # of a threshold, where fewer would take in another event


@dataclass(frozen=True)
class ThresholdSuggestion:
    """A threshold for a wanted precision, or the reason why there is none.

    Attributes
    ----------
    label
        The label.
    wanted
        The precision asked for.
    present
        The threshold that the label has now.
    threshold
        The smallest one whose expected precision is what is wanted; None: there is none, see `reason`.
    low, high
        95 % bootstrap interval of the threshold. `high` is None where more than one draw in 40 reaches the precision
        at no threshold; both are None where `threshold` is.
    events, kept
        Events of the label, and those that peak at the threshold or above; all where there is no threshold.
    expected_now, expected
        Expected precision of all events, and of those kept; None without a fit.
    expected_now_interval, expected_interval
        95 % bootstrap intervals of these.
    reason
        Why there is no threshold; None where there is one.
    """

    label: str
    wanted: float
    present: float
    threshold: float | None = None
    low: float | None = None
    high: float | None = None
    events: int = 0
    kept: int = 0
    expected_now: float | None = None
    expected: float | None = None
    expected_now_interval: Interval | None = None
    expected_interval: Interval | None = None
    reason: str | None = None


def check_precision(wanted: float) -> None:
    """Refuse a precision that no threshold could be asked for (`UsageError`)."""
    if not 0 < wanted < 1:
        raise UsageError(f"precision {wanted:g}: expected a share of events above 0 and below 1, such as 0.9")


def suggest_threshold(
    label: str,
    scores: npt.ArrayLike,
    right: npt.NDArray[np.bool_],
    peaks: npt.ArrayLike,
    *,
    wanted: float,
    present: float,
    seed: int = 0,
) -> ThresholdSuggestion:
    """Find the smallest threshold whose expected precision is what is wanted.

    ``P(right | logit(score))`` is fitted on the reviewed events (`hubbub.labels.reviews.logistic`); the expected
    precision of a threshold is the mean of the fitted probabilities of all events that peak there or above. Since the
    fit goes by the score, it does not matter how reviewed events were chosen by their score.

    Parameters
    ----------
    label
        Whose events these are.
    scores, right
        Reviewed events: float [event], 0 to 1, and bool [event].
    peaks
        float [event], of all events of the archive that the label has now. A threshold below them is not suggested:
        the events that it would make are not there.
    wanted
        A precision above 0 and below 1.
    present
        The threshold that made the events.
    seed
        Of the draws for the intervals.

    Raises
    ------
    UsageError
        For a precision that cannot be.
    """
    check_precision(wanted)
    right = np.asarray(right, bool)
    values, counts = np.unique(np.asarray(peaks, np.float64), return_counts=True)
    total = int(counts.sum())
    suggestion = ThresholdSuggestion(label, wanted, present, events=total, kept=total)
    if reason := explain_unfit(right):
        return replace(suggestion, reason=reason)
    if not total:
        return replace(suggestion, reason="there are no events of it")
    fit = fit_logistic(scores, right)
    if not fit.slope > 1e-9:
        return replace(suggestion, reason="events that score higher are not more often right: no threshold parts them")
    expected = expect_precision(fit, values, counts)
    reaching = np.flatnonzero(expected >= wanted)
    chosen = int(reaching[0]) if len(reaching) else 0
    places = np.append(np.append([min(present, values[0])], values[1:]), np.inf)
    drawn = np.array(
        [
            (own[0], own[chosen], places[np.argmax(own >= wanted) if own.max() >= wanted else -1])
            for own in (expect_precision(fit, values, counts) for fit in fit_draws(scores, right, seed=seed))
        ]
    )
    suggestion = replace(suggestion, expected_now=float(expected[0]), expected_now_interval=_interval(drawn[:, 0]))
    if not len(reaching):
        reason = f"no threshold reaches {wanted:g}: events at {values[-1]:.3g} are expected right to {expected[-1]:.2f}"
        return replace(suggestion, reason=reason)
    low, high = np.percentile(drawn[:, 2], [2.5, 97.5], method="nearest")
    return replace(
        suggestion,
        threshold=_choose_between(values, chosen, present),
        low=float(low),
        high=float(high) if np.isfinite(high) else None,
        kept=int(counts[chosen:].sum()),
        expected=float(expected[chosen]),
        expected_interval=_interval(drawn[:, 1]),
    )


def expect_precision(fit: LogisticFit, peaks: Floats, counts: npt.NDArray[np.int64]) -> Floats:
    """Return the mean probability of being right over all events that peak at each value or above.

    Parameters
    ----------
    peaks, counts
        [value]: peaks of events, each value once, ascending, and how many events have it.

    Returns
    -------
    float64 [value]
        Rises with the peak where the fit's slope is positive.
    """
    weights = counts[::-1].astype(np.float64)
    return (np.cumsum(weights * fit.predict(peaks)[::-1]) / np.cumsum(weights))[::-1]


def _choose_between(values: Floats, chosen: int, present: float) -> float:
    """A threshold that takes the events from `chosen` on, in few digits where these tell; all: the present one."""
    if chosen == 0:
        return min(present, float(values[0]))
    short = math.floor(values[chosen] * 10**_DIGITS) / 10**_DIGITS
    return short if short > values[chosen - 1] else float(values[chosen])


def _interval(values: Floats) -> Interval:
    low, high = np.percentile(values, [2.5, 97.5])
    return Interval(float(low), float(high))
