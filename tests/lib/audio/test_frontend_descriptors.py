"""Descriptors agree with librosa's functions of the same names, on real sound and at the edges."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import pytest

from hubbub.audio.frontends import get_frontend
from hubbub.config.frontends import DescriptorsSettings
from tests.lib.audio.frontend_cases import EDGES, OTHER_FRAMES, PRECISIONS, clips, librosa_frames, words

OF_PEAK = 1e-6
"""Agreement asked of RMS, in parts of the window's largest."""

RMS_FLOOR = 1e-24
"""Agreement asked of RMS besides: librosa squares in float32, which holds no squares of such amplitudes."""

OF_NYQUIST = {"float32": 2e-5, "float64": 5e-7}
"""Agreement asked by precision of the centroid, in parts of half the sample rate."""

OF_NYQUIST_SQUARED = {"float32": 3e-6, "float64": 5e-8}
"""Agreement asked by precision of the bandwidth's square, in parts of half the sample rate squared.

Of the square, because a tone's bandwidth is the root of a difference from nearly nothing: 10 Hz may be off by 1 Hz.
"""

ROLLOFF_BINS = 1
"""How many bins the roll-off may lie off: librosa adds up in float32, in which a share may fall on either side."""

ROLLOFF_RARELY = 0.002
"""Share of frames whose roll-off may lie off."""

OF_ONE = {"float32": 2e-5, "float64": 5e-6}
"""Agreement asked by precision of chroma."""

CEPSTRA = {"float32": 0.02, "float64": 0.001}
"""Agreement asked by precision of MFCC."""


def librosa_descriptors(samples: np.ndarray, settings: DescriptorsSettings) -> dict[str, np.ndarray]:
    features, frames = librosa.feature, librosa_frames(settings)
    whole = {"y": samples, "sr": settings.sample_rate, **frames}
    as_it_is = {"y": samples, "frame_length": settings.n_fft, "hop_length": settings.hop_samples}
    return {
        "rms": features.rms(**as_it_is),
        "spectral_centroid": features.spectral_centroid(**whole),
        "spectral_bandwidth": features.spectral_bandwidth(**whole),
        "spectral_rolloff": features.spectral_rolloff(**whole, roll_percent=settings.rolloff_share),
        "zero_crossing_rate": features.zero_crossing_rate(**as_it_is),
        "chroma": features.chroma_stft(**whole, n_chroma=settings.n_chroma, tuning=0.0),
        "mfcc": features.mfcc(**whole, n_mfcc=settings.n_mfcc),
    }


def by_name(samples: np.ndarray, settings: DescriptorsSettings) -> dict[str, np.ndarray]:
    values = get_frontend(settings)(samples).T.astype(np.float64)
    parts = np.split(values, [1, 2, 3, 4, 5, 5 + settings.n_chroma])
    names = ("rms", "spectral_centroid", "spectral_bandwidth", "spectral_rolloff", "zero_crossing_rate")
    return dict(zip((*names, "chroma", "mfcc"), parts, strict=True))


def rolloffs_off(samples: np.ndarray, settings: DescriptorsSettings) -> np.ndarray:
    """By how many bins each frame's roll-off lies off."""
    ours, theirs = by_name(samples, settings), librosa_descriptors(samples, settings)
    apart = np.abs(ours["spectral_rolloff"] - theirs["spectral_rolloff"])[0]
    return np.round(apart * settings.n_fft / settings.sample_rate).astype(int)


def assert_agrees(samples: np.ndarray, settings: DescriptorsSettings) -> None:
    ours, theirs = by_name(samples, settings), librosa_descriptors(samples, settings)
    nyquist, precision = settings.sample_rate / 2, settings.precision
    within = {
        "rms": OF_PEAK * theirs["rms"].max() + RMS_FLOOR,
        "spectral_centroid": OF_NYQUIST[precision] * nyquist,
        "spectral_bandwidth": OF_NYQUIST_SQUARED[precision] * nyquist**2,
        "spectral_rolloff": (ROLLOFF_BINS + 0.01) * settings.sample_rate / settings.n_fft,
        "zero_crossing_rate": 1e-7,  # float32 holds it no better
        "chroma": OF_ONE[precision],
        "mfcc": CEPSTRA[precision],
    }
    for values in (ours, theirs):
        values["spectral_bandwidth"] = values["spectral_bandwidth"] ** 2
    for name, librosas in theirs.items():
        assert ours[name].shape == librosas.shape, name
        assert np.abs(ours[name] - librosas).max() <= within[name], name


@pytest.mark.parametrize("precision", PRECISIONS)
def test_agrees_with_librosa_on_real_sound(esc10_mini: Path, precision: str):
    for samples in clips(esc10_mini, every=10):
        assert_agrees(samples, DescriptorsSettings(precision=precision))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_rolloff_is_seldom_off(esc10_mini: Path, precision: str):
    off = np.concatenate(
        [rolloffs_off(samples, DescriptorsSettings(precision=precision)) for samples in clips(esc10_mini, every=10)]
    )
    assert off.max() <= ROLLOFF_BINS
    assert (off > 0).mean() <= ROLLOFF_RARELY


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    "other",
    [
        *OTHER_FRAMES,
        {"rolloff_share": 0.5},
        {"rolloff_share": 0.99},
        {"n_chroma": 24, "n_mfcc": 13},
        {"n_chroma": 1, "n_mfcc": 1},
        {"n_mfcc": 128},
    ],
    ids=words,
)
@pytest.mark.filterwarnings("ignore:Empty filters detected:UserWarning")
def test_agrees_with_librosa_for_other_settings(esc10_mini: Path, precision: str, other: dict):
    settings = DescriptorsSettings(precision=precision, **other)
    for samples in clips(esc10_mini, every=50, sample_rate=settings.sample_rate):
        assert_agrees(samples, settings)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", EDGES)
@pytest.mark.filterwarnings("ignore:n_fft=2048 is too large:UserWarning")
def test_agrees_with_librosa_at_the_edges(name: str, precision: str):
    assert_agrees(EDGES[name], DescriptorsSettings(precision=precision))


def test_silence_has_no_brightness_and_no_crossings():
    silent = by_name(EDGES["silence"], DescriptorsSettings())
    assert all((silent[name] == 0).all() for name in silent if name != "mfcc")


def test_a_tones_descriptors_are_what_arithmetic_says():
    tone = (0.5 * np.sin(2 * np.pi * 1000 * np.arange(22050) / 22050)).astype(np.float32)
    middle = {name: values[0, 20] for name, values in by_name(tone, DescriptorsSettings()).items()}
    assert middle["rms"] == pytest.approx(0.5 / np.sqrt(2), rel=1e-2)
    assert middle["spectral_centroid"] == pytest.approx(1000, rel=1e-2)
    assert middle["spectral_rolloff"] == pytest.approx(1000, abs=2 * 22050 / 2048)
    assert middle["zero_crossing_rate"] == pytest.approx(2 * 1000 / 22050, abs=1 / 2048)


def test_band_names():
    names = get_frontend(DescriptorsSettings(n_chroma=2, n_mfcc=2)).band_names
    shape = ["rms", "spectral_centroid", "spectral_bandwidth", "spectral_rolloff", "zero_crossing_rate"]
    assert names == [*shape, "chroma_1", "chroma_2", "mfcc_1", "mfcc_2"]
