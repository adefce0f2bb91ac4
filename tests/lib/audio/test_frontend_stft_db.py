"""The spectrogram in decibels agrees with librosa's, on real sound and at the edges."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import pytest

from hubbub.audio.frontends import get_frontend
from hubbub.config.frontends import StftDbSettings
from tests.lib.audio.frontend_cases import EDGES, OTHER_FRAMES, PRECISIONS, clips, librosa_power, words

OF_PEAK_AMPLITUDE = {"float32": 2e-6, "float64": 1e-6}
"""Agreement asked by precision everywhere, in parts of the window's peak amplitude (not power); dB are float32."""

WITHIN_60_DB = {"float32": 0.01, "float64": 1e-4}
"""Agreement asked by precision within 60 dB of the window's peak, in dB."""


def librosa_db(samples: np.ndarray, settings: StftDbSettings) -> np.ndarray:
    ref = np.max if settings.ref == "max" else settings.ref
    return librosa.power_to_db(librosa_power(samples, settings), ref=ref, amin=settings.amin, top_db=settings.top_db).T


def amplitude(db: np.ndarray) -> np.ndarray:
    return 10 ** (db.astype(np.float64) / 20)


def assert_agrees(samples: np.ndarray, settings: StftDbSettings) -> None:
    ours, theirs = get_frontend(settings)(samples), librosa_db(samples, settings)
    assert ours.shape == theirs.shape
    error = np.abs(amplitude(ours) - amplitude(theirs)).max()
    assert error <= OF_PEAK_AMPLITUDE[settings.precision] * amplitude(theirs).max()
    near = theirs > theirs.max() - 60
    assert np.abs(ours - theirs)[near].max(initial=0) <= WITHIN_60_DB[settings.precision]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_agrees_with_librosa_on_real_sound(esc10_mini: Path, precision: str):
    for samples in clips(esc10_mini, every=4):
        assert_agrees(samples, StftDbSettings(precision=precision))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    "other",
    [*OTHER_FRAMES, {"ref": "max"}, {"top_db": None}, {"ref": "max", "top_db": None}, {"amin": 1e-5, "top_db": 30}],
    ids=words,
)
def test_agrees_with_librosa_for_other_settings(esc10_mini: Path, precision: str, other: dict):
    settings = StftDbSettings(precision=precision, **other)
    for samples in clips(esc10_mini, every=25, sample_rate=settings.sample_rate):
        assert_agrees(samples, settings)


@pytest.mark.parametrize("ref", [1.0, "max"])
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", EDGES)
@pytest.mark.filterwarnings("ignore:n_fft=2048 is too large:UserWarning")
def test_agrees_with_librosa_at_the_edges(name: str, precision: str, ref: float | str):
    assert_agrees(EDGES[name], StftDbSettings(precision=precision, ref=ref))


def test_band_hz_are_librosas_bins():
    settings = StftDbSettings(sample_rate=16000, n_fft=1000)
    np.testing.assert_allclose(
        get_frontend(settings).band_hz, librosa.fft_frequencies(sr=16000, n_fft=1000), rtol=1e-15
    )


def test_a_tone_is_loudest_in_the_bin_of_its_frequency():
    tone = np.sin(2 * np.pi * 1000 * np.arange(22050) / 22050).astype(np.float32)
    frontend = get_frontend(StftDbSettings())
    assert abs(frontend.band_hz[frontend(tone).mean(axis=0).argmax()] - 1000) <= 22050 / 2048 / 2
