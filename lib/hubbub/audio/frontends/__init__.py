"""Frontends by name: a waveform to frames x bands, one family a file.

Every frontend is made from its settings once, then called with one window of samples at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib import import_module
from typing import Protocol

import numpy as np
import numpy.typing as npt

from hubbub.config import Settings
from hubbub.config.frontends import Decibels, Frames, FrontendSettings
from hubbub.errors import NonFiniteFeatures

_CLASSES = {
    "log-mel": "log_mel.LogMel",
    "mel": "mel.Mel",
    "stft-db": "stft_db.StftDb",
    "log-frequency": "log_frequency.LogFrequency",
    "mfcc": "mfcc.Mfcc",
    "chroma": "chroma.Chroma",
    "pcen": "pcen.Pcen",
    "descriptors": "descriptors.Descriptors",
    "waveform": "waveform.Waveform",
    "embedding": "embedding.Embedding",
}


class Frontend(Protocol):
    """What every frontend offers.

    Attributes
    ----------
    band_hz
        float64 [band], centre frequencies; NaN where a band is no frequency, as a cepstral coefficient is none.
    band_names
        One name a band, such as ``mel_440``, ``mfcc_1`` or ``spectral_centroid``, all different.
    units
        Unit of the values: ``dB``, or ``1`` where they have none, or differ from band to band.
    long_name
        What the values are, in words.
    """

    band_hz: npt.NDArray[np.float64]
    band_names: Sequence[str]
    units: str
    long_name: str

    def __call__(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Transform float32 [samples] at the settings' rate to float32 [frame, band]."""


@lru_cache(maxsize=8)
def get_frontend(settings: Frames) -> Frontend:
    """Make the frontend that settings name; kept, because filter banks take time to build."""
    module, _, name = _CLASSES[settings.name].partition(".")  # type: ignore[attr-defined]
    return getattr(import_module(f"{__name__}.{module}"), name)(settings)


def compute_features(samples: npt.NDArray[np.float32], settings: Settings) -> npt.NDArray[np.floating]:
    """One window of samples to features [frame, band], rounded to the dtype that stores hold.

    Training rows and labelling windows both pass here, so a model meets what it was trained on.

    Raises
    ------
    NonFiniteFeatures
        When a value is not a number, or more than the dtype holds.
    """
    return cast_features(get_frontend(settings.frontend)(samples), settings)


def compute_stream(samples: npt.NDArray[np.float32], settings: Settings) -> npt.NDArray[np.floating]:
    """Frames of a stretch of a recording, [frame, band]: decibels get no floor of the stretch's own.

    A frame is then what it is in any other stretch around it. Errors of `compute_features`.
    """
    frontend: Frames = settings.frontend
    if frontend.is_db and isinstance(frontend, Decibels):
        frontend = frontend.model_copy(update={"top_db": None})
    return cast_features(get_frontend(frontend)(samples), settings)


def compute_row(samples: npt.NDArray[np.float32], settings: Settings) -> npt.NDArray[np.floating]:
    """Compute one row of a store; decibels that training crops get no floor or peak of the whole row.

    Each crop gets its own floor and peak, as the windows at labelling do. Errors of `compute_features`.
    """
    frontend: Frames = settings.frontend
    if settings.windows.crop_s is not None and frontend.is_db and isinstance(frontend, Decibels):
        own = {"top_db": None} | ({"ref": 1.0} if frontend.ref == "max" else {})
        frontend = frontend.model_copy(update=own)
    return cast_features(get_frontend(frontend)(samples), settings)


def cast_features(features: npt.NDArray[np.float32], settings: Settings) -> npt.NDArray[np.floating]:
    """Round values to the dtype that stores hold; raises `NonFiniteFeatures` for what does not fit."""
    highest, lowest, most = float(features.max()), float(features.min()), float(np.finfo(settings.dtype).max)
    if not (highest <= most and lowest >= -most):  # so written, NaN is caught too
        raise NonFiniteFeatures(f"features from {lowest:g} to {highest:g} do not fit {settings.dtype}")
    return features.astype(settings.dtype)


def n_frames(settings: Frames, n_samples: int) -> int:
    """Frames that `n_samples` make: one at every hop, the first centred on sample 0."""
    return settings.n_frames(n_samples)


def frame_s(settings: FrontendSettings, count: int) -> npt.NDArray[np.float64]:
    """Centre times of the first `count` frames in seconds from a window's start, float64 [frame]."""
    return np.arange(count, dtype=np.float64) * (settings.hop_samples / settings.sample_rate)
