"""The best of very many windows, in bounded memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import pandas as pd

from hubbub.labels.suggestions.windows import overlaps

_HELD_ROWS = 50_000  # that gather before the best of them are kept: sorting few rows costs as much as sorting these
_COLUMNS = ("uri", "start_s", "end_s", "label", "score", "other", "other_score")


class Pool:
    """Keeps the windows of highest value, as many as are needed for so many that do not overlap.

    Parameters
    ----------
    count
        Windows that are wanted in the end.
    overlapping
        How many windows, itself among them, one window shares sound with at most.
    is_spread
        Whether the best of every recording come before the second best of any, and so on.
    """

    def __init__(self, count: int, overlapping: int, *, is_spread: bool) -> None:
        # The best `count` that do not overlap are among so many: each of them displaces `overlapping` - 1 at most, and
        # where recordings take turns, those of the last turn may stand behind `count` more.
        self._count, self._most, self._is_spread = count, count * (overlapping + 1), is_spread
        self._frames: list[pd.DataFrame] = []
        self._rows = 0

    def add(self, frame: pd.DataFrame) -> None:
        """Add windows: columns uri, start_s, end_s, value, draw, and others."""
        self._frames.append(frame)
        self._rows += len(frame)
        if self._rows > max(_HELD_ROWS, 4 * self._most):
            self._frames = [self._keep_best()]
            self._rows = len(self._frames[0])

    def choose(self) -> pd.DataFrame:
        """Choose the best that do not overlap; of equal value, those drawn first."""
        if not self._frames:
            return pd.DataFrame(columns=_COLUMNS)
        best = _sort(self._keep_best())
        kept = best[drop_overlapping(best)]
        return (_take_turns(kept) if self._is_spread else kept).head(self._count).reset_index(drop=True)

    def _keep_best(self) -> pd.DataFrame:
        best = _sort(pd.concat(self._frames, ignore_index=True))
        return (_take_turns(best) if self._is_spread else best).head(self._most)


def _sort(frame: pd.DataFrame) -> pd.DataFrame:
    end_s, draw, value = (frame[name].to_numpy() for name in ("end_s", "draw", "value"))
    return frame.iloc[np.lexsort((end_s, draw, -value))]


def _take_turns(best: pd.DataFrame) -> pd.DataFrame:
    """Sorted windows so that the best of each recording come first, then the second best of each."""
    return best.iloc[np.argsort(best.groupby("uri").cumcount().to_numpy(), kind="stable")]


def drop_overlapping(windows: pd.DataFrame) -> np.ndarray:
    """Tell which windows, in their order, share no sound with one that came before and is kept; bool [window]."""
    heard = Heard()
    spans = zip(windows["uri"], windows["start_s"], windows["end_s"], strict=True)
    return np.fromiter((heard.add(uri, start_s, end_s) for uri, start_s, end_s in spans), bool, len(windows))


class Heard:
    """Spans of recordings that are taken."""

    def __init__(self, spans: Iterable[tuple[str, float, float]] = ()) -> None:
        self._spans: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
        for uri, start_s, end_s in spans:
            self._spans[uri].append((start_s, end_s))

    def add(self, uri: str, start_s: float, end_s: float) -> bool:
        """Take a span unless it shares sound with one that is taken; tell whether it was taken."""
        there = self._spans[uri]
        if there and overlaps(start_s, end_s, *np.array(there).T).any():
            return False
        there.append((start_s, end_s))
        return True
