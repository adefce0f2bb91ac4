"""Noise of any colour that comes and goes, as the background of a soundscape."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

FLAT_BELOW_HZ = 20.0
"""Below this frequency the spectrum is flat: inaudible rumble takes up no level."""


def make_noise(
    rng: np.random.Generator, length: int, sample_rate: int, *, varied: bool = True
) -> npt.NDArray[np.float32]:
    """Make noise with an RMS of 1.

    Parameters
    ----------
    rng
        Decides it, with `length` and `sample_rate`.
    length
        Samples.
    sample_rate
        Hz.
    varied
        Draw the colour, from white to brown with bumps of some dB, and let the level come and go by some dB within
        seconds; False: pink and steady.

    Returns
    -------
    samples
        float32 [sample].
    """
    spectrum = np.fft.rfft(rng.standard_normal(length))
    frequency_hz = np.maximum(np.fft.rfftfreq(length, 1 / sample_rate), FLAT_BELOW_HZ)
    slope = rng.uniform(0.0, 2.0) if varied else 1.0
    gain_db = -10 * slope * np.log10(frequency_hz)
    if varied:
        octave = np.log2(frequency_hz / FLAT_BELOW_HZ)
        bumps_db = rng.normal(0, 4.0, 12)
        gain_db += np.interp(octave, np.arange(12), bumps_db)
    noise = np.fft.irfft(spectrum * 10 ** (gain_db / 20), length)
    if varied:
        points = max(2, math.ceil(length / sample_rate / rng.uniform(0.5, 4.0)) + 1)
        changes_db = rng.normal(0, rng.uniform(0.0, 4.0), points)
        noise *= 10 ** (np.interp(np.linspace(0, points - 1, length), np.arange(points), changes_db) / 20)
    return (noise / math.sqrt(float(np.mean(np.square(noise))))).astype(np.float32)
