"""Log-mel features agree with librosa's, on real sound and at the edges."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import librosa
import numpy as np
import pytest
import scipy.signal

from hubbub.audio.decode import load_audio
from hubbub.audio.frontends import compute_features, frame_s, get_frontend, n_frames
from hubbub.audio.frontends.mel import make_mel_weights, mel_hz
from hubbub.audio.frontends.spectrum import make_window
from hubbub.config import LogMelSettings, Settings, load_settings

FLOAT64_DB = 1e-4
"""Agreement asked of `precision: float64`, everywhere."""

FLOAT32_NEAR_DB = 0.01
"""Agreement asked of `precision: float32` within 80 dB of the peak."""

FLOAT32_ANYWHERE_DB = 0.2
"""Agreement asked of `precision: float32` anywhere above the floor."""

FLOAT16_DB = 0.032
"""Half a step of float16 between 64 and 128 dB: what a store rounds away."""

NEAR_DB = 80.0


def librosa_log_mel(samples: np.ndarray, settings: LogMelSettings) -> np.ndarray:
    mel = librosa.feature.melspectrogram(
        y=samples,
        sr=settings.sample_rate,
        n_fft=settings.n_fft,
        hop_length=settings.hop_samples,
        window=settings.window,
        n_mels=settings.n_mels,
        fmin=settings.fmin_hz,
        fmax=settings.fmax_hz,
        pad_mode="constant",
    )
    ref = np.max if settings.ref == "max" else settings.ref
    return librosa.power_to_db(mel, ref=ref, amin=settings.amin, top_db=settings.top_db).T


def assert_agrees(samples: np.ndarray, settings: LogMelSettings) -> None:
    ours, theirs = get_frontend(settings)(samples), librosa_log_mel(samples, settings)
    assert ours.shape == theirs.shape
    assert ours.dtype == np.float32
    error = np.abs(ours.astype(np.float64) - theirs)
    if settings.precision == "float64":
        assert error.max() <= FLOAT64_DB
        return
    near = theirs > theirs.max() - NEAR_DB
    assert error[near].max(initial=0) <= FLOAT32_NEAR_DB
    floor_db = 10 * np.log10(settings.amin) if settings.ref != "max" else theirs.min()
    assert error[theirs > floor_db].max(initial=0) <= FLOAT32_ANYWHERE_DB


@cache
def clip(path: Path, sample_rate: int) -> np.ndarray:
    return load_audio(path, sample_rate=sample_rate)


@pytest.fixture(scope="module")
def recordings(esc10_mini: Path) -> list[Path]:
    return sorted((esc10_mini / "audio").iterdir())


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize(
    ("ref", "top_db", "every"),
    [(1.0, 80.0, 1), ("max", 80.0, 5), (1.0, None, 5), ("max", None, 5)],  # these differ after the mel bands only
)
def test_agrees_with_librosa_on_real_sound(
    recordings: list[Path], precision: str, ref: float | str, top_db: float | None, every: int
):
    settings = LogMelSettings(precision=precision, ref=ref, top_db=top_db)
    for path in recordings[::every]:
        assert_agrees(clip(path, 22050), settings)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize(
    "assignments",
    [
        ["frontend.n_fft=1024", "frontend.hop_samples=320"],  # a hop that does not divide n_fft
        ["frontend.n_fft=400", "frontend.hop_samples=160", "frontend.n_mels=40"],  # n_fft is no power of two
        ["frontend.n_fft=512", "frontend.hop_samples=512", "frontend.n_mels=20"],  # frames that only touch
        ["frontend.n_mels=229"],  # narrow bands at the bottom
        ["frontend.n_mels=1"],
        ["frontend.n_mels=17"],  # one more than a group of bands
        ["frontend.fmin_hz=300", "frontend.fmax_hz=8000"],
        ["frontend.window=hamming"],
        ["frontend.window=blackman"],
        ["frontend.window=boxcar"],
        ["frontend.sample_rate=16000", "frontend.n_mels=64"],
        ["frontend.sample_rate=44100", "frontend.n_fft=4096", "frontend.hop_samples=1024"],
        ["frontend.amin=1e-5", "frontend.top_db=60"],
        ["frontend.ref=0.01", "frontend.top_db=20"],
    ],
    ids=lambda assignments: " ".join(text.removeprefix("frontend.") for text in assignments),
)
def test_agrees_with_librosa_for_other_settings(recordings: list[Path], precision: str, assignments: list[str]):
    settings = load_settings(None, [*assignments, f"frontend.precision={precision}"]).frontend
    for path in recordings[::20]:
        assert_agrees(clip(path, settings.sample_rate), settings)


EDGES = {
    "silence": np.zeros(22050, np.float32),
    "full scale": np.ones(22050, np.float32),
    "full-scale square": np.sign(np.sin(np.arange(22050) * 0.1)).astype(np.float32),
    "one click": np.eye(1, 22050, 11025, dtype=np.float32)[0],
    "nearly nothing": np.full(22050, 1e-20, np.float32),
    "one sample": np.ones(1, np.float32),
    "shorter than a frame": np.ones(700, np.float32),
    "one hop": np.ones(512, np.float32),
}


@pytest.mark.parametrize("ref", [1.0, "max"])
@pytest.mark.parametrize("top_db", [80.0, None])
@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("name", EDGES)
@pytest.mark.filterwarnings("ignore:n_fft=2048 is too large:UserWarning")
def test_agrees_with_librosa_at_the_edges(name: str, precision: str, top_db: float | None, ref: float | str):
    settings = LogMelSettings(precision=precision, top_db=top_db, ref=ref)
    assert_agrees(EDGES[name], settings)
    assert np.isfinite(get_frontend(settings)(EDGES[name])).all()


@pytest.mark.parametrize("n_fft", [2048, 400, 401, 2049])  # librosa pads by n_fft // 2, so odd ones lack a sample
@pytest.mark.parametrize("n_samples", [1, 159, 160, 161, 512, 1024, 110_250])
def test_n_frames_is_what_the_frontend_makes(n_fft: int, n_samples: int):
    settings = LogMelSettings(n_fft=n_fft, hop_samples=160, n_mels=10)
    assert n_frames(settings, n_samples) == len(get_frontend(settings)(np.ones(n_samples, np.float32)))


@pytest.mark.parametrize(
    "settings",
    [LogMelSettings(), LogMelSettings(n_mels=64, fmin_hz=50, fmax_hz=8000), LogMelSettings(sample_rate=16000)],
)
def test_band_hz_are_librosas_centres(settings: LogMelSettings):
    edges = librosa.mel_frequencies(n_mels=settings.n_mels + 2, fmin=settings.fmin_hz, fmax=settings.top_hz)
    band_hz = get_frontend(settings).band_hz
    np.testing.assert_array_equal(band_hz, edges[1:-1])
    assert band_hz.dtype == np.float64


def test_a_tone_is_loudest_in_the_band_of_its_frequency():
    tone = np.sin(2 * np.pi * 1000 * np.arange(22050) / 22050).astype(np.float32)
    frontend = get_frontend(LogMelSettings())
    loudest = frontend(tone).mean(axis=0).argmax()
    assert abs(frontend.band_hz[loudest] - 1000) < 30


def test_the_samples_are_not_changed():
    samples = np.linspace(-1, 1, 4096, dtype=np.float32)
    before = samples.copy()
    get_frontend(LogMelSettings())(samples)
    np.testing.assert_array_equal(samples, before)


def test_the_same_samples_give_the_same_bits(recordings: list[Path]):
    frontend, samples = get_frontend(LogMelSettings()), clip(recordings[0], 22050)
    np.testing.assert_array_equal(frontend(samples), frontend(samples.copy()))


def test_frame_s_are_centres_in_seconds():
    np.testing.assert_allclose(frame_s(LogMelSettings(), 3), [0, 512 / 22050, 1024 / 22050], rtol=0)
    assert frame_s(LogMelSettings(), 3).dtype == np.float64


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_features_of_rounds_to_the_stores_dtype_and_no_more(recordings: list[Path], dtype: str):
    settings = Settings(dtype=dtype)
    samples = clip(recordings[3], 22050)
    features = compute_features(samples, settings)
    exact = get_frontend(settings.frontend)(samples)
    assert features.dtype == np.dtype(dtype)
    assert np.abs(features.astype(np.float64) - exact).max() <= (FLOAT16_DB if dtype == "float16" else 0)


@pytest.mark.parametrize("name", ["hann", "hamming", "blackman", "boxcar"])
@pytest.mark.parametrize("length", [16, 255, 1024, 2048])
def test_windows_are_those_of_scipy(name: str, length: int):
    expected = scipy.signal.get_window(name, length, fftbins=True)
    np.testing.assert_array_equal(make_window(name, length), expected)


MEL_BANKS = [{}, {"sample_rate": 8000, "n_mels": 32}, {"n_mels": 64, "fmin_hz": 300.0, "fmax_hz": 8000.0}]
MEL_BANKS += [{"sample_rate": 44_100, "n_fft": 4096, "n_mels": 256}, {"sample_rate": 16_000, "fmax_hz": 900.0}]


@pytest.mark.parametrize("values", MEL_BANKS)
def test_the_mel_bank_is_that_of_librosa(values: dict):
    settings = LogMelSettings(**values)
    expected = librosa.filters.mel(
        sr=settings.sample_rate,
        n_fft=settings.n_fft,
        n_mels=settings.n_mels,
        fmin=settings.fmin_hz,
        fmax=settings.top_hz,
    )
    np.testing.assert_array_equal(make_mel_weights(settings), expected)
    np.testing.assert_array_equal(
        mel_hz(settings),
        librosa.mel_frequencies(n_mels=settings.n_mels + 2, fmin=settings.fmin_hz, fmax=settings.top_hz)[1:-1],
    )
