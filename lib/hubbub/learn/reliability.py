"""Whether a model is as sure as it is right: temperature scaling, and the calibration error it leaves.

C. Guo et al., "On Calibration of Modern Neural Networks", 2017.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import expit

BINS = 15
"""Bins of confidence, equally wide."""

TEMPERATURES = (0.05, 20.0)
"""Least and largest temperature that is fitted."""

PRIOR_SPREAD = 0.5
"""Standard deviation of the temperature's natural logarithm before any row is seen; hundreds of rows outweigh it."""

_SMALLEST = 1e-7  # a score that is 0 or 1 has no logarithm


@dataclass(frozen=True)
class Bin:
    """Clips whose confidence lies in one bin."""

    clips: int
    confidence: float
    """Mean of their confidences."""
    accuracy: float
    """Share of them that is recognised."""


@dataclass(frozen=True)
class Reliability:
    """How confidence and accuracy agree."""

    ece: float
    """Expected calibration error: mean distance of confidence and accuracy over the bins, by their clips."""
    bins: tuple[Bin, ...]
    """Those that hold clips, from the least confidence on."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def label_probabilities(
    scores: npt.NDArray[np.floating],
    activation: Literal["softmax", "sigmoid"],
    temperature: float = 1.0,
    *,
    one_is_right: bool = True,
) -> npt.NDArray[np.float64]:
    """Return how probable each label is, float64 [clip, label].

    Parameters
    ----------
    scores
        [clip, label], 0 to 1.
    activation
        What made them; their logits are divided by the temperature.
    temperature
        Above 1: less sure than the scores say.
    one_is_right
        One label is right, and no other: the logits go through a softmax, and probabilities add up to 1. Else any
        number may be right: each goes through a sigmoid.
    """
    clipped = np.clip(np.asarray(scores, np.float64), _SMALLEST, 1 - _SMALLEST)
    logits = np.log(clipped) if activation == "softmax" else np.log(clipped) - np.log1p(-clipped)
    logits = logits / temperature
    if not one_is_right:
        return np.asarray(expit(logits), np.float64)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def fit_temperature(
    scores: npt.NDArray[np.floating],
    marked: npt.NDArray[np.bool_],
    activation: Literal["softmax", "sigmoid"],
    *,
    one_is_right: bool = True,
) -> float:
    """Return the most probable temperature given the true labels; 1 without rows.

    A few dozen rows that are all right would call for a model that is sure of everything: the prior holds the
    temperature near 1 until rows say otherwise.

    Parameters
    ----------
    scores
        [row, label], 0 to 1, of rows that did not train.
    marked
        bool [row, label], which labels are right.
    activation, one_is_right
        As of `label_probabilities`.
    """
    if not len(marked):
        return 1.0
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        probabilities = label_probabilities(
            scores, activation, float(np.exp(log_temperature)), one_is_right=one_is_right
        )
        likelihood = np.log(np.maximum(probabilities[marked], _SMALLEST)).sum()
        if not one_is_right:
            likelihood += np.log(np.maximum(1 - probabilities[~marked], _SMALLEST)).sum()
        return float((log_temperature / PRIOR_SPREAD) ** 2 / 2 - likelihood)

    found = minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded")
    return float(np.exp(found.x))


def measure_reliability(probabilities: npt.NDArray[np.floating], marked: npt.NDArray[np.bool_]) -> Reliability:
    """Compare confidence, the probability of the most probable label, with how often that label is right.

    Parameters
    ----------
    probabilities
        [clip, label], as of `label_probabilities`.
    marked
        bool [clip, label], which labels are right.
    """
    right = np.take_along_axis(marked, probabilities.argmax(axis=1)[:, None], axis=1)[:, 0]
    return compare_confidence(probabilities.max(axis=1), right)


def compare_confidence(confidence: npt.NDArray[np.floating], right: npt.NDArray[np.bool_]) -> Reliability:
    """Compare confidence, float [clip], 0 to 1, with which clips are recognised, bool [clip]."""
    number = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    bins = tuple(
        Bin(int(held.sum()), float(confidence[held].mean()), float(right[held].mean()))
        for held in (number == one for one in range(BINS))
        if held.any()
    )
    ece = sum(one.clips * abs(one.confidence - one.accuracy) for one in bins) / max(len(right), 1)
    return Reliability(float(ece), bins)
