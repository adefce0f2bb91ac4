"""What every strategy is given, and what it offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from hubbub.labels.suggestions.windows import ScoredWindows

COLUMNS = ("uri", "start_s", "end_s", "suggested", "score", "reason")
"""Columns of what a strategy chooses; a strategy may add more."""


@dataclass(frozen=True)
class LabelScheme:
    """What scores mean.

    Attributes
    ----------
    labels
        Labels, in the order of the scores; none where nothing scores the windows.
    thresholds
        The score at which each label counts as present.
    activation
        Whether scores share 1 between the labels, or each stands alone; None: unknown.
    """

    labels: Sequence[str] = ()
    thresholds: Mapping[str, float] = field(default_factory=dict)
    activation: Literal["softmax", "sigmoid"] | None = None


@dataclass(frozen=True)
class Wanted:
    """What a person asks for.

    Attributes
    ----------
    count
        How many windows.
    scheme
        What their scores mean.
    only
        The labels that matter; empty: all.
    overlapping
        How many windows, itself among them, one window shares sound with at most.
    by_direction
        Whether vectors are embeddings, of which the direction counts, and not scores, which count as they are.
    """

    count: int
    scheme: LabelScheme = LabelScheme()
    only: Sequence[str] = ()
    overlapping: int = 1
    by_direction: bool = False

    @property
    def chosen(self) -> npt.NDArray[np.int64]:
        """Columns of scores that matter, int64 [label], sorted by their names, so that no order of labels counts."""
        names = self.only or self.scheme.labels
        return np.array([self.scheme.labels.index(name) for name in sorted(names)], np.int64)


class Strategy(ABC):
    """Chooses windows; see the package."""

    needs_scores: ClassVar[bool] = True

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted

    @abstractmethod
    def add(self, windows: ScoredWindows) -> None:
        """Look at some windows."""

    def add_reviewed(self, windows: ScoredWindows) -> None:
        """Look at some windows that a person has heard already, and that are not to be chosen."""
        return None  # most strategies make nothing of them

    @abstractmethod
    def choose(self) -> pd.DataFrame:
        """Choose, the most useful first, a row a window with `COLUMNS`; fewer where there are no more."""


def make_frame(windows: ScoredWindows, **columns: npt.NDArray) -> pd.DataFrame:
    """Windows as a `Pool` takes them: where they lie, their draw, and `columns`."""
    where = {"uri": windows.uri, "start_s": windows.start_s, "end_s": windows.end_s, "draw": windows.draw()}
    return pd.DataFrame(where | columns)


def name_labels(chosen: pd.DataFrame, scheme: LabelScheme) -> list[str]:
    """Names of the labels whose numbers the column `label` holds."""
    return [scheme.labels[number] for number in chosen["label"]]


def finish(chosen: pd.DataFrame, suggested: Sequence[str | None], reasons: Sequence[str]) -> pd.DataFrame:
    """What was chosen, as `Strategy.choose` gives it."""
    made = chosen[["uri", "start_s", "end_s"]].copy()
    for name, values in (("suggested", suggested), ("score", chosen.get("score")), ("reason", reasons)):
        made[name] = pd.Series(values, made.index, float if name == "score" else object)
    return made
