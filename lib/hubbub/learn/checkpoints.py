"""Checkpoints of a training, from which a killed training resumes; each is written whole or not at all.

::

    CHECKPOINTS/
      00000007/    values.npz: weights, optimizer and random state; state.json
      draft/       being written; renamed when it is whole

The network itself is not written: the command that resumes builds it anew. Keras's own format takes five times as long,
which an epoch of a second feels.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from hubbub.errors import TrainingError
from hubbub.io.atomic import write_json

STATE, VALUES = "state.json", "values.npz"


@dataclass
class State:
    """Where a training stands after an epoch."""

    epoch: int = 0
    """Epochs done."""

    kept_epoch: int = 0
    """The best one, from 1."""

    kept_loss: float = math.inf
    """Its smoothed validation loss."""

    stopped: bool = False
    """Whether nothing has got better for so long that training ended."""

    stopped_by: str = ""
    """What ended training before its time, where that was a loss that is not finite."""

    history: list[dict[str, float]] = field(default_factory=list)
    """One line an epoch."""


def save_checkpoint(folder: Path, state: State, network: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
    """Write a checkpoint; keep it, the best one, and no other. `optimizer` is that of the stage."""
    draft = folder / "draft"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    variables = [*_name_variables(network), *_name_moments(optimizer)]
    np.savez(draft / VALUES, **{name: keras.ops.convert_to_numpy(one) for name, one in variables})
    (draft / STATE).write_text(json.dumps(asdict(state)), encoding="utf-8")
    os.rename(draft, folder / f"{state.epoch:08d}")
    for path in folder.glob("[0-9]*"):
        if int(path.name) not in (state.epoch, state.kept_epoch):
            shutil.rmtree(path)


def mark_stopped(folder: Path, state: State) -> None:
    """Write into the last checkpoint that training ended there."""
    write_json(folder / f"{state.epoch:08d}" / STATE, asdict(state))


def restore_checkpoint(folder: Path, network: keras.Model) -> State:
    """Give a network the values of the last checkpoint; where there is none, leave it as it is.

    Raises
    ------
    TrainingError
        The checkpoint is damaged, or of another network.
    """
    done = sorted(path for path in folder.glob("[0-9]*") if path.name.isdigit()) if folder.exists() else []
    if not done:
        return State()
    _assign(done[-1], _name_variables(network))
    with _explain_damage(done[-1]):
        return State(**json.loads((done[-1] / STATE).read_text(encoding="utf-8")))


def restore_optimizer(folder: Path, state: State, optimizer: keras.optimizers.Optimizer) -> None:
    """Give an optimizer the values of the last checkpoint, which has to be of the same stage.

    Raises
    ------
    TrainingError
        The checkpoint is damaged, or of another stage.
    """
    _assign(folder / f"{state.epoch:08d}", _name_moments(optimizer))


def copy_kept_model(folder: Path, state: State, model: keras.Model) -> keras.Model:
    """Return a copy of the network, not compiled, with the weights of the best epoch.

    Raises
    ------
    TrainingError
        The checkpoint is damaged.
    """
    kept = type(model).from_config(model.get_config())
    _assign(folder / f"{state.kept_epoch:08d}", _name_weights(kept))
    return kept


def _name_weights(model: keras.Model) -> list[tuple[str, Any]]:
    return [(f"weight_{number}", one) for number, one in enumerate(model.weights)]


def _name_variables(model: keras.Model) -> list[tuple[str, Any]]:
    """Weights, and the state of random layers."""
    weights = {id(one) for one in model.weights}
    others = [one for one in model.variables if id(one) not in weights]
    return [*_name_weights(model), *((f"random_{number}", one) for number, one in enumerate(others))]


def _name_moments(optimizer: keras.optimizers.Optimizer) -> list[tuple[str, Any]]:
    return [(f"optimizer_{number}", one) for number, one in enumerate(optimizer.variables)]


def _assign(checkpoint: Path, variables: list[tuple[str, Any]]) -> None:
    """Assign a kind of values, all that the checkpoint has."""
    kinds = {name.partition("_")[0] for name, _ in variables}
    with _explain_damage(checkpoint), np.load(checkpoint / VALUES, allow_pickle=False) as values:
        held = {name for name in values if name.partition("_")[0] in kinds - {"random"}}
        if beyond := held - {name for name, _ in variables}:
            raise ValueError(f"{len(beyond)} values more than the network has")
        for name, variable in variables:
            variable.assign(values[name])


@contextmanager
def _explain_damage(checkpoint: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise TrainingError(
            f"{checkpoint} cannot be read ({error}); delete {checkpoint.parent.parent} to begin anew"
        ) from None
