"""Power in mel bands, equal to librosa's `melspectrogram` (centred, zero-padded), and the mel filter bank.

Slaney's mel scale and area normalisation, as `librosa.filters.mel` has them: M. Slaney, Auditory Toolbox,
Technical Report 1998-010, Interval Research, 1998.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hubbub.audio.frontends.spectrum import FilterBank, Spectrum, name_bands
from hubbub.config.frontends import MelBands, MelSettings


class Mel:
    """Power a mel band.

    Parameters
    ----------
    settings
        `precision` float32 agrees with librosa (which transforms in float64) within 5e-6 of each window's peak,
        float64 within 5e-7.
    """

    units = "1"
    long_name = "mel spectrogram, power"

    def __init__(self, settings: MelSettings) -> None:
        self._spectrum = Spectrum(settings)
        self._bank = mel_bank(settings)
        self.band_hz = mel_hz(settings)
        self.band_names = name_bands("mel", self.band_hz)

    def __call__(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Transform float32 [samples] to float32 [frame, band], power."""
        return self._spectrum.sum_to_bands(samples, self._bank).astype(np.float32, copy=False)


def mel_bank(settings: MelBands) -> FilterBank:
    """Make the filter bank that settings describe."""
    import librosa  # takes a second to import; only those who transform pay

    weights = librosa.filters.mel(
        sr=settings.sample_rate,
        n_fft=settings.n_fft,
        n_mels=settings.n_mels,
        fmin=settings.fmin_hz,
        fmax=settings.top_hz,
    )
    return FilterBank(weights, settings.precision)


def mel_hz(settings: MelBands) -> npt.NDArray[np.float64]:
    """Centre frequencies of the mel bands, float64 [band]."""
    import librosa

    edges = librosa.mel_frequencies(n_mels=settings.n_mels + 2, fmin=settings.fmin_hz, fmax=settings.top_hz)
    return edges[1:-1].astype(np.float64)
