"""The description of a trained bundle: calibration, standardisation, provenance."""

from __future__ import annotations

import platform
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import keras
import numpy as np

from hubbub import __version__
from hubbub.learn.calibrate import Calibration, calibrate
from hubbub.learn.checkpoints import State
from hubbub.learn.diagnosis import THRESHOLD
from hubbub.learn.frames import predict_clips
from hubbub.learn.splits import Split
from hubbub.learn.streams import VALIDATION_ROWS, iterate_rows, plan_validation_pass
from hubbub.learn.training_job import TrainingJob

_CALIBRATION_TAKES = 4  # times that each validation row is scored, with other noise each time


def calibrate_on_validation(job: TrainingJob, model: keras.Model) -> Calibration | None:
    """Choose the threshold on validation rows as labelling will meet them: among quiet noise, and noise alone."""
    if not len(job.split.validation):
        return None
    policy = job.policy
    policy = None if policy is None else policy.for_validation()
    scores, targets = [], []
    for take in range(_CALIBRATION_TAKES if policy is not None else 1):
        for step, (features, wanted) in enumerate(iterate_rows(plan_validation_pass(job), job.target_table)):
            if policy is not None:
                features, wanted = policy(features, wanted, np.random.default_rng([job.seed, take, step]))
            scores.append(predict_clips(model, features, job.frames, batch_rows=VALIDATION_ROWS))
            targets.append(wanted if job.frames is None else wanted.max(axis=1))
    return calibrate(np.concatenate(scores), np.concatenate(targets))


def describe_bundle(job: TrainingJob, state: State, calibration: Calibration | None) -> dict[str, Any]:
    """What `bundle.json` says."""
    settings = job.store.settings
    kept = state.history[state.kept_epoch - 1]
    return {
        "model": job.recipe.name,
        "summary": job.recipe.summary,
        "labels": list(job.split.labels),
        "activation": job.recipe.activation,
        "multilabel": job.split.is_multilabel,
        "thresholds": dict.fromkeys(job.split.labels, THRESHOLD if calibration is None else calibration.threshold),
        "calibration": None if calibration is None else asdict(calibration),
        "settings": settings.model_dump(mode="json"),
        "settings_hash": settings.hash,
        "window_s": settings.windows.input_s,
        "n_frames": job.shape.n_frames,
        "n_bands": job.shape.n_bands,
        "frames": None if job.frames is None else asdict(job.frames),
        "standardisation": _standardisation(job),
        "split": asdict(job.rule),
        "rows": _counts(job.split),
        "metrics": {name: kept[name] for name in ("val_loss", "val_accuracy") if name in kept},
        "kept_epoch": state.kept_epoch,
        "history": state.history,
        "recipe_settings": job.recipe_settings.model_dump(mode="json"),
        "weights": None if job.weights is None else job.weights.describe(),
        "command": job.command,
        "provenance": _provenance(job),
    }


def _standardisation(job: TrainingJob) -> dict[str, list[float]]:
    statistics, unit = job.statistics, "_db" if job.store.settings.frontend.is_db else ""
    return {f"mean{unit}": statistics.mean.tolist(), f"std{unit}": statistics.std.tolist()}


def _provenance(job: TrainingJob) -> dict[str, Any]:
    return {
        "store": str(job.store.path),
        "seed": job.seed,
        "trained_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "backend": keras.config.backend(),
        "versions": {"hubbub": __version__, "python": platform.python_version()} | _versions(),
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in ("keras", "numpy", "tensorflow", "tensorflow-cpu", "jax", "torch"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _counts(split: Split) -> dict[str, int]:
    sizes = {name: len(getattr(split, name)) for name in ("train", "validation", "test")}
    return {**sizes, "skipped": split.skipped}
