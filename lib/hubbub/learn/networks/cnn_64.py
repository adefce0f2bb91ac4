"""The small image classifier of countless Keras tutorials, on a log-mel spectrogram as a picture.

F. Chollet, "Building powerful image classification models using very little data", The Keras Blog, 5 June 2016,
https://blog.keras.io/building-powerful-image-classification-models-using-very-little-data.html. There it tells cats
from dogs by one sigmoid; here a softmax tells any number of labels.
"""

from __future__ import annotations

import keras
from keras import layers

from hubbub.config.recipes import ModelSettings
from hubbub.learn.dataset import BandStatistics
from hubbub.learn.networks import Recipe, Shape
from hubbub.learn.networks.standard import choose_padding, make_picture

BLOCKS, UNITS = (32, 32, 64), 64
"""Filters of each block, and units of the dense layer."""

LEAST_FRAMES, LEAST_BANDS = 22, 22
"""The smallest picture that three convolutions of 3 x 3 without padding, each halved, leave anything of."""


def build(shape: Shape, statistics: BandStatistics, model: ModelSettings) -> keras.Model:
    """Three times convolution, ReLU and pooling; then flattened, a dense layer, dropout and softmax.

    Parameters
    ----------
    shape
        What to build for.
    statistics
        Of the training rows' bands.
    model
        Its dropout is that before the scores.
    """
    features, hidden = make_picture(shape, statistics)
    padding = choose_padding(shape, least_frames=LEAST_FRAMES, least_bands=LEAST_BANDS)
    for filters in BLOCKS:
        hidden = layers.Conv2D(filters, 3, padding=padding, activation="relu")(hidden)
        hidden = layers.MaxPooling2D(2, padding=padding)(hidden)
    hidden = layers.Dense(UNITS, activation="relu")(layers.Flatten()(hidden))
    hidden = layers.Dropout(model.dropout)(hidden)
    scores = layers.Dense(shape.n_labels, activation="softmax", dtype="float32", name="scores")(hidden)
    return keras.Model(features, scores, name="cnn_64")


def optimizer(steps: int, model: ModelSettings) -> keras.optimizers.Optimizer:
    """RMSprop at one learning rate, whatever the number of steps."""
    return keras.optimizers.RMSprop(model.learning_rate, weight_decay=model.weight_decay or None)


RECIPE = Recipe(
    name="cnn-64",
    summary="Three blocks of 3x3 convolution (32, 32, 64 filters) and a dense layer of 64; no augmentation.",
    source="Chollet, The Keras Blog, 2016",
    activation="softmax",
    loss="categorical_crossentropy",
    build=build,
    optimizer=optimizer,
    policy=None,
    batch_rows=16,
    row_passes=12_000,
    most_epochs=50,
)
