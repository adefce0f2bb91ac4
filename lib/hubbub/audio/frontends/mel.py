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
    return FilterBank(make_mel_weights(settings), settings.precision)


def make_mel_weights(settings: MelBands) -> npt.NDArray[np.float32]:
    """Triangles of equal area over the bins, float32 [band, bin], to the bit those of `librosa.filters.mel`.

    librosa itself takes a second to import, which every worker would pay.
    """
    bin_hz = np.fft.rfftfreq(settings.n_fft, 1 / settings.sample_rate)
    edge_hz = _edges_hz(settings)
    width_hz = np.diff(edge_hz)
    distance_hz = np.subtract.outer(edge_hz, bin_hz)
    rising, falling = -distance_hz[:-2] / width_hz[:-1, None], distance_hz[2:] / width_hz[1:, None]
    weights = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    weights *= (2.0 / (edge_hz[2:] - edge_hz[:-2]))[:, None]
    return weights


def mel_hz(settings: MelBands) -> npt.NDArray[np.float64]:
    """Centre frequencies of the mel bands, float64 [band]."""
    return _edges_hz(settings)[1:-1]


_LINEAR_HZ, _LOG_FROM_HZ, _LOG_STEP = 200.0 / 3, 1000.0, np.log(6.4) / 27.0
"""Slaney's scale: a mel is so many Hz up to 1 kHz, and so large a step of the logarithm above."""


def _edges_hz(settings: MelBands) -> npt.NDArray[np.float64]:
    """Where bands begin, are centred and end: equal steps on the mel scale, float64 [band + 2]."""
    lowest, highest = (_hz_to_mel(hz) for hz in (settings.fmin_hz, settings.top_hz))
    mels = np.linspace(lowest, highest, settings.n_mels + 2)
    log_from = _LOG_FROM_HZ / _LINEAR_HZ
    above = mels >= log_from
    edges = _LINEAR_HZ * mels
    edges[above] = _LOG_FROM_HZ * np.exp(_LOG_STEP * (mels[above] - log_from))
    return edges


def _hz_to_mel(hz: float) -> float:
    if hz >= _LOG_FROM_HZ:
        return float(_LOG_FROM_HZ / _LINEAR_HZ + np.log(hz / _LOG_FROM_HZ) / _LOG_STEP)
    return hz / _LINEAR_HZ
