"""Chroma agree with librosa's, on real sound and at the edges."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import pytest

from hubbub.audio.frontends import get_frontend
from hubbub.config.frontends import ChromaSettings
from tests.lib.audio.frontend_cases import EDGES, OTHER_FRAMES, PRECISIONS, clips, librosa_frames, words

OF_PEAK = {"float32": 2e-5, "float64": 5e-6}
"""Agreement asked by precision, in parts of the window's largest value; librosa itself keeps float32 values."""

LIBROSAS_NORM = {"max": np.inf, "sum": 1, None: None}


def librosa_chroma(samples: np.ndarray, settings: ChromaSettings) -> np.ndarray:
    return librosa.feature.chroma_stft(
        y=samples,
        sr=settings.sample_rate,
        n_chroma=settings.n_chroma,
        tuning=settings.tuning,
        norm=LIBROSAS_NORM[settings.norm],
        **librosa_frames(settings),
    ).T


def assert_agrees(samples: np.ndarray, settings: ChromaSettings) -> None:
    ours, theirs = get_frontend(settings)(samples), librosa_chroma(samples, settings)
    assert ours.shape == theirs.shape
    assert np.abs(ours.astype(np.float64) - theirs).max() <= OF_PEAK[settings.precision] * theirs.max()


@pytest.mark.parametrize("norm", LIBROSAS_NORM)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_agrees_with_librosa_on_real_sound(esc10_mini: Path, precision: str, norm: str | None):
    for samples in clips(esc10_mini, every=4):
        assert_agrees(samples, ChromaSettings(precision=precision, norm=norm))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    "other",
    [
        *OTHER_FRAMES,
        {"tuning": -0.5},
        {"tuning": 0.3},
        {"n_chroma": 24, "tuning": 0.2},
        {"n_chroma": 1},
        {"n_chroma": 7},
        {"n_chroma": 96},
    ],
    ids=words,
)
def test_agrees_with_librosa_for_other_settings(esc10_mini: Path, precision: str, other: dict):
    settings = ChromaSettings(precision=precision, **other)
    for samples in clips(esc10_mini, every=25, sample_rate=settings.sample_rate):
        assert_agrees(samples, settings)


@pytest.mark.parametrize("norm", LIBROSAS_NORM)
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", EDGES)
@pytest.mark.filterwarnings("ignore:n_fft=2048 is too large:UserWarning")
def test_agrees_with_librosa_at_the_edges(name: str, precision: str, norm: str | None):
    assert_agrees(EDGES[name], ChromaSettings(precision=precision, norm=norm))


@pytest.mark.parametrize(("hz", "pitch_class"), [(440.0, 9), (261.626, 0), (1046.5, 0)])
def test_a_tone_is_largest_in_its_pitch_class(hz: float, pitch_class: int):
    tone = np.sin(2 * np.pi * hz * np.arange(22050) / 22050).astype(np.float32)
    assert (get_frontend(ChromaSettings())(tone).argmax(axis=1) == pitch_class).all()
