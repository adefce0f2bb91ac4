"""Checkpoints of a training, from which a killed training resumes; each is written whole or not at all.

::

    CHECKPOINTS/
      00000007/    model.keras with the optimizer, state.json
      draft/       being written; renamed when it is whole
"""

from __future__ import annotations

import json
import math
import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path

import keras

from hubbub.io.atomic import write_json
from hubbub.models.bundle import MODEL

STATE = "state.json"


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


def save_checkpoint(folder: Path, state: State, model: keras.Model) -> None:
    """Write a checkpoint; keep it, the best one, and no other."""
    draft = folder / "draft"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    model.save(draft / MODEL)
    (draft / STATE).write_text(json.dumps(asdict(state)), encoding="utf-8")
    os.rename(draft, folder / f"{state.epoch:08d}")
    for path in folder.glob("[0-9]*"):
        if int(path.name) not in (state.epoch, state.kept_epoch):
            shutil.rmtree(path)


def mark_stopped(folder: Path, state: State) -> None:
    """Write into the last checkpoint that training ended there."""
    write_json(folder / f"{state.epoch:08d}" / STATE, asdict(state))


def last_checkpoint(folder: Path) -> tuple[State, keras.Model] | None:
    """The last one, its model compiled as it was; None where there is none."""
    done = sorted(path for path in folder.glob("[0-9]*") if path.name.isdigit()) if folder.exists() else []
    if not done:
        return None
    state = State(**json.loads((done[-1] / STATE).read_text(encoding="utf-8")))
    return state, keras.saving.load_model(done[-1] / MODEL, safe_mode=True)


def kept_model(folder: Path, state: State) -> keras.Model:
    """The best epoch's model, not compiled."""
    return keras.saving.load_model(folder / f"{state.kept_epoch:08d}" / MODEL, compile=False, safe_mode=True)
