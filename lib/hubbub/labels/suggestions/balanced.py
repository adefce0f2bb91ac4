"""A fair sample of every label and range of scores: how right a model is, at each score."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from hubbub.labels.suggestions.pool import Heard
from hubbub.labels.suggestions.strategy import Strategy, Wanted, finish, name_labels
from hubbub.labels.suggestions.windows import ScoredWindows, mix_bits, seed_of

RANGES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Borders of the ranges of scores; a score on a border is of the range above it."""

_N_RANGES = len(RANGES) - 1
_HELD = 200_000  # windows that are held for all labels and ranges together, beyond those asked for


class Balanced(Strategy):
    """As many windows of each label and range of scores, drawn by lot among those in the range.

    With a person's verdicts on them, the share of right ones in a range is an estimate without bias of the model's
    precision there; weighed by `in_range`, how many windows of the archive lie in each range, ranges add up to the
    precision above any of their borders.
    """

    def __init__(self, wanted: Wanted) -> None:
        super().__init__(wanted)
        n_labels = len(wanted.chosen)
        self._cells = n_labels * _N_RANGES
        # A cell gives more than its share where others are empty, or where windows overlap.
        self._most = min(2 * wanted.count, -(-(4 * wanted.count + _HELD) // max(1, self._cells)))
        self._counts = np.zeros(self._cells, np.int64)
        self._least = np.full(self._cells, np.iinfo(np.uint64).max, np.uint64)
        self._seeds = np.array([seed_of(wanted.scheme.labels[label]) for label in wanted.chosen], np.uint64)
        self._frames: list[pd.DataFrame] = []
        self._rows = 0

    def add(self, windows: ScoredWindows) -> None:
        """Look at some windows, as many at a time as have `_HELD` scores: models have thousands of labels."""
        at_once = max(1, _HELD // max(1, len(self.wanted.chosen)))
        for begin in range(0, len(windows), at_once):
            self._add_some(windows[np.arange(begin, min(begin + at_once, len(windows)))])

    def _add_some(self, windows: ScoredWindows) -> None:
        scores = windows.scores[:, self.wanted.chosen]
        ranges = np.searchsorted(RANGES[1:-1], scores, side="right")
        cell = np.arange(scores.shape[1]) * _N_RANGES + ranges
        self._counts += np.bincount(cell.ravel(), minlength=self._cells)
        draw = mix_bits(windows.draw()[:, None] ^ self._seeds[None, :])  # a lot of its own for each label
        row, column = np.nonzero(draw < self._least[cell])
        frame = {"cell": cell[row, column], "draw": draw[row, column], "score": scores[row, column]}
        where = {"uri": windows.uri[row], "start_s": windows.start_s[row], "end_s": windows.end_s[row]}
        self._frames.append(pd.DataFrame(where | frame))
        self._rows += len(row)
        if self._rows > 2 * self._cells * self._most + _HELD:
            self._keep_first()

    def choose(self) -> pd.DataFrame:
        """Choose; see `Strategy`."""
        chosen = pd.DataFrame(list(self._deal()), columns=["uri", "start_s", "end_s", "cell", "score"])
        cells = chosen["cell"].to_numpy(np.int64)
        chosen["label"] = self.wanted.chosen[cells // _N_RANGES] if len(cells) else []
        names = name_labels(chosen, self.wanted.scheme)
        spans = [f"{RANGES[one]:g} to {RANGES[one + 1]:g}" for one in cells % _N_RANGES]
        counts = self._counts[cells]
        reasons = [
            f"{name} {score:.2f}, drawn from {count} between {span.replace(' to ', ' and ')}"
            for name, score, count, span in zip(names, chosen["score"], counts, spans, strict=True)
        ]
        return finish(chosen, names, reasons).assign(range=spans, in_range=counts)

    def _keep_first(self) -> pd.DataFrame:
        """Keep the windows of each cell that were drawn first."""
        if not self._frames:
            return pd.DataFrame(columns=["uri", "start_s", "end_s", "cell", "draw", "score"])
        held = pd.concat(self._frames, ignore_index=True)
        held = held.iloc[np.lexsort((held["end_s"], held["draw"], held["cell"]))]
        held = held[held.groupby("cell").cumcount() < self._most]
        full = held.groupby("cell")["draw"].agg(["size", "max"])
        full = full[full["size"] >= self._most]
        self._least[full.index.to_numpy(np.int64)] = full["max"].to_numpy(np.uint64)
        self._frames, self._rows = [held], len(held)
        return held

    def _deal(self) -> Iterator[tuple[str, float, float, int, float]]:
        """Windows of all cells in turns, high scores first; none that shares sound with an earlier one."""
        held = self._keep_first()
        uri, start_s, end_s, score = (held[name].to_numpy() for name in ("uri", "start_s", "end_s", "score"))
        cells, begins = np.unique(held["cell"].to_numpy(np.int64), return_index=True)
        ends = np.append(begins, len(held))[1:].tolist()
        # Places in `held`, which is sorted by cell, of the windows that a cell has left.
        left = {cell: iter(range(*span)) for cell, *span in zip(cells.tolist(), begins.tolist(), ends, strict=True)}
        order = sorted(left, key=lambda cell: (-(cell % _N_RANGES), cell))
        heard, count = Heard(), 0
        while order and count < self.wanted.count:
            for cell in list(order):
                place = next((one for one in left[cell] if heard.add(uri[one], start_s[one], end_s[one])), None)
                if place is None:
                    order.remove(cell)
                    continue
                yield uri[place], start_s[place], end_s[place], cell, score[place]
                count += 1
                if count == self.wanted.count:
                    return
