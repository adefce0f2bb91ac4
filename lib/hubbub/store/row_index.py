"""The row index of a store: all its row parts as one table."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import groupby, islice
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hubbub.io.paths import StoragePath, is_local
from hubbub.store.parts import concatenate_tables, read_part

IN_FLIGHT = 64
"""Requests at once to a bucket: an answer takes some 20 ms, most of which is waiting."""

_TOGETHER = 16  # parts of a disk that a thread reads at a time: to hand over each of them is not free
_BATCH = 256  # parts that are packed into one piece: a part alone costs many times the memory of its values


Check = Callable[[int, dict[str, Any]], None]
"""Called with a part's number and metadata; raises for a part that does not belong there."""


def read_parts(
    folder: StoragePath,
    numbers: Sequence[int],
    columns: Sequence[str] | None = None,
    *,
    check: Check,
    completed: Callable[[pa.Table], pa.Table] = lambda table: table,
) -> pa.Table:
    """Read parts, several at once, and join them.

    Parameters
    ----------
    folder
        Where the parts lie.
    numbers
        Which of them, at least one.
    columns
        Those to read; None: all. A part that has no such column has nulls there, if another part has it.
    check
        Looks at each part's number and metadata, in order.
    completed
        Gives parts, some at once, the columns that they were written without.

    Returns
    -------
    pyarrow.Table
        The rows in the order of `numbers`, and a last column `shard`, int64: the number of the part each was in.

    Raises
    ------
    StoreError
        For a part that is torn, or no part.
    """
    runs: list[pa.Table] = []
    parts = iterate_parts(folder, numbers, columns, check=check)
    while batch := list(islice(parts, _BATCH)):
        runs += [_add_shard_column(completed(table), shard) for table, shard in _pack_parts(batch)]
    return concatenate_tables(runs)


def iterate_parts(
    folder: StoragePath, numbers: Sequence[int], columns: Sequence[str] | None = None, *, check: Check
) -> Iterator[tuple[int, pa.Table]]:
    """Read parts, several at once, and give them one by one in order, some ahead; else as `read_parts`."""
    threads, together = _threads(folder), _TOGETHER if is_local(folder) else 1

    def read(some: Sequence[int]) -> list[tuple[pa.Table, dict[str, Any]]]:
        return [read_part(folder, number, columns) for number in some]

    with ThreadPoolExecutor(threads) as pool:
        ahead: deque[tuple[Sequence[int], Future]] = deque()
        for begin in range(0, len(numbers), together):
            some = numbers[begin : begin + together]
            ahead.append((some, pool.submit(read, some)))
            if len(ahead) > 2 * threads:
                yield from _check_parts(*ahead.popleft(), check)
        while ahead:
            yield from _check_parts(*ahead.popleft(), check)


def _check_parts(numbers: Sequence[int], read: Future, check: Check) -> Iterator[tuple[int, pa.Table]]:
    for number, (table, metadata) in zip(numbers, read.result(), strict=True):
        check(number, metadata)
        yield number, table


def _threads(folder: StoragePath) -> int:
    """How many parts are read at once: as many as this machine unpacks, or as a bucket sends."""
    return min(4, os.cpu_count() or 1) if is_local(folder) else IN_FLIGHT


def _pack_parts(batch: Sequence[tuple[int, pa.Table]]) -> Iterator[tuple[pa.Table, npt.NDArray[np.int64]]]:
    """Join neighbouring parts of equal columns into one table; leave the others to `concatenate_tables`.

    The system's own memory: Arrow's keeps what many small parts needed to be read.
    """
    for _, run in groupby(batch, key=lambda part: part[1].schema):
        numbers, tables = zip(*run, strict=True)
        packed = pa.concat_tables(tables).combine_chunks(memory_pool=pa.system_memory_pool())
        yield packed, np.repeat(np.array(numbers, np.int64), [len(table) for table in tables])


def _add_shard_column(table: pa.Table, shard: npt.NDArray[np.int64]) -> pa.Table:
    return table.append_column("shard", pa.array(shard))
