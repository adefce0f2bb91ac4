"""Cepstral coefficients and their slopes agree with librosa's, on real sound and at the edges."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import pytest

from hubbub.audio.frontends import get_frontend
from hubbub.config.frontends import MfccSettings
from tests.lib.audio.frontend_cases import EDGES, OTHER_FRAMES, PRECISIONS, clips, librosa_frames, words

WITHIN = {"float32": 0.02, "float64": 0.001}
"""Agreement asked by precision where nothing is liftered; coefficients reach from some -1000 to 250."""

NARROW = "ignore:Empty filters detected:UserWarning"


def librosa_mfcc(samples: np.ndarray, settings: MfccSettings) -> np.ndarray:
    mel = librosa.feature.melspectrogram(
        y=samples,
        sr=settings.sample_rate,
        n_mels=settings.n_mels,
        fmin=settings.fmin_hz,
        fmax=settings.fmax_hz,
        **librosa_frames(settings),
    )
    ref = np.max if settings.ref == "max" else settings.ref
    db = librosa.power_to_db(mel, ref=ref, amin=settings.amin, top_db=settings.top_db)
    cepstra = librosa.feature.mfcc(S=db, n_mfcc=settings.n_mfcc, lifter=settings.lifter)
    slopes = [
        librosa.feature.delta(cepstra, width=settings.delta_frames, order=order)
        for order in range(1, 1 + settings.deltas)
    ]
    return np.concatenate([cepstra, *slopes]).T


def assert_agrees(samples: np.ndarray, settings: MfccSettings) -> None:
    ours, theirs = get_frontend(settings)(samples), librosa_mfcc(samples, settings)
    assert ours.shape == theirs.shape
    within = WITHIN[settings.precision] * (1 + settings.lifter / 2)
    assert np.abs(ours.astype(np.float64) - theirs).max() <= within


@pytest.mark.parametrize("precision", PRECISIONS)
def test_agrees_with_librosa_on_real_sound(esc10_mini: Path, precision: str):
    for samples in clips(esc10_mini, every=4):
        assert_agrees(samples, MfccSettings(precision=precision))


def test_the_coefficients_are_librosas_at_its_defaults(esc10_mini: Path):
    for samples in clips(esc10_mini, every=25):
        ours = get_frontend(MfccSettings(deltas=0))(samples)
        assert np.abs(ours - librosa.feature.mfcc(y=samples, sr=22050).T).max() <= WITHIN["float32"]


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    "other",
    [
        *OTHER_FRAMES,
        {"deltas": 0},
        {"deltas": 1, "delta_frames": 3},
        {"deltas": 2, "delta_frames": 31},
        {"n_mfcc": 13, "n_mels": 40, "fmin_hz": 300.0, "fmax_hz": 8000.0},
        {"n_mfcc": 20, "n_mels": 20},
        {"n_mfcc": 1},
        {"lifter": 22.0},
        {"lifter": 40.0, "n_mfcc": 40},
        {"ref": "max", "top_db": 60.0},
    ],
    ids=words,
)
@pytest.mark.filterwarnings(NARROW)
def test_agrees_with_librosa_for_other_settings(esc10_mini: Path, precision: str, other: dict):
    settings = MfccSettings(precision=precision, **other)
    for samples in clips(esc10_mini, every=25, sample_rate=settings.sample_rate):
        assert_agrees(samples, settings)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", EDGES)
@pytest.mark.filterwarnings("ignore:n_fft=2048 is too large:UserWarning")
def test_agrees_with_librosa_at_the_edges(name: str, precision: str):
    long_enough = 1 + len(EDGES[name]) // 512 >= 9  # else librosa fits no slopes
    assert_agrees(EDGES[name], MfccSettings(precision=precision, deltas=2 if long_enough else 0))


@pytest.mark.parametrize(("n_samples", "frames", "width"), [(1, 1, None), (512, 2, None), (1024, 3, 3), (3583, 7, 7)])
def test_fewer_frames_than_delta_frames_make_slopes_over_what_there_is(n_samples: int, frames: int, width: int | None):
    samples = np.random.default_rng(0).standard_normal(n_samples).astype(np.float32)
    cepstra, slopes, curvatures = np.split(get_frontend(MfccSettings())(samples), 3, axis=1)
    assert len(cepstra) == frames
    for order, ours in ((1, slopes), (2, curvatures)):
        theirs = librosa.feature.delta(cepstra, axis=0, width=width, order=order) if width else np.zeros_like(cepstra)
        assert np.abs(ours - theirs).max() <= WITHIN["float32"]


def test_band_names_say_which_slope():
    names = get_frontend(MfccSettings(n_mfcc=2)).band_names
    assert names == ["mfcc_1", "mfcc_2", "mfcc_delta_1", "mfcc_delta_2", "mfcc_delta2_1", "mfcc_delta2_2"]
    assert get_frontend(MfccSettings(n_mfcc=2, deltas=0)).band_names == names[:2]
