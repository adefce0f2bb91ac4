"""The Fourier transform inside a network, as a convolution: exporters write convolutions, but not `keras.ops.stft`."""

from __future__ import annotations

import keras
import numpy as np
import numpy.typing as npt
from keras import layers


def power_spectra(series: keras.KerasTensor, *, length: int, hop: int) -> keras.KerasTensor:
    """Power of each frequency in overlapping windows of each series, as `keras.ops.stft` with a Hann window gives it.

    The series are reflected at both ends by half a window. The layers are Keras's own, so the model that holds them
    loads without this library; the kernel is a weight that is not trained.

    Parameters
    ----------
    series
        float32 [row, series, frame].
    length
        Frames of a window, at least 2 and at most the frames of a series.
    hop
        Frames from one window to the next, at least 1.

    Returns
    -------
    float32 [row, series, window, frequency], 0 to half the frame rate in ``length // 2 + 1`` steps.
    """
    margin = (length // 2, length // 2)
    padded = keras.ops.pad(series, ((0, 0), (0, 0), margin), mode="reflect")
    n_frequencies = length // 2 + 1
    # float32 in mixed precision, too: 8 bits would not tell weak modulations from rounding.
    transform = layers.Conv2D(
        2 * n_frequencies,
        (1, length),
        strides=(1, hop),
        use_bias=False,
        trainable=False,
        dtype="float32",
        name="fourier",
    )
    parts = transform(layers.Reshape((*padded.shape[1:], 1))(padded))
    transform.set_weights([fourier_kernel(length)[None, :, None, :]])
    real, imaginary = parts[..., :n_frequencies], parts[..., n_frequencies:]
    return real * real + imaginary * imaginary


def fourier_kernel(length: int) -> npt.NDArray[np.float32]:
    """Cosines, then sines, under a periodic Hann window: float32 [frame, 2 x frequency]."""
    frame = np.arange(length)
    angle = 2 * np.pi * np.outer(frame, np.arange(length // 2 + 1)) / length
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * frame / length)
    return (hann[:, None] * np.concatenate([np.cos(angle), -np.sin(angle)], axis=1)).astype(np.float32)
