"""What the tests of all frontends share: real clips, odd sounds, odd frames."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import librosa
import numpy as np

from hubbub.audio.decode import load_audio
from hubbub.config.frontends import FourierFrames

PRECISIONS = ("float32", "float64")

OTHER_FRAMES: list[dict[str, Any]] = [
    {"n_fft": 1024, "hop_samples": 320},  # a hop that does not divide n_fft
    {"n_fft": 400, "hop_samples": 161},  # n_fft is no power of two, hop is odd
    {"n_fft": 401, "hop_samples": 160},  # librosa pads by n_fft // 2, so an odd one lacks a sample
    {"n_fft": 512, "hop_samples": 512},  # frames that only touch
    {"window": "hamming"},
    {"window": "blackman"},
    {"window": "boxcar"},
    {"sample_rate": 16000, "n_fft": 1024, "hop_samples": 256},
    {"sample_rate": 44100, "n_fft": 4096, "hop_samples": 1024},
    {"sample_rate": 8000, "n_fft": 512, "hop_samples": 127},
]

_TIME = np.arange(22050)

EDGES: dict[str, np.ndarray] = {
    "silence": np.zeros(22050, np.float32),
    "full scale": np.ones(22050, np.float32),
    "minus full scale": -np.ones(22050, np.float32),
    "full-scale square": np.sign(np.sin(_TIME * 0.1)).astype(np.float32),
    "one click": np.eye(1, 22050, 11025, dtype=np.float32)[0],
    "every sample a click": np.where(_TIME % 2, -1, 1).astype(np.float32),
    "nearly nothing": np.full(22050, 1e-20, np.float32),
    "silence, then sound": np.where(_TIME < 11025, 0, np.sin(_TIME * 0.05)).astype(np.float32),
    "ten times full scale": (10 * np.sin(_TIME * 0.3)).astype(np.float32),
    "one sample": np.ones(1, np.float32),
    "shorter than a frame": np.linspace(-1, 1, 700, dtype=np.float32),
    "one hop": np.ones(512, np.float32),
}


def words(case: Any) -> str:
    """Id of a parametrised case of settings."""
    return " ".join(f"{key}={value}" for key, value in case.items()) if isinstance(case, dict) else str(case)


def clips(esc10_mini: Path, *, every: int, sample_rate: int = 22050) -> list[np.ndarray]:
    """Every so many-th of the 100 clips in the repository."""
    return [_clip(path, sample_rate) for path in sorted((esc10_mini / "audio").iterdir())[::every]]


def librosa_frames(settings: FourierFrames) -> dict[str, Any]:
    """Arguments of librosa's spectral functions that say the same as `settings`."""
    return {
        "n_fft": settings.n_fft,
        "hop_length": settings.hop_samples,
        "window": settings.window,
        "pad_mode": "constant",
    }


def librosa_power(samples: np.ndarray, settings: FourierFrames) -> np.ndarray:
    """Power of librosa's `stft`, [bin, frame]."""
    return np.abs(librosa.stft(samples, **librosa_frames(settings))) ** 2


@cache
def _clip(path: Path, sample_rate: int) -> np.ndarray:
    return load_audio(path, sample_rate=sample_rate)
