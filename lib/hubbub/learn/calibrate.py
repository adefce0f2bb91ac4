"""Choose the threshold above which a label counts as present, on validation rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

GRID = np.round(np.arange(0.1, 0.901, 0.05), 2)
"""Thresholds tried."""


@dataclass(frozen=True)
class Calibration:
    """What was chosen, and on what."""

    threshold: float
    """The score, the same for all labels: a few dozen validation rows cannot choose one for each."""

    f1: float
    """Micro-averaged F1 of the rows at it."""

    rows: int
    """Rows it was chosen on, backgrounds included."""


def calibrate(scores: npt.NDArray[np.floating], targets: npt.NDArray[np.floating]) -> Calibration:
    """Choose the threshold with the highest micro-averaged F1; the middle one where several share it.

    Parameters
    ----------
    scores, targets
        [row, label], 0 to 1; a row of zeros among the targets is a background, without any label.
    """
    true = targets > 0.5
    called = scores[None] >= GRID[:, None, None]
    hits = (called & true).sum(axis=(1, 2))
    f1 = 2 * hits / np.maximum(called.sum(axis=(1, 2)) + true.sum(), 1)
    best = np.flatnonzero(f1 == f1.max())
    chosen = best[len(best) // 2]
    return Calibration(float(GRID[chosen]), float(f1[chosen]), len(scores))
