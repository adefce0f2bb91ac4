"""Convolutions over time and bands, then a recurrent layer over time.

After E. Cakir, G. Parascandolo, T. Heittola, H. Huttunen and T. Virtanen, "Convolutional Recurrent Neural Networks for
Polyphonic Sound Event Detection", IEEE/ACM Transactions on Audio, Speech, and Language Processing 25 (6), 2017, arXiv
1702.06286. That network scores frames, by 96 filters of 5 x 5 and more; this one scores rows, by mean and peak of the
recurrent layer over time, and is small enough for a few hundred recordings.
"""

from __future__ import annotations

import keras
from keras import layers

from hubbub.config.recipes import ModelSettings
from hubbub.learn.dataset import BandStatistics
from hubbub.learn.networks import Recipe, Shape
from hubbub.learn.networks.default import BATCH_NORM_MOMENTUM, policy
from hubbub.learn.networks.seed_cnn import optimizer
from hubbub.learn.networks.standard import make_picture

FILTERS, SIZE, UNITS = 64, 3, 64
"""Filters of each convolution, their frames and bands, and units of the recurrent layer."""

POOLS = (5, 4, 2)
"""Bands that are pooled after each convolution; time stays as it is."""


def build(shape: Shape, statistics: BandStatistics, model: ModelSettings) -> keras.Model:
    """Three convolutions that pool bands, a gated recurrent unit over time, its mean and peak, and a sigmoid a label.

    Parameters
    ----------
    shape
        What to build for.
    statistics
        Of the training rows' bands.
    model
        Its dropout is taken after each convolution and before the scores.
    """
    features, hidden = make_picture(shape, statistics)
    for pool in POOLS:
        hidden = layers.Conv2D(FILTERS, SIZE, padding="same", use_bias=False)(hidden)
        hidden = layers.ReLU()(layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM)(hidden))
        hidden = layers.MaxPooling2D((1, pool), padding="same")(hidden)
        hidden = layers.Dropout(model.dropout)(hidden)
    hidden = layers.Reshape((shape.n_frames, hidden.shape[2] * FILTERS))(hidden)
    hidden = layers.GRU(UNITS, return_sequences=True)(hidden)
    hidden = layers.Concatenate()([layers.GlobalAveragePooling1D()(hidden), layers.GlobalMaxPooling1D()(hidden)])
    hidden = layers.Dropout(model.dropout)(hidden)
    scores = layers.Dense(shape.n_labels, activation="sigmoid", dtype="float32", name="scores")(hidden)
    return keras.Model(features, scores, name="crnn")


RECIPE = Recipe(
    name="crnn",
    summary="Three convolutions of 3x3 (64 filters) and a gated recurrent unit; judges each label on its own.",
    source="after Cakir et al., CRNN, 2017, arXiv 1702.06286",
    activation="sigmoid",
    loss="binary_crossentropy",
    build=build,
    optimizer=optimizer,
    policy=policy,
    batch_rows=32,
    row_passes=12_000,
    most_epochs=60,
)
