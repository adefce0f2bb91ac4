"""Read batches by number, from stretches of rows that threads read ahead of need.

::

    memory    [3] [7] [11] [5] [ ] ...    as many stretches as the order allows; decompressed outside Python's lock
    batches   |....|....|....|..          each copied together from the stretches that it touches, as stored

A stretch is given back when all of it has been served. Batches may be asked for by several threads at once, as
`tf.data` does; asked for in another order they are the same, only slower.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from hubbub.errors import TrainingError
from hubbub.learn.buffers import Buffers
from hubbub.learn.crops import Crops
from hubbub.learn.order import Order
from hubbub.learn.stretches import Stretches

_TURN_S = 0.1  # how long a batch waits for those before it, which other threads are about to ask for


class ShardReader(Protocol):
    """What the loader needs of a feature store.

    One that has `rows_per_chunk` and `read_into` as well, as `FeatureStore` does, is read by chunks.
    """

    @property
    def path(self) -> Any:
        """Where it lies, for messages."""

    @property
    def settings(self) -> Any:
        """What it was built with; read for its `dtype`."""

    @property
    def rows_per_shard(self) -> int:
        """Rows of a shard, used or not."""

    @property
    def n_frames(self) -> int:
        """Frames of a row."""

    @property
    def n_bands(self) -> int:
        """Bands of a frame."""

    def read_shard(self, shard: int) -> npt.NDArray[np.floating]:
        """A whole shard, [rows_per_shard, frame, band]."""


@dataclass(frozen=True)
class ReadAhead:
    """How rows are read before they are needed; changes speed, never values."""

    reads_at_once: int | None = None
    """Reads in flight. None: 2, or 16 where the store is not on this machine and reads wait for their first byte."""

    def threads_for(self, store: ShardReader) -> int:
        """How many threads read a store."""
        return self.reads_at_once or (2 if isinstance(store.path, str | Path) else 16)


@dataclass
class Run:
    """Neighbouring stretches that are read at one go, into neighbouring memory."""

    stretch: int
    """The first."""

    slot: int
    """Where its rows go."""

    reads: list[Future[None]]
    """What waits for each of them."""

    def is_followed_by(self, stretch: int, slot: int) -> bool:
        """Whether a stretch goes on where this ends, in the store and in memory."""
        return (stretch, slot) == (self.stretch + len(self.reads), self.slot + len(self.reads))


class Uses:
    """When stretches are used.

    Parameters
    ----------
    stretch
        int64 [served], the stretch of each row served.
    start
        From which row on anything is served.
    """

    def __init__(self, stretch: npt.NDArray[np.int64], start: int) -> None:
        self._stretch = stretch
        self.stretches, first, self._counts = np.unique(stretch[start:], return_index=True, return_counts=True)
        by_first = np.argsort(first)
        self.arrivals = self.stretches[by_first]
        """int64 [stretch], in the order of their first use."""
        self.first = first[by_first] + start
        """int64 [stretch], when each of them is first used."""
        self._first = first + start

    def count_from(self, stretch: int, position: int) -> int:
        """Rows of a stretch that are served from a position on."""
        at = int(np.searchsorted(self.stretches, stretch))
        if at < len(self.stretches) and self.stretches[at] == stretch and self._first[at] >= position:
            return int(self._counts[at])
        return int(np.count_nonzero(self._stretch[position:] == stretch))

    def next_use(self, stretch: int, position: int) -> int:
        """When a stretch is used next, from a position on; after everything where it is not."""
        used = np.flatnonzero(self._stretch[position:] == stretch)
        return position + int(used[0]) if len(used) else len(self._stretch)


class Reader:
    """Serves one order of some rows.

    Parameters
    ----------
    store
        Where they lie.
    rows
        int64 [row], numbers in the store.
    order
        In which they are served.
    batch_rows
        Rows a batch; the last may be smaller.
    crops
        The crop of each row, in the order of `rows`; None for whole rows.
    first_batch
        The first that will be asked for: nothing is read for those before it.
    ahead
        How much is read at once.
    buffers
        Memory for batches and stretches, which may serve one reader after the other.
    stretches
        Holds what is read; of an order that is shuffled whole it may serve one reader after the other.
    """

    def __init__(
        self,
        store: ShardReader,
        rows: npt.NDArray[np.int64],
        order: Order,
        *,
        batch_rows: int,
        crops: Crops | None = None,
        first_batch: int = 0,
        ahead: ReadAhead | None = None,
        buffers: Buffers | None = None,
        stretches: Stretches | None = None,
    ) -> None:
        self._store, self._rows, self._order = store, rows, order
        self._batch_rows, self._crops = batch_rows, crops
        self._buffers = buffers or Buffers()
        self._stretch, self._inside = np.divmod(rows[order.served], order.stretch_rows)
        self._uses = Uses(self._stretch, first_batch * batch_rows)
        self._kept, self._memory = stretches, stretches
        self._n_served = first_batch * batch_rows
        self._left: dict[int, int] = {}  # rows of each stretch that are still to be served
        self._position, self._arrived = 0, 0
        self._turn, self._next_batch = threading.Condition(), first_batch
        # Its threads end when it is no longer referred to.
        self._pool = ThreadPoolExecutor((ahead or ReadAhead()).threads_for(store), thread_name_prefix="stretches")

    def batch(self, number: int) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.int64]]:
        """One batch, the first is 0.

        Returns
        -------
        features
            [row, frame, band] in the store's dtype, cropped.
        places
            int64 [row], which of the rows given they are.

        Raises
        ------
        TrainingError
            A row cannot be read, or was never written: its shard has vanished.
        """
        begin = number * self._batch_rows
        end = min(begin + self._batch_rows, len(self._order.served))
        places = self._order.served[begin:end]
        n_frames = self._store.n_frames if self._crops is None else self._crops.n_frames
        features = self._buffers.empty((end - begin, n_frames, self._store.n_bands), self._store.settings.dtype)
        with self._turn:
            if number > self._next_batch:
                self._turn.wait_for(lambda: number <= self._next_batch, _TURN_S)
            for first, last in self._pieces(begin, end):
                self._prepare(first, last)
                self._copy(first, last, features[first - begin : last - begin])
                self._give_back(first, last)
            self._next_batch = number + 1
            self._leave_memory(end - begin)
            self._turn.notify_all()
        self._refuse_missing(features, places)
        return features, places

    @property
    def _held(self) -> Stretches:
        """What is in memory."""
        if self._memory is None:
            self._memory = Stretches(self._store, self._rows, self._order, self._buffers)
        return self._memory

    def _leave_memory(self, n_rows: int) -> None:
        """Count rows served; after the last, leave the memory to the next reader, whoever still refers to this one."""
        self._n_served += n_rows
        if self._n_served >= len(self._order.served):
            self._memory, self._n_served = self._kept, 0

    def _pieces(self, begin: int, end: int) -> list[tuple[int, int]]:
        """Halve a batch until each part is in no more stretches than there is room for."""
        if end - begin <= self._held.capacity or len(np.unique(self._stretch[begin:end])) <= self._held.capacity:
            return [(begin, end)]
        middle = (begin + end) // 2
        return [*self._pieces(begin, middle), *self._pieces(middle, end)]

    def _prepare(self, first: int, last: int) -> None:
        """Have the stretches in memory that are served from `first` to before `last`; others begin to be read."""
        needed = np.unique(self._stretch[first:last]).tolist()
        with self._held.lock:
            if (self._held.slots[needed] < 0).any():
                absent = [stretch for stretch in self._with_neighbours(needed) if self._held.slots[stretch] < 0]
                self._make_room(len(absent), set(needed), first)
                self._begin(absent, first)
            if self._held.n_free:
                self._begin(self._next_arrivals(first, last), last)
            reads = [self._held.reads[stretch] for stretch in needed]
        for read in reads:
            read.result()

    def _with_neighbours(self, stretches: Sequence[int]) -> Sequence[int]:
        """Where everything is kept, also those of the same shards: they are read at one go."""
        if not self._order.is_whole:
            return stretches
        each = self._store.rows_per_shard // self._order.stretch_rows
        return self._uses.stretches[np.isin(self._uses.stretches // each, np.unique(stretches) // each)].tolist()

    def _next_arrivals(self, first: int, last: int) -> list[int]:
        """Stretches that are needed next and for which there is room."""
        if first < self._position:  # gone through once more
            self._arrived = 0
        self._position = first
        self._arrived = max(self._arrived, int(np.searchsorted(self._uses.first, last)))
        chosen: list[int] = []
        while len(chosen) < self._held.n_free and self._arrived < len(self._uses.first):
            stretch = int(self._uses.arrivals[self._arrived])
            if self._held.slots[stretch] < 0:
                chosen.append(stretch)
            self._arrived += 1
        return sorted(chosen) if self._order.is_whole else chosen

    def _make_room(self, count: int, needed: set[int], position: int) -> None:
        """Remove what an iteration that broke off has left, then what is needed last."""
        if (lacking := count - self._held.n_free) <= 0:
            return
        others = [stretch for stretch in self._held.reads if stretch not in needed]
        others.sort(key=lambda stretch: self._uses.next_use(stretch, position), reverse=True)
        self._held.remove(others[:lacking])

    def _begin(self, stretches: Sequence[int], position: int) -> None:
        """Begin to read stretches; neighbours that lie side by side in memory too are one read."""
        each, runs = self._store.rows_per_shard // self._order.stretch_rows, list[Run]()
        for stretch in stretches:
            slot = self._held.add(stretch)
            self._left[stretch] = self._uses.count_from(stretch, position)
            if runs and stretch % each and runs[-1].is_followed_by(stretch, slot):
                runs[-1].reads.append(self._held.reads[stretch])
            else:
                runs.append(Run(stretch, slot, [self._held.reads[stretch]]))
        for run in runs:
            self._pool.submit(read_run, self._store, run, weakref.ref(self._held))

    def _give_back(self, first: int, last: int) -> None:
        """Count rows that have been copied, and let go of stretches of which all are."""
        if self._order.is_whole:
            return
        served, counts = np.unique(self._stretch[first:last], return_counts=True)
        for stretch, count in zip(served.tolist(), counts.tolist(), strict=True):
            self._left[stretch] -= count
        with self._held.lock:
            self._held.remove([stretch for stretch in served.tolist() if self._left[stretch] <= 0])

    def _copy(self, first: int, last: int, out: npt.NDArray[np.floating]) -> None:
        """Copy rows, or their crops, out of the stretches. `np.take` does it outside Python's lock."""
        rows = self._held.rows
        row = self._held.slots[self._stretch[first:last]] * self._order.stretch_rows + self._inside[first:last]
        if self._crops is None:
            np.take(rows, row, axis=0, out=out, mode="clip")
        else:
            frames = rows.reshape(-1, rows.shape[2])
            begin = row * rows.shape[1] + self._crops.begin[self._order.served[first:last]]
            np.take(frames, begin[:, None] + np.arange(self._crops.n_frames), axis=0, out=out, mode="clip")

    def _refuse_missing(self, features: npt.NDArray[np.floating], places: npt.NDArray[np.int64]) -> None:
        missing = np.isnan(features[:, 0, 0])
        if missing.any():
            row = self._rows[places[missing][0]]
            raise TrainingError(
                f"row {row} of the store holds no features: its shard {row // self._store.rows_per_shard} has vanished "
                f"or is torn; run: hubbub verify {self._store.path} --repair"
            )


def read_run(store: ShardReader, run: Run, memory: weakref.ref[Stretches]) -> None:
    """Read neighbouring stretches, unless nobody wants them any longer; errors are told to whoever waits for one."""
    if (held := memory()) is None:
        return
    each = held.values.shape[1]
    first = run.stretch * each
    failed: Exception | None = None
    try:
        read_into(store, first, held.rows[run.slot * each : (run.slot + len(run.reads)) * each])
    except (ValueError, OSError) as error:  # how tensorstore says that bytes are torn, or a bucket is out of reach
        failed = TrainingError(
            f"shard {first // store.rows_per_shard} of the store cannot be read "
            f"({str(error).splitlines()[0]}); run: hubbub verify {store.path} --repair"
        )
    except Exception as error:
        failed = error
    for read in run.reads:
        read.set_result(None) if failed is None else read.set_exception(failed)


def read_into(store: ShardReader, first: int, into: npt.NDArray[np.floating]) -> None:
    """Read rows from one on into memory that is there already: by chunks, or a whole shard."""
    if reads_chunks(store):
        store.read_into(first, into)  # type: ignore[attr-defined]
    else:
        into[:] = store.read_shard(first // store.rows_per_shard)


def reads_chunks(store: ShardReader) -> bool:
    """Whether a store reads less than a whole shard."""
    return hasattr(store, "read_into") and hasattr(store, "rows_per_chunk")
