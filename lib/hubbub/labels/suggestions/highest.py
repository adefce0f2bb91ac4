"""The highest scores: what a model is surest of."""

from __future__ import annotations

import numpy as np
import pandas as pd

from hubbub.labels.suggestions.pool import Pool
from hubbub.labels.suggestions.strategy import Strategy, Wanted, finish, make_frame, name_labels
from hubbub.labels.suggestions.windows import ScoredWindows


class Highest(Strategy):
    """Windows with the highest score of a label, or of any of several."""

    def __init__(self, wanted: Wanted) -> None:
        super().__init__(wanted)
        self._pool = Pool(wanted.count, wanted.overlapping, is_spread=False)

    def add(self, windows: ScoredWindows) -> None:
        """Look at some windows."""
        scores = windows.scores[:, self.wanted.chosen]
        best = scores.argmax(axis=1)
        score = np.take_along_axis(scores, best[:, None], axis=1)[:, 0]
        self._pool.add(make_frame(windows, label=self.wanted.chosen[best], score=score, value=score))

    def choose(self) -> pd.DataFrame:
        """Choose; see `Strategy`."""
        chosen = self._pool.choose()
        names = name_labels(chosen, self.wanted.scheme)
        reasons = [f"{name} scores {score:.2f}" for name, score in zip(names, chosen["score"], strict=True)]
        return finish(chosen, names, reasons)
