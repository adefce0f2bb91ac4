"""Training on all GPUs of a machine: each takes an equal part of every batch, and they add up their gradients.

By TensorFlow's `MirroredStrategy`, with Keras on TensorFlow; on other backends the first GPU trains. Which GPUs there
are, ``CUDA_VISIBLE_DEVICES`` may say: a worker of a cluster that has one of its own trains on that one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np

from hubbub.models.backends import computes_on_tensorflow

LEAST_ROWS = 8
"""Rows of a batch that a GPU takes at least: of fewer, batch normalisation would learn nothing."""


def choose_devices(batch_rows: int, found: Sequence[str]) -> tuple[str, ...]:
    """Choose the devices that share a batch: as many as divide it into equal parts of `LEAST_ROWS` or more.

    Parameters
    ----------
    batch_rows
        Rows of a batch.
    found
        Names of the devices that there are.

    Returns
    -------
    devices
        The first of those found; none where fewer than two can share a batch.
    """
    for count in range(min(len(found), batch_rows // LEAST_ROWS), 1, -1):
        if batch_rows % count == 0:
            return tuple(found[:count])
    return ()


@contextmanager
def share_batches(batch_rows: int) -> Iterator[None]:
    """Networks that are built and compiled inside train on as many GPUs as can share a batch."""
    devices = choose_devices(batch_rows, list_gpus())
    if not devices:
        yield
        return
    with _get_strategy(devices).scope():
        yield


@lru_cache(maxsize=1)
def _get_strategy(devices: tuple[str, ...]) -> Any:
    """The strategy of some devices; one a process, for two would number their messages to each other alike."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(devices)


def list_gpus() -> list[str]:
    """Names of the GPUs that TensorFlow may use, ``GPU:0``; none on other backends."""
    if not computes_on_tensorflow():
        return []
    import tensorflow as tf

    return [f"GPU:{number}" for number in range(len(tf.config.list_logical_devices("GPU")))]


def count_replicas(model: Any) -> int:
    """Devices that share a batch of a network."""
    strategy = getattr(model, "distribute_strategy", None)
    return 1 if strategy is None else int(strategy.num_replicas_in_sync)


def fill_equal_parts(batches: Any, replicas: int) -> Any:
    """Repeat the first rows of batches that devices could not share equally.

    Augmentation adds rows, such as negatives, to batches of a number that all devices could share; and a last batch of
    validation rows is as small as it is.

    Parameters
    ----------
    batches
        A `tf.data.Dataset`, or an iterator of NumPy arrays, of (features, targets).
    replicas
        Devices that share a batch.
    """
    if replicas == 1:
        return batches
    import tensorflow as tf

    def fill(features: Any, targets: Any) -> tuple[Any, Any]:
        count = tf.shape(features)[0]
        rows = tf.range((count + replicas - 1) // replicas * replicas) % count
        return tf.gather(features, rows), tf.gather(targets, rows)

    if isinstance(batches, tf.data.Dataset):
        return batches.map(fill)
    return (tuple(np.asarray(part) for part in fill(*batch)) for batch in batches)
