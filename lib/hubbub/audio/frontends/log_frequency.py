r"""Power in bands evenly spaced in pitch, in decibels: triangles over the bins of one transform.

In the manner of madmom's `LogarithmicFilterbank` (S. Böck et al., madmom, ACM Multimedia 2016; its `norm_filters`
is on there by default, and always here), with centres as librosa's `cqt_frequencies` has them.

A triangle reaches to the centres of its neighbours, and no less than one bin far on either side. One bin far on both
sides it is the linear interpolation between two bins, so low bands, which are narrower than a bin, are never empty::

    1            /|\             weights of a band, before they are divided by their sum
               /  |  \
    0  ______/    |    \______
         c[k-1]  c[k]  c[k+1]    or c[k] - bin, c[k] + bin where these are further

Weights of a band sum to one, so a band holds the mean power of its bins: white noise is flat over all bands, and
nothing jumps where interpolation begins. A tone reads lower the more bins its band has, 3 dB an octave.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hubbub.audio.frontends.spectrum import FilterBank, Spectrum, decibels, name_bands
from hubbub.config.frontends import LogFrequencySettings


class LogFrequency:
    """Decibels a band.

    Parameters
    ----------
    settings
        `precision` float32 agrees with the same bank over librosa's `stft` (which transforms in float64) within
        0.01 dB wherever a band is within 60 dB of the window's peak, and within 2e-6 of its peak amplitude anywhere;
        float64 within 1e-4 dB, and 1e-6.
    """

    units = "dB"
    long_name = "log-frequency spectrogram, mean power"

    def __init__(self, settings: LogFrequencySettings) -> None:
        self._settings = settings
        self._spectrum = Spectrum(settings)
        self.band_hz = log_hz(settings)
        self.band_names = name_bands("log", self.band_hz)
        self._bank = FilterBank(_weights(self.band_hz, self._spectrum.bin_hz, settings), settings.precision)

    def __call__(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Transform float32 [samples] to float32 [frame, band] in dB."""
        power = self._spectrum.sum_to_bands(samples, self._bank)
        return decibels(power, self._settings).astype(np.float32, copy=False)


def log_hz(settings: LogFrequencySettings) -> npt.NDArray[np.float64]:
    """Centre frequencies of the bands, float64 [band]."""
    return settings.fmin_hz * 2.0 ** (np.arange(settings.n_bands) / settings.bands_per_octave)


def _weights(
    band_hz: npt.NDArray[np.float64], bin_hz: npt.NDArray[np.float64], settings: LogFrequencySettings
) -> npt.NDArray[np.floating]:
    """Triangles [band, bin], each of sum one."""
    step, bin_width = 2.0 ** (1 / settings.bands_per_octave), settings.sample_rate / settings.n_fft
    weights = np.empty((len(band_hz), len(bin_hz)), settings.precision)
    for row, centre in zip(weights, band_hz, strict=True):
        foot, head = min(centre / step, centre - bin_width), max(centre * step, centre + bin_width)
        triangle = np.interp(bin_hz, [foot, centre, head], [0, 1, 0])
        row[:] = triangle / triangle.sum()
    return weights
