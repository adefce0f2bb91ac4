"""Frontends by name: a waveform to frames x bands, one family a file.

Every frontend is made from its settings once, then called with one window of samples at a time.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

from hubbub.config import Frontend, Settings


class FrontendCall(Protocol):
    """What every frontend offers.

    Attributes
    ----------
    band_hz
        float64 [band], centre frequencies.
    """

    band_hz: npt.NDArray[np.float64]

    def __call__(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Transform float32 [samples] at the settings' rate to float32 [frame, band]."""


@lru_cache(maxsize=8)
def frontend_of(settings: Frontend) -> FrontendCall:
    """Make the frontend that settings name; kept, because filter banks take time to build."""
    from hubbub.audio.frontends.log_mel import LogMel

    return {"log-mel": LogMel}[settings.name](settings)


def features_of(samples: npt.NDArray[np.float32], settings: Settings) -> npt.NDArray[np.floating]:
    """One window of samples to features [frame, band], rounded to the dtype that stores hold.

    Training rows and labelling windows both pass here, so a model meets what it was trained on.
    """
    return frontend_of(settings.frontend)(samples).astype(settings.dtype)


def n_frames(settings: Frontend, n_samples: int) -> int:
    """Frames that `n_samples` make: one at every hop, the first centred on sample 0."""
    padding = settings.n_fft // 2 * 2
    return 1 + (n_samples + padding - settings.n_fft) // settings.hop_samples


def frame_s(settings: Frontend, count: int) -> npt.NDArray[np.float64]:
    """Centre times of the first `count` frames in seconds from a window's start, float64 [frame]."""
    return np.arange(count, dtype=np.float64) * (settings.hop_samples / settings.sample_rate)
