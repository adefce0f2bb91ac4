"""Agreement of reviewers: pairs of them, on the events that both judged."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import pandas as pd


@dataclass(frozen=True)
class Agreement:
    """Two reviewers on the events and windows that both say yes or no to.

    Attributes
    ----------
    first, second
        The reviewers, in the order of their names.
    judged
        What both judged.
    agreed
        What they say the same of.
    kappa
        Cohen's kappa: agreement beyond that of two who say yes as often by chance; 1 at most, 0 as by chance. None
        where both always say the same one word, or share nothing: chance then agrees as well.
    """

    first: str
    second: str
    judged: int
    agreed: int
    kappa: float | None

    @property
    def share(self) -> float | None:
        """The share that they agree on; None where they share nothing."""
        return self.agreed / self.judged if self.judged else None


def measure_agreement(verdicts: pd.DataFrame) -> tuple[Agreement, ...]:
    """Measure the agreement of all pairs of reviewers who judged an event in common, sorted by name.

    J. Cohen, "A coefficient of agreement for nominal scales", 1960.

    Parameters
    ----------
    verdicts
        As `current_verdicts` gives them: one a reviewer and event. Those unsure are left out.
    """
    decided = verdicts[verdicts["verdict"].isin(["yes", "no"])]
    said = {
        str(reviewer): pd.Series(own["verdict"].eq("yes").to_numpy(), pd.MultiIndex.from_frame(own[["kind", "event"]]))
        for reviewer, own in decided.groupby("reviewer")
    }
    pairs = (_compare(first, second, said[first], said[second]) for first, second in combinations(sorted(said), 2))
    return tuple(pair for pair in pairs if pair.judged)


def _compare(first: str, second: str, one: pd.Series, other: pd.Series) -> Agreement:
    shared = one.index.intersection(other.index)
    one, other = one.loc[shared], other.loc[shared]
    judged, agreed = len(shared), int((one == other).sum())
    if not judged:
        return Agreement(first, second, 0, 0, None)
    by_chance = one.mean() * other.mean() + (1 - one.mean()) * (1 - other.mean())
    kappa = None if by_chance >= 1 else float((agreed / judged - by_chance) / (1 - by_chance))
    return Agreement(first, second, judged, agreed, kappa)
