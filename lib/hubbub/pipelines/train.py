"""Train a model on a feature store. What ``hubbub train`` does."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubbub.config.network_features import check_network
from hubbub.errors import UsageError
from hubbub.io.paths import StoragePath, is_local
from hubbub.models.backends import import_keras
from hubbub.pipelines.inputs import as_path, as_recipe_settings, as_store, choose_model
from hubbub.pipelines.json_log import JsonLog
from hubbub.pipelines.reporting import Reporter, choose_reporter, show_epochs, show_rows
from hubbub.store.features import FeatureStore

if TYPE_CHECKING:
    from hubbub.config.recipes import RecipeSettings
    from hubbub.learn.train import TrainResult
    from hubbub.pipelines.inputs import PathLike


def train(
    store: PathLike | FeatureStore,
    out: PathLike,
    *,
    model: str | None = None,
    test_fold: int | None = None,
    split_by: str | None = None,
    settings: RecipeSettings | Mapping[str, Any] | PathLike | None = None,
    weights: str | os.PathLike[str] | None = None,
    epochs: int | None = None,
    seed: int = 0,
    backgrounds: PathLike | None = None,
    negatives: PathLike | None = None,
    unlabelled: PathLike | None = None,
    teacher: PathLike | None = None,
    allow_leakage: bool = False,
    log_json: str | Path | None = None,
    progress: bool = False,
    reporter: Reporter | None = None,
) -> TrainResult:
    """Train a model; see `hubbub.train`, which returns the bundle."""
    reporter = choose_reporter(reporter, progress=progress)
    folder = as_output_folder(out)
    log = JsonLog(None if log_json is None else Path(log_json), "train", reporter.warn)
    opened = as_store(store)
    model = choose_model(opened, model, reporter.say)
    check_network(model, opened.settings, str(opened.path))  # before Keras takes its seconds
    chosen = as_recipe_settings(model, settings)
    extra: dict[str, Any] = {
        name: None if path is None else require_local(as_path(path, name), "copy the recordings here first")
        for name, path in {"backgrounds": backgrounds, "negatives": negatives, "unlabelled": unlabelled}.items()
    }
    extra["teacher"] = None if teacher is None else require_local(as_path(teacher, "teacher"), "copy the bundle here")
    with reporter.show_waiting("loading Keras"):
        import_keras()
        from hubbub.learn.train import train as train_model
    with show_rows(reporter, "frozen layers") as show_frozen, show_epochs(reporter, "train") as show:
        result = train_model(
            opened,
            folder,
            model=model,
            test_fold=test_fold,
            split_by=split_by,
            settings=chosen,
            weights=weights,
            epochs=epochs,
            seed=seed,
            **extra,
            allow_leakage=allow_leakage,
            on_warning=reporter.warn,
            on_epoch=_log_and_show(log, show),
            on_rows=show_frozen,
        )
    log.write(
        "end",
        model=result.model,
        rows=result.rows,
        kept_epoch=result.kept_epoch,
        seconds=result.seconds,
        warnings=list(result.warnings),
    )
    return result


def _log_and_show(log: JsonLog, show: Callable[..., None]) -> Callable[[dict[str, float]], None]:
    def on_epoch(line: dict[str, float]) -> None:
        log.write("epoch", **line)
        show(line)

    return on_epoch


def as_output_folder(out: PathLike) -> Path:
    """Take the folder of a bundle to make; raises `UsageError` for one in a bucket."""
    return require_local(as_path(out, "out"), "train into a folder here, then copy it: --model reads s3://, too")


def require_local(path: StoragePath, instead: str) -> Path:
    """Return the absolute path of an output that is written on this machine only.

    Parameters
    ----------
    instead
        What to do about an output in a bucket.

    Raises
    ------
    UsageError
        For a path in a bucket.
    """
    if not is_local(path):
        raise UsageError(f"-o {path}: expected a folder on this machine; {instead}")
    return path.resolve()
