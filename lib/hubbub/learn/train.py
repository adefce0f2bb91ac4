"""Train a model on a feature store; after a kill, the same command resumes.

Work happens beside the bundle, which gets its name only when it is whole::

    BUNDLE.partial/
      command.json             what is being trained, on what: another command is refused
      memory.json              bytes of rows shuffled together, the same after a kill on a machine that has others free
      checkpoints/             `hubbub.learn.checkpoints`
      logs/                    for TensorBoard
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from hubbub.config import describe_difference
from hubbub.config.network_features import choose_network
from hubbub.config.recipes import RecipeSettings, choose_recipe_settings
from hubbub.errors import BundleError, HubbubError, TrainingError
from hubbub.io.atomic import explain_write_errors, write_json
from hubbub.io.folders import refuse_foreign_folder
from hubbub.learn.card import model_card
from hubbub.learn.checkpoints import State, copy_kept_model, restore_checkpoint
from hubbub.learn.describe import calibrate_on_validation, describe_bundle
from hubbub.learn.diagnosis import find_split_warnings, find_training_warnings
from hubbub.learn.event_rules import fit_event_rules
from hubbub.learn.fitting import CHECKPOINTS, LOGS, OnEpoch, build_network, fit_epochs
from hubbub.learn.frozen import OnRows
from hubbub.learn.leakage import refuse_leakage
from hubbub.learn.precision import in_float32
from hubbub.learn.predictions import score_chosen_rows
from hubbub.learn.reliability import fit_temperature
from hubbub.learn.stages import keep_whole
from hubbub.learn.streams import iterate_rows, plan_rows
from hubbub.learn.training_job import TrainingJob, plan_training
from hubbub.models.backends import set_random_seed
from hubbub.models.bundle import DESCRIPTION, read_description, write_bundle
from hubbub.models.copies import copy_model
from hubbub.models.heads import BACKBONE
from hubbub.store.features import FeatureStore
from hubbub.store.opening import open_store

COMPARED_ROWS = 16
COMMAND, MEMORY = "command.json", "memory.json"


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

    warnings: tuple[str, ...] = ()
    """What people should know about the split and about what was learned; also in the bundle and its card."""


def train(
    store: str | Path | FeatureStore,
    out: str | Path,
    *,
    model: str | None = None,
    test_fold: int | None = None,
    split_by: str | None = None,
    settings: RecipeSettings | Mapping[str, Any] | None = None,
    weights: str | os.PathLike[str] | None = None,
    epochs: int | None = None,
    seed: int = 0,
    validation_share: float | None = None,
    backgrounds: Path | None = None,
    negatives: Path | None = None,
    unlabelled: Path | None = None,
    teacher: Path | None = None,
    allow_leakage: bool = False,
    on_epoch: OnEpoch | None = None,
    on_rows: OnRows | None = None,
    on_warning: Callable[[str], None] | None = None,
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
        Name of a recipe (`hubbub.learn.networks.NAMES`); None: what suits the store (`choose_network`).
    test_fold, split_by
        Which rows test (`choose_rule`). Test rows are compared with the others (`hubbub.learn.leakage`) and have no
        other part in training.
    settings
        The recipe's, or changes to them such as ``{"model.learning_rate": 0.001}`` (`hubbub.config.recipes`).
    weights, epochs, validation_share
        Short for ``model.weights`` (of models that begin with weights of others), ``train.epochs`` and
        ``train.validation_share``.
    seed
        Decides weights, order, augmentation and which groups validate.
    backgrounds, negatives
        Folders of recordings, or stores of the same settings: what events are mixed into, without any of the labels,
        and sounds of no label. For recipes that mix scenes (`detector`).
    unlabelled, teacher
        Recordings of the archive likewise, and the bundle that says what is in them (`hubbub.learn.teaching`).
    allow_leakage
        Train even where a recording is on both sides of the split.
    on_epoch
        Called after each epoch with its line of the history and `epochs`.
    on_rows
        Called with rows done, and rows in all, while the outputs of frozen layers are computed.
    on_warning
        Called with each of the warnings, those about the split before training.

    Raises
    ------
    SettingsError
        A setting is unknown or out of range.
    TrainingError
        The rows cannot train or test a model, the weights to begin with are not there, cannot be fetched or are those
        of another network, a recording is on both sides of the split, a row is missing or not what was written, the
        first epochs' loss is not finite, memory is not enough (says which batch size to try), or an unfinished training
        of another command is in the way.
    StoreError, BundleError
        The store cannot be opened, or `out` holds something else.
    StorageError
        The disk is full or permission is missing.
    """
    started = time.monotonic()
    opened = store if isinstance(store, FeatureStore) else open_store(store)
    model = model or choose_network(opened.settings)
    chosen = choose_recipe_settings(model, settings, weights=weights, epochs=epochs, validation_share=validation_share)
    extra = {"backgrounds": backgrounds, "negatives": negatives, "unlabelled": unlabelled, "teacher": teacher}
    given = {name: path for name, path in extra.items() if path is not None}
    job = plan_training(opened, Path(out), model, test_fold, split_by, chosen, seed, given)
    if _is_done(job):
        shutil.rmtree(job.partial, ignore_errors=True)
        return _result(job, read_description(job.out), resumed=0, started=started, was_done=True)
    warn = on_warning or (lambda text: None)
    found = [*find_split_warnings(job.split), *_find_weights_warnings(job)]
    for text in found:
        warn(text)
    if not allow_leakage:
        refuse_leakage(job.store, job.split)
    with explain_write_errors(job.partial):
        is_new = not job.partial.exists()
        _prepare_folder(job)
        job = _keep_memory(job)
        try:
            state, trained = _resume(job)
        except HubbubError:
            if is_new:  # nothing is learned yet: be in nobody's way
                shutil.rmtree(job.partial, ignore_errors=True)
            raise
        resumed = state.epoch
        if not (state.stopped or state.epoch >= job.epochs):
            fit_epochs(job, state, trained, on_epoch, on_rows)
        for text in _finish(job, state, trained, found):
            warn(text)
    return _result(job, read_description(job.out), resumed=resumed, started=started, was_done=False)


def _find_weights_warnings(job: TrainingJob) -> list[str]:
    """Random weights in layers that never train are rarely meant."""
    if job.weights is None or job.weights.file is not None or job.stages[0].part is keep_whole:
        return []
    return [
        f"{job.recipe.name} begins with random weights, and most of its layers stay as they are: they know nothing of "
        "photographs or sounds. Give --weights, or train all layers with --set model.stages=whole"
    ]


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


def _keep_memory(job: TrainingJob) -> TrainingJob:
    """The job with the memory that it began with, which the order of rows may depend on."""
    file = job.partial / MEMORY
    if not file.exists():
        write_json(file, {"memory_bytes": job.memory_bytes})
    try:
        return replace(job, memory_bytes=int(json.loads(file.read_text(encoding="utf-8"))["memory_bytes"]))
    except (ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{file} cannot be read ({error}); delete {job.partial} to begin anew") from None


def _changes(earlier: dict[str, Any], job: TrainingJob) -> str:
    """What another command had, and this one has not: ``seed: 1, not 0``."""
    lines = describe_difference(earlier, job.command)
    # Which rows train follows from the rest, unless the store itself has changed.
    asked = [line for line in lines if not line.startswith("rows.")]
    return "; ".join(asked) or "other rows or labels in the store"


def _resume(job: TrainingJob) -> tuple[State, keras.Model]:
    """A new model, or one as the last whole checkpoint has it."""
    set_random_seed(job.seed)
    statistics = job.statistics  # also where they are known: nothing trains on rows that have changed since
    network = build_network(job.recipe, job.shape, statistics, job.recipe_settings, batch_rows=job.batch_rows)
    state = restore_checkpoint(job.partial / CHECKPOINTS, network)
    if not state.epoch and job.weights is not None and job.weights.file is not None:
        assert job.recipe.load_weights is not None
        job.recipe.load_weights(network, job.weights.file)
    return state, network


def _finish(job: TrainingJob, state: State, trained: keras.Model, split_warnings: list[str]) -> list[str]:
    """Make the bundle from the best checkpoint, give it its name, and clear the workshop away.

    Returns
    -------
    warnings
        About what was learned.
    """
    model = in_float32(copy_kept_model(job.partial / CHECKPOINTS, state, trained), job)
    draft = job.partial / "bundle"
    shutil.rmtree(draft, ignore_errors=True)
    marked, scores = score_chosen_rows(job, model)
    warnings = _find_warnings(job, state, marked, scores)
    description = describe_bundle(job, state, calibrate_on_validation(job, model))
    description["rules"] = fit_event_rules(job, model)
    description["warnings"] = [*split_warnings, *warnings]
    description["temperature"] = (
        1.0
        if job.split.validation.empty
        else fit_temperature(scores, marked, job.recipe.activation, one_is_right=not job.split.is_multilabel)
    )
    write_bundle(draft, model, description, model_card(description), compared=_draw_compared(job))
    if job.backbone is not None:
        copy_model(job.backbone, draft / BACKBONE)
    if (job.partial / LOGS).exists():
        shutil.copytree(job.partial / LOGS, draft / LOGS)
    os.rename(draft, job.out)
    shutil.rmtree(job.partial, ignore_errors=True)
    return warnings


def _draw_compared(job: TrainingJob) -> npt.NDArray[np.float32] | None:
    """Training rows on which another runtime is compared with Keras; None for a network that has no other."""
    if job.frames is None and not job.recipe.is_head:
        return None
    rows = plan_rows(job, job.split.train.iloc[:COMPARED_ROWS])
    features = np.concatenate([features for features, _ in iterate_rows(rows, job.target_table)])
    return features if job.frames is None else job.frames.pad(features)


def _find_warnings(
    job: TrainingJob, state: State, marked: npt.NDArray[np.bool_], scores: npt.NDArray[np.float32]
) -> list[str]:
    found = find_training_warnings(
        state.history,
        kept_epoch=state.kept_epoch,
        marked=marked,
        scores=scores,
        labels=job.split.labels,
        activation=job.recipe.activation,
    )
    return [state.stopped_by, *found] if state.stopped_by else found


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
        warnings=tuple(description.get("warnings", [])),
    )
