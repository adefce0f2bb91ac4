"""Bands evenly spaced in pitch agree with a bank built by plain loops over librosa's transform."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import librosa
import numpy as np
import pytest

from hubbub.audio.frontends import get_frontend
from hubbub.config.frontends import LogFrequencySettings
from tests.lib.audio.frontend_cases import EDGES, OTHER_FRAMES, PRECISIONS, clips, librosa_power, words

WITHIN_60_DB = {"float32": 0.01, "float64": 1e-4}
"""Agreement asked by precision within 60 dB of the window's peak, in dB."""

OF_PEAK_AMPLITUDE = {"float32": 2e-6, "float64": 1e-6}
"""Agreement asked by precision everywhere, in parts of the window's peak amplitude (not power); dB are float32."""

NOISE_DB = 1.0
"""How far the bands of white noise may lie apart, averaged over a minute."""

BAND_DB = 0.5
"""How far two neighbouring bands may differ where power rises smoothly with frequency."""


@cache
def naive_bank(settings: LogFrequencySettings) -> np.ndarray:
    """Triangles [band, bin] by the words of the module's docstring, one weight at a time."""
    bin_hz = librosa.fft_frequencies(sr=settings.sample_rate, n_fft=settings.n_fft)
    bin_width = settings.sample_rate / settings.n_fft
    centres = librosa.cqt_frequencies(
        settings.n_bands, fmin=settings.fmin_hz, bins_per_octave=settings.bands_per_octave
    )
    step = 2 ** (1 / settings.bands_per_octave)
    bank = np.zeros((len(centres), len(bin_hz)))
    for band, centre in enumerate(centres):
        below = max(centre - centre / step, bin_width)
        above = max(centre * step - centre, bin_width)
        for number, hz in enumerate(bin_hz):
            if centre - below < hz <= centre:
                bank[band, number] = 1 - (centre - hz) / below
            elif centre < hz < centre + above:
                bank[band, number] = 1 - (hz - centre) / above
        bank[band] /= sum(bank[band])
    return bank


def naive_db(samples: np.ndarray, settings: LogFrequencySettings) -> np.ndarray:
    power = naive_bank(settings) @ librosa_power(samples, settings)
    ref = np.max if settings.ref == "max" else settings.ref
    return librosa.power_to_db(power, ref=ref, amin=settings.amin, top_db=settings.top_db).T


def amplitude(db: np.ndarray) -> np.ndarray:
    return 10 ** (db.astype(np.float64) / 20)


def assert_agrees(samples: np.ndarray, settings: LogFrequencySettings) -> None:
    ours, naive = get_frontend(settings)(samples), naive_db(samples, settings)
    assert ours.shape == naive.shape
    error = np.abs(amplitude(ours) - amplitude(naive)).max()
    assert error <= OF_PEAK_AMPLITUDE[settings.precision] * amplitude(naive).max()
    near = naive > naive.max() - 60
    assert np.abs(ours - naive)[near].max(initial=0) <= WITHIN_60_DB[settings.precision]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_agrees_with_naive_bands_on_real_sound(esc10_mini: Path, precision: str):
    for samples in clips(esc10_mini, every=4):
        assert_agrees(samples, LogFrequencySettings(precision=precision))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    "other",
    [
        *OTHER_FRAMES,
        {"fmin_hz": 1.0},  # below the first bin
        {"fmin_hz": 100.0, "fmax_hz": 3000.0, "bands_per_octave": 24},
        {"bands_per_octave": 1},
        {"bands_per_octave": 96},
        {"fmin_hz": 11025 / 2**7},  # the last band is centred on half the sample rate
        {"ref": "max", "top_db": None},
    ],
    ids=words,
)
def test_agrees_with_naive_bands_for_other_settings(esc10_mini: Path, precision: str, other: dict):
    settings = LogFrequencySettings(precision=precision, **other)
    for samples in clips(esc10_mini, every=25, sample_rate=settings.sample_rate):
        assert_agrees(samples, settings)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", EDGES)
@pytest.mark.filterwarnings("ignore:n_fft=2048 is too large:UserWarning")
def test_agrees_with_naive_bands_at_the_edges(name: str, precision: str):
    assert_agrees(EDGES[name], LogFrequencySettings(precision=precision))


def test_band_hz_are_librosas():
    settings = LogFrequencySettings(fmin_hz=55, bands_per_octave=36, fmax_hz=7040)
    theirs = librosa.cqt_frequencies(1 + 7 * 36, fmin=55, bins_per_octave=36)
    np.testing.assert_allclose(get_frontend(settings).band_hz, theirs, rtol=1e-14)


def test_a_tone_is_loudest_in_the_band_of_its_frequency():
    tone = np.sin(2 * np.pi * 440 * np.arange(22050) / 22050).astype(np.float32)
    frontend = get_frontend(LogFrequencySettings(fmin_hz=55))
    assert frontend.band_hz[frontend(tone).mean(axis=0).argmax()] == pytest.approx(440)


def test_white_noise_is_flat_over_interpolated_and_wide_bands():
    noise = np.random.default_rng(0).standard_normal(60 * 22050).astype(np.float32)
    levels = 10 * np.log10((10 ** (get_frontend(LogFrequencySettings())(noise) / 10)).mean(axis=0))
    assert np.ptp(levels) <= NOISE_DB


def test_nothing_jumps_where_interpolation_ends():
    click = EDGES["one click"]  # the same power at all frequencies
    smooth = np.convolve(click, [0.5, 0.5])[:22050].astype(np.float32)  # falling smoothly with frequency
    settings = LogFrequencySettings(fmax_hz=4000, top_db=None)
    loudest = get_frontend(settings)(smooth).max(axis=0)
    assert np.abs(np.diff(loudest)).max() <= BAND_DB
