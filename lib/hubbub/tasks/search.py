"""One unit of `search`: the rows of a stretch of an embedding store that are most similar to a vector.

Similarities are cosines, exact to float64: all rows are first compared in float32, and those that may be among the best
are then computed again in float64, by sums whose order depends on nothing but the dimension. So a row has the same
similarity whichever unit, worker or block it is read in.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from hubbub.errors import StoreError
from hubbub.planning.time_limits import time_limit_s
from hubbub.store.features import FeatureStore
from hubbub.tasks.result import UnitResult

UNIT_BYTES = 64 * 2**20
"""Values that a unit reads: some tenths of a second of work, a hundred times what Dask adds to it."""

_READ_BYTES = 8 * 2**20  # at once, by a unit
_COMPARED_ROWS = 512  # at once: few enough to stay in a core's cache
_SQUARES = (1e-20, 4e9)  # sums of squares that float32 holds without losing digits; below those of 65,536
_SIGN_AND_VALUE = np.uint32(0x8FFFE000).view(np.int32)  # of a float16 that was moved: its sign once


@dataclass(frozen=True)
class Nearest:
    """Rows with their similarities, the most similar first; of equally similar rows the lowest number first.

    Attributes
    ----------
    rows
        int64 [n], row numbers.
    similarities
        float64 [n], cosines.
    skipped
        Rows without a direction, all zeros or with a value that is not finite; they are not among the others.
    """

    rows: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    similarities: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty(0, np.float64))
    skipped: int = 0


@dataclass(frozen=True)
class SearchUnit:
    """A stretch of rows.

    Attributes
    ----------
    index
        Its number.
    first, count
        Which rows.
    wanted
        A bit a row, packed: whether it is compared.
    """

    index: int
    first: int
    count: int
    wanted: bytes
    row_bytes: int

    @property
    def items(self) -> tuple[int, ...]:
        """What it is made of: its first row stands for them all."""
        return (self.first,)

    @property
    def time_limit_s(self) -> float:
        """Seconds after which the unit is thought to hang."""
        return time_limit_s(self.count * self.row_bytes, 0)

    def is_wanted(self) -> npt.NDArray[np.bool_]:
        """Which rows are compared, bool [count]."""
        return np.unpackbits(np.frombuffer(self.wanted, np.uint8), count=self.count).view(bool)


@dataclass(frozen=True)
class SearchResult(UnitResult):
    """One unit, searched: `windows` and `rows` count the rows compared.

    Attributes
    ----------
    nearest
        The best of them.
    """

    nearest: Nearest = Nearest()


@dataclass(frozen=True)
class SearchTask:
    """Searches units; plain data, so that any engine can send it anywhere.

    Attributes
    ----------
    store
        The embedding store.
    query
        float64 [dimension]: the vector looked for, of any length but 0.
    top
        How many rows are returned at most.
    """

    store: FeatureStore
    query: npt.NDArray[np.float64]
    top: int

    def __call__(self, unit: SearchUnit) -> SearchResult:
        """Do the unit.

        Raises
        ------
        StoreError
            When values cannot be read.
        """
        started = time.perf_counter()
        store, wanted = self.store, unit.is_wanted()
        row_bytes = len(self.query) * np.dtype(store.settings.dtype).itemsize
        most_rows = max(1, _READ_BYTES // row_bytes)
        nearest, read_bytes, read_s = Nearest(), 0, 0.0
        for begin in range(0, unit.count, most_rows):
            chosen = np.flatnonzero(wanted[begin : begin + most_rows])
            if not len(chosen):
                continue
            first, beyond = int(chosen[0]), int(chosen[-1]) + 1
            before_s = time.perf_counter()
            values = _read(store, unit.first + begin + first, beyond - first)
            read_s += time.perf_counter() - before_s
            read_bytes += values.nbytes
            numbers = unit.first + begin + chosen
            held = values if len(chosen) == len(values) else values[chosen - first]
            nearest = merge_nearest([nearest, find_nearest(held, self.query, self.top, numbers)], self.top)
        compared = int(wanted.sum())
        return SearchResult(
            unit=unit.index,
            ok=0,
            failed=0,
            windows=compared,
            rows=compared,
            audio_s=0.0,
            bytes_read=read_bytes,
            seconds={"read": read_s, "compare": time.perf_counter() - started - read_s},
            nearest=nearest,
        )


def group_rows(rows: npt.NDArray[np.int64], row_bytes: int, rows_per_shard: int) -> list[SearchUnit]:
    """Cut a store into units of whole shards.

    Parameters
    ----------
    rows
        Numbers of the rows to compare, sorted.
    row_bytes
        Of one row's values.
    rows_per_shard
        Of the store.
    """
    a_unit = max(1, UNIT_BYTES // (row_bytes * rows_per_shard)) * rows_per_shard
    units: list[SearchUnit] = []
    for number in np.unique(rows // a_unit).tolist():
        begin, end = np.searchsorted(rows, [number * a_unit, (number + 1) * a_unit])
        places = rows[begin:end] - rows[begin]
        wanted = np.zeros(int(places[-1]) + 1, bool)
        wanted[places] = True
        packed = np.packbits(wanted).tobytes()
        units.append(SearchUnit(len(units), int(rows[begin]), len(wanted), packed, row_bytes))
    return units


def find_nearest(
    vectors: npt.NDArray[np.floating],
    query: npt.NDArray[np.float64],
    top: int,
    rows: npt.NDArray[np.int64] | None = None,
) -> Nearest:
    """Find the vectors with the largest cosine to a query.

    Parameters
    ----------
    vectors
        float16 or float32 [n, dimension].
    query
        float64 [dimension], finite and not all zeros.
    top
        How many at most.
    rows
        int64 [n], numbers of the vectors; None: 0 to n - 1.
    """
    numbers = np.arange(len(vectors), dtype=np.int64) if rows is None else rows
    found = [Nearest()]
    for begin in range(0, len(vectors), _COMPARED_ROWS):
        some = slice(begin, begin + _COMPARED_ROWS)
        found.append(_compare(vectors[some], query, top, numbers[some]))
    return merge_nearest(found, top)


def merge_nearest(found: Iterable[Nearest], top: int) -> Nearest:
    """Return the best of several: the same whatever the order they come in, and however rows were divided over them."""
    parts = list(found)
    rows = np.concatenate([part.rows for part in parts])
    similarities = np.concatenate([part.similarities for part in parts])
    best = np.lexsort((rows, -similarities))[:top]
    return Nearest(rows[best], similarities[best], sum(part.skipped for part in parts))


def cosines(vectors: npt.NDArray[np.float32], query: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the cosine of each vector to a query, float64 [n]; NaN for vectors without a direction.

    A product of two float32 is exact in float64, and `numpy.sum` along rows adds in an order that the length alone
    decides; a matrix product would not.
    """
    wide, unit = vectors.astype(np.float64), query / np.sqrt(np.square(query).sum())
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        scale = np.abs(wide).max(axis=1, keepdims=True, initial=0.0)
        wide /= scale  # so that no square is too large, or too small, for float64
        cosine = (wide * unit).sum(axis=1) / np.sqrt(np.square(wide).sum(axis=1))
    return np.clip(cosine, -1.0, 1.0)


def _widen(values: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Return finite float16 as float32, three times as fast as `astype`; float32 as it is.

    Sign, exponent and fraction move to their places in 32 bits, and a product sets the exponent's zero right, also for
    numbers below float16's normal ones. What is not finite becomes 65,536 or more.
    """
    if values.dtype != np.float16:
        return values.astype(np.float32, copy=False)
    bits = np.ascontiguousarray(values).view(np.int16).astype(np.int32)
    bits <<= 13
    bits &= _SIGN_AND_VALUE
    wide = bits.view(np.float32)
    wide *= np.float32(2.0**112)
    return wide


def _compare(
    vectors: npt.NDArray[np.floating], query: npt.NDArray[np.float64], top: int, rows: npt.NDArray[np.int64]
) -> Nearest:
    """The nearest of a few vectors."""
    wide, unit = _widen(vectors), (query / np.sqrt(np.square(query).sum())).astype(np.float32)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        # No matrix product: a BLAS would begin threads for it, which wait for each other longer than they compute.
        squares = np.einsum("ij,ij->i", wide, wide)
        rough = np.einsum("ij,j->i", wide, unit) / np.sqrt(squares)
        is_rough = (squares > _SQUARES[0]) & (squares < _SQUARES[1])
    # Rounding errors of sums of n products are below n/2^24 of the vectors' lengths (N. Higham, Accuracy and Stability
    # of Numerical Algorithms, 3.1); twice that on either side of the top-th.
    margin = 4 * (vectors.shape[1] + 8) * 2.0**-24
    usable = rough[is_rough]
    least = np.partition(usable, len(usable) - top)[len(usable) - top] - margin if len(usable) > top else -np.inf
    chosen = np.flatnonzero(~is_rough | (rough >= least))
    exact = cosines(vectors[chosen].astype(np.float32), query)
    has_direction = np.isfinite(exact)
    chosen, exact = chosen[has_direction], exact[has_direction]
    best = np.lexsort((rows[chosen], -exact))[:top]
    return Nearest(rows[chosen[best]], exact[best], int((~has_direction).sum()))


def _read(store: FeatureStore, first: int, count: int) -> npt.NDArray[np.floating]:
    """Rows as vectors, [count, dimension]."""
    values = np.empty((count, store.n_frames, store.n_bands), store.settings.dtype)
    try:
        store.read_into(first, values)
    except (ValueError, OSError) as error:  # how tensorstore says that bytes are torn
        reason = str(error).splitlines()[0]
        raise StoreError(
            f"{store.path}: rows {first} to {first + count - 1} cannot be read ({reason}); "
            f"run: hubbub verify {store.path} --repair"
        ) from None
    return values.reshape(count, -1)
