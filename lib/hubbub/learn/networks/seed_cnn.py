"""The four-block network of many tutorials, as a baseline."""

from __future__ import annotations

import keras
from keras import layers

from hubbub.config.recipes import ModelSettings
from hubbub.learn.dataset import BandStatistics
from hubbub.learn.networks import Recipe, Shape
from hubbub.learn.networks.standard import make_picture

BLOCKS, DROPOUT = (32, 64, 128, 256), 0.2
"""Filters of each block, and the dropout of all but the last, whose dropout is a setting."""


def build(shape: Shape, statistics: BandStatistics, model: ModelSettings) -> keras.Model:
    """Four times convolution, ReLU, pooling and dropout; then the mean over time and bands, and softmax.

    Parameters
    ----------
    shape
        What to build for.
    statistics
        Of the training rows' bands.
    model
        Its dropout is that of the last block.
    """
    features, hidden = make_picture(shape, statistics)
    for filters in BLOCKS:
        hidden = layers.Conv2D(filters, 3, padding="same", activation="relu")(hidden)
        hidden = layers.MaxPooling2D(2, padding="same")(hidden)
        hidden = layers.Dropout(model.dropout if filters == BLOCKS[-1] else DROPOUT)(hidden)
    hidden = layers.GlobalAveragePooling2D()(hidden)
    scores = layers.Dense(shape.n_labels, activation="softmax", dtype="float32", name="scores")(hidden)
    return keras.Model(features, scores, name="seed_cnn")


def optimizer(steps: int, model: ModelSettings) -> keras.optimizers.Optimizer:
    """Adam at one learning rate, whatever the number of steps."""
    return keras.optimizers.Adam(model.learning_rate, weight_decay=model.weight_decay or None)


RECIPE = Recipe(
    name="seed-cnn",
    summary="Four blocks of 3x3 convolution (32, 64, 128, 256 filters), as in many tutorials; no augmentation.",
    source="the network of the notebook that hubbub began with",
    activation="softmax",
    loss="categorical_crossentropy",
    build=build,
    optimizer=optimizer,
    policy=None,
    batch_rows=32,
    row_passes=12_000,
    most_epochs=60,
)
