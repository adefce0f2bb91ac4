"""Power a pitch class, all octaves together, equal to librosa's `chroma_stft` where the tuning is given.

Gaussian bumps around each pitch class, as `librosa.filters.chroma` has them: D. Ellis, Chroma feature analysis and
synthesis, 2007. With a multiple of 12 classes the first is C, with fewer than 12 it is A.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hubbub.audio.frontends.mfcc import number_bands
from hubbub.audio.frontends.spectrum import FilterBank, Spectrum
from hubbub.config.frontends import ChromaSettings

Floats = npt.NDArray[np.floating]

_SILENT = np.finfo(np.float32).tiny  # librosa's threshold: what is below is divided by nothing


class Chroma:
    """Power a pitch class, each frame divided by its largest value or by its sum.

    Parameters
    ----------
    settings
        `precision` float32 agrees with librosa (which transforms in float64) within 2e-5, float64 within 5e-6, of
        the window's largest value.
    """

    units = "1"
    long_name = "chroma, power"

    def __init__(self, settings: ChromaSettings) -> None:
        self._norm = settings.norm
        self._spectrum = Spectrum(settings)
        self._bank = chroma_bank(settings)
        self.band_hz = np.full(settings.n_bands, np.nan)
        self.band_names = number_bands("chroma", settings.n_chroma)

    def __call__(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Transform float32 [samples] to float32 [frame, band]."""
        chroma = self._spectrum.sum_to_bands(samples, self._bank)
        normalise_chroma(chroma, self._norm)
        return chroma.astype(np.float32, copy=False)


def chroma_bank(settings: ChromaSettings) -> FilterBank:
    """Make the filter bank that settings describe."""
    import librosa  # takes a second to import; only those who transform pay

    weights = librosa.filters.chroma(
        sr=settings.sample_rate, n_fft=settings.n_fft, n_chroma=settings.n_chroma, tuning=settings.tuning
    )
    return FilterBank(weights, settings.precision)


def normalise_chroma(chroma: Floats, norm: str | None) -> None:
    """Divide each frame of [frame, band] by its largest value or its sum, in place; silent frames stay as they are."""
    if norm is None:
        return
    length = chroma.max(axis=1, keepdims=True) if norm == "max" else chroma.sum(axis=1, keepdims=True)
    length[length < _SILENT] = 1
    chroma /= length
