"""Outcomes of a unit on a worker, as values.

Nothing of a unit is raised through Dask: whether an error is transient can only be decided where the error still
has its causes, which pickling takes from it.
"""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from hubbub.io.retry import is_transient
from hubbub.tasks.result import UnitLost, UnitResult


@dataclass(frozen=True)
class Raised:
    """A task's exception, and whether another try may end better."""

    error: Exception
    is_transient: bool


@dataclass(frozen=True)
class Rejected:
    """A worker that must not do units of this run, and what speaks against it."""

    worker: str
    mismatches: tuple[str, ...]


@dataclass(frozen=True)
class ItemStarted:
    """What a child says before it begins an item; None: when it has gone through all."""

    item: int | None


Outcome = UnitResult | UnitLost | Raised | Rejected


def catch_outcome(do: Callable[[], UnitResult]) -> UnitResult | Raised:
    """Do something, and give what it returns or raises."""
    try:
        return do()
    except Exception as error:
        return Raised(_make_sendable(error), is_transient(error))


def _make_sendable(error: Exception) -> Exception:
    """An error that survives the way to the driver, with where it was raised as a note."""
    error.add_note("on the worker:\n" + "".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
