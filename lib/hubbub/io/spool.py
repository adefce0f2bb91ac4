"""Items of a command that memory should not hold: on the disk until the command ends, and read again and again."""

from __future__ import annotations

import heapq
import itertools
import pickle
import tempfile
import threading
import weakref
from array import array
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

from hubbub.io.atomic import explain_write_errors

T = TypeVar("T")

_IN_MEMORY_BYTES = 4 * 2**20  # more than so much goes to the disk
_PAGE = 1000  # items that are pickled together
_RUN = 20_000  # items that are sorted in memory
_RUN_PAGE = 100  # of each run, so many items are in memory while runs are merged


class Spool(Generic[T]):
    """Items by their number, pickled in a temporary file that ends with this object."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES, prefix="hubbub-")  # noqa: SIM115
        weakref.finalize(self, self._file.close)
        self._begins, self._end, self._lock = array("q"), 0, threading.Lock()

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self._begins)

    def put(self, item: T) -> int:
        """Add an item and return its number.

        Raises
        ------
        StorageError
            When the folder of temporary files (``TMPDIR``) is full.
        """
        with self._lock, explain_write_errors(Path(tempfile.gettempdir())):
            self._file.seek(self._end)
            pickle.dump(item, self._file, pickle.HIGHEST_PROTOCOL)
            self._begins.append(self._end)
            self._end = self._file.tell()
        return len(self._begins) - 1

    def get(self, number: int) -> T:
        """Return an item by its number."""
        with self._lock:
            self._file.seek(self._begins[number])
            item: T = pickle.load(self._file)  # noqa: S301  # what this process wrote
            return item

    def __iter__(self) -> Iterator[T]:
        """Go through the items in the order in which they came."""
        return map(self.get, range(len(self)))


class SortedSpool(Generic[T]):
    """Many items in the order of a key: sorted some thousand at a time, then merged.

    Parameters
    ----------
    items
        In any order; gone through once.
    key
        As that of `sorted`.
    """

    def __init__(self, items: Iterable[T], key: Callable[[T], Any]) -> None:
        left, runs, held = iter(items), list[range](), Spool[list[T]]()
        while run := sorted(itertools.islice(left, _RUN), key=key):
            first = len(held)
            _put_pages(held, run, _RUN_PAGE)
            runs.append(range(first, len(held)))
        self._pages = held
        if len(runs) > 1:
            self._pages = Spool[list[T]]()
            _put_pages(self._pages, heapq.merge(*(_read_pages(held, run) for run in runs), key=key), _PAGE)

    def __iter__(self) -> Iterator[T]:
        """Go through the items in order."""
        return _read_pages(self._pages, range(len(self._pages)))


def _put_pages(spool: Spool[list[T]], items: Iterable[T], size: int) -> None:
    left = iter(items)
    while page := list(itertools.islice(left, size)):
        spool.put(page)


def _read_pages(spool: Spool[list[T]], numbers: range) -> Iterator[T]:
    return itertools.chain.from_iterable(map(spool.get, numbers))
