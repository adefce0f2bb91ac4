"""Bundles of networks with random weights that score windows: small, and made in a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hubbub.audio.frontends import compute_features
from hubbub.config import Settings
from tests.data.detectors import LABELS, SETTINGS


def make_classifier(folder: Path, network: str = "default", settings: Settings = SETTINGS, **changed: Any) -> Path:
    """Write a bundle; `changed` are entries of bundle.json."""
    from hubbub.learn.dataset import BandStatistics
    from hubbub.learn.networks import Shape, find_recipe
    from hubbub.models.backends import import_keras, set_random_seed

    import_keras()
    set_random_seed(3)
    recipe, n_bands = find_recipe(network), settings.frontend.n_bands
    statistics = BandStatistics(np.full(n_bands, -40.0), np.full(n_bands, 12.0))
    shape = Shape(count_frames(settings), n_bands, len(LABELS), settings)
    model = recipe.build(shape, statistics, recipe.defaults.model)
    spread_scores(model, np.stack([compute_features(sound, settings) for sound in make_sounds(settings)]))
    entries = {"model": network, "summary": recipe.summary, "activation": recipe.activation, **changed}
    return write_classifier(folder, model, settings, **entries)


def write_classifier(folder: Path, network: Any, settings: Settings = SETTINGS, **changed: Any) -> Path:
    """Write the bundle of a network, a `keras.Model` that scores three labels."""
    from hubbub.models.bundle import write_bundle

    description = {
        "model": "any",
        "labels": LABELS,
        "activation": "sigmoid",
        "thresholds": dict(zip(LABELS, (0.5, 0.4, 0.6), strict=True)),
        "settings": settings.model_dump(mode="json"),
        "settings_hash": settings.hash,
        "window_s": settings.windows.input_s,
        "n_frames": count_frames(settings),
        "n_bands": settings.frontend.n_bands,
        **changed,
    }
    write_bundle(folder, network, description, "# A classifier of random weights\n")
    return folder


def count_frames(settings: Settings) -> int:
    """Frames of a window."""
    return settings.frontend.n_frames(round(settings.windows.input_s * settings.frontend.sample_rate))


MOST_SCALE = 100.0
"""Of the layer of scores: some networks give nearly the same with random weights, and more would be rounding."""


def spread_scores(model: Any, rows: np.ndarray) -> None:
    """Let scores differ between rows: what is alike everywhere would hide a mistake."""
    import keras

    layer = model.get_layer("scores")
    kernel = np.asarray(layer.get_weights()[0])
    hidden = np.asarray(keras.Model(model.inputs, layer.input).predict_on_batch(np.asarray(rows, np.float32)))
    logits = hidden @ kernel
    scale = np.minimum(1.5 / logits.std(axis=0), MOST_SCALE)
    layer.set_weights([kernel * scale, -logits.mean(axis=0) * scale])


def make_sounds(settings: Settings) -> np.ndarray:
    """Windows of noise, smooth and rough, soft and loud: float32 [window, sample]."""
    length = round(settings.windows.input_s * settings.frontend.sample_rate)
    rng = np.random.default_rng(2)
    noise = [np.convolve(rng.normal(0, 0.3, length), np.ones(1 + n % 4) / (1 + n % 4), "same") for n in range(16)]
    return (np.stack(noise) * 10.0 ** -np.linspace(0, 2, 16)[:, None]).astype(np.float32)


def make_head(folder: Path, backbone: Path, *, dtype: str = "float32") -> Path:
    """Write a head on embeddings of a model, a bundle or a YAML file, which it keeps a copy of."""
    import keras

    from hubbub.config import Windows
    from hubbub.config.frontends import EmbeddingSettings
    from hubbub.models.copies import copy_model
    from hubbub.models.heads import BACKBONE
    from hubbub.models.opening import open_embedder

    model = open_embedder(backbone)
    assert model.dimension is not None
    frontend = EmbeddingSettings(
        sample_rate=model.settings.frontend.sample_rate,
        model=backbone.name,
        model_hash=model.model_hash,
        dimension=model.dimension,
    )
    windows = Windows(mode="all", duration_s=model.settings.windows.input_s)
    settings = Settings(frontend=frontend, windows=windows, dtype=dtype)  # type: ignore[arg-type]
    keras.utils.set_random_seed(4)
    features = keras.Input((1, model.dimension), name="features")
    hidden = keras.layers.Flatten()(features)
    scores = keras.layers.Dense(len(LABELS), activation="sigmoid", name="scores")(hidden)
    network = keras.Model(features, scores)
    spread_scores(network, model.embed(model.prepare(make_sounds(model.settings)))[:, None])
    write_classifier(folder, network, settings)
    copy_model(backbone, folder / BACKBONE)
    return folder
