"""The least sure scores: where a person's word changes most (uncertainty sampling: D. Lewis and W. Gale, 1994)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from hubbub.labels.suggestions.pool import Pool
from hubbub.labels.suggestions.strategy import Strategy, Wanted, finish, make_frame, name_labels
from hubbub.labels.suggestions.windows import ScoredWindows

_NEARLY_0 = 1e-3  # scores nearer to 0 or 1 are as sure as this one: label tables hold no finer ones


class Uncertain(Strategy):
    """Windows that a model is least sure of, recordings taking turns.

    Where scores share 1 between the labels, that is the smallest margin between the two best of them. Where each stands
    alone, it is the smallest distance of any label's score from its threshold, in log-odds: 0.01 is surer of its "no"
    than 0.4, also where the threshold is 0.1.
    """

    def __init__(self, wanted: Wanted) -> None:
        super().__init__(wanted)
        self._pool = Pool(wanted.count, wanted.overlapping, is_spread=True)
        scheme = wanted.scheme
        self._by_margin = scheme.activation == "softmax" and len(scheme.labels) > 1
        self._thresholds = np.array([scheme.thresholds.get(name, 0.5) for name in scheme.labels], np.float32)

    def add(self, windows: ScoredWindows) -> None:
        """Look at some windows."""
        find = self._find_margins if self._by_margin else self._find_distances
        label, other, value = find(windows.scores)
        place = np.arange(len(windows))
        columns = {"label": label, "other": other, "value": value, "score": windows.scores[place, label]}
        self._pool.add(make_frame(windows, **columns, other_score=windows.scores[place, other]))

    def choose(self) -> pd.DataFrame:
        """Choose; see `Strategy`."""
        chosen = self._pool.choose()
        names = name_labels(chosen, self.wanted.scheme)
        return finish(chosen, names, [self._explain(row) for row in chosen.to_dict("records")])

    def _find_margins(self, scores: npt.NDArray[np.float32]) -> tuple[npt.NDArray, npt.NDArray, npt.NDArray]:
        """The two labels between which each window stands, the better first; and how near they are to each other."""
        matters = np.zeros(scores.shape[1], bool)
        matters[self.wanted.chosen] = True
        ours = np.where(matters, scores, -1).argmax(axis=1)
        rest = scores.copy()
        rest[np.arange(len(scores)), ours] = -1
        other = rest.argmax(axis=1)
        place = np.arange(len(scores))
        margin = scores[place, ours] - scores[place, other]
        is_second = margin < 0
        return np.where(is_second, other, ours), np.where(is_second, ours, other), -np.abs(margin)

    def _find_distances(self, scores: npt.NDArray[np.float32]) -> tuple[npt.NDArray, npt.NDArray, npt.NDArray]:
        """The label whose score is nearest to its threshold, twice; and how near it is."""
        chosen = self.wanted.chosen
        # 0.3 and 0.7 are as far from 0.5: what rounding alone tells apart is drawn by lot.
        distance = np.abs(_log_odds(scores[:, chosen]) - _log_odds(self._thresholds[chosen])).round(4)
        nearest = distance.argmin(axis=1)
        label = chosen[nearest]
        return label, label, -np.take_along_axis(distance, nearest[:, None], axis=1)[:, 0]

    def _explain(self, row: dict) -> str:
        labels = self.wanted.scheme.labels
        first = f"{labels[row['label']]} {row['score']:.2f}"
        if self._by_margin:
            return f"{first}, {labels[row['other']]} {row['other_score']:.2f}"
        return f"{first}, threshold {self._thresholds[row['label']]:.2f}"


def _log_odds(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    kept = np.clip(scores, _NEARLY_0, 1 - _NEARLY_0)
    return np.log(kept / (1 - kept))
