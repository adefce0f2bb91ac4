"""A detector bundle with random weights: small, made in seconds, and as particular about frames as a trained one."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from hubbub.config import LogMelSettings, Settings, Windows
from hubbub.labels.events import EventRule

SETTINGS = Settings(
    frontend=LogMelSettings(sample_rate=8000, n_fft=512, hop_samples=200, n_mels=16), windows=Windows(duration_s=2.0)
)
LABELS = ["dog", "rain", "siren"]
RULE = EventRule(0.5, 0.4, 0.1, 0.2, step_s=0.5)


def make_detector(folder: Path, **changed: Any) -> Path:
    """Write a bundle; `changed` are entries of bundle.json."""
    if changed:
        return _write(folder, **changed)
    shutil.copytree(_write_once(), folder)
    return folder


@cache
def _write_once() -> Path:
    """One bundle a process: building and exporting a network takes seconds."""
    folder = Path(tempfile.mkdtemp(prefix="hubbub-detector-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return _write(folder / "bundle")


def _write(folder: Path, **changed: Any) -> Path:
    from hubbub.learn.dataset import BandStatistics
    from hubbub.learn.networks import Shape, find_recipe
    from hubbub.models.backends import import_keras, set_random_seed
    from hubbub.models.bundle import write_bundle

    import_keras()
    set_random_seed(3)
    recipe = find_recipe("detector")
    assert recipe.plan_frames is not None
    n_bands = SETTINGS.frontend.n_bands
    statistics = BandStatistics(np.full(n_bands, -40.0), np.full(n_bands, 12.0))
    model = recipe.build(Shape(80, n_bands, len(LABELS), SETTINGS), statistics, recipe.defaults.model)
    rng = np.random.default_rng(5)
    # Scores that vary from frame to frame: what is near 0 everywhere would hide a wrong cut.
    biases = np.array([-3.4, -4.5, 7.1], "f4")
    model.get_layer("scores").set_weights([3 * rng.normal(0, 1, (96, 3)).astype("f4"), biases])
    frames = recipe.plan_frames(SETTINGS)
    description = {
        "model": "detector",
        "labels": LABELS,
        "activation": "sigmoid",
        "thresholds": dict.fromkeys(LABELS, 0.5),
        "rules": {label: RULE.to_dict() for label in LABELS},
        "settings": SETTINGS.model_dump(mode="json"),
        "settings_hash": SETTINGS.hash,
        "window_s": 2.0,
        "n_frames": 81,
        "n_bands": n_bands,
        "frames": asdict(frames),
        **changed,
    }
    compared = rng.normal(-40, 12, (2, 80, n_bands)).astype(np.float32)
    write_bundle(folder, model, description, "# A detector of random weights\n", compared=compared)
    return folder
