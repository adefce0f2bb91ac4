"""Log-mel spectrogram, equal to librosa's `melspectrogram` then `power_to_db` (centred, zero-padded).

Slaney's mel scale and area normalisation, as `librosa.filters.mel` has them: M. Slaney, Auditory Toolbox,
Technical Report 1998-010, Interval Research, 1998.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hubbub.audio.frontends.mel import mel_bank, mel_hz
from hubbub.audio.frontends.spectrum import Spectrum, decibels, name_bands
from hubbub.config.frontends import LogMelSettings


class LogMel:
    """Decibels a mel band.

    Parameters
    ----------
    settings
        `precision` float32 agrees with librosa (which transforms in float64) within 0.01 dB wherever a bin is
        within 80 dB of the peak, and within 0.2 dB anywhere above the floor; float64 within 1e-4 dB.
    """

    units = "dB"
    long_name = "log-mel spectrogram"

    def __init__(self, settings: LogMelSettings) -> None:
        self._settings = settings
        self._spectrum = Spectrum(settings)
        self._bank = mel_bank(settings)
        self.band_hz = mel_hz(settings)
        self.band_names = name_bands("mel", self.band_hz)

    def __call__(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Transform float32 [samples] to float32 [frame, band] in dB."""
        power = self._spectrum.sum_to_bands(samples, self._bank)
        return decibels(power, self._settings).astype(np.float32, copy=False)
