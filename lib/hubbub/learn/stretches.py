"""Memory for stretches of a store: which are there, or on their way, and where there is room for others."""

from __future__ import annotations

import threading
import zlib
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, wait
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from hubbub.learn.buffers import Buffers
from hubbub.learn.order import Order


class RowShape(Protocol):
    """What tells how large a row is."""

    @property
    def settings(self) -> Any:
        """Has the `dtype`."""

    @property
    def n_frames(self) -> int:
        """Frames of a row."""

    @property
    def n_bands(self) -> int:
        """Bands of a frame."""


def row_bytes(store: RowShape) -> int:
    """Bytes of a row as stored."""
    return store.n_frames * store.n_bands * np.dtype(store.settings.dtype).itemsize


class Stretches:
    """Stretches in memory.

    Parameters
    ----------
    store
        Tells the shape of a row.
    rows
        int64 [row], numbers of the rows wanted.
    order
        Tells how many rows a stretch has, and how many stretches may be there at once.
    buffers
        Where memory comes from.
    """

    def __init__(self, store: RowShape, rows: npt.NDArray[np.int64], order: Order, buffers: Buffers) -> None:
        wanted = np.unique(rows // order.stretch_rows)
        self.lock = threading.Lock()
        self.capacity = max(1, min(order.capacity, len(wanted)))
        shape = (self.capacity, order.stretch_rows, store.n_frames, store.n_bands)
        self.values: npt.NDArray[np.floating] = buffers.empty(shape, store.settings.dtype)
        self.slots = np.full(int(wanted[-1]) + 1 if len(wanted) else 0, -1)  # of each stretch; -1: not there
        self.reads: dict[int, Future[None]] = {}
        self._free = deque(range(self.capacity))

    @property
    def n_free(self) -> int:
        """For how many more there is room."""
        return len(self._free)

    @property
    def rows(self) -> npt.NDArray[np.floating]:
        """All memory as rows: slot times rows of a stretch, frame, band."""
        return self.values.reshape(-1, *self.values.shape[2:])

    def add(self, stretch: int) -> int:
        """Give a stretch a slot, and a future that whoever reads it sets; there must be room."""
        slot = self._free.popleft()
        self.slots[stretch] = slot
        self.reads[stretch] = Future()
        return slot

    def remove(self, stretches: Iterable[int]) -> None:
        """Make room."""
        for stretch in stretches:
            wait([self.reads.pop(stretch)])  # nothing else may be read into its memory before
            self._free.append(int(self.slots[stretch]))
            self.slots[stretch] = -1


class KeptRows:
    """Rows of a store that is shuffled whole, kept from one epoch to the next: later epochs then read nothing."""

    def __init__(self) -> None:
        self._key: tuple[Any, ...] = ()
        self._held: Stretches | None = None

    def stretches(self, store: Any, rows: npt.NDArray[np.int64], order: Order, buffers: Buffers) -> Stretches:
        """Those of the pass before, if it was over the same rows; else new ones."""
        key = (str(store.path), order.stretch_rows, len(rows), zlib.crc32(np.sort(rows).tobytes()))
        if self._held is None or self._key != key:
            self._held = None  # before memory for the others is taken
            self._key, self._held = key, Stretches(store, rows, order, buffers)
        return self._held
