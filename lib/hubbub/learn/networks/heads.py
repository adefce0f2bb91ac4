"""Heads on embeddings: logistic regression, and a network of one hidden layer.

Both judge each label on its own, so that a clip may carry one label, several or none.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

from hubbub.config.recipes import ModelSettings
from hubbub.learn.dataset import BandStatistics
from hubbub.learn.networks import Recipe, Shape
from hubbub.learn.networks.default import optimizer
from hubbub.learn.networks.standard import standardise

UNITS = 128
"""Of the hidden layer."""

LEAST_SHARE_OF_SPREAD = 0.1
"""Least spread that a value is divided by, as a share of the root mean square of all spreads: a value that hardly
changes among the training rows would be the loudest as soon as it does."""


def build_linear(shape: Shape, statistics: BandStatistics, model: ModelSettings) -> keras.Model:
    """Build logistic regression on standardised embeddings.

    Parameters
    ----------
    shape
        What to build for; a row is one frame.
    statistics
        Of the training rows' values.
    model
        Its dropout is taken of the embedding.
    """
    features, hidden = _standardise_rows(shape, statistics)
    return keras.Model(features, _score(layers.Dropout(model.dropout)(hidden), shape), name="linear")


def build_dense(shape: Shape, statistics: BandStatistics, model: ModelSettings) -> keras.Model:
    """Build the same with `UNITS` hidden units between; dropout before and after them. Parameters of `build_linear`."""
    features, hidden = _standardise_rows(shape, statistics)
    hidden = layers.Dense(UNITS, activation="relu")(layers.Dropout(model.dropout)(hidden))
    return keras.Model(features, _score(layers.Dropout(model.dropout)(hidden), shape), name="dense")


def _standardise_rows(shape: Shape, statistics: BandStatistics) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    least = LEAST_SHARE_OF_SPREAD * float(np.sqrt(np.mean(np.square(statistics.std))))
    floored = BandStatistics(statistics.mean, np.maximum(statistics.std, least))
    features = keras.Input((shape.n_frames, shape.n_bands), name="features")
    return features, layers.Flatten()(standardise(features, floored))


def _score(hidden: keras.KerasTensor, shape: Shape) -> keras.KerasTensor:
    # Scores begin at a tenth: most labels are absent from most rows.
    return layers.Dense(
        shape.n_labels,
        activation="sigmoid",
        bias_initializer=keras.initializers.Constant(-2.2),
        dtype="float32",
        name="scores",
    )(hidden)


LINEAR = Recipe(
    name="linear",
    summary="Logistic regression on embeddings, each label on its own.",
    source="hubbub; D. R. Cox, The regression analysis of binary sequences, 1958",
    activation="sigmoid",
    loss="binary_crossentropy",
    build=build_linear,
    optimizer=optimizer,
    policy=None,
    batch_rows=512,
    least_batch_rows=8,
    row_passes=50_000,
    most_epochs=30,
)

DENSE = Recipe(
    name="dense",
    summary=f"One hidden layer of {UNITS} units on embeddings, each label on its own.",
    source="hubbub",
    activation="sigmoid",
    loss="binary_crossentropy",
    build=build_dense,
    optimizer=optimizer,
    policy=None,
    batch_rows=512,
    least_batch_rows=8,
    row_passes=50_000,
    most_epochs=30,
)
