"""What networks begin with: standardisation, in a form that exporters write, and a row as a picture."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

from hubbub.learn.dataset import BandStatistics
from hubbub.learn.networks import Shape

LEAST_STD = 1e-7
"""Least spread that a band is divided by."""


def standardise(features: keras.KerasTensor, statistics: BandStatistics) -> keras.KerasTensor:
    """Subtract each band's mean and divide by its standard deviation.

    `keras.layers.Normalization` keeps both as tensors outside its weights, which tf2onnx leaves out of the file: the
    exported model then asks for them as inputs. `Rescaling` takes them from its settings.

    Parameters
    ----------
    features
        float32 [row, frame, band].
    statistics
        Mean and standard deviation of each band.
    """
    scale = 1 / np.maximum(statistics.std, LEAST_STD)
    offset = -statistics.mean * scale
    # float32 in mixed precision, too: decibels have more digits than bfloat16.
    return layers.Rescaling(scale.tolist(), offset.tolist(), dtype="float32", name="standardise")(features)


def make_picture(shape: Shape, statistics: BandStatistics) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Make the input of a network of convolutions: rows, and the same rows standardised as pictures of one channel.

    Parameters
    ----------
    shape
        What to build for.
    statistics
        Mean and standard deviation of each band.

    Returns
    -------
    features, picture
        Float [row, frame, band] and [row, frame, band, 1].
    """
    features = keras.Input((shape.n_frames, shape.n_bands), name="features")
    return features, layers.Reshape((shape.n_frames, shape.n_bands, 1))(standardise(features, statistics))


def choose_padding(shape: Shape, *, least_frames: int, least_bands: int) -> str:
    """Return ``valid``, as the authors of a network have it, or ``same`` for rows that are too small for that."""
    fits = shape.n_frames >= least_frames and shape.n_bands >= least_bands
    return "valid" if fits else "same"


def shrink(picture: keras.KerasTensor, side: int) -> keras.KerasTensor:
    """Resize a picture to `side` x `side` by bilinear interpolation of means.

    Interpolation alone looks at two frames of each stretch that becomes one: of 626 frames at 64. So stretches that are
    longer are averaged first.

    Parameters
    ----------
    picture
        float [row, frame, band, channel].
    side
        Frames and bands of the result.
    """
    pool = tuple(max(1, size // side) for size in picture.shape[1:3])
    if pool != (1, 1):
        picture = layers.AveragePooling2D(pool, padding="same")(picture)
    return layers.Resizing(side, side)(picture)
