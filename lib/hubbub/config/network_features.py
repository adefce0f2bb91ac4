"""Features that each network is made for, so that `hubbub features` can make them without Keras.

Any network trains on any store; what is here is what its authors trained it on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hubbub.config import Settings, nest_settings, parse_settings
from hubbub.config.recipes import default_settings
from hubbub.errors import TrainingError

HEADS = ("linear", "dense")
"""Networks that train on embeddings, which a model makes; the first is the default."""

_ANY_EMBEDDING = {
    "frontend.name": "embedding",
    "frontend.model": "any",
    "frontend.model_hash": 16 * "0",
    "frontend.dimension": 1024,
    "windows.mode": "all",
}
"""Of no model in particular, to build heads for that are only counted."""

FEATURES: Mapping[str, Mapping[str, Any]] = {
    # Each picture relative to its own peak, as librosa's power_to_db(ref=np.max) makes them.
    "cnn-64": {"frontend.ref": "max"},
    # 2.95 s are 128 frames; training takes another stretch of each recording at every epoch.
    "cnn-128": {
        "frontend.sample_rate": 44_100,
        "frontend.n_fft": 1024,
        "frontend.hop_samples": 1024,
        "windows.mode": "random",
        "windows.crop_s": 2.95,
    },
    "cnn-stft-32": {
        "frontend.name": "stft-db",
        "frontend.sample_rate": 16_000,
        "frontend.n_fft": 256,
        "frontend.hop_samples": 128,
    },
    # Frames of 40 ms, half of each shared with the next.
    "crnn": {
        "frontend.sample_rate": 44_100,
        "frontend.n_fft": 1764,
        "frontend.hop_samples": 882,
        "frontend.n_mels": 40,
    },
    **dict.fromkeys(HEADS, _ANY_EMBEDDING),
}
"""Changes to the default settings of features, by the name of a network; networks that are not here take the defaults.
"""


def choose_features(model: str) -> Settings:
    """Return the settings of the features that a network is made for.

    Parameters
    ----------
    model
        Name of the recipe.

    Raises
    ------
    hubbub.errors.TrainingError
        There is no such model; says the nearest.
    """
    default_settings(model)  # refuses a name that is none
    return parse_settings(nest_settings(FEATURES.get(model, {})), where=model)


def choose_network(settings: Settings) -> str:
    """Return the network that trains on a store of such rows where nobody names one."""
    return HEADS[0] if settings.frontend.name == "embedding" else "default"


def check_network(model: str, settings: Settings, store: str) -> None:
    """Refuse a head on spectrograms, or a network for spectrograms on embeddings.

    Parameters
    ----------
    model
        Name of the recipe.
    settings, store
        Of the store's rows, and where it lies, for messages.

    Raises
    ------
    TrainingError
        With what to type instead.
    """
    is_head, holds_embeddings = model in HEADS, settings.frontend.name == "embedding"
    if is_head and not holds_embeddings:
        raise TrainingError(
            f"{model} trains on embeddings, and {store} holds {settings.frontend.name} features; make a store of "
            "embeddings with: hubbub embed CLIPS --model MODEL -o STORE, or use --model default"
        )
    if holds_embeddings and not is_head:
        raise TrainingError(
            f"{model} trains on spectrograms, and {store} holds embeddings; use --model {' or '.join(HEADS)}, or make "
            "spectrograms with: hubbub features CLIPS -o STORE"
        )
