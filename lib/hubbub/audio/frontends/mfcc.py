"""Mel-frequency cepstral coefficients and how they change, equal to librosa's `mfcc` and `delta`.

The orthonormal cosine transform of a log-mel spectrum (S. B. Davis and P. Mermelstein, IEEE Trans. ASSP 28(4), 1980);
slopes are fitted by least squares (A. Savitzky and M. J. E. Golay, Analytical Chemistry 36(8), 1964).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import scipy.fft
import scipy.signal

from hubbub.audio.frontends import compiled
from hubbub.audio.frontends.mel import mel_bank
from hubbub.audio.frontends.spectrum import Spectrum, decibels
from hubbub.config.frontends import MfccSettings

Floats = npt.NDArray[np.floating]


class Mfcc:
    """Coefficients, then their slopes, then their curvatures.

    A window of fewer frames than `delta_frames` (the settings refuse those) has slopes over what there is, and zeros
    below three frames.

    Parameters
    ----------
    settings
        `precision` float32 agrees with librosa (which transforms in float64) within 0.02, float64 within 1e-3, where
        `lifter` is 0; liftering multiplies the difference too.
    """

    units = "1"
    long_name = "mel-frequency cepstral coefficients (of dB), their slopes (a frame) and curvatures (a frame squared)"

    def __init__(self, settings: MfccSettings) -> None:
        self._settings = settings
        self._spectrum = Spectrum(settings)
        self._bank = mel_bank(settings)
        self._basis = cepstral_basis(settings)
        self.band_hz = np.full(settings.n_bands, np.nan)
        kinds = ("mfcc", "mfcc_delta", "mfcc_delta2")[: 1 + settings.deltas]
        self.band_names = [name for kind in kinds for name in number_bands(kind, settings.n_mfcc)]

    def __call__(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Transform float32 [samples] to float32 [frame, band]."""
        power = self._spectrum.sum_to_bands(samples, self._bank)
        cepstra = compute_cepstra(decibels(power, self._settings), self._basis)
        slopes = [
            _fit_slopes(cepstra, order, self._settings.delta_frames) for order in range(1, 1 + self._settings.deltas)
        ]
        return np.concatenate([cepstra, *slopes], axis=1, dtype=np.float32, casting="same_kind")


def cepstral_basis(settings: MfccSettings) -> Floats:
    """Cosines that take decibels [frame, mel band] to coefficients [frame, coefficient]: [mel band, coefficient].

    `lifter` L weighs coefficient n = 1, 2, … by ``1 + L / 2 * sin(pi * n / L)``, as librosa does (B. H. Juang et al.,
    IEEE Trans. ASSP 35(7), 1987).
    """
    basis = scipy.fft.dct(np.eye(settings.n_mels), axis=1, norm="ortho")[:, : settings.n_mfcc]
    if settings.lifter:
        n = np.arange(1, 1 + settings.n_mfcc)
        basis = basis * (1 + settings.lifter / 2 * np.sin(np.pi * n / settings.lifter))
    return np.ascontiguousarray(basis, dtype=settings.precision)


def compute_cepstra(decibels: Floats, basis: Floats) -> Floats:
    """Coefficients [frame, coefficient] of decibels [frame, mel band]; a frame's do not depend on the others."""
    cepstra = np.empty((len(decibels), basis.shape[1]), decibels.dtype)
    compiled.multiply_rows(decibels, basis, cepstra)
    return cepstra


def number_bands(prefix: str, count: int) -> list[str]:
    """Names of bands that are no frequencies: ``mfcc_1``, ``mfcc_2`` …."""
    return [f"{prefix}_{number}" for number in range(1, 1 + count)]


def _fit_slopes(cepstra: Floats, order: int, delta_frames: int) -> Floats:
    """Derivative of the polynomial of the same order that fits the `delta_frames` frames around each best.

    It is one number a fit, so the frames at either end, which have no fit of their own, have that of the nearest.
    """
    width = min(delta_frames, len(cepstra) - 1 + len(cepstra) % 2)
    if width < 3:
        return np.zeros_like(cepstra)
    middles = len(cepstra) - width + 1
    slopes = sum(weight * cepstra[frame : frame + middles] for frame, weight in enumerate(_fit(order, width)))
    return np.pad(slopes, [(width // 2, width // 2), (0, 0)], mode="edge")


@lru_cache
def _fit(order: int, width: int) -> list[float]:
    """Weights of `width` frames in that derivative."""
    return scipy.signal.savgol_coeffs(width, order, deriv=order, use="dot").tolist()
