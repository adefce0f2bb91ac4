"""Precision of a network's arithmetic in training; the network in a bundle is float32 always."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras

from hubbub.learn.training_job import TrainingJob


@contextmanager
def use_precision(precision: str) -> Iterator[None]:
    """Build networks whose layers compute in a precision, a name of Keras's dtype policies: ``mixed_bfloat16``."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def in_float32(model: keras.Model, job: TrainingJob) -> keras.Model:
    """Return the network of a job with the same weights, computing in float32: any machine is quick at that."""
    if job.recipe_settings.train.precision == "float32":
        return model
    with use_precision("float32"):
        plain = job.recipe.build(job.shape, job.statistics, job.recipe_settings.model)
    plain.set_weights(model.get_weights())
    return plain
