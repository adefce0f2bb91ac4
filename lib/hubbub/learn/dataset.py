"""From a feature store to batches: whole shards are read, shuffled a few at a time, and cut into batches.

::

    shards, shuffled     [7 2 5 0] [4 1 6 3]       a few at a time are in memory: a mix
    their rows, shuffled  r r r r   r r r r
    batches              |....|....|....|..        a batch may reach from one mix into the next

The core yields NumPy arrays and imports no TensorFlow; `as_tf_data` wraps it. The order depends on the seed and the
epoch alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from hubbub.errors import TrainingError
from hubbub.learn.crops import Crops

MIX_SHARDS = 4
"""Shards in memory at once: enough that rows of different recordings meet in a batch."""

MIX_BYTES = 2**28
"""Features, float32, from which on no further shard joins: 9 whole shards of 256 rows at the default settings."""


class ReadsShards(Protocol):
    """What the loader needs of a feature store."""

    @property
    def rows_per_shard(self) -> int:
        """Rows of a shard, used or not."""

    def read_shard(self, shard: int) -> npt.NDArray[np.floating]:
        """A whole shard, [rows_per_shard, frame, band]."""


class Batch(NamedTuple):
    """Some rows of a store."""

    features: npt.NDArray[np.float32]
    """float32 [row, frame, band], as stored, or cropped."""

    targets: npt.NDArray[np.int64]
    """int64 [row], what was given for each row."""

    rows: npt.NDArray[np.int64]
    """int64 [row], their numbers in the store."""

    def take(self, which: slice | npt.NDArray[np.int64]) -> Batch:
        """Some of the rows."""
        return Batch(self.features[which], self.targets[which], self.rows[which])


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


def iterate_batches(
    store: ReadsShards,
    rows: npt.NDArray[np.int64],
    targets: npt.NDArray[np.int64],
    *,
    batch_rows: int,
    seed: int | None = None,
    epoch: int = 0,
    mix_shards: int = MIX_SHARDS,
    drop_last: bool = False,
    crops: Crops | None = None,
) -> Iterator[Batch]:
    """Yield every row once, in batches.

    Parameters
    ----------
    store
        Where the rows lie.
    rows
        int64 [row], numbers of the rows wanted; one may come several times, as where it has several crops.
    targets
        int64 [row], what goes with each.
    batch_rows
        Rows a batch, at least 1; the last may be smaller.
    seed
        Shuffles shards, then rows, together with `epoch`; None keeps the order of the row numbers.
    epoch
        Which pass over the rows this is.
    mix_shards
        Shards in memory, and so mixed, at once, fewer where they hold `MIX_BYTES`; without a seed it is one.
    drop_last
        Leave out a last batch that is smaller.
    crops
        The crop of each row, in the order of `rows`; None for whole rows.
    """
    rng = None if seed is None else np.random.default_rng([seed, epoch])
    left = Batch(np.empty((0, 0, 0), np.float32), np.empty(0, np.int64), np.empty(0, np.int64))
    for mix in _mixes(store, _Wanted.in_order(rows, targets, crops), rng, 1 if rng is None else mix_shards):
        pool = _joined([left, mix]) if len(left.rows) else mix
        whole = len(pool.rows) - len(pool.rows) % batch_rows
        for begin in range(0, whole, batch_rows):
            yield pool.take(slice(begin, begin + batch_rows))
        left = pool.take(slice(whole, None))
    if len(left.rows) and not drop_last:
        yield left


def band_statistics(
    store: ReadsShards,
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
        int64 [row], frames of each row (of its crop) that are sound, from its first on; those after them are padding
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
            f"row {batch.rows[~finite][0]} of the store holds values that are not finite; run: hubbub verify STORE"
        )
    is_valid = np.arange(batch.features.shape[1])[None, :] < batch.targets[:, None]
    return batch.features[is_valid].astype(np.float64)


def _least_std(mean: npt.NDArray[np.float64], std: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    rms = np.hypot(mean, std)
    least = np.maximum(LEAST_SHARE * rms, LEAST_SHARE_OF_LARGEST * rms.max())
    return np.where(least > 0, least, 1.0)


def as_tf_data(
    make: Callable[[], Iterator[tuple[np.ndarray, np.ndarray]]],
    *,
    n_batches: int,
    n_frames: int,
    n_bands: int,
    n_labels: int,
) -> Any:
    """Wrap batches as a `tf.data.Dataset` that prepares the next while one is being used.

    Parameters
    ----------
    make
        Starts an iterator of (float32 [row, frame, band], float32 [row, label]).
    n_batches
        How many it gives.
    n_frames, n_bands, n_labels
        The shapes, for the graph.
    """
    import tensorflow as tf

    signature = (
        tf.TensorSpec((None, n_frames, n_bands), tf.float32),
        tf.TensorSpec((None, n_labels), tf.float32),
    )
    batches = tf.data.Dataset.from_generator(make, output_signature=signature)
    return batches.apply(tf.data.experimental.assert_cardinality(n_batches)).prefetch(2)


@dataclass(frozen=True)
class _Wanted:
    """What is to be read, sorted by row."""

    rows: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int64]
    crops: Crops | None

    @classmethod
    def in_order(cls, rows: npt.NDArray[np.int64], targets: npt.NDArray[np.int64], crops: Crops | None) -> _Wanted:
        """Bring rows into the store's order, and with them what goes with each."""
        order = np.argsort(rows, kind="stable")
        return cls(np.asarray(rows)[order], np.asarray(targets)[order], None if crops is None else crops.take(order))

    def of_shard(self, store: ReadsShards, shard: int) -> Batch:
        """Read those of one shard."""
        first = shard * store.rows_per_shard
        begin, end = np.searchsorted(self.rows, [first, first + store.rows_per_shard])
        values, places = store.read_shard(shard), self.rows[begin:end] - first
        if self.crops is None:
            features = values[places].astype(np.float32)
        else:
            features = self.crops.take(slice(begin, end)).cut(values, places)
        return Batch(features, self.targets[begin:end], self.rows[begin:end])


def _mixes(store: ReadsShards, wanted: _Wanted, rng: np.random.Generator | None, mix_shards: int) -> Iterator[Batch]:
    """Rows of a few shards at a time, shuffled together."""
    shards = np.unique(wanted.rows // store.rows_per_shard)
    parts: list[Batch] = []
    for shard in shards if rng is None else rng.permutation(shards):
        parts.append(wanted.of_shard(store, int(shard)))
        if len(parts) == mix_shards or sum(part.features.nbytes for part in parts) >= MIX_BYTES:
            yield _mixed(parts, rng)
            parts = []
    if parts:
        yield _mixed(parts, rng)


def _mixed(parts: Sequence[Batch], rng: np.random.Generator | None) -> Batch:
    mix = _joined(parts)
    return mix if rng is None else mix.take(rng.permutation(len(mix.rows)))


def _joined(parts: Sequence[Batch]) -> Batch:
    return Batch(
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.targets for part in parts]),
        np.concatenate([part.rows for part in parts]),
    )
