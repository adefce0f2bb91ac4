"""Bundles of hubbub's own networks as they are built, untrained: as good to embed with, and made in a second."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from hubbub.config import LogMelSettings, Settings, Windows
from hubbub.models.bundle import write_bundle

RATE, WINDOW_S = 8000, 0.5
SETTINGS = Settings(
    frontend=LogMelSettings(sample_rate=RATE, n_fft=512, hop_samples=250, n_mels=16),
    windows=Windows(duration_s=WINDOW_S),
)
"""17 frames of 16 bands."""

LABELS = ["hiss", "hum", "ring"]


def write_untrained(folder: Path, name: str = "seed-cnn", settings: Settings = SETTINGS, **changed: Any) -> Path:
    """Write the bundle of a recipe's network; `changed` are entries of its description."""
    import keras

    from hubbub.learn.crops import input_frames
    from hubbub.learn.dataset import BandStatistics
    from hubbub.learn.networks import Shape, find_recipe

    recipe, n_bands = find_recipe(name), settings.frontend.n_bands
    shape = Shape(input_frames(settings), n_bands, len(LABELS), settings)
    statistics = BandStatistics(np.full(n_bands, -40.0), np.full(n_bands, 15.0))
    keras.utils.set_random_seed(0)
    network = recipe.build(shape, statistics, recipe.defaults.model)
    frames = None if recipe.plan_frames is None else asdict(recipe.plan_frames(settings))
    description = {
        "model": name,
        "labels": LABELS,
        "activation": recipe.activation,
        "thresholds": dict.fromkeys(LABELS, 0.5),
        "settings": settings.model_dump(mode="json"),
        "settings_hash": settings.hash,
        "window_s": settings.windows.input_s,
        "n_frames": shape.n_frames,
        "n_bands": n_bands,
        "frames": frames,
        "standardisation": {"mean_db": statistics.mean.tolist(), "std_db": statistics.std.tolist()},
    }
    write_bundle(folder, network, description | changed, "# Untrained\n")
    return folder
