"""Read batches by number, from shards that are read whole, ahead of need, several at once.

::

    shards   [7 2 5 0] [4 1 6 3] ...     read by threads, decompressed outside Python's lock
    batches   |....|....|....|..         each copied together from the mixes that it touches, as stored

A mix is given back when all of it has been served. Batches may be asked for by several threads at once, as `tf.data`
does; asked for in another order they are the same, only slower.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from hubbub.errors import TrainingError
from hubbub.learn.buffers import Buffers
from hubbub.learn.crops import Crops
from hubbub.learn.order import Order

_SPARE_MIXES = 2  # that other threads' batches may still need; what is beyond was left by an iteration that broke off


class ShardReader(Protocol):
    """What the loader needs of a feature store."""

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
    """How much is read before it is needed; changes speed and memory, never values."""

    shards_at_once: int = 2
    """Shards in flight: more where a read waits long for its first byte, as on S3."""

    mixes_ahead: int = 1
    """Mixes that are read while one is being served; memory holds about one more."""


@dataclass
class _Mix:
    """A mix in memory, or on its way there."""

    values: npt.NDArray[np.floating]
    """[shard * rows_per_shard, frame, band], one shard after the other."""

    reads: list[Future[None]]
    rows_left: int


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
        The first that will be asked for: mixes are held until all from there on has been served.
    ahead
        How much is read before it is needed.
    buffers
        Memory to read into, which may serve one reader after the other.
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
    ) -> None:
        self._store, self._rows, self._order = store, rows, order
        self._batch_rows, self._crops = batch_rows, crops
        self._ahead, self._start = ahead or ReadAhead(), first_batch * batch_rows
        self._buffers = buffers or Buffers()
        self._lock = threading.Lock()
        self._mixes: dict[int, _Mix] = {}
        # Its threads end when it is no longer referred to.
        self._pool = ThreadPoolExecutor(self._ahead.shards_at_once, thread_name_prefix="shards")

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
        for mix, held in self._held(begin, end).items():
            for read in held.reads:
                read.result()
            first, last = (int(np.clip(bound, begin, end)) for bound in self._order.bounds[mix : mix + 2])
            self._copy(mix, held.values, self._order.served[first:last], features[first - begin : last - begin])
            self._give_back(mix, last - first)
        self._refuse_missing(features, places)
        return features, places

    def _held(self, begin: int, end: int) -> dict[int, _Mix]:
        """The mixes from which rows are served; those that come after them start being read."""
        wanted = self._order.mixes(begin, end)
        last = min(wanted.stop + self._ahead.mixes_ahead, len(self._order.shards))
        with self._lock:
            held = {mix: self._begun(mix) for mix in range(wanted.start, last)}
            while len(self._mixes) > len(held) + _SPARE_MIXES:
                del self._mixes[next(iter(self._mixes))]
        return {mix: held[mix] for mix in wanted}

    def _begun(self, mix: int) -> _Mix:
        """A mix that is being read, from now on or already."""
        if mix not in self._mixes:
            bounds, each = self._order.bounds, self._store.rows_per_shard
            values = self._new_values()
            reads = [
                self._pool.submit(self._read, int(shard), values[slot * each : (slot + 1) * each])
                for slot, shard in enumerate(self._order.shards[mix])
            ]
            self._mixes[mix] = _Mix(values, reads, int(bounds[mix + 1] - max(self._start, bounds[mix])))
        return self._mixes[mix]

    def _new_values(self) -> npt.NDArray[np.floating]:
        rows = len(self._order.shards[0]) * self._store.rows_per_shard  # the last mix may have fewer shards
        return self._buffers.empty((rows, self._store.n_frames, self._store.n_bands), self._store.settings.dtype)

    def _give_back(self, mix: int, n_rows: int) -> None:
        """Count rows that have been copied, and let go of a mix that is all served."""
        with self._lock:
            held = self._mixes.get(mix)
            if held is None:
                return
            held.rows_left -= n_rows
            if held.rows_left <= 0:
                del self._mixes[mix]

    def _read(self, shard: int, into: npt.NDArray[np.floating]) -> None:
        try:
            read_into(self._store, shard, into)
        except (ValueError, OSError) as error:  # how tensorstore says that bytes are torn, or a bucket is out of reach
            raise TrainingError(
                f"shard {shard} of the store cannot be read ({str(error).splitlines()[0]}); "
                f"run: hubbub verify {self._store.path} --repair"
            ) from None

    def _copy(
        self,
        mix: int,
        values: npt.NDArray[np.floating],
        places: npt.NDArray[np.int64],
        out: npt.NDArray[np.floating],
    ) -> None:
        """Copy rows, or their crops, out of a mix. `np.take` does it outside Python's lock."""
        shard, inside = np.divmod(self._rows[places], self._store.rows_per_shard)
        slot = np.argmax(shard[:, None] == self._order.shards[mix][None, :], axis=1)
        row = slot * self._store.rows_per_shard + inside
        if self._crops is None:
            np.take(values, row, axis=0, out=out, mode="clip")
        else:
            frames = values.reshape(-1, values.shape[2])
            begin = row * values.shape[1] + self._crops.begin[places]
            np.take(frames, begin[:, None] + np.arange(self._crops.n_frames), axis=0, out=out, mode="clip")

    def _refuse_missing(self, features: npt.NDArray[np.floating], places: npt.NDArray[np.int64]) -> None:
        missing = np.isnan(features[:, 0, 0])
        if missing.any():
            row = self._rows[places[missing][0]]
            raise TrainingError(
                f"row {row} of the store holds no features: its shard {row // self._store.rows_per_shard} has vanished "
                f"or is torn; run: hubbub verify {self._store.path} --repair"
            )


def read_into(store: ShardReader, shard: int, into: npt.NDArray[np.floating]) -> None:
    """Read a whole shard into memory that is there already: where tensorstore reads, without another copy."""
    array = getattr(store, "_array", None)
    if array is None:
        into[:] = store.read_shard(shard)
        return
    import tensorstore

    first = shard * store.rows_per_shard
    tensorstore.array(into).write(array[first : first + store.rows_per_shard]).result()
