"""A linear spectrogram, shrunk to 32 x 32, under small and then large filters.

After "Simple audio recognition", TensorFlow tutorials, https://www.tensorflow.org/tutorials/audio/simple_audio, whose
two convolutions of 3 x 3 are followed here by two of 7 x 7 and a second dense layer.
"""

from __future__ import annotations

import keras
from keras import layers

from hubbub.config.recipes import ModelSettings
from hubbub.learn.dataset import BandStatistics
from hubbub.learn.networks import Recipe, Shape
from hubbub.learn.networks.seed_cnn import optimizer
from hubbub.learn.networks.standard import make_picture, shrink

SIDE = 32
"""Frames and bands of the shrunk picture."""

SMALL, LARGE, UNITS = (32, 64), (128, 256), (128, 16)
"""Filters of the convolutions of 3 x 3 and of 7 x 7, and units of the dense layers."""


def build(shape: Shape, statistics: BandStatistics, model: ModelSettings) -> keras.Model:
    """Shrink; twice two convolutions, pooling and dropout; then flattened, two dense layers and softmax.

    Parameters
    ----------
    shape
        What to build for.
    statistics
        Of the training rows' bands. The tutorial standardises after shrinking, with one mean for all bands.
    model
        Its dropout is that after both pairs of convolutions.
    """
    features, hidden = make_picture(shape, statistics)
    hidden = shrink(hidden, SIDE)
    for filters, size in ((SMALL, 3), (LARGE, 7)):
        for number in filters:
            hidden = layers.Conv2D(number, size, activation="relu")(hidden)
        hidden = layers.Dropout(model.dropout)(layers.MaxPooling2D(2)(hidden))
    hidden = layers.Flatten()(hidden)
    for units in UNITS:
        hidden = layers.Dense(units, activation="relu")(hidden)
    scores = layers.Dense(shape.n_labels, activation="softmax", dtype="float32", name="scores")(hidden)
    return keras.Model(features, scores, name="cnn_stft_32")


RECIPE = Recipe(
    name="cnn-stft-32",
    summary="A spectrogram shrunk to 32x32, convolutions of 3x3 and 7x7, dense layers of 128 and 16; no augmentation.",
    source="after TensorFlow's tutorial on simple audio recognition",
    activation="softmax",
    loss="categorical_crossentropy",
    build=build,
    optimizer=optimizer,
    policy=None,
    batch_rows=64,
    row_passes=24_000,
    most_epochs=200,
)
