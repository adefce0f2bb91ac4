"""Mel power agrees with librosa's, on real sound and at the edges."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import pytest

from hubbub.audio.frontends import get_frontend
from hubbub.config.frontends import MelSettings
from tests.lib.audio.frontend_cases import EDGES, OTHER_FRAMES, PRECISIONS, clips, librosa_frames, words

OF_PEAK = {"float32": 5e-6, "float64": 5e-7}
"""Agreement asked by precision, in parts of the window's peak power; librosa itself keeps float32 values."""


def librosa_mel(samples: np.ndarray, settings: MelSettings) -> np.ndarray:
    bands = {"n_mels": settings.n_mels, "fmin": settings.fmin_hz, "fmax": settings.fmax_hz}
    return librosa.feature.melspectrogram(y=samples, sr=settings.sample_rate, **librosa_frames(settings), **bands).T


def assert_agrees(samples: np.ndarray, settings: MelSettings) -> None:
    ours, theirs = get_frontend(settings)(samples), librosa_mel(samples, settings)
    assert ours.shape == theirs.shape
    assert np.abs(ours.astype(np.float64) - theirs).max() <= OF_PEAK[settings.precision] * theirs.max()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_agrees_with_librosa_on_real_sound(esc10_mini: Path, precision: str):
    for samples in clips(esc10_mini, every=4):
        assert_agrees(samples, MelSettings(precision=precision))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    "other",
    [*OTHER_FRAMES, {"n_mels": 1}, {"n_mels": 17}, {"n_mels": 40, "fmin_hz": 300, "fmax_hz": 8000}],
    ids=words,
)
@pytest.mark.filterwarnings("ignore:Empty filters detected:UserWarning")
def test_agrees_with_librosa_for_other_settings(esc10_mini: Path, precision: str, other: dict):
    settings = MelSettings(precision=precision, **other)
    for samples in clips(esc10_mini, every=20, sample_rate=settings.sample_rate):
        assert_agrees(samples, settings)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", EDGES)
@pytest.mark.filterwarnings("ignore:n_fft=2048 is too large:UserWarning")
def test_agrees_with_librosa_at_the_edges(name: str, precision: str):
    assert_agrees(EDGES[name], MelSettings(precision=precision))
