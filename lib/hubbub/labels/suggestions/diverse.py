"""Windows unlike each other: what an archive holds, in few examples.

The greedy k-centre, or farthest-point, choice (T. Gonzalez, 1985); of active learning, the core set of O. Sener and
S. Savarese, 2018 (arXiv 1708.00489).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from hubbub.labels.suggestions.strategy import Strategy, Wanted, finish
from hubbub.labels.suggestions.windows import ScoredWindows, overlaps

MOST_COMPARED = 20_000
"""Windows that are compared; of more, so many drawn by lot."""

MOST_BYTES = 2**28
"""Of the scores and vectors of those windows; where windows of more labels are wider, fewer are compared."""

MOST_REVIEWED = 2_000
"""Windows heard already that the choice stays away from; of more, so many drawn by lot."""

_ROWS_AT_ONCE = 512  # few enough to stay in a core's cache
_DIRECTION = 1e-12  # a vector shorter than this has none


class Diverse(Strategy):
    """Windows whose vectors are far from each other, and from those of windows heard already.

    Embeddings are compared by their directions, scores as they are. The first window is the most typical one where none
    was heard already; each further one is the farthest from all before it.
    """

    needs_scores = False

    def __init__(self, wanted: Wanted) -> None:
        super().__init__(wanted)
        self._kept, self._reviewed = _Sample(MOST_COMPARED), _Sample(MOST_REVIEWED)

    def add(self, windows: ScoredWindows) -> None:
        """Look at some windows."""
        self._kept.add(windows)

    def add_reviewed(self, windows: ScoredWindows) -> None:
        """Stay away from some windows."""
        self._reviewed.add(windows)

    def choose(self) -> pd.DataFrame:
        """Choose; see `Strategy`."""
        windows, reviewed = (self._prepare(sample.windows()) for sample in (self._kept, self._reviewed))
        if windows is None or not len(windows):
            return finish(pd.DataFrame(columns=["uri", "start_s", "end_s"]), [], [])
        known = None if reviewed is None else reviewed.vectors
        places, distances = choose_farthest(windows, known, self.wanted.count)
        chosen = windows[places]
        frame = pd.DataFrame({"uri": chosen.uri, "start_s": chosen.start_s, "end_s": chosen.end_s})
        reasons = [
            "the most typical window" if np.isinf(far) else f"{far:.2f} from the nearest one chosen or heard before"
            for far in distances
        ]
        names: list[str | None] = [None] * len(chosen)
        if self.wanted.scheme.labels:
            best = chosen.scores.argmax(axis=1)
            frame["score"] = np.take_along_axis(chosen.scores, best[:, None], axis=1)[:, 0]
            names = [self.wanted.scheme.labels[label] for label in best]
        return finish(frame, names, reasons)

    def _prepare(self, windows: ScoredWindows | None) -> ScoredWindows | None:
        """Windows with vectors that can be measured."""
        if windows is None:
            return None
        vectors = windows.vectors.astype(np.float32)
        if self.wanted.by_direction:
            vectors = _point_all(vectors)
        windows = replace(windows, vectors=vectors)
        return windows[np.flatnonzero(np.isfinite(vectors).all(axis=1))]


def choose_farthest(
    windows: ScoredWindows, known: npt.NDArray[np.float32] | None, count: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Choose windows one by one, each the farthest from all known and chosen ones, none that overlaps a chosen one.

    Parameters
    ----------
    windows
        The first of equally far ones is taken.
    known
        float32 [known, dimension]; None: the window nearest to the mean of all is taken first.
    count
        How many at most; windows that equal one that is taken are left out.

    Returns
    -------
    places, distances
        int64 [n], which windows; float64 [n], how far each was when it was taken, infinite for the first.
    """
    vectors = windows.vectors
    distance = np.full(len(vectors), np.inf)
    for vector in known if known is not None else ():
        np.minimum(distance, _measure(vectors, vector), out=distance)
    is_free = np.ones(len(vectors), bool)
    places: list[int] = []
    distances: list[float] = []
    while len(places) < count and is_free.any():
        if np.isinf(distance).all():
            place = int(_measure(vectors, vectors.mean(axis=0, dtype=np.float64).astype(np.float32)).argmin())
        else:
            place = int(np.where(is_free, distance, -1.0).argmax())
            if distance[place] <= 0:
                break
        places.append(place)
        distances.append(distance[place])
        np.minimum(distance, _measure(vectors, vectors[place]), out=distance)
        same = windows.uri == windows.uri[place]
        is_free &= ~(same & overlaps(windows.start_s[place], windows.end_s[place], windows.start_s, windows.end_s))
        is_free[place] = False
    return np.array(places, np.int64), np.array(distances)


def _point_all(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Vectors of length 1 in the same directions; NaN where there is none."""
    found = np.empty_like(vectors)
    for begin in range(0, len(vectors), _ROWS_AT_ONCE):
        wide = vectors[begin : begin + _ROWS_AT_ONCE].astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            length = np.sqrt(np.square(wide).sum(axis=1, keepdims=True))
            found[begin : begin + _ROWS_AT_ONCE] = np.where(length > _DIRECTION, wide / length, np.nan)
    return found


def _measure(vectors: npt.NDArray[np.float32], centre: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Distances, float64 [vector], added up in an order that the dimension alone decides."""
    square = np.zeros(len(vectors))
    for begin in range(0, len(vectors), _ROWS_AT_ONCE):
        difference = vectors[begin : begin + _ROWS_AT_ONCE] - centre
        square[begin : begin + _ROWS_AT_ONCE] = np.einsum("ij,ij->i", difference, difference)
    return np.sqrt(square)


class _Sample:
    """So many windows drawn by lot, fewer where they are wide; for a while half as many again."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._parts: list[tuple[npt.NDArray[np.uint64], ScoredWindows]] = []
        self._rows = 0
        self._least = np.iinfo(np.uint64).max

    def add(self, windows: ScoredWindows) -> None:
        draw = windows.draw()
        wanted = draw <= self._least
        if not wanted.any():
            return
        a_window = windows.scores[:1].nbytes + windows.vectors[:1].nbytes
        self._most = max(1, min(self._most, MOST_BYTES // max(1, a_window)))
        self._parts.append((draw[wanted], windows[wanted]))
        self._rows += int(wanted.sum())
        if self._rows > 1.5 * self._most:
            self._keep_first()

    def windows(self) -> ScoredWindows | None:
        """The windows drawn, in the order of their lots; None: there are none."""
        if not self._parts:
            return None
        self._keep_first()
        return self._parts[0][1]

    def _keep_first(self) -> None:
        draw = np.concatenate([part for part, _ in self._parts])
        order = np.argsort(draw, kind="stable")[: self._most]
        columns = {}
        for name in vars(self._parts[0][1]):  # one after the other: each is held twice while it is put in order
            columns[name] = np.concatenate([getattr(windows, name) for _, windows in self._parts])[order]
        self._parts = [(draw[order], ScoredWindows(**columns))]
        self._rows = len(order)
        if len(order) == self._most:
            self._least = draw[order[-1]]
