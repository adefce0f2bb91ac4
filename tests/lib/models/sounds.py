"""Windows and recordings of noise for untrained networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from tests.untrained import RATE, WINDOW_S


def draw_windows(count: int) -> np.ndarray:
    """float32 [window, sample]."""
    return np.random.default_rng(count).normal(0, 0.1, (count, round(WINDOW_S * RATE))).astype(np.float32)


def write_recording(path: Path, seconds: float, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE)), RATE)
