"""Fitting: stage after stage, epoch after epoch, each ending in a checkpoint."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from hubbub.config.recipes import RecipeSettings
from hubbub.errors import TrainingError
from hubbub.learn.checkpoints import State, mark_stopped, restore_optimizer, save_checkpoint
from hubbub.learn.dataset import BandStatistics
from hubbub.learn.devices import count_replicas, fill_equal_parts, share_batches
from hubbub.learn.frames import pool_in_graph
from hubbub.learn.frozen import OnRows, open_frozen_source
from hubbub.learn.networks import Recipe, Shape
from hubbub.learn.precision import use_precision
from hubbub.learn.smoothing import smooth_targets
from hubbub.learn.stages import Parts, Stage
from hubbub.learn.streams import RowSource, Source
from hubbub.learn.tf_data import Failures
from hubbub.learn.training_job import TrainingJob
from hubbub.models.backends import open_log
from hubbub.models.batches import is_out_of_memory

OnEpoch = Callable[[dict[str, float]], None]
CHECKPOINTS, LOGS = "checkpoints", "logs"

SMOOTHED_EPOCHS = 5
"""Epochs whose validation losses are averaged to judge one: a few dozen rows flatter some epochs by chance."""


class NotFinite(Exception):
    """The loss of a batch is not a number, or infinite; says where."""


@keras.saving.register_keras_serializable(package="hubbub")
class LabelledAccuracy(keras.metrics.Mean):
    """Share of rows whose highest score is at their highest target, or at one of them where several are as high.

    Negatives, whose targets are all 0, do not count.
    """

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count one batch: targets and scores, [row, label]; those of frames, [row, frame, label], are pooled."""
        ops = keras.ops
        y_true = ops.max(y_true, axis=1) if len(y_true.shape) == 3 else y_true
        y_pred = pool_in_graph(y_pred)
        highest = ops.max(y_true, axis=-1)
        called = ops.take_along_axis(y_true, ops.argmax(y_pred, axis=-1, keepdims=True), axis=-1)[..., 0]
        right, labelled = ops.equal(called, highest), ops.cast(highest > 0, "float32")
        super().update_state(ops.cast(right, "float32"), sample_weight=labelled)


class _CheckLoss(keras.callbacks.Callback):
    """Stops at the first batch whose loss is not finite: what comes after it trains on broken weights."""

    def __init__(self) -> None:
        super().__init__()
        self.problem = ""

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        loss = (logs or {}).get("loss", 0.0)
        if not self.problem and not math.isfinite(loss):
            self.problem = f"{loss} from batch {batch + 1} on"
            self.model.stop_training = True


def build_network(
    recipe: Recipe, shape: Shape, statistics: BandStatistics, settings: RecipeSettings, *, batch_rows: int
) -> keras.Model:
    """Build a recipe's network, new, in the precision of the settings, for batches that several GPUs may share."""
    with share_batches(batch_rows), use_precision(settings.train.precision):
        return recipe.build(shape, statistics, settings.model)


def compile_model(
    model: keras.Model, recipe: Recipe, settings: RecipeSettings, *, steps: int, batch_rows: int, learning_rate: float
) -> keras.Model:
    """Give a network, or a part of one, the recipe's loss, and its optimizer for so many steps; return it."""
    with share_batches(batch_rows):
        optimizer = recipe.optimizer(steps, settings.model.model_copy(update={"learning_rate": learning_rate}))
        metrics = [LabelledAccuracy(name="accuracy")]
        model.compile(optimizer, loss=recipe.loss, metrics=metrics, jit_compile=settings.train.jit)
        model.optimizer.build(model.trainable_variables)  # TensorFlow traces a step that makes variables a second time
    return model


def fit_epochs(
    job: TrainingJob, state: State, network: keras.Model, on_epoch: OnEpoch | None, on_rows: OnRows | None = None
) -> None:
    """Train a network stage after stage, each epoch ending in a checkpoint, from where it stands on.

    Parameters
    ----------
    state
        Where it stands; changed.
    network
        With the weights of its last checkpoint, if there is one.
    on_epoch
        Called after each epoch with its line of the history and `epochs`.
    on_rows
        Called with rows done, and rows in all, while the outputs of frozen layers are computed.
    """
    logs = open_log(job.partial / LOGS)

    def end_epoch(line: dict[str, float]) -> None:
        for name, value in line.items():
            logs.add_scalar(name, value, state.epoch)
        logs.flush()
        if on_epoch is not None:
            on_epoch({**line, "epochs": job.epochs})

    try:
        for stage in job.stages:
            if state.epoch < stage.last and not state.stopped:
                _fit_stage(job, stage, state, network, end_epoch, on_rows)
    finally:
        logs.close()


def _fit_stage(
    job: TrainingJob, stage: Stage, state: State, network: keras.Model, end_epoch: OnEpoch, on_rows: OnRows | None
) -> None:
    """Train the epochs of a stage, to its end or until nothing gets better."""
    parts = stage.part(network)
    source = open_source(job, parts, on_rows)
    steps = stage.epochs * source.n_batches
    fitted = compile_model(
        parts.fitted,
        job.recipe,
        job.recipe_settings,
        steps=steps,
        batch_rows=job.batch_rows,
        learning_rate=stage.learning_rate,
    )
    if state.epoch > stage.first:
        restore_optimizer(job.partial / CHECKPOINTS, state, fitted.optimizer)
    while state.epoch < stage.last and not state.stopped:
        try:
            line = _one_epoch(job, state.epoch, fitted, source)
        except NotFinite as problem:
            _stop(job, state, problem)
            break
        _update_best_epoch(job, stage, state, line)
        save_checkpoint(job.partial / CHECKPOINTS, state, network, fitted.optimizer)
        end_epoch(line)


def open_source(job: TrainingJob, parts: Parts, on_rows: OnRows | None = None) -> Source:
    """Open what a stage is fitted on: rows, or the outputs of its frozen layers, computed where they are not yet."""
    if parts.frozen is not None:
        return open_frozen_source(job, parts, on_rows)
    return RowSource(job, smooth_targets(job.policy, job.recipe_settings.train.label_smoothing))


def _one_epoch(job: TrainingJob, epoch: int, model: keras.Model, source: Source) -> dict[str, float]:
    """Show the model every training row once; return the epoch's line of the history."""
    _reseed(model, job.seed, epoch)
    learning_rate = float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))
    failures, finite, replicas = Failures(), _CheckLoss(), count_replicas(model)
    validation = source.open_validation(failures) if source.n_validation_batches else None
    with failures.raised(), _explain_memory(job):
        fitted = model.fit(
            fill_equal_parts(source.open_training(epoch, failures), replicas),
            steps_per_epoch=source.n_batches,
            validation_data=None if validation is None else fill_equal_parts(validation, replicas),
            validation_steps=source.n_validation_batches or None,
            initial_epoch=epoch,
            epochs=epoch + 1,
            shuffle=False,
            verbose=0,
            callbacks=[finite],
        )
    line = {name: float(values[-1]) for name, values in fitted.history.items()}
    if finite.problem or not math.isfinite(line["loss"]):
        raise NotFinite(f"the loss of epoch {epoch + 1} was {finite.problem or line['loss']}")
    return {"epoch": epoch + 1, **line, "learning_rate": learning_rate}


def _reseed(model: keras.Model, seed: int, epoch: int) -> None:
    """Let dropout depend on the seed and the epoch alone, not on how often the training was interrupted."""
    for position, layer in enumerate(_walk_layers(model)):
        if (generator := getattr(layer, "seed_generator", None)) is not None:
            drawn = np.random.SeedSequence([seed, epoch, position]).generate_state(2)
            generator.state.assign(drawn.astype("uint32"))


def _walk_layers(model: keras.Model) -> Iterator[keras.Layer]:
    """Layers, and those of networks among them."""
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _walk_layers(layer)


def _update_best_epoch(job: TrainingJob, stage: Stage, state: State, line: dict[str, float]) -> None:
    """Enter an epoch into the books: whether it is the best so far, and whether to stop, which the last stage may."""
    state.epoch += 1
    state.history.append(line)
    lines = state.history[max(stage.first, state.epoch - SMOOTHED_EPOCHS) :]
    recent = [line["val_loss"] for line in lines if "val_loss" in line]
    loss = sum(recent) / len(recent) if recent else -math.inf
    settled = job.recipe.settled_share * job.epochs
    # The first epoch that has settled is kept whatever its loss; those before it serve where training breaks off.
    if loss <= state.kept_loss or state.kept_epoch <= settled < state.epoch:
        state.kept_epoch, state.kept_loss = state.epoch, loss
    patience = max(10, math.ceil(job.recipe_settings.train.patience * job.epochs))
    is_worse_since = max(state.kept_epoch, stage.first)
    state.stopped = stage.last == job.epochs and state.epoch - is_worse_since >= patience


def _stop(job: TrainingJob, state: State, problem: NotFinite) -> None:
    """End a training whose loss broke; the best epoch before it is kept."""
    advice = "try a lower learning rate (--set model.learning_rate=0.0003), and check the store: hubbub verify STORE"
    if not state.kept_epoch:
        raise TrainingError(f"{problem}; no epoch before it could be kept. {advice[0].upper()}{advice[1:]}")
    state.stopped = True
    state.stopped_by = f"{problem}: training stopped, and the weights of epoch {state.kept_epoch} are kept; {advice}"
    mark_stopped(job.partial / CHECKPOINTS, state)


@contextmanager
def _explain_memory(job: TrainingJob) -> Iterator[None]:
    """Say which batch size to try where memory is not enough."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        smaller = max(1, job.batch_rows // 2)
        raise TrainingError(
            f"out of memory with batches of {job.batch_rows} rows of {job.shape.n_frames} x {job.shape.n_bands}; "
            f"try --set train.batch_rows={smaller}"
        ) from None
