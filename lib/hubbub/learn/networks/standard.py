"""Standardisation inside a network, in a form that exporters write."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

from hubbub.learn.dataset import BandStatistics

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
