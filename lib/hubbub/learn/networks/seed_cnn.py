"""The four-block network of many tutorials, as a baseline."""

from __future__ import annotations

import keras
from keras import layers

from hubbub.learn.dataset import BandStatistics
from hubbub.learn.networks import Recipe, Shape

BLOCKS = ((32, 0.2), (64, 0.2), (128, 0.2), (256, 0.5))
"""Filters and dropout of each block."""


def build(shape: Shape, statistics: BandStatistics) -> keras.Model:
    """Four times convolution, ReLU, pooling and dropout; then the mean over time and bands, and softmax.

    Parameters
    ----------
    shape
        What to build for.
    statistics
        Of the training rows' bands.
    """
    features = keras.Input((shape.n_frames, shape.n_bands), name="features")
    hidden = layers.Normalization(axis=-1, mean=statistics.mean, variance=statistics.std**2)(features)
    hidden = layers.Reshape((shape.n_frames, shape.n_bands, 1))(hidden)
    for filters, dropout in BLOCKS:
        hidden = layers.Conv2D(filters, 3, padding="same", activation="relu")(hidden)
        hidden = layers.MaxPooling2D(2, padding="same")(hidden)
        hidden = layers.Dropout(dropout)(hidden)
    hidden = layers.GlobalAveragePooling2D()(hidden)
    scores = layers.Dense(shape.n_labels, activation="softmax", name="scores")(hidden)
    return keras.Model(features, scores, name="seed_cnn")


def optimizer(steps: int) -> keras.optimizers.Optimizer:
    """Adam as it comes, whatever the number of steps."""
    return keras.optimizers.Adam()


RECIPE = Recipe(
    name="seed-cnn",
    summary="Four blocks of 3x3 convolution (32, 64, 128, 256 filters), as in many tutorials; no augmentation.",
    activation="softmax",
    loss="categorical_crossentropy",
    build=build,
    optimizer=optimizer,
    policy=lambda settings: None,
    batch_rows=32,
    row_passes=12_000,
    most_epochs=60,
    patience=0.3,
)
