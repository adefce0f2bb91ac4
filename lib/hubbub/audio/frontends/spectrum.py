"""What frontends share: frames to power spectra, spectra to bands, power to decibels.

Frames are centred and the waveform is padded with zeros, as in librosa's `stft`: frame f is centred on sample
``f * hop_samples``.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import scipy.fft
import scipy.signal

from hubbub.config.frontends import Decibels, Frames

Floats = npt.NDArray[np.floating]

_FRAMES_AT_ONCE = 32  # 256 kB of spectrum at n_fft 2048: what one step leaves, the next finds in the core's cache
_BANDS_A_GROUP = 16  # bands multiplied at once; neighbours share most of their bins, so few zeros are multiplied


class Spectrum:
    """Power spectra of frames.

    Parameters
    ----------
    settings
        Any frontend's.

    Attributes
    ----------
    dtype
        The precision that all is computed in.
    bin_hz
        float64 [bin], centre frequencies.
    """

    def __init__(self, settings: Frames) -> None:
        self.dtype = np.dtype(settings.precision)
        self.bin_hz = scipy.fft.rfftfreq(settings.n_fft, 1 / settings.sample_rate)
        self._n_fft, self._hop = settings.n_fft, settings.hop_samples
        self._window = scipy.signal.get_window(settings.window, settings.n_fft, fftbins=True).astype(self.dtype)

    def frames(self, samples: npt.NDArray[np.float32]) -> Floats:
        """Overlapping frames of float32 [samples], [frame, n_fft], not yet windowed: a view, not to be changed."""
        padded = np.pad(samples.astype(self.dtype, copy=False), self._n_fft // 2)
        return np.lib.stride_tricks.sliding_window_view(padded, self._n_fft)[:: self._hop]

    def power(self, samples: npt.NDArray[np.float32]) -> Iterator[tuple[slice, Floats]]:
        """Power of float32 [samples], a few frames at a time: which frames, and their power [frame, bin]."""
        frames = self.frames(samples)
        for begin in range(0, len(frames), _FRAMES_AT_ONCE):
            block = slice(begin, min(begin + _FRAMES_AT_ONCE, len(frames)))
            yield block, self._power(frames[block])

    def whole(self, samples: npt.NDArray[np.float32]) -> Floats:
        """Power of all frames at once, [frame, bin]."""
        return np.concatenate([power for _, power in self.power(samples)])

    def banded(self, samples: npt.NDArray[np.float32], bank: Bank, *, magnitude: bool = False) -> Floats:
        """Power, or magnitude, summed into bands, [frame, band]."""
        bands = np.empty((len(self.frames(samples)), bank.n_bands), self.dtype)
        for frames, power in self.power(samples):
            bank(np.sqrt(power, out=power) if magnitude else power, out=bands[frames])
        return bands

    def _power(self, frames: Floats) -> Floats:
        spectrum = scipy.fft.rfft(frames * self._window, axis=1, overwrite_x=True)
        parts = spectrum.view(self.dtype)
        parts *= parts
        return parts[:, ::2] + parts[:, 1::2]


class Bank:
    """A filter bank: spectra to bands, by a few dense products over the bins that each group of bands touches.

    Parameters
    ----------
    weights
        [band, bin].
    dtype
        The precision to multiply in.
    """

    def __init__(self, weights: Floats, dtype: npt.DTypeLike) -> None:
        self.n_bands = len(weights)
        self._groups = _band_groups(weights.astype(dtype))

    def __call__(self, spectrum: Floats, *, out: Floats) -> None:
        """Multiply [frame, bin] into `out` [frame, band]."""
        for bands, bins, weights in self._groups:
            np.matmul(spectrum[:, bins], weights, out=out[:, bands])


def decibels(power: Floats, settings: Decibels) -> Floats:
    """``10 log10(power / ref)``, floored at `amin` and at `top_db` below the peak; changes `power`.

    As librosa's `power_to_db`.
    """
    ref = power.max() if settings.ref == "max" else settings.ref
    np.maximum(power, settings.amin, out=power)
    np.log(power, out=power)  # vectorised, which log10 is not
    power *= 10 / np.log(10)
    power -= 10 * np.log10(max(settings.amin, ref))
    if settings.top_db is not None:
        np.maximum(power, power.max() - settings.top_db, out=power)
    return power


def named(prefix: str, hz: npt.NDArray[np.float64]) -> list[str]:
    """Names of bands by their centre frequencies in Hz: ``mel_440.0``; all different, as the frequencies are."""
    return [f"{prefix}_{value:.1f}" for value in hz]


def _band_groups(weights: Floats) -> list[tuple[slice, slice, Floats]]:
    """Split a filter bank [band, bin] into (bands, bins, weights [bin, band]) without its empty corners."""
    groups = []
    for begin in range(0, len(weights), _BANDS_A_GROUP):
        bands = slice(begin, min(begin + _BANDS_A_GROUP, len(weights)))
        touched = np.flatnonzero(weights[bands].any(axis=0))
        bins = slice(int(touched[0]), int(touched[-1]) + 1) if len(touched) else slice(0, 1)
        groups.append((bands, bins, np.ascontiguousarray(weights[bands, bins].T)))
    return groups
