"""Outputs of a network's frozen layers: computed once, kept on disk, and fitted on epoch after epoch.

::

    FOLDER/
      training/     of every training row; where rows are cropped, of as few crops as cover each
      negatives/    of backgrounds alone, which carry no label, where the recipe shows such rows
      validation/   of every validation row
        00000.npy   float32 [row, value], some thousand rows; written whole or not at all
        parts.json  the checksum of each: one that has none, or another, is computed again

Rows are as the store has them: what augmentation makes of a row is another one at every epoch, of which nothing could
be kept. Stages that train more than the last layers are augmented.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pandas as pd

from hubbub.errors import TrainingError
from hubbub.io.atomic import atomic_write, write_json
from hubbub.learn.augment import Augmentation, Features, Policy
from hubbub.learn.augment_any import AnyPolicy
from hubbub.learn.balance import needs_balance, sample_balanced
from hubbub.learn.dataset import Pass
from hubbub.learn.smoothing import smooth_targets
from hubbub.learn.stages import Parts
from hubbub.learn.streams import VALIDATION_ROWS, plan_rows
from hubbub.learn.tf_data import Failures
from hubbub.learn.training_job import TrainingJob

FROZEN, PARTS = "frozen", "parts.json"

PART_BATCHES = 64
"""Batches of outputs a file."""

OnRows = Callable[[int, int], None]
"""Gets rows done, and rows in all."""

Outputs = npt.NDArray[np.float32]
Batches = Callable[[int], Iterator[Features]]
"""Batches of rows from one on, each of `VALIDATION_ROWS` but the last."""


@dataclass(frozen=True)
class KeptOutputs:
    """Outputs of some rows, read from disk as they are asked for."""

    parts: tuple[Outputs, ...]
    """float32 [row, value], one or more."""

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __add__(self, other: KeptOutputs) -> KeptOutputs:
        return KeptOutputs(self.parts + other.parts)

    def take(self, places: npt.NDArray[np.int64]) -> Outputs:
        """Outputs of rows at some places, float32 [place, value]."""
        begins = np.cumsum([0, *map(len, self.parts)])
        part = np.searchsorted(begins, places, side="right") - 1
        taken = np.empty((len(places), self.parts[0].shape[1]), np.float32)
        for number in np.unique(part).tolist():
            chosen = part == number
            taken[chosen] = self.parts[number][places[chosen] - begins[number]]
        return taken

    def measure(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Mean and standard deviation of each value, float64 [value]."""
        mean = np.sum([part.sum(axis=0, dtype=np.float64) for part in self.parts], axis=0) / len(self)
        squares = np.sum([np.square(part - mean).sum(axis=0) for part in self.parts], axis=0)
        return mean, np.sqrt(squares / len(self))


@dataclass(frozen=True)
class FrozenSource:
    """What the layers after the frozen ones are fitted on."""

    job: TrainingJob
    training: KeptOutputs
    """Of training rows, then of negatives."""

    kinds: npt.NDArray[np.int64]
    """int64 [training row], what each carries; there are none for negatives."""

    labels: npt.NDArray[np.int64]
    """int64 [training row], the label by which each is balanced."""

    validation: KeptOutputs
    validation_kinds: npt.NDArray[np.int64]

    @property
    def n_batches(self) -> int:
        """Training batches of an epoch."""
        return max(1, len(self.training) // self.job.batch_rows)

    def open_training(self, epoch: int, failures: Failures) -> Iterator[tuple[Outputs, Outputs]]:
        """Open the training batches of an epoch: every row once, or as labels are balanced, and every negative."""
        seed, settings = self.job.seed, self.job.recipe_settings.train
        places = np.arange(len(self.kinds))
        if needs_balance(self.labels, settings.balance):
            places = sample_balanced(self.labels, seed=seed, epoch=epoch)
        places = np.concatenate([places, np.arange(len(self.kinds), len(self.training))])
        order = np.random.default_rng([seed, epoch, 3]).permutation(places)
        kinds = np.append(self.kinds, np.full(len(self.training) - len(self.kinds), len(self.job.target_table)))
        smooth = smooth_targets(None, settings.label_smoothing)
        return self._batches(self.training, kinds, order, self.job.batch_rows, self.n_batches, smooth)

    @property
    def n_validation_batches(self) -> int:
        """Validation batches; 0 where no rows validate."""
        return -(-len(self.validation) // VALIDATION_ROWS)

    def open_validation(self, failures: Failures) -> Iterator[tuple[Outputs, Outputs]]:
        """Open the validation batches."""
        places = np.arange(len(self.validation))
        count = self.n_validation_batches
        return self._batches(self.validation, self.validation_kinds, places, VALIDATION_ROWS, count, None)

    def _batches(
        self,
        outputs: KeptOutputs,
        kinds: npt.NDArray[np.int64],
        places: npt.NDArray[np.int64],
        batch_rows: int,
        count: int,
        change: Augmentation | None,
    ) -> Iterator[tuple[Outputs, Outputs]]:
        table = self.job.target_table
        table = np.concatenate([table, np.zeros_like(table[:1])])  # the last kind: nothing
        for step in range(count):
            chosen = places[step * batch_rows : (step + 1) * batch_rows]
            values, targets = outputs.take(chosen), table[kinds[chosen]]
            yield (values, targets) if change is None else change(values, targets, np.random.default_rng(step))


def open_frozen_source(job: TrainingJob, parts: Parts, on_rows: OnRows | None = None) -> FrozenSource:
    """Compute the outputs of frozen layers, as far as they are not there, and give their scale to the layers after.

    Parameters
    ----------
    parts
        With frozen layers.
    on_rows
        Called with rows done and rows in all.

    Raises
    ------
    TrainingError
        A row is missing or not what was written, or an output is not finite.
    """
    training, validation = (plan_rows(job, rows) for rows in (job.split.train, job.split.validation))
    n_negatives = _count_negatives(job.policy, len(training.rows))
    progress = _Progress(len(training.rows) + n_negatives + len(validation.rows), on_rows)
    wanted: dict[str, tuple[Batches, int]] = {
        "training": (_serve(training), len(training.rows)),
        "negatives": (_draw_negatives(job, n_negatives), n_negatives),
        "validation": (_serve(validation), len(validation.rows)),
    }
    folder = job.partial / FROZEN
    try:
        kept = {name: _keep(folder / name, parts.frozen, *asked, progress) for name, asked in wanted.items()}
    except FloatingPointError:
        raise TrainingError(
            f"outputs of {job.recipe.name}'s frozen layers are not finite (train.precision: "
            f"{job.recipe_settings.train.precision}); use --set train.precision=float32, or other weights"
        ) from None
    if parts.adapt is not None:
        parts.adapt(*kept["training"].measure())
    return FrozenSource(
        job,
        kept["training"] + kept["negatives"],
        kinds=training.targets[training.order.served],
        labels=_list_labels(job, training),
        validation=kept["validation"],
        validation_kinds=validation.targets[validation.order.served],
    )


def _list_labels(job: TrainingJob, one: Pass) -> npt.NDArray[np.int64]:
    """The label by which each row of a pass is balanced, in the order in which rows are served."""
    rows = job.split.train.sort_values("row")
    codes = pd.Categorical(rows["label"], categories=job.split.labels).codes.astype(np.int64)
    return codes[np.searchsorted(rows["row"].to_numpy(), one.rows[one.order.served])]


def _serve(one: Pass) -> Batches:
    return lambda first: (batch.features for batch in one.batches(first))


def _count_negatives(policy: Augmentation | None, n_rows: int) -> int:
    return math.ceil(policy.negatives * n_rows) if isinstance(policy, Policy | AnyPolicy) else 0


def _draw_negatives(job: TrainingJob, count: int) -> Batches:
    """Backgrounds alone, in batches; each depends on the seed and its number."""
    policy, shape = job.policy, (job.shape.n_frames, job.shape.n_bands)

    def draw(first: int) -> Iterator[Features]:
        assert isinstance(policy, Policy | AnyPolicy)
        for number in range(first, -(-count // VALIDATION_ROWS)):
            rows = min(VALIDATION_ROWS, count - number * VALIDATION_ROWS)
            yield policy.draw_negatives(rows, shape, np.random.default_rng([job.seed, number, 4]))

    return draw


class _Progress:
    """Counts rows for whoever shows them."""

    def __init__(self, total: int, on_rows: OnRows | None) -> None:
        self._total, self._on_rows, self._done = total, on_rows, 0

    def add(self, count: int) -> None:
        self._done += count
        if self._on_rows is not None:
            self._on_rows(self._done, self._total)


def _keep(folder: Path, frozen: keras.Model, batches: Batches, n_rows: int, progress: _Progress) -> KeptOutputs:
    """Compute the parts that are not there whole; open all of them."""
    part_rows = PART_BATCHES * VALIDATION_ROWS
    known, parts = _read_checksums(folder / PARTS), list[Outputs]()
    stream: Iterator[Features] = iter(())
    position = -1
    for number in range(-(-n_rows // part_rows)):
        file, count = folder / f"{number:05d}.npy", min(part_rows, n_rows - number * part_rows)
        part = _open_part(file, known.get(file.name), count)
        if part is None:
            if position != number:
                stream = batches(number * PART_BATCHES)
            values = _compute(frozen, stream, count, progress)
            position = number + 1
            with atomic_write(file) as partial, open(partial, "wb") as out:
                np.save(out, values, allow_pickle=False)
            known[file.name] = zlib.crc32(values.data)
            write_json(folder / PARTS, known)
            part = np.load(file, mmap_mode="r", allow_pickle=False)
        else:
            progress.add(count)
        parts.append(part)
    return KeptOutputs(tuple(parts))


def _read_checksums(file: Path) -> dict[str, int]:
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _open_part(file: Path, checksum: int | None, count: int) -> Outputs | None:
    """Open a part; None where it is not there, or not as it was written."""
    if checksum is None:
        return None
    try:
        part: Any = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return part if part.ndim == 2 and len(part) == count and zlib.crc32(part.data) == checksum else None


def _compute(frozen: keras.Model, stream: Iterator[Features], count: int, progress: _Progress) -> Outputs:
    """Outputs of the next rows, float32 [row, value]; raises `FloatingPointError` where one is not finite."""
    taken: list[Outputs] = []
    while count > 0:
        features = next(stream)
        rows = np.zeros((VALIDATION_ROWS, *features.shape[1:]), np.float32)  # one compiled graph for all batches
        rows[: len(features)] = features
        values = np.asarray(frozen.predict_on_batch(rows)[: len(features)], np.float32)
        if not np.isfinite(values).all():
            raise FloatingPointError
        taken.append(values)
        count -= len(features)
        progress.add(len(features))
    return np.concatenate(taken)
