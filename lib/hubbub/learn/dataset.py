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

MIX_SHARDS = 4
"""Shards in memory at once: enough that rows of different recordings meet in a batch."""


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
    """float32 [row, frame, band], as stored (dB)."""

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
    """float64 [band], dB."""

    std: npt.NDArray[np.float64]
    """float64 [band], dB, at least `LEAST_STD_DB`."""


LEAST_STD_DB = 0.1
"""A band that never changes (above the recordings' own bandwidth) is not blown up by its rounding errors."""


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
) -> Iterator[Batch]:
    """Yield every row once, in batches.

    Parameters
    ----------
    store
        Where the rows lie.
    rows
        int64 [row], numbers of the rows wanted, distinct.
    targets
        int64 [row], what goes with each.
    batch_rows
        Rows a batch, at least 1; the last may be smaller.
    seed
        Shuffles shards, then rows, together with `epoch`; None keeps the order of the row numbers.
    epoch
        Which pass over the rows this is.
    mix_shards
        Shards in memory, and so mixed, at once.
    drop_last
        Leave out a last batch that is smaller.
    """
    rng = None if seed is None else np.random.default_rng([seed, epoch])
    left = Batch(np.empty((0, 0, 0), np.float32), np.empty(0, np.int64), np.empty(0, np.int64))
    for mix in _mixes(store, np.asarray(rows), np.asarray(targets), rng, mix_shards):
        pool = _joined([left, mix]) if len(left.rows) else mix
        whole = len(pool.rows) - len(pool.rows) % batch_rows
        for begin in range(0, whole, batch_rows):
            yield pool.take(slice(begin, begin + batch_rows))
        left = pool.take(slice(whole, None))
    if len(left.rows) and not drop_last:
        yield left


def band_statistics(store: ReadsShards, rows: npt.NDArray[np.int64]) -> BandStatistics:
    """Mean and standard deviation of each band over some rows, a shard at a time.

    Pairwise update of mean and squared deviations: T. F. Chan, G. H. Golub and R. J. LeVeque, "Updating formulae
    and a pairwise algorithm for computing sample variances", 1979.

    Raises
    ------
    TrainingError
        A row holds values that are not finite.
    """
    count, mean, squares = 0, np.zeros(1), np.zeros(1)
    for batch in iterate_batches(store, rows, np.zeros(len(rows), np.int64), batch_rows=256, mix_shards=1):
        finite = np.isfinite(batch.features).all(axis=(1, 2))
        if not finite.all():
            raise TrainingError(
                f"row {batch.rows[~finite][0]} of the store holds values that are not finite; run: hubbub verify STORE"
            )
        frames = batch.features.reshape(-1, batch.features.shape[-1]).astype(np.float64)
        shift, total = frames.mean(axis=0) - mean, count + len(frames)
        squares = squares + frames.var(axis=0) * len(frames) + shift**2 * (count * len(frames) / total)
        mean = mean + shift * (len(frames) / total)
        count = total
    return BandStatistics(mean, np.maximum(np.sqrt(squares / max(count, 1)), LEAST_STD_DB))


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


def _mixes(
    store: ReadsShards,
    rows: npt.NDArray[np.int64],
    targets: npt.NDArray[np.int64],
    rng: np.random.Generator | None,
    mix_shards: int,
) -> Iterator[Batch]:
    """Rows of a few shards at a time, shuffled together."""
    order = np.argsort(rows, kind="stable")
    rows, targets = rows[order], targets[order]
    shards = np.unique(rows // store.rows_per_shard)
    if rng is not None:
        shards = rng.permutation(shards)
    for begin in range(0, len(shards), mix_shards):
        parts = [_of_shard(store, int(shard), rows, targets) for shard in shards[begin : begin + mix_shards]]
        mix = _joined(parts)
        yield mix if rng is None else mix.take(rng.permutation(len(mix.rows)))


def _joined(parts: Sequence[Batch]) -> Batch:
    return Batch(
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.targets for part in parts]),
        np.concatenate([part.rows for part in parts]),
    )


def _of_shard(store: ReadsShards, shard: int, rows: npt.NDArray[np.int64], targets: npt.NDArray[np.int64]) -> Batch:
    """The wanted rows of one shard; `rows` is sorted."""
    first = shard * store.rows_per_shard
    begin, end = np.searchsorted(rows, [first, first + store.rows_per_shard])
    values = store.read_shard(shard)[rows[begin:end] - first]
    return Batch(values.astype(np.float32), targets[begin:end], rows[begin:end])
