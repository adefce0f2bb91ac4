"""The probability that what scores so much is right: a logistic fit on reviewed scores, and on draws of them.

C. M. Wood and S. Kahl, "Guidelines for appropriate use of BirdNET scores and other detector outputs", 2024: scores of a
classifier are no probabilities; a logistic regression of right and wrong on the logit of the score makes them ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

RESAMPLES = 400
"""Draws of reviewed events, with replacement, of which intervals are taken."""

LEAST_JUDGED = 20
"""Fewer events tell no slope."""

_LEAST, _MOST = 2.0**-14, 1 - 2.0**-12  # what float16 tells from 0 and from 1
_SPREAD = 10.0  # of the prior of both coefficients
_STEPS, _LONGEST = 50, 4.0
_CELLS = 1_000_000  # events times draws that are fitted at once


def logit(scores: npt.ArrayLike) -> Floats:
    """Return ``log(score / (1 - score))``, finite: scores of 0 and 1 count as the nearest that float16 tells apart."""
    clipped = np.clip(np.asarray(scores, np.float64), _LEAST, _MOST)
    return np.log(clipped / (1 - clipped))


def _sigmoid(values: Floats) -> Floats:
    return 0.5 * (1 + np.tanh(values / 2))


@dataclass(frozen=True)
class LogisticFit:
    """``P(right) = 1 / (1 + exp(-(intercept + slope * logit(score))))``."""

    intercept: float
    slope: float

    def predict(self, scores: npt.ArrayLike) -> Floats:
        """Return the probability that each is right, float64 of the scores' shape."""
        return _sigmoid(self.intercept + self.slope * logit(scores))


def explain_unfit(right: npt.NDArray[np.bool_], noun: str = "event") -> str | None:
    """Say why nothing is fitted on these outcomes, bool [event]; None where they tell enough."""
    count, yes = len(right), int(right.sum())
    if count < LEAST_JUDGED:
        return f"{count} of the {LEAST_JUDGED} {noun}s that are needed are judged"
    if yes == count:
        return f"all {count} judged {noun}s are right: judge some that score lower"
    if yes == 0:
        return f"none of the {count} judged {noun}s is right: judge some that score higher"
    return None


def fit_logistic(scores: npt.ArrayLike, right: npt.NDArray[np.bool_]) -> LogisticFit:
    """Fit the probability of being right on reviewed scores.

    Parameters
    ----------
    scores
        float [event], 0 to 1.
    right
        bool [event]; at least one event.

    Returns
    -------
    LogisticFit
        The most probable one where both coefficients, of the logit in units of its deviation, have a normal prior of
        deviation 10: it hardly moves a fit on some dozen events, and keeps one finite where a score parts right from
        wrong.

    Notes
    -----
    The fit says how probable it is to be right, given the score: choosing events for review by their score, as the
    best, the worst, or as many of each range, does not bias it.
    """
    return next(_fit_all(logit(scores), right, np.ones((1, len(right)))))


def fit_draws(scores: npt.ArrayLike, right: npt.NDArray[np.bool_], *, seed: int = 0) -> Iterator[LogisticFit]:
    """Fit `RESAMPLES` draws of the same number of events, with replacement; the same seed makes the same draws."""
    count, rng, logits = len(right), np.random.default_rng(seed), logit(scores)
    at_once = max(1, min(RESAMPLES, _CELLS // count))
    for first in range(0, RESAMPLES, at_once):
        weights = rng.multinomial(count, np.full(count, 1 / count), size=min(at_once, RESAMPLES - first))
        yield from _fit_all(logits, right, weights.astype(np.float64))


def _fit_all(logits: Floats, right: npt.NDArray[np.bool_], weights: Floats) -> Iterator[LogisticFit]:
    """Fit once for each row of weights, float64 [fit, event], by Newton's method on all at once."""
    middle, deviation = logits.mean(), logits.std()
    scale = deviation if deviation > 1e-9 else 1.0
    unit = (logits - middle) / scale
    found = np.zeros((len(weights), 2))
    for _ in range(_STEPS):
        predicted = _sigmoid(found[:, :1] + found[:, 1:] * unit)
        rest = weights * (right - predicted)
        slack = weights * predicted * (1 - predicted)
        gradient = np.stack([rest.sum(1), rest @ unit], 1) - found / _SPREAD**2
        a, b, c = slack.sum(1) + _SPREAD**-2, slack @ unit, slack @ unit**2 + _SPREAD**-2
        step = np.stack([c * gradient[:, 0] - b * gradient[:, 1], a * gradient[:, 1] - b * gradient[:, 0]], 1)
        step /= (a * c - b * b)[:, None]
        length = np.abs(step).max(1, keepdims=True)
        found += step * np.minimum(1.0, _LONGEST / np.maximum(length, 1e-300))
        if length.max() < 1e-10:
            break
    for intercept, slope in found:
        yield LogisticFit(float(intercept - slope * middle / scale), float(slope / scale))
