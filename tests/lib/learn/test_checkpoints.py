"""Checkpoints: all that training changes comes back, and what is damaged is said to be."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from hubbub.errors import TrainingError

keras = pytest.importorskip("keras")

from hubbub.learn.checkpoints import (  # noqa: E402
    STATE,
    VALUES,
    State,
    copy_kept_model,
    mark_stopped,
    restore_checkpoint,
    restore_optimizer,
    save_checkpoint,
)


def make_network(precision: str = "float32"):
    """A network with a state of every kind: weights, moving averages, dropout, an optimizer's moments."""
    keras.config.set_dtype_policy(precision)
    try:
        model = keras.Sequential(
            [
                keras.Input((4,)),
                keras.layers.Dense(3),
                keras.layers.BatchNormalization(),
                keras.layers.Dropout(0.5, seed=1),
                keras.layers.Dense(1, dtype="float32"),
            ]
        )
    finally:
        keras.config.set_dtype_policy("float32")
    model.compile(keras.optimizers.Adam(0.1), loss="mse")
    model.optimizer.build(model.trainable_variables)
    return model


def take_steps(model, count: int) -> list[float]:
    rng = np.random.default_rng(0)
    rows, wanted = rng.normal(size=(16, 4)).astype(np.float32), rng.normal(size=(16, 1)).astype(np.float32)
    return [float(model.train_on_batch(rows, wanted)) for _ in range(count)]


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_training_goes_on_as_if_it_had_not_stopped(precision: str, tmp_path: Path):
    model = make_network(precision)
    take_steps(model, 3)
    save_checkpoint(
        tmp_path, State(epoch=1, kept_epoch=1, kept_loss=0.5, history=[{"loss": 1.0}]), model, model.optimizer
    )
    other = make_network(precision)
    state = restore_checkpoint(tmp_path, other)
    restore_optimizer(tmp_path, state, other.optimizer)
    assert state == State(epoch=1, kept_epoch=1, kept_loss=0.5, history=[{"loss": 1.0}])
    assert take_steps(other, 3) == take_steps(model, 3)


def test_without_a_checkpoint_a_network_is_left_as_it_is(tmp_path: Path):
    model = make_network()
    before = model.get_weights()
    assert restore_checkpoint(tmp_path / "none", model) == State()
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_last_and_the_best_are_kept_and_the_best_is_copied(tmp_path: Path):
    model = make_network()
    wanted = {}
    for epoch, kept in ((1, 1), (2, 2), (3, 2), (4, 2)):
        take_steps(model, 1)
        wanted[epoch] = model.get_weights()
        save_checkpoint(tmp_path, State(epoch=epoch, kept_epoch=kept), model, model.optimizer)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000002", "00000004"]
    best = copy_kept_model(tmp_path, State(epoch=4, kept_epoch=2), model)
    assert not best.compiled
    for one, other in zip(best.get_weights(), wanted[2], strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(wanted[2][0], wanted[4][0])
    assert [layer.name for layer in best.layers] == [layer.name for layer in model.layers]


def test_that_training_stopped_is_remembered(tmp_path: Path):
    model, state = make_network(), State(epoch=1, kept_epoch=1)
    save_checkpoint(tmp_path, state, model, model.optimizer)
    state.stopped, state.stopped_by = True, "the loss broke"
    mark_stopped(tmp_path, state)
    assert restore_checkpoint(tmp_path, model).stopped_by == "the loss broke"


def test_an_optimizer_of_another_stage_is_refused(tmp_path: Path):
    """Where another part of the network trains, an optimizer has other moments."""
    model = make_network()
    state = State(epoch=1, kept_epoch=1)
    save_checkpoint(tmp_path, state, model, model.optimizer)
    model.layers[0].trainable = False
    model.compile(keras.optimizers.Adam(0.1), loss="mse")
    model.optimizer.build(model.trainable_variables)
    with pytest.raises(TrainingError, match="4 values more than the network has"):
        restore_optimizer(tmp_path, state, model.optimizer)


@pytest.mark.parametrize(
    "damage", ["cut", "empty", "gone", "changed", "of another network", "state cut", "state of other fields"]
)
def test_a_damaged_checkpoint_is_named_with_what_to_do(damage: str, tmp_path: Path):
    partial = tmp_path / "bundle.partial"
    model, folder = make_network(), partial / "checkpoints"
    save_checkpoint(folder, State(epoch=1, kept_epoch=1), model, model.optimizer)
    file = folder / "00000001" / VALUES
    whole = file.read_bytes()
    if damage == "gone":  # as in the checkpoints of an earlier version
        file.unlink()
    elif damage == "of another network":
        model.pop()
    elif damage == "state cut":
        (folder / "00000001" / STATE).write_text('{"epoch": 1')
    elif damage == "state of other fields":
        (folder / "00000001" / STATE).write_text('{"epochs": 1}')
    else:
        changed = bytes(byte ^ 255 if 200 < at < 210 else byte for at, byte in enumerate(whole))
        file.write_bytes({"cut": whole[: len(whole) // 2], "empty": b"", "changed": changed}[damage])
    with pytest.raises(TrainingError, match=r"00000001 cannot be read \(.*\); delete .*bundle\.partial to begin anew"):
        restore_checkpoint(folder, model)
    shutil.rmtree(folder)
    assert restore_checkpoint(folder, model) == State()
