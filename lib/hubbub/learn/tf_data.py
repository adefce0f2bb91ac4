"""Batches as a `tf.data.Dataset`: read ahead by threads, cast to float32 and augmented in the graph.

::

    number of the batch -> its rows, as stored -> float32, the crop's floor, one-hot targets -> augmentation -> prefetch
                           numpy_function         TensorFlow's operations                       numpy_function

Several batches are on their way at once; their order is that of the pass all the same.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hubbub.errors import HubbubError, TrainingError
from hubbub.learn.augment import Augmentation, Scale
from hubbub.learn.augment_graph import GraphPolicy
from hubbub.learn.buffers import Buffers
from hubbub.learn.dataset import Pass
from hubbub.learn.order import Partition
from hubbub.learn.reader import ReadAhead, Reader


@dataclass(frozen=True)
class Parallel:
    """How much of a pipeline happens at once; changes speed and memory, never values."""

    ahead: ReadAhead = ReadAhead()
    """Reads in flight."""

    batches_at_once: int = 2
    """Batches that are put together at once, and as many that are augmented."""

    prefetch_batches: int = 2
    """Batches that lie ready."""

    threads: int | None = None
    """Threads of the pipeline's own; None shares TensorFlow's."""


@dataclass
class Failures:
    """What went wrong inside a graph, which itself only passes words on."""

    first: HubbubError | None = None
    """The first refusal."""

    def noted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, whose refusals are kept."""

        def calling(*arguments: Any) -> Any:
            try:
                return call(*arguments)
            except HubbubError as error:
                self.first = self.first or error
                raise

        return calling

    @contextmanager
    def raised(self) -> Iterator[None]:
        """Raise the refusal itself in place of the graph's error."""
        try:
            yield
        except Exception:
            if self.first is None:
                raise
            raise self.first from None


def as_tf_data(
    one: Pass,
    *,
    n_labels: int | None = None,
    target_table: npt.NDArray[np.float32] | None = None,
    augment: Augmentation | None = None,
    by_frame: bool = False,
    in_graph: GraphPolicy | None = None,
    first_batch: int = 0,
    parallel: Parallel | None = None,
    failures: Failures | None = None,
    buffers: Buffers | None = None,
) -> Any:
    """Serve a pass as a `tf.data.Dataset` of (float32 [row, frame, band], targets).

    Parameters
    ----------
    one
        The pass.
    n_labels
        Makes targets float32 [row, label], one-hot: short for the identity as `target_table`.
    target_table
        float32 [kind, label]: a row whose target is k gets ``target_table[k]``, as for several labels a row, or for
        smoothed ones. With neither, targets stay int64 [row].
    augment
        Done to every batch, with a generator that seed, epoch and the batch's number decide; needs `n_labels` or
        `target_table`. A pass without a seed counts as one with seed 0.
    by_frame
        `augment` makes rows of its own length, and targets float32 [row, frame, label].
    in_graph
        The same, in the graph itself, before `augment`.
    first_batch
        Where to begin; nothing is read for what comes before.
    parallel
        How much happens at once.
    failures
        Keeps what was refused while reading.
    buffers
        Memory to read into, kept from one pass to the next.

    Raises
    ------
    TrainingError
        A target is no row of `target_table`.
    """
    import tensorflow as tf

    table = _table_of_targets(one, n_labels, target_table)
    n_labels = None if table is None else table.shape[1]
    parallel, failures = parallel or Parallel(), failures or Failures()
    reader = one.reader(first_batch, parallel.ahead, buffers)
    scale = None if one.crops is None else one.crops.scale
    targets = tf.constant(one.targets, tf.int64)
    shape = (None, one.n_frames, one.store.n_bands)
    dtype = tf.as_dtype(one.store.settings.dtype)

    serve = failures.noted(_serve_weakly(reader))

    def read(number: Any) -> tuple[Any, Any]:
        stored, places = tf.numpy_function(serve, [number], (dtype, tf.int64), stateful=False)
        stored, places = tf.ensure_shape(stored, shape), tf.ensure_shape(places, (None,))
        features = _scale_features(tf.cast(stored, tf.float32), scale)
        wanted = tf.gather(targets, places)
        return features, wanted if table is None else tf.gather(tf.constant(table), wanted)

    numbers = tf.data.Dataset.range(first_batch, one.n_batches)
    batches = numbers.map(read, num_parallel_calls=parallel.batches_at_once, deterministic=True)
    batches.hubbub_reader = reader  # lives as long as the dataset, which every dataset and iterator made of it holds
    if in_graph is not None:
        batches = _augmented_in_graph(batches, one, in_graph, n_labels, first_batch, parallel)
    if augment is not None:
        batches = _augment_batches(batches, one, augment, n_labels, first_batch, parallel, by_frame)
    return batches.prefetch(parallel.prefetch_batches).with_options(_options(parallel))


def _serve_weakly(reader: Reader) -> Callable[[Any], Any]:
    """Return what gives the reader's batches by number, and does not keep the reader.

    TensorFlow keeps the functions of its graphs for ever, and with them what they refer to: a training of a hundred
    epochs would keep the rows of a hundred.
    """
    held = weakref.ref(reader)

    def serve(number: Any) -> Any:
        alive = held()
        if alive is None:
            raise TrainingError(f"the dataset that batch {number} was asked of is gone; keep it while it is read")
        return alive.batch(number)

    return serve


def _table_of_targets(
    one: Pass, n_labels: int | None, target_table: npt.NDArray[np.float32] | None
) -> npt.NDArray[np.float32] | None:
    """What each kind of target means, float32 [kind, label]; None where targets stay numbers."""
    if target_table is None:
        if n_labels is None:
            return None
        target_table = np.eye(n_labels, dtype=np.float32)
    table = np.asarray(target_table, np.float32)
    if table.ndim != 2 or n_labels not in (None, table.shape[1]):
        wanted = "[kind, label]" if n_labels is None else f"[kind, {n_labels}]"
        raise TrainingError(f"a target table of shape {list(table.shape)}; expected {wanted}")
    if len(one.targets) and not 0 <= one.targets.min() <= one.targets.max() < len(table):
        raise TrainingError(
            f"targets from {one.targets.min()} to {one.targets.max()}; expected 0 to {len(table) - 1}, "
            "the rows of the target table"
        )
    return table


def _scale_features(features: Any, scale: Scale | None) -> Any:
    """`Scale.apply` in the graph, operation for operation."""
    import tensorflow as tf

    if scale is None:
        return features
    floored = tf.maximum(features, np.float32(scale.silence_db))
    peak = tf.reduce_max(floored, axis=(1, 2), keepdims=True)
    if scale.top_db is not None:
        floored = tf.maximum(floored, peak - np.float32(scale.top_db))
    return floored - peak if scale.peak_is_zero else floored


def _augment_batches(
    batches: Any,
    one: Pass,
    augment: Augmentation,
    n_labels: int | None,
    first_batch: int,
    parallel: Parallel,
    by_frame: bool,
) -> Any:
    import tensorflow as tf

    seed, epoch = one.seed or 0, one.epoch  # not the pass itself, which holds rows
    if n_labels is None:
        raise TypeError("augmentation needs n_labels or target_table")
    targets_shape = (None, None, n_labels) if by_frame else (None, n_labels)

    def change(
        number: npt.NDArray[np.int64], features: npt.NDArray[np.float32], targets: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        return augment(features, targets, np.random.default_rng([seed, epoch, int(number)]))

    def changed(number: Any, batch: tuple[Any, Any]) -> tuple[Any, Any]:
        features, targets = tf.numpy_function(change, [number, *batch], (tf.float32, tf.float32), stateful=False)
        shape = (None, None, one.store.n_bands) if by_frame else batch[0].shape
        return tf.ensure_shape(features, shape), tf.ensure_shape(targets, targets_shape)

    counted = batches.enumerate(start=first_batch)
    return counted.map(changed, num_parallel_calls=parallel.batches_at_once, deterministic=True)


def _augmented_in_graph(
    batches: Any, one: Pass, policy: GraphPolicy, n_labels: int | None, first_batch: int, parallel: Parallel
) -> Any:
    import tensorflow as tf

    if one.seed is None or n_labels is None:
        raise TypeError("augmentation needs a pass with a seed, and n_labels or target_table")
    drawn = np.random.SeedSequence([one.seed, one.epoch]).generate_state(2).astype(np.uint32).view(np.int32)

    def changed(number: Any, batch: tuple[Any, Any]) -> tuple[Any, Any]:
        return policy(*batch, tf.random.fold_in(tf.constant(drawn), number))

    counted = batches.enumerate(start=first_batch)
    return counted.map(changed, num_parallel_calls=parallel.batches_at_once, deterministic=True)


def _options(parallel: Parallel) -> Any:
    import tensorflow as tf

    options = tf.data.Options()
    # A pass is shared out by its own rule; TensorFlow's would read every shard on every worker.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    # How much happens at once is chosen here, so nothing is left to tune; and the thread that would tune is waited for
    # when an iterator ends, for seconds after every epoch.
    options.autotune.enabled = False
    if parallel.threads is not None:
        options.threading.private_threadpool_size = parallel.threads
    return options


def partition_of(context: Any) -> Partition:
    """The share of one worker under `tf.distribute`, from the `tf.distribute.InputContext` that it is given.

    ::

        strategy.distribute_datasets_from_function(lambda context: as_tf_data(pass_for(partition_of(context))))
    """
    return Partition(context.input_pipeline_id, context.num_input_pipelines)
