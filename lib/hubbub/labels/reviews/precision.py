"""Precision of reviewed events: the share that is right, by label and by score, and how sure it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hubbub.labels.event_scores import Interval

RANGES = tuple(number / 10 for number in range(11))
"""Edges of the ranges of scores that precision is told for."""

_Z = 1.959963984540054  # 97.5 % of a normal distribution lie below


@dataclass(frozen=True)
class Share:
    """How many of some events are right.

    Attributes
    ----------
    right, judged
        Events that are right, and events in all.
    interval
        95 % interval of the share.
    """

    right: int
    judged: int
    interval: Interval

    @classmethod
    def of(cls, right: int, judged: int) -> Share:
        """Count a share, with its Wilson interval."""
        return cls(right, judged, wilson_interval(right, judged))

    @property
    def value(self) -> float:
        """The share, 0 to 1; NaN of no events."""
        return self.right / self.judged if self.judged else math.nan


@dataclass(frozen=True)
class RangeShare:
    """The events whose scores lie from `low` up to `high`; a score of 1 lies in the last range."""

    low: float
    high: float
    share: Share


def wilson_interval(right: int, judged: int) -> Interval:
    """Return the 95 % interval of a share.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927. It holds for few events,
    and for shares of 0 and 1, where an interval of the normal distribution has no width.

    Parameters
    ----------
    right, judged
        How many of how many; `judged` may be 0, of which the share may be anything.

    Returns
    -------
    Interval
        0 to 1.
    """
    if not judged:
        return Interval(0.0, 1.0)
    share, spread = right / judged, _Z * _Z / judged
    middle = (share + spread / 2) / (1 + spread)
    half = math.sqrt(spread * (share * (1 - share) + spread / 4)) / (1 + spread)
    return Interval(0.0 if right == 0 else middle - half, 1.0 if right == judged else middle + half)


def count_right(settled: pd.DataFrame, least: float = 0.0) -> Share:
    """Return the share of events that are right, of those that score `least` or more; ties and unsure are left out."""
    outcomes = settled.loc[settled["score"] >= least, "outcome"]
    return Share.of(int((outcomes == "right").sum()), int(outcomes.isin(["right", "wrong"]).sum()))


def count_by_range(settled: pd.DataFrame, edges: Sequence[float] = RANGES) -> tuple[RangeShare, ...]:
    """Return the share that is right in each range of scores that has an event; ties and unsure are left out.

    Parameters
    ----------
    settled
        Events, as `settle_verdicts` gives them.
    edges
        Ascending; a range holds its lower edge and not its upper one, but for the last.
    """
    judged = settled[settled["outcome"].isin(["right", "wrong"])]
    # A float32 of 0.7 is a little less than the edge 0.7.
    scores = np.round(judged["score"].to_numpy(np.float64), 6)
    place = np.clip(np.searchsorted(edges, scores, side="right") - 1, 0, len(edges) - 2)
    right = (judged["outcome"] == "right").to_numpy()
    return tuple(
        RangeShare(edges[number], edges[number + 1], Share.of(int(right[held].sum()), int(held.sum())))
        for number in range(len(edges) - 1)
        if (held := place == number).any()
    )
