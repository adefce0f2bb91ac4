"""Streams of batches for training and validation."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd

from hubbub.learn.augment import Augmentation, Features, Targets
from hubbub.learn.balance import needs_balance, sample_balanced
from hubbub.learn.checksummed_store import ChecksummedStore
from hubbub.learn.crops import covering_crops, random_crops
from hubbub.learn.dataset import Pass
from hubbub.learn.tf_data import Failures, as_tf_data
from hubbub.learn.training_job import TrainingJob
from hubbub.models.backends import computes_on_tensorflow

VALIDATION_ROWS = 32
"""Rows a validation batch; changes speed and memory only."""

MOST_AHEAD = 16
"""Batches ahead of the network, at most; each may be tens of megabytes."""

Stream = Iterator[tuple[np.ndarray, np.ndarray]]


def plan_training_pass(job: TrainingJob, epoch: int) -> Pass:
    """Every training row once, or as `hubbub.learn.balance` draws them; whole, or a crop of each."""
    rows = job.split.train
    counted = pd.Categorical(rows["label"], categories=job.split.labels).codes.astype(np.int64)
    if needs_balance(counted, job.recipe_settings.train.balance):
        rows = rows.iloc[sample_balanced(counted, seed=job.seed, epoch=epoch)]
    return Pass(
        job.store,
        rows["row"].to_numpy(np.int64),
        job.targets_of(rows),
        batch_rows=job.batch_rows,
        seed=job.seed,
        epoch=epoch,
        memory_bytes=job.memory_bytes,
        kept=job.kept,
        drop_last=True,
        crops=random_crops(job.store.settings, rows, seed=job.seed, epoch=epoch),
    )


def plan_validation_pass(job: TrainingJob) -> Pass:
    """Validation rows, each as often as the crops that cover it."""
    return plan_rows(job, job.split.validation)


def plan_rows(job: TrainingJob, chosen: pd.DataFrame) -> Pass:
    """Some rows in the order of their numbers, each as often as the crops that cover it."""
    rows, crops = covering_crops(job.store.settings, chosen)
    numbers, targets = rows["row"].to_numpy(np.int64), job.targets_of(rows)
    return Pass(ChecksummedStore(job.store, rows), numbers, targets, batch_rows=VALIDATION_ROWS, crops=crops)


def iterate_rows(one: Pass, table: Targets, policy: Augmentation | None = None, *, ahead: int = 1) -> Stream:
    """Batches of a pass, augmented: float32 [row, frame, band] and [row, label].

    Parameters
    ----------
    table
        float32 [kind, label]: a row whose target is k gets ``table[k]``.
    ahead
        Batches that lie ready or are being augmented, each in a thread; changes speed and memory, never values.
    """

    def augment(step: int, features: Features, targets: Targets) -> tuple[Features, Targets]:
        rng = np.random.default_rng([one.seed or 0, one.epoch, step])
        return (features, targets) if policy is None else policy(features, targets, rng)

    waiting: deque[Future[tuple[Features, Targets]]] = deque()
    with ThreadPoolExecutor(ahead, thread_name_prefix="hubbub-augment") as threads:
        for step, batch in enumerate(one.batches()):
            waiting.append(threads.submit(augment, step, batch.features, table[batch.targets]))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def make_dataset(
    one: Pass, table: Targets, failures: Failures, policy: Augmentation | None = None, *, by_frame: bool = False
) -> Any:
    """Batches in the form that the backend reads fastest; `by_frame`: the policy makes scenes with frame targets."""
    if not computes_on_tensorflow():
        return iterate_rows(one, table, policy, ahead=min(MOST_AHEAD, os.cpu_count() or 1))
    return as_tf_data(one, target_table=table, augment=policy, by_frame=by_frame, failures=failures)


class Source(Protocol):
    """What a stage is fitted on."""

    @property
    def n_batches(self) -> int:
        """Training batches of an epoch; a last, smaller one is left out, and other rows fall into it every time."""

    def open_training(self, epoch: int, failures: Failures) -> Any:
        """Open the training batches of an epoch, as `keras.Model.fit` takes them."""

    @property
    def n_validation_batches(self) -> int:
        """Validation batches; 0 where no rows validate."""

    def open_validation(self, failures: Failures) -> Any:
        """Open the validation batches."""


@dataclass(frozen=True)
class RowSource:
    """Rows as the store has them, augmented."""

    job: TrainingJob
    policy: Augmentation | None
    """The augmentation of training rows."""

    @property
    def n_batches(self) -> int:
        """Training batches of an epoch."""
        return len(self.job.split.train) // self.job.batch_rows

    def open_training(self, epoch: int, failures: Failures) -> Any:
        """Open the training batches of an epoch."""
        return self._open(plan_training_pass(self.job, epoch), self.policy, failures)

    @property
    def n_validation_batches(self) -> int:
        """Validation batches, those of each row's crops."""
        return plan_validation_pass(self.job).n_batches

    def open_validation(self, failures: Failures) -> Any:
        """Open the validation batches: rows as they are, or the scenes that a network of frames is judged on."""
        job = self.job
        policy = job.policy.for_validation() if job.frames is not None and job.policy is not None else None
        return self._open(plan_validation_pass(job), policy, failures)

    def _open(self, one: Pass, policy: Augmentation | None, failures: Failures) -> Any:
        by_frame = self.job.frames is not None
        return make_dataset(one, self.job.target_table, failures, policy, by_frame=by_frame)
