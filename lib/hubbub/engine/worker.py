"""Run one unit on a worker, within a time limit."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from distributed import get_worker
from distributed.protocol.pickle import dumps, loads

from hubbub.engine import Task
from hubbub.engine.isolated import run_isolated
from hubbub.engine.outcomes import Outcome, Rejected, catch_outcome
from hubbub.engine.requirements import Requirements, list_mismatches
from hubbub.engine.threads import limit_threads
from hubbub.io.storage_options import apply_storage

_BEGIN_WITHIN_S = 600.0


class UnitMessage:
    """A unit as it is sent to a worker: bytes that run the unit when the worker unpickles them.

    The scheduler, which unpickles its calls, sees only bytes and a function of the standard library, so it needs no
    hubbub and unpickles no units.

    Parameters
    ----------
    context
        The `RunContext`, pickled; the same bytes for all units of a run.
    unit
        The unit, pickled.
    isolated
        Whether to run the unit in an isolated process.
    """

    def __init__(self, context: bytes, unit: bytes, *, isolated: bool) -> None:
        self._call = (context, unit, isolated)

    def __reduce__(self) -> tuple[Any, tuple[bytes, bytes, bool]]:
        return run_unit, self._call


@dataclass(frozen=True)
class RunContext:
    """What a worker needs for every unit of a run.

    Attributes
    ----------
    task
        Runs a unit.
    storage
        Environment variables for buckets (`io.paths.storage_environment`).
    requirements
        What the worker must meet.
    """

    task: Task
    storage: dict[str, str]
    requirements: Requirements

    def __reduce__(self) -> tuple[Any, tuple[Requirements, bytes]]:
        """Arrive as `PackedContext`."""
        return PackedContext, (self.requirements, dumps((self.task, self.storage)))


@dataclass(frozen=True)
class PackedContext:
    """A run context as it arrives: a worker with another hubbub can read the requirements without the task's class.

    Attributes
    ----------
    requirements
        What the worker must meet.
    rest
        The task and the storage, pickled.
    """

    requirements: Requirements
    rest: bytes


def run_unit(context: bytes, unit: bytes, isolated: bool) -> Outcome:
    """Run one unit on this worker."""
    worker = get_worker()
    limit_threads(worker.state.nthreads)  # before libraries are loaded, which then begin with the right number
    task, mismatches = _unpack_context(context)
    if task is None:
        return Rejected(worker.address, mismatches)
    work = loads(unit)
    if isolated:
        return run_isolated(task, work)
    with deadline(work.time_limit_s):
        return catch_outcome(lambda: task(work))


@lru_cache(maxsize=2)
def _unpack_context(context: bytes) -> tuple[Task | None, tuple[str, ...]]:
    """Unpack the task of a run, once a worker; or return None, and the mismatches of this worker."""
    with deadline(_BEGIN_WITHIN_S):  # a file system may hang
        packed = loads(context)
        if mismatches := list_mismatches(packed.requirements):
            return None, tuple(mismatches)
        task, storage = loads(packed.rest)
        apply_storage(storage)
        return task, ()


@contextmanager
def deadline(limit_s: float) -> Iterator[None]:
    """Kill this process if the context takes longer than `limit_s`, since Python cannot stop a thread.

    The kernel's timer sends the signal, whoever holds Python's lock. A process has one such timer, which is set to the
    first deadline of all its threads.
    """
    mine = object()
    _set_deadline(mine, time.monotonic() + limit_s)
    try:
        yield
    finally:
        _set_deadline(mine, None)


_deadlines: dict[object, float] = {}
_deadlines_lock = threading.Lock()


def _set_deadline(whose: object, at: float | None) -> None:
    with _deadlines_lock:
        if at is None:
            _deadlines.pop(whose, None)
        else:
            _deadlines[whose] = at
        first = min(_deadlines.values(), default=None)
        signal.setitimer(signal.ITIMER_REAL, 0 if first is None else max(1e-3, first - time.monotonic()))
