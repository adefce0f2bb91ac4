"""Loudness, brightness, pitch classes and timbre of each frame, stacked: the classic table of features.

Each equals librosa's function of the same name at its defaults, on frames that all begin at the same samples, with
one transform for all of them. Two things to know: chroma are for the tuning A4 = 440 Hz, where librosa would estimate
the tuning anew in each clip; and where all others pad with zeros, the zero-crossing rate repeats the first and last
sample, so that the ends of a clip are no crossings.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hubbub.audio.frontends import compiled
from hubbub.audio.frontends.chroma import chroma_bank, normalise_chroma
from hubbub.audio.frontends.mel import mel_bank
from hubbub.audio.frontends.mfcc import cepstral_basis, compute_cepstra, number_bands
from hubbub.audio.frontends.spectrum import Spectrum, decibels
from hubbub.config.frontends import ChromaSettings, DescriptorsSettings, FourierFrames, MfccSettings

Floats = npt.NDArray[np.floating]

_SILENT = np.finfo(np.float32).tiny  # librosa's threshold: what is below is divided by nothing
_NO_SIGN = 1e-10  # librosa's threshold: samples this near to zero count as zero, which counts as positive


class Descriptors:
    """RMS, spectral centroid, bandwidth and roll-off, zero-crossing rate, chroma, MFCC.

    Parameters
    ----------
    settings
        Chroma and MFCC agree with librosa as those of `Chroma` and `Mfcc` do. With `precision` float32 the centroid
        agrees within 2e-5 of half the sample rate and the bandwidth's square within 3e-6 of that squared, with
        float64 within 5e-7 and 5e-8; RMS within 1e-6 of the window's largest. Crossings are the same. The roll-off
        is a bin, and one frame in 500 at most has the neighbouring one.
    """

    units = "1"
    long_name = (
        "root mean square (1), spectral centroid, bandwidth and roll-off (Hz), zero-crossing rate (a sample), "
        "chroma (1), mel-frequency cepstral coefficients (of dB)"
    )

    def __init__(self, settings: DescriptorsSettings) -> None:
        self._settings = settings
        self._spectrum = Spectrum(settings)
        frames = settings.model_dump(include=set(FourierFrames.model_fields))
        self._timbre = MfccSettings(**frames, n_mfcc=settings.n_mfcc, deltas=0)
        self._mel_bank, self._basis = mel_bank(self._timbre), cepstral_basis(self._timbre)
        self._chroma_bank = chroma_bank(ChromaSettings(**frames, n_chroma=settings.n_chroma))
        self.band_hz = np.full(settings.n_bands, np.nan)
        self.band_names = [
            "rms",
            "spectral_centroid",
            "spectral_bandwidth",
            "spectral_rolloff",
            "zero_crossing_rate",
            *number_bands("chroma", settings.n_chroma),
            *number_bands("mfcc", settings.n_mfcc),
        ]

    def __call__(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Transform float32 [samples] to float32 [frame, band]."""
        rms = _rms(self._spectrum.frames(samples))
        spectral_moments = np.empty((len(rms), 3), rms.dtype)
        chroma = np.empty((len(rms), self._chroma_bank.n_bands), rms.dtype)
        mel = np.empty((len(rms), self._mel_bank.n_bands), rms.dtype)
        hz = self._spectrum.bin_hz.astype(rms.dtype)
        for block, power in self._spectrum.blocks(samples):
            self._chroma_bank.lanes(power, out=chroma[block])
            self._mel_bank.lanes(power, out=mel[block])
            magnitude = np.sqrt(power, out=power)
            compiled.spectral_moments(magnitude, hz, self._settings.rolloff_share, _SILENT, spectral_moments[block])
        normalise_chroma(chroma, "max")
        cepstra = compute_cepstra(decibels(mel, self._timbre), self._basis)
        columns = [rms, spectral_moments, self._crossings(samples), chroma, cepstra]
        return np.concatenate(columns, axis=1, dtype=np.float32, casting="same_kind")

    def _crossings(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Share of each frame's samples that differ in sign from the sample before them, [frame, 1]."""
        n_fft, hop = self._settings.n_fft, self._settings.hop_samples
        negative = np.pad(samples < -_NO_SIGN, n_fft // 2, mode="edge")
        crossed = np.flatnonzero(negative[1:] != negative[:-1])  # the last samples before a crossing
        first = np.arange(0, len(negative) - n_fft + 1, hop)
        crossings = np.searchsorted(crossed, first + n_fft - 1) - np.searchsorted(crossed, first)
        return crossings[:, None] / n_fft


def _rms(frames: Floats) -> Floats:
    """Root mean square of frames [frame, n_fft] as they are, without a window: [frame, 1]."""
    return np.sqrt(np.einsum("ij,ij->i", frames, frames) / frames.shape[1])[:, None]
