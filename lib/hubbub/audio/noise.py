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
    frequency_hz = np.fft.rfftfreq(length, 1 / sample_rate)
    gain_db = draw_colour(rng, frequency_hz) if varied else _tilt(frequency_hz, 1.0)
    noise = np.fft.irfft(spectrum * 10 ** (gain_db / 20), length)
    if varied:
        points = max(2, math.ceil(length / sample_rate / rng.uniform(0.5, 4.0)) + 1)
        changes_db = rng.normal(0, rng.uniform(0.0, 4.0), points)
        noise *= 10 ** (np.interp(np.linspace(0, points - 1, length), np.arange(points), changes_db) / 20)
    return (noise / math.sqrt(float(np.mean(np.square(noise))))).astype(np.float32)


def draw_colour(rng: np.random.Generator, frequency_hz: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Draw the spectrum of a noise, from white to brown with bumps of some dB an octave.

    Parameters
    ----------
    frequency_hz
        float [frequency].

    Returns
    -------
    gain_db
        float64 [frequency], dB of power in a hertz, at no particular level.
    """
    octave = np.log2(np.maximum(frequency_hz, FLAT_BELOW_HZ) / FLAT_BELOW_HZ)
    tilt_db = _tilt(frequency_hz, rng.uniform(0.0, 2.0))
    return tilt_db + np.interp(octave, np.arange(12), rng.normal(0, 4.0, 12))


def _tilt(frequency_hz: npt.NDArray[np.floating], slope: float) -> npt.NDArray[np.float64]:
    """Power that falls as a power of the frequency: 0 is white, 1 pink, 2 brown."""
    return -10 * slope * np.log10(np.maximum(frequency_hz, FLAT_BELOW_HZ))
