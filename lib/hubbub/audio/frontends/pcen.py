"""Per-channel energy normalisation of a mel spectrogram, equal to librosa's `pcen` of magnitudes times `scale`.

Each band is divided by its smoothed self and then compressed: Y. Wang et al., Trainable frontend for robust and
far-field keyword spotting, ICASSP 2017; V. Lostanlen et al., Per-channel energy normalization: why and how, IEEE
Signal Processing Letters 26(1), 2019::

    M[t] = b E[t] + (1 - b) M[t - 1],  M[-1] = 1
    out  = (E / (eps + M) ** gain + bias) ** power - bias ** power
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.signal

from hubbub.audio.frontends.mel import mel_bank, mel_hz
from hubbub.audio.frontends.spectrum import Spectrum, name_bands
from hubbub.config.frontends import PcenSettings

Floats = npt.NDArray[np.floating]

_FRAMES_AT_ONCE = 256  # smoothed in float64; an hour's window at once would be hundreds of megabytes


class Pcen:
    """Normalised energy a mel band.

    Parameters
    ----------
    settings
        `precision` float32 agrees with librosa (which transforms in float64) within 2e-4 of 1 + the value where a
        band is within 80 dB of the window's peak, and within 0.02 where it is within 100 dB; float64 within 5e-6 and
        1e-4. Further down are the rounding errors of what is loud, amplified as all quiet sound is.
    """

    units = "1"
    long_name = "mel spectrogram under per-channel energy normalisation"

    def __init__(self, settings: PcenSettings) -> None:
        self._settings = settings
        self._spectrum = Spectrum(settings)
        self._bank = mel_bank(settings)
        self.band_hz = mel_hz(settings)
        self.band_names = name_bands("mel", self.band_hz)

    def __call__(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Transform float32 [samples] to float32 [frame, band]."""
        bands = self._spectrum.sum_to_bands(samples, self._bank, magnitude=True)
        bands *= self._settings.scale
        b = self._settings.smoothing
        state = np.full((1, bands.shape[1]), 1 - b)
        for begin in range(0, len(bands), _FRAMES_AT_ONCE):
            block = bands[begin : begin + _FRAMES_AT_ONCE]
            # In float64: in float32 the rounding of b - 1 alone would shift what settles slowly.
            smoothed, state = scipy.signal.lfilter([b], [1, b - 1], block, axis=0, zi=state)
            self._normalise(block, smoothed.astype(block.dtype, copy=False))
        return bands.astype(np.float32, copy=False)

    def _normalise(self, bands: Floats, smoothed: Floats) -> None:
        """Divide and compress `bands` [frame, band], in place; changes `smoothed` too."""
        gain, bias, power, eps = (getattr(self._settings, name) for name in ("gain", "bias", "power", "eps"))
        smoothed += eps
        smoothed **= -gain
        bands *= smoothed
        bands += bias
        bands **= power
        bands -= bands.dtype.type(bias) ** power
        np.maximum(bands, 0, out=bands)  # silence may come out a rounding below
