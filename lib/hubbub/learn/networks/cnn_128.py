"""SB-CNN: large filters on squares of 128 mel bands by 128 frames.

J. Salamon and J. P. Bello, "Deep Convolutional Neural Networks and Data Augmentation for Environmental Sound
Classification", IEEE Signal Processing Letters 24 (3), 2017, arXiv 1608.04363.
"""

from __future__ import annotations

import keras
from keras import layers

from hubbub.config.recipes import ModelSettings
from hubbub.learn.dataset import BandStatistics
from hubbub.learn.networks import Recipe, Shape
from hubbub.learn.networks.standard import choose_padding, make_picture

FILTERS, SIZE, UNITS = (24, 48, 48), 5, 64
"""Filters of the convolutions, their frames and bands, and units of the dense layer."""

POOL = (4, 2)
"""Frames and bands that are pooled after each convolution but the last."""

LEAST_FRAMES, LEAST_BANDS = 100, 32
"""The smallest picture that three convolutions of 5 x 5 without padding leave anything of."""


def build(shape: Shape, statistics: BandStatistics, model: ModelSettings) -> keras.Model:
    """Three convolutions, the first two pooled; then flattened, and two dense layers with dropout before each.

    Parameters
    ----------
    shape
        What to build for.
    statistics
        Of the training rows' bands.
    model
        Its dropout is that of both dense layers' inputs.
    """
    features, hidden = make_picture(shape, statistics)
    padding = choose_padding(shape, least_frames=LEAST_FRAMES, least_bands=LEAST_BANDS)
    for filters in FILTERS[:-1]:
        hidden = layers.Conv2D(filters, SIZE, padding=padding, activation="relu")(hidden)
        hidden = layers.MaxPooling2D(POOL, padding=padding)(hidden)
    hidden = layers.Conv2D(FILTERS[-1], SIZE, padding=padding, activation="relu")(hidden)
    hidden = layers.Dropout(model.dropout)(layers.Flatten()(hidden))
    hidden = layers.Dropout(model.dropout)(layers.Dense(UNITS, activation="relu", name="dense")(hidden))
    scores = layers.Dense(shape.n_labels, activation="softmax", dtype="float32", name="scores")(hidden)
    return keras.Model(features, scores, name="cnn_128")


def optimizer(steps: int, model: ModelSettings) -> keras.optimizers.Optimizer:
    """Stochastic gradient descent at one learning rate; weight decay is an L2 penalty of the dense layers alone."""
    descent = keras.optimizers.SGD(model.learning_rate, weight_decay=model.weight_decay or None)
    descent.exclude_from_weight_decay(var_names=["conv2d", "bias"])
    return descent


RECIPE = Recipe(
    name="cnn-128",
    summary="Three convolutions of 5x5 (24, 48, 48 filters) and a dense layer of 64, 3 s at a time; no augmentation.",
    source="Salamon and Bello, SB-CNN, 2017, arXiv 1608.04363",
    activation="softmax",
    loss="categorical_crossentropy",
    build=build,
    optimizer=optimizer,
    policy=None,
    batch_rows=100,
    row_passes=60_000,  # plain descent is slow: the authors' 50 epochs are of 8,732 recordings
    most_epochs=200,
)
