"""Per-channel energy normalisation agrees with librosa's, on real sound and at the edges."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import pytest

from hubbub.audio.frontends import get_frontend
from hubbub.config.frontends import PcenSettings
from tests.lib.audio.frontend_cases import EDGES, OTHER_FRAMES, PRECISIONS, clips, librosa_frames, words

WITHIN = {"float32": 2e-4, "float64": 5e-6}
"""Agreement asked by precision, in parts of 1 + the value, where a band is within 80 dB of the window's peak."""

WITHIN_100_DB = {"float32": 0.02, "float64": 1e-4}
"""The same within 100 dB. What lies further down is the rounding of what is loud, amplified as all quiet sound is."""


def librosa_magnitude(samples: np.ndarray, settings: PcenSettings) -> np.ndarray:
    bands = {"n_mels": settings.n_mels, "fmin": settings.fmin_hz, "fmax": settings.fmax_hz}
    return settings.scale * librosa.feature.melspectrogram(
        y=samples, sr=settings.sample_rate, power=1, **librosa_frames(settings), **bands
    )


def librosa_pcen(magnitude: np.ndarray, settings: PcenSettings) -> np.ndarray:
    with np.errstate(divide="ignore"):  # a bias of 0 takes the logarithm of silence
        return librosa.pcen(
            magnitude,
            sr=settings.sample_rate,
            hop_length=settings.hop_samples,
            gain=settings.gain,
            bias=settings.bias,
            power=settings.power,
            time_constant=settings.time_constant_s,
            eps=settings.eps,
        ).T


def assert_agrees(samples: np.ndarray, settings: PcenSettings) -> None:
    magnitude = librosa_magnitude(samples, settings)
    ours, theirs = get_frontend(settings)(samples), librosa_pcen(magnitude, settings)
    assert ours.shape == theirs.shape
    error = np.abs(ours.astype(np.float64) - theirs) / (1 + theirs)
    for floor, within in ((1e-4, WITHIN), (1e-5, WITHIN_100_DB)):
        near = magnitude.T > floor * magnitude.max()
        assert error[near].max(initial=0) <= within[settings.precision]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_agrees_with_librosa_on_real_sound(esc10_mini: Path, precision: str):
    for samples in clips(esc10_mini, every=4):
        assert_agrees(samples, PcenSettings(precision=precision))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    "other",
    [
        *OTHER_FRAMES,
        {"n_mels": 40, "fmin_hz": 300.0, "fmax_hz": 8000.0},
        {"gain": 0.5},
        {"gain": 0.0, "scale": 1.0},
        {"gain": 1.2},
        {"bias": 0.0},
        {"bias": 10.0, "power": 0.25},
        {"power": 1.0},
        {"time_constant_s": 0.06},
        {"time_constant_s": 60.0},
        {"time_constant_s": 0.001},
        {"eps": 0.1, "scale": 2.0**15},
    ],
    ids=words,
)
@pytest.mark.filterwarnings("ignore:Empty filters detected:UserWarning")
def test_agrees_with_librosa_for_other_settings(esc10_mini: Path, precision: str, other: dict):
    settings = PcenSettings(precision=precision, **other)
    for samples in clips(esc10_mini, every=25, sample_rate=settings.sample_rate):
        assert_agrees(samples, settings)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", EDGES)
@pytest.mark.filterwarnings("ignore:n_fft=2048 is too large:UserWarning")
def test_agrees_with_librosa_at_the_edges(name: str, precision: str):
    assert_agrees(EDGES[name], PcenSettings(precision=precision))


def test_silence_is_zero_in_both_precisions():
    for precision in PRECISIONS:
        assert (get_frontend(PcenSettings(precision=precision))(EDGES["silence"]) == 0).all()


def test_steady_noise_sinks_and_what_begins_stands_out():
    noise = np.random.default_rng(0).standard_normal(10 * 22050).astype(np.float32)
    noise[5 * 22050 :] += 10 * np.sin(2 * np.pi * 1000 * np.arange(5 * 22050) / 22050).astype(np.float32)
    frontend = get_frontend(PcenSettings())
    levels = frontend(noise)[:, np.abs(frontend.band_hz - 1000).argmin()]
    begins = 5 * 22050 // 512
    assert levels[begins : begins + 3].max() > 3 * levels[begins - 50 : begins - 5].mean()
    assert levels[-50:].mean() < 0.5 * levels[begins : begins + 3].max()


def test_a_long_window_is_smoothed_as_one(esc10_mini: Path):
    samples = np.concatenate(clips(esc10_mini, every=10))  # 50 s: several blocks
    assert_agrees(samples, PcenSettings(time_constant_s=10.0))
