"""Train a model on a feature store; after a kill, the same command resumes.

Work happens beside the bundle, which gets its name only when it is whole::

    BUNDLE.partial/
      command.json             what is being trained, on what: another command is refused
      checkpoints/             `hubbub.learn.checkpoints`
      logs/                    for TensorBoard
"""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from hubbub.config import describe_difference
from hubbub.config.recipes import RecipeSettings, choose_recipe_settings
from hubbub.errors import BundleError, TrainingError
from hubbub.io.atomic import explain_write_errors, write_json
from hubbub.io.folders import refuse_foreign_folder
from hubbub.learn.augment import Augmentation
from hubbub.learn.card import model_card
from hubbub.learn.checkpoints import State, kept_model, last_checkpoint, save_checkpoint
from hubbub.learn.dataset import BandStatistics
from hubbub.learn.describe import calibrate_on_validation, describe_bundle
from hubbub.learn.precision import in_float32, use_precision
from hubbub.learn.smoothing import smooth_targets
from hubbub.learn.streams import make_dataset, plan_training_pass, plan_validation_pass
from hubbub.learn.tf_data import Failures
from hubbub.learn.training_job import TrainingJob, plan_training
from hubbub.models.bundle import DESCRIPTION, read_description, write_bundle
from hubbub.store.features import FeatureStore

OnEpoch = Callable[[dict[str, float]], None]
COMMAND, CHECKPOINTS, LOGS = "command.json", "checkpoints", "logs"

SMOOTHED_EPOCHS = 5
"""Epochs whose validation losses are averaged to judge one: a few dozen rows flatter some epochs by chance."""


@dataclass(frozen=True)
class TrainResult:
    """What a training made."""

    bundle: Path
    """Where the bundle is."""

    model: str
    """Name of the model."""

    labels: tuple[str, ...]
    """Labels it tells apart."""

    rows: dict[str, int]
    """Rows of `train`, `validation` and `test`, and those `skipped` because they carry no label."""

    history: tuple[dict[str, float], ...]
    """One line an epoch: epoch, loss, accuracy, learning_rate; val_loss and val_accuracy where rows validate."""

    kept_epoch: int
    """The epoch whose weights are in the bundle, from 1."""

    resumed_epoch: int
    """Epochs that an earlier, killed run had done; 0 for none."""

    seconds: float
    """How long this run trained."""

    was_done: bool
    """Whether the bundle was there already, made by the same command."""


@keras.saving.register_keras_serializable(package="hubbub")
class LabelledAccuracy(keras.metrics.Mean):
    """Share of rows whose highest score is at their highest target; negatives (all targets 0) do not count."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count one batch: targets and scores, [row, label]."""
        ops = keras.ops
        right = ops.equal(ops.argmax(y_true, axis=-1), ops.argmax(y_pred, axis=-1))
        labelled = ops.cast(ops.max(y_true, axis=-1) > 0, "float32")
        super().update_state(ops.cast(right, "float32"), sample_weight=labelled)


def train(
    store: str | Path | FeatureStore,
    out: str | Path,
    *,
    model: str = "default",
    test_fold: int | None = None,
    split_by: str | None = None,
    settings: RecipeSettings | Mapping[str, Any] | None = None,
    epochs: int | None = None,
    seed: int = 0,
    validation_share: float | None = None,
    on_epoch: OnEpoch | None = None,
) -> TrainResult:
    """Train a model and write its bundle.

    Sets Keras's global seed; on one kind of CPU equal arguments make equal weights, also when killed and resumed.

    Parameters
    ----------
    store
        Feature store, or its folder.
    out
        Folder of the bundle, new; or one that the same command made before, which is then left as it is.
    model
        Name of a recipe (`hubbub.learn.networks.NAMES`).
    test_fold, split_by
        Which rows test (`choose_rule`). Test rows are not read.
    settings
        The recipe's, or changes to them such as ``{"model.learning_rate": 0.001}`` (`hubbub.config.recipes`).
    epochs, validation_share
        Short for ``train.epochs`` and ``train.validation_share``.
    seed
        Decides weights, order, augmentation and which groups validate.
    on_epoch
        Called after each epoch with its line of the history and `epochs`.

    Raises
    ------
    SettingsError
        A setting is unknown or out of range.
    TrainingError
        The rows cannot train or test a model, one of them is missing or not what was written, or an unfinished training
        of another command is in the way.
    StoreError, BundleError
        The store cannot be opened, or `out` holds something else.
    StorageError
        The disk is full or permission is missing.
    """
    started = time.monotonic()
    chosen = choose_recipe_settings(model, settings, epochs=epochs, validation_share=validation_share)
    job = plan_training(store, Path(out), model, test_fold, split_by, chosen, seed)
    if _is_done(job):
        shutil.rmtree(job.partial, ignore_errors=True)
        return _result(job, read_description(job.out), resumed=0, started=started, was_done=True)
    with explain_write_errors(job.partial):
        _prepare_folder(job)
        state, trained = _resume(job)
        resumed = state.epoch
        if not (state.stopped or state.epoch >= job.epochs):
            _fit(job, state, trained, on_epoch)
        _finish(job, state)
    return _result(job, read_description(job.out), resumed=resumed, started=started, was_done=False)


def _is_done(job: TrainingJob) -> bool:
    """Whether the bundle is there, by this command; refuses one by another, or something else in its place."""
    if not (job.out / DESCRIPTION).exists():
        refuse_foreign_folder(job.out, DESCRIPTION, "the bundle")
        return False
    made_by = read_description(job.out).get("command", {})
    if made_by != job.command:
        raise BundleError(
            f"{job.out} holds another model, made with {_changes(made_by, job)}. Give another -o, or delete it"
        )
    return True


def _prepare_folder(job: TrainingJob) -> None:
    """Make the working folder, or find one that this command left."""
    refuse_foreign_folder(job.partial, COMMAND, "unfinished work on the bundle")
    job.partial.mkdir(parents=True, exist_ok=True)
    file = job.partial / COMMAND
    if not file.exists():
        write_json(file, job.command)
    try:
        begun = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise TrainingError(f"{file} cannot be read ({error}); delete {job.partial} to begin anew") from None
    if begun != job.command:
        raise TrainingError(
            f"{job.partial} is unfinished work of another command, with {_changes(begun, job)}. "
            f"Run that command again to finish it, give another -o, or delete {job.partial} to begin anew"
        )


def _changes(earlier: dict[str, Any], job: TrainingJob) -> str:
    """What another command had, and this one has not: ``seed: 1, not 0``."""
    lines = describe_difference(earlier, job.command)
    # Which rows train follows from the rest, unless the store itself has changed.
    asked = [line for line in lines if not line.startswith("rows.")]
    return "; ".join(asked) or "other rows or labels in the store"


def _resume(job: TrainingJob) -> tuple[State, keras.Model]:
    """The last whole checkpoint, or a new model."""
    keras.utils.set_random_seed(job.seed)
    statistics = job.statistics  # also where they are known: nothing trains on rows that have changed since
    return last_checkpoint(job.partial / CHECKPOINTS) or (State(), _compile_model(job, statistics))


def _compile_model(job: TrainingJob, statistics: BandStatistics) -> keras.Model:
    settings = job.recipe_settings
    with use_precision(settings.train.precision):
        model = job.recipe.build(job.shape, statistics, settings.model)
    optimizer = job.recipe.optimizer(job.epochs * _steps(job), settings.model)
    metrics = [LabelledAccuracy(name="accuracy")]
    model.compile(optimizer, loss=job.recipe.loss, metrics=metrics, jit_compile=settings.train.jit)
    return model


def _steps(job: TrainingJob) -> int:
    """Batches an epoch; a last, smaller one is left out, and other rows fall into it every time."""
    return len(job.split.train) // job.batch_rows


def _fit(job: TrainingJob, state: State, model: keras.Model, on_epoch: OnEpoch | None) -> None:
    """Train epoch after epoch, each ending in a checkpoint, until the last or until nothing gets better."""
    from tensorboard.summary import Writer  # type: ignore[import-untyped]

    policy = smooth_targets(job.policy, job.recipe_settings.train.label_smoothing)
    logs = Writer(str(job.partial / LOGS))
    try:
        while state.epoch < job.epochs and not state.stopped:
            line = _one_epoch(job, state.epoch, model, policy)
            _update_best_epoch(job, state, line)
            save_checkpoint(job.partial / CHECKPOINTS, state, model)
            for name, value in line.items():
                logs.add_scalar(name, value, state.epoch)
            logs.flush()
            if on_epoch is not None:
                on_epoch({**line, "epochs": job.epochs})
    finally:
        logs.close()


def _one_epoch(job: TrainingJob, epoch: int, model: keras.Model, policy: Augmentation | None) -> dict[str, float]:
    """Show the model every training row once; return the epoch's line of the history."""
    _reseed(model, job.seed, epoch)
    learning_rate = float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))
    training_rows, validation_rows = plan_training_pass(job, epoch), plan_validation_pass(job)
    failures, n_labels = Failures(), job.shape.n_labels
    with failures.raised():
        fitted = model.fit(
            make_dataset(training_rows, n_labels, failures, policy),
            steps_per_epoch=training_rows.n_batches,
            validation_data=make_dataset(validation_rows, n_labels, failures) if validation_rows.n_batches else None,
            validation_steps=validation_rows.n_batches or None,
            initial_epoch=epoch,
            epochs=epoch + 1,
            shuffle=False,
            verbose=0,
        )
    line = {name: float(values[-1]) for name, values in fitted.history.items()}
    if not math.isfinite(line["loss"]):
        raise TrainingError(
            f"the loss of epoch {epoch + 1} is {line['loss']}; try again with another --seed, "
            "and check the store: hubbub verify STORE"
        )
    return {"epoch": epoch + 1, **line, "learning_rate": learning_rate}


def _reseed(model: keras.Model, seed: int, epoch: int) -> None:
    """Let dropout depend on the seed and the epoch alone, not on how often the training was interrupted."""
    for position, layer in enumerate(model.layers):
        if (generator := getattr(layer, "seed_generator", None)) is not None:
            drawn = np.random.SeedSequence([seed, epoch, position]).generate_state(2)
            generator.state.assign(drawn.astype("uint32"))


def _update_best_epoch(job: TrainingJob, state: State, line: dict[str, float]) -> None:
    """Enter an epoch into the books: whether it is the best so far, and whether to stop."""
    state.epoch += 1
    state.history.append(line)
    recent = [line["val_loss"] for line in state.history[-SMOOTHED_EPOCHS:] if "val_loss" in line]
    loss = sum(recent) / len(recent) if recent else -math.inf
    if loss <= state.kept_loss:
        state.kept_epoch, state.kept_loss = state.epoch, loss
    patience = max(10, math.ceil(job.recipe_settings.train.patience * job.epochs))
    state.stopped = state.epoch - state.kept_epoch >= patience


def _finish(job: TrainingJob, state: State) -> None:
    """Make the bundle from the best checkpoint, give it its name, and clear the workshop away."""
    model = in_float32(kept_model(job.partial / CHECKPOINTS, state), job)
    draft = job.partial / "bundle"
    shutil.rmtree(draft, ignore_errors=True)
    description = describe_bundle(job, state, calibrate_on_validation(job, model))
    write_bundle(draft, model, description, model_card(description))
    if (job.partial / LOGS).exists():
        shutil.copytree(job.partial / LOGS, draft / LOGS)
    os.rename(draft, job.out)
    shutil.rmtree(job.partial, ignore_errors=True)


def _result(
    job: TrainingJob, description: dict[str, Any], *, resumed: int, started: float, was_done: bool
) -> TrainResult:
    return TrainResult(
        bundle=job.out,
        model=job.recipe.name,
        labels=tuple(description["labels"]),
        rows=description["rows"],
        history=tuple(description["history"]),
        kept_epoch=description["kept_epoch"],
        resumed_epoch=resumed,
        seconds=time.monotonic() - started,
        was_done=was_done,
    )
