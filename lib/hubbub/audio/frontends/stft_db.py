"""Spectrogram in decibels, every bin of the transform: librosa's `stft` squared, then `power_to_db` (zero-padded)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hubbub.audio.frontends.spectrum import Spectrum, decibels, name_bands
from hubbub.config.frontends import StftDbSettings


class StftDb:
    """Decibels a bin.

    Parameters
    ----------
    settings
        `precision` float32 agrees with librosa (which transforms in float64) within 0.01 dB wherever a bin is within
        60 dB of the window's peak, and within 2e-6 of its peak amplitude anywhere, which is 0.2 dB at 80 dB below;
        float64 within 1e-4 dB, and 1e-6.
    """

    units = "dB"
    long_name = "spectrogram, power"

    def __init__(self, settings: StftDbSettings) -> None:
        self._settings = settings
        self._spectrum = Spectrum(settings)
        self.band_hz = self._spectrum.bin_hz
        self.band_names = name_bands("stft", self.band_hz)

    def __call__(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Transform float32 [samples] to float32 [frame, band] in dB."""
        power = self._spectrum.whole(samples)
        return decibels(power, self._settings).astype(np.float32, copy=False)
