"""Steps that frontends share: frames to power spectra, spectra to bands, power to decibels.

Frames are centred and the waveform is padded with zeros, as in librosa's `stft`: frame f is centred on sample
``f * hop_samples``.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import scipy.fft

from hubbub.audio.frontends import compiled
from hubbub.config.frontends import Decibels, FourierFrames

Floats = npt.NDArray[np.floating]

_LANES = 48  # frames at once: 384 kB of spectrum at n_fft 2048, which one step leaves in the core's cache for the next


_COSINES = {"hann": (0.5, 0.5), "hamming": (0.54, 1 - 0.54), "blackman": (0.42, 0.50, 0.08), "boxcar": (1.0,)}
"""Weights of the cosines that a window is the sum of, as SciPy has them."""


def make_window(name: str, length: int) -> npt.NDArray[np.float64]:
    """Make a periodic window, float64 [length], that of `scipy.signal.get_window`, which takes a second to import."""
    if length == 1:
        return np.ones(1)
    turn = np.linspace(-np.pi, np.pi, length + 1)
    window = np.zeros(length + 1)
    for order, weight in enumerate(_COSINES[name]):
        window += weight * np.cos(order * turn)
    return window[:-1]


class Spectrum:
    """Power spectra of frames.

    Parameters
    ----------
    settings
        Of any frontend that transforms frames.

    Attributes
    ----------
    dtype
        The precision that all is computed in.
    bin_hz
        float64 [bin], centre frequencies.
    """

    def __init__(self, settings: FourierFrames) -> None:
        self.dtype = np.dtype(settings.precision)
        self.bin_hz = scipy.fft.rfftfreq(settings.n_fft, 1 / settings.sample_rate)
        self._settings = settings
        self._window = make_window(settings.window, settings.n_fft).astype(self.dtype)
        self._complex = np.result_type(self.dtype, np.complex64)
        turns = np.arange(settings.n_fft // 4 + 1) / settings.n_fft
        self._twiddle = np.exp(-2j * np.pi * turns).astype(self._complex)

    def frames(self, samples: npt.NDArray[np.float32]) -> Floats:
        """Overlapping frames of float32 [samples], [frame, n_fft], not yet windowed: a view, not to be changed."""
        frames = np.lib.stride_tricks.sliding_window_view(self._pad_samples(samples), self._settings.n_fft)
        return frames[:: self._settings.hop_samples][: self._settings.n_frames(len(samples))]

    def whole(self, samples: npt.NDArray[np.float32]) -> Floats:
        """Power of all frames at once, [frame, bin]."""
        power = np.empty((self._settings.n_frames(len(samples)), len(self.bin_hz)), self.dtype)
        for frames, block in self.blocks(samples):
            power[frames] = block.T
        return power

    def sum_to_bands(self, samples: npt.NDArray[np.float32], bank: FilterBank, *, magnitude: bool = False) -> Floats:
        """Power, or magnitude, summed into bands, [frame, band]."""
        bands = np.empty((self._settings.n_frames(len(samples)), bank.n_bands), self.dtype)
        for frames, power in self.blocks(samples):
            bank.lanes(np.sqrt(power, out=power) if magnitude else power, out=bands[frames])
        return bands

    def _pad_samples(self, samples: npt.NDArray[np.float32]) -> Floats:
        """The waveform between zeros: half a frame before it, and after it to the end of the last frame's last hop."""
        n_fft, hop = self._settings.n_fft, self._settings.hop_samples
        hops = self._settings.n_frames(len(samples)) + (n_fft - 1) // hop
        padded = np.zeros(max(hops * hop, len(samples) + n_fft // 2 * 2), self.dtype)
        padded[n_fft // 2 : n_fft // 2 + len(samples)] = samples
        return padded

    def blocks(self, samples: npt.NDArray[np.float32]) -> Iterator[tuple[slice, Floats]]:
        """Power a few frames at a time, turned: which frames, and [bin, frame], overwritten by the next."""
        n_fft, n_frames = self._settings.n_fft, self._settings.n_frames(len(samples))
        if n_fft % 2:
            yield from self._odd_blocks(samples)
            return
        padded, hop = self._pad_samples(samples), self._settings.hop_samples
        for begin in range(0, n_frames, _LANES):
            lanes = min(_LANES, n_frames - begin)
            if begin == 0 or lanes < _LANES:
                turned = np.empty((hop, lanes + (n_fft - 1) // hop), self.dtype)
                power = np.empty((n_fft // 2 + 1, lanes), self.dtype)
                packed = np.empty((n_fft // 2, lanes), self._complex)
            compiled.transpose_hops(padded, begin, turned)
            compiled.pack_pairs(turned, self._window, packed)
            transformed = scipy.fft.fft(packed, axis=0, overwrite_x=True)
            compiled.untangle(transformed, self._twiddle, power)
            yield slice(begin, begin + lanes), power

    def _odd_blocks(self, samples: npt.NDArray[np.float32]) -> Iterator[tuple[slice, Floats]]:
        """The same where the samples of a frame do not go in pairs."""
        frames = self.frames(samples)
        for begin in range(0, len(frames), _LANES):
            block = slice(begin, min(begin + _LANES, len(frames)))
            spectrum = scipy.fft.rfft(frames[block] * self._window, axis=1)
            yield block, np.ascontiguousarray((spectrum.real**2 + spectrum.imag**2).T)


class FilterBank:
    """A filter bank: spectra to bands.

    Parameters
    ----------
    weights
        [band, bin]. Of each band, bins from the first to the last that is not zero are multiplied: one frame at a time
        and in the order of the bins, since a BLAS product gives other bits to the same frame in another batch.
    dtype
        The precision to multiply in.
    """

    def __init__(self, weights: Floats, dtype: npt.DTypeLike) -> None:
        self.n_bands = len(weights)
        touched = [np.flatnonzero(row) for row in weights]
        self._begins = np.array([bins[0] if len(bins) else 0 for bins in touched], np.int64)
        self._ends = np.array([bins[-1] + 1 if len(bins) else 0 for bins in touched], np.int64)
        spans = zip(weights, self._begins, self._ends, strict=True)
        self._weights = np.concatenate([row[begin:end] for row, begin, end in spans]).astype(dtype)

    def lanes(self, spectrum: Floats, *, out: Floats) -> None:
        """Sum [bin, frame] into `out` [frame, band]."""
        sums = np.empty(spectrum.shape[1], spectrum.dtype)
        compiled.sum_bands(spectrum, self._begins, self._ends, self._weights, sums, out)


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


def name_bands(prefix: str, hz: npt.NDArray[np.float64]) -> list[str]:
    """Names of bands by their centre frequencies in Hz, ``mel_440.0``; with as many decimals as tell them apart."""
    for decimals in range(1, 17):
        names = [f"{prefix}_{value:.{decimals}f}" for value in hz]
        if len(set(names)) == len(names):
            return names
    return [f"{prefix}_{number}" for number in range(len(hz))]
