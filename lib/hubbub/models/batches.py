"""Batches: how many rows a network computes at once.

On a CPU the number is fixed. On a GPU it is measured: doubled until memory runs out, or rows take no less time each. A
batch is always filled up, so that a row's values do not depend on the rows beside it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

CPU_ROWS = 16
"""Rows of a batch on a CPU, which gains little from more."""

MOST_ROWS, MOST_BYTES = 512, 256 * 2**20
"""Of a batch on a GPU: a worker holds its samples, too."""

LEAST_GAIN = 1.1
"""A batch of twice the rows has to compute them so many times as fast."""

Compute = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]


def choose_batch_rows(time_batch: Callable[[int], float], *, most: int, least: int = CPU_ROWS) -> int:
    """Choose how many rows to compute at once, by doubling.

    Parameters
    ----------
    time_batch
        Computes a batch of so many rows; returns the seconds it took, or raises MemoryError.
    most, least
        Of rows; the least is not doubted.
    """
    chosen, row_s = least, time_batch(least) / least
    while 2 * chosen <= most:
        try:
            doubled_s = time_batch(2 * chosen) / (2 * chosen)
        except MemoryError:
            break
        if doubled_s * LEAST_GAIN > row_s:
            break
        chosen, row_s = 2 * chosen, doubled_s
    return chosen


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of any backend or runtime says that memory is not enough."""
    names = {kind.__name__ for kind in type(error).__mro__}
    said = ("RESOURCE_EXHAUSTED", "Failed to allocate memory", "out of memory")
    return bool(names & {"MemoryError", "ResourceExhaustedError", "OutOfMemoryError"}) or any(
        text in str(error) for text in said
    )


class RowBatches:
    """Computes rows in batches that are filled up.

    Parameters
    ----------
    compute
        The network: [row, …] to [row, …].
    multiple
        What a batch is filled up to a multiple of, on a CPU; `CPU_ROWS` for whatever is compiled for one shape.
    on_gpu
        Whether it computes on a GPU.
    """

    def __init__(self, compute: Compute, *, multiple: int = CPU_ROWS, on_gpu: bool = False) -> None:
        self._compute, self._multiple, self._on_gpu = compute, multiple, on_gpu
        self._rows: int | None = None if on_gpu else CPU_ROWS

    def count_rows(self, shape: tuple[int, ...]) -> int:
        """Rows of a batch, of rows of this shape; measured at the first call, on a GPU."""
        if self._rows is None:
            most = max(CPU_ROWS, min(MOST_ROWS, MOST_BYTES // (4 * int(np.prod(shape)))))
            self._rows = choose_batch_rows(lambda rows: self._time_batch((rows, *shape)), most=most)
        return self._rows

    def __call__(self, rows: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Compute rows, one at least."""
        size, found = self.count_rows(rows.shape[1:]), []
        multiple = size if self._on_gpu else self._multiple
        for begin in range(0, len(rows), size):
            some = np.asarray(rows[begin : begin + size], np.float32)
            batch = np.zeros((-(-len(some) // multiple) * multiple, *some.shape[1:]), np.float32)
            batch[: len(some)] = some
            found.append(np.asarray(self._compute(batch))[: len(some)])
        return np.concatenate(found).astype(np.float32, copy=False)

    def _time_batch(self, shape: tuple[int, ...]) -> float:
        batch = np.zeros(shape, np.float32)
        try:
            np.asarray(self._compute(batch))  # is compiled for this shape
            started = time.perf_counter()
            np.asarray(self._compute(batch))
        except Exception as error:
            if is_out_of_memory(error):
                raise MemoryError(str(error)) from None
            raise
        return time.perf_counter() - started
