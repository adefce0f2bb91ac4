"""Batches from a feature store: every row once an epoch, in an order that seed and epoch decide.

A `Pass` is one epoch over some rows, in the order of `hubbub.learn.order`. It yields NumPy arrays and imports no
TensorFlow; `hubbub.learn.tf_data` serves the same batches, in the same order, to a graph. Both read ahead of need
(`hubbub.learn.reader`).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hubbub.errors import TrainingError
from hubbub.learn.budget import shuffle_budget_bytes
from hubbub.learn.buffers import Buffers
from hubbub.learn.crops import Crops
from hubbub.learn.order import FEWEST_STRETCHES, WHOLE, Order, Partition, Position, plan_order
from hubbub.learn.reader import ReadAhead, Reader, ShardReader, reads_chunks
from hubbub.learn.stretches import KeptRows, row_bytes


class Batch(NamedTuple):
    """Some rows of a store."""

    features: npt.NDArray[np.float32]
    """float32 [row, frame, band], as stored, or cropped."""

    targets: npt.NDArray[np.int64]
    """int64 [row], what was given for each row."""

    rows: npt.NDArray[np.int64]
    """int64 [row], their numbers in the store."""


@dataclass(frozen=True)
class Pass:
    """One pass over some rows: an epoch, or a worker's share of one."""

    store: ShardReader
    """Where the rows lie."""

    rows: npt.NDArray[np.int64]
    """int64 [row], numbers of the rows wanted; one may come several times, as where it has several crops."""

    targets: npt.NDArray[np.int64]
    """int64 [row], what goes with each."""

    batch_rows: int
    """Rows a batch, at least 1; the last may be smaller."""

    seed: int | None = None
    """Shuffles rows, together with `epoch`; None keeps the order of the row numbers."""

    epoch: int = 0
    """Which pass over the rows this is."""

    memory_bytes: int | None = None
    """Bytes of rows, as stored, that may be in memory to be shuffled, those read ahead included; the order depends on
    them unless all rows fit. None: `shuffle_budget_bytes`, asked once. Without a seed, three shards are held."""

    drop_last: bool = False
    """Leave out a last batch that is smaller."""

    crops: Crops | None = None
    """The crop of each row, in the order of `rows`; None for whole rows."""

    share: Partition = WHOLE
    """Which of several workers reads."""

    kept: KeptRows | None = None
    """Keeps the rows from one pass to the next, where all of them are shuffled together."""

    @cached_property
    def order(self) -> Order:
        """In which rows are served."""
        return plan_order(
            self.rows,
            stretch_rows=self._stretch_rows,
            capacity=self._capacity,
            seed=self.seed,
            epoch=self.epoch,
            share=self.share,
        )

    @cached_property
    def budget_bytes(self) -> int:
        """`memory_bytes`, or what there is to take."""
        return shuffle_budget_bytes() if self.memory_bytes is None else self.memory_bytes

    @property
    def _stretch_rows(self) -> int:
        """Rows that are read together: a chunk, or where rows are read in their order a shard."""
        if self.seed is None or not reads_chunks(self.store):
            return self.store.rows_per_shard
        return self.store.rows_per_chunk  # type: ignore[attr-defined]

    @property
    def _capacity(self) -> int:
        """Stretches that may be in memory: no more than there are, so that larger budgets are equal."""
        if self.seed is None:
            return FEWEST_STRETCHES
        wanted = len(np.unique(self.rows // self._stretch_rows))
        return min(wanted, self.budget_bytes // (row_bytes(self.store) * self._stretch_rows))

    @property
    def n_batches(self) -> int:
        """How many batches there are."""
        served = len(self.rows) // self.share.count
        return served // self.batch_rows if self.drop_last else -(-served // self.batch_rows)

    @property
    def n_frames(self) -> int:
        """Frames of what is served."""
        return self.store.n_frames if self.crops is None else self.crops.n_frames

    @property
    def identity(self) -> str:
        """Changes with anything that decides the order of any epoch: 8 hex digits of a CRC-32."""
        layout = (self._stretch_rows, self._capacity, self.batch_rows, self.seed, self.share)
        rows = np.ascontiguousarray(self.rows, dtype="<i8").tobytes()
        return f"{zlib.crc32(repr(layout).encode(), zlib.crc32(rows)):08x}"

    def position(self, batch: int) -> Position:
        """The place before a batch of this pass, to be written down."""
        return Position(self.epoch, batch, self.identity)

    def first_batch(self, position: Position) -> int:
        """Where to go on from a position.

        Raises
        ------
        TrainingError
            The position is of other rows, another seed or another epoch.
        """
        if (position.epoch, position.order) != (self.epoch, self.identity):
            raise TrainingError(
                f"a position in epoch {position.epoch} of {position.order} is no place in epoch {self.epoch} of "
                f"{self.identity}: rows, seed, batch size, workers and epoch must be those it was saved with"
            )
        return position.batch

    def reader(self, first_batch: int = 0, ahead: ReadAhead | None = None, buffers: Buffers | None = None) -> Reader:
        """Batches by their numbers, as stored."""
        buffers, kept = buffers or Buffers(), None
        if self.kept is not None and self.order.is_whole:
            kept = self.kept.stretches(self.store, self.rows, self.order, buffers)
        return Reader(
            self.store,
            self.rows,
            replace(self.order, served=self.order.served[: self.n_batches * self.batch_rows]),
            batch_rows=self.batch_rows,
            crops=self.crops,
            first_batch=first_batch,
            ahead=ahead,
            buffers=buffers,
            stretches=kept,
        )

    def batches(self, first_batch: int = 0) -> Iterator[Batch]:
        """Yield the batches from one on; nothing is read for those before."""
        reader = self.reader(first_batch)
        for number in range(first_batch, self.n_batches):
            stored, places = reader.batch(number)
            features = stored.astype(np.float32)
            if self.crops is not None and self.crops.scale is not None:
                features = self.crops.scale.apply(features)
            yield Batch(features, self.targets[places], self.rows[places])


def iterate_batches(
    store: ShardReader,
    rows: npt.NDArray[np.int64],
    targets: npt.NDArray[np.int64],
    *,
    batch_rows: int,
    seed: int | None = None,
    epoch: int = 0,
    memory_bytes: int | None = None,
    drop_last: bool = False,
    crops: Crops | None = None,
    share: Partition = WHOLE,
) -> Iterator[Batch]:
    """Yield every row once, in batches; parameters as `Pass` has them."""
    rows, targets = np.asarray(rows, np.int64), np.asarray(targets, np.int64)
    return Pass(store, rows, targets, batch_rows, seed, epoch, memory_bytes, drop_last, crops, share).batches()


@dataclass(frozen=True)
class BandStatistics:
    """Mean and spread of each band, for standardisation."""

    mean: npt.NDArray[np.float64]
    """float64 [band], in the frontend's unit."""

    std: npt.NDArray[np.float64]
    """float64 [band], above 0: a band that never changes is not blown up by its rounding errors (`band_statistics`)."""


LEAST_STD_DB = 0.1
"""Least spread of a band of decibels; one above the recordings' own bandwidth has none of its own."""

LEAST_SHARE = 1e-3
"""Least spread of any other band, as a share of its own RMS: twice float16's rounding."""

LEAST_SHARE_OF_LARGEST = 1e-9
"""And as a share of the largest band's RMS: far below any sound (90 dB of power), above what a transform rounds to."""

_STATISTICS_ROWS = 32  # taken at once: 7 MB of float64 at the default settings


def band_statistics(
    store: ShardReader,
    rows: npt.NDArray[np.int64],
    valid: npt.NDArray[np.int64] | None = None,
    *,
    crops: Crops | None = None,
    is_db: bool = True,
) -> BandStatistics:
    """Mean and standard deviation of each band over the valid frames of some rows, a few rows at a time.

    Pairwise update of mean and squared deviations: T. F. Chan, G. H. Golub and R. J. LeVeque, "Updating formulae
    and a pairwise algorithm for computing sample variances", 1979.

    Parameters
    ----------
    store, rows, crops
        As for `iterate_batches`.
    valid
        int64 [row], frames of each row (of its crop) that are audio, from its first on; those after them are padding
        and do not count. None: all are.
    is_db
        Whether values are decibels. Their spread is `LEAST_STD_DB` at least; that of others is at least `LEAST_SHARE`
        of the band's own RMS and `LEAST_SHARE_OF_LARGEST` of the largest band's, and 1 where all of it is 0.

    Raises
    ------
    TrainingError
        A row holds values that are not finite.
    """
    count, mean, squares = 0, np.zeros(1), np.zeros(1)
    wanted = np.full(len(rows), np.iinfo(np.int64).max) if valid is None else valid
    for batch in iterate_batches(store, rows, wanted, batch_rows=_STATISTICS_ROWS, crops=crops):
        frames = _valid_frames(batch)
        if not len(frames):
            continue
        shift, total = frames.mean(axis=0) - mean, count + len(frames)
        squares = squares + frames.var(axis=0) * len(frames) + shift**2 * (count * len(frames) / total)
        mean = mean + shift * (len(frames) / total)
        count = total
    std = np.sqrt(squares / max(count, 1))
    return BandStatistics(mean, np.maximum(std, LEAST_STD_DB if is_db else _least_std(mean, std)))


def _valid_frames(batch: Batch) -> npt.NDArray[np.float64]:
    """Frames [frame, band] of a batch whose targets say how many of each row are valid."""
    finite = np.isfinite(batch.features).all(axis=(1, 2))
    if not finite.all():
        raise TrainingError(
            f"row {batch.rows[~finite][0]} of the store holds values that are not finite; "
            "run: hubbub verify STORE --repair"
        )
    is_valid = np.arange(batch.features.shape[1])[None, :] < batch.targets[:, None]
    return batch.features[is_valid].astype(np.float64)


def _least_std(mean: npt.NDArray[np.float64], std: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    rms = np.hypot(mean, std)
    least = np.maximum(LEAST_SHARE * rms, LEAST_SHARE_OF_LARGEST * rms.max())
    return np.where(least > 0, least, 1.0)
