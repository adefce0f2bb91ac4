"""Sweeps: which trials go on, and which one wins. What runs the trials is in `hubbub.pipelines.sweep`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

Score = Literal["accuracy", "loss"]


def rank_records(records: Sequence[Mapping[str, Any]], score: Score) -> list[Mapping[str, Any]]:
    """Sort records of trials, the best first: by epochs they were let train, then by their score on validation rows.

    Parameters
    ----------
    records
        With `val_accuracy` and `val_loss` of the epoch kept; `round`, the number of the last round a trial was in.
    score
        `accuracy`: the higher the better, of equal ones the lower loss. `loss`: the lower the better.

    Returns
    -------
    list
        Trials that failed come last, by name.
    """
    return sorted(records, key=lambda record: _sort_key(record, score))


def _sort_key(record: Mapping[str, Any], score: Score) -> tuple[Any, ...]:
    if record["status"] != "ok":
        return (1, record["trial"])
    loss, accuracy = record["val_loss"], record["val_accuracy"]
    merit = (loss, -accuracy) if score == "loss" else (-accuracy, loss)
    return (0, -record.get("round", 0), *merit, record["trial"])


def list_rounds(n_trials: int, *, factor: int, min_epochs: int) -> Iterator[tuple[int | None, int]]:
    """Give the rounds of successive halving: after which epoch trials pause, and how many then go on.

    The last round trains to the end, None, and has the winner.

    >>> list(list_rounds(9, factor=3, min_epochs=5))
    [(5, 3), (15, 1), (None, 1)]
    """
    epochs = min_epochs
    while n_trials > 1:
        n_trials = math.ceil(n_trials / factor)
        yield epochs, n_trials
        epochs *= factor
    yield None, 1
