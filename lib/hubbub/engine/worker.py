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
from hubbub.io.paths import apply_storage

_BEGIN_WITHIN_S = 600.0


class UnitCall:
    """A unit on its way to a worker: bytes that do the unit when they are unpickled there.

    So the scheduler, which unpickles the calls that it is given, sees bytes and a function of the standard library: it
    needs no hubbub, and takes no units apart.

    Parameters
    ----------
    order
        The task and what goes with it (`RunContext`), pickled; the same bytes for all units of a run.
    unit
        The unit, pickled.
    alone
        Whether to do it in a process of its own.
    """

    def __init__(self, order: bytes, unit: bytes, *, isolated: bool) -> None:
        self._call = (order, unit, isolated)

    def __reduce__(self) -> tuple[Any, tuple[bytes, bytes, bool]]:
        return run_unit, self._call


@dataclass(frozen=True)
class RunContext:
    """What a worker needs for every unit of a run.

    Attributes
    ----------
    task
        What is to be done with a unit.
    storage
        Environment for places in buckets (`places.storage_environment`).
    terms
        What must hold on a worker.
    """

    task: Task
    storage: dict[str, str]
    terms: Requirements

    def __reduce__(self) -> tuple[Any, tuple[Requirements, bytes]]:
        """Arrive as `UnitMessage`."""
        return UnitMessage, (self.terms, dumps((self.task, self.storage)))


@dataclass(frozen=True)
class UnitMessage:
    """An order as it arrives: a worker with another hubbub reads the terms, and need not know the task's class.

    Attributes
    ----------
    terms
        What must hold on a worker.
    rest
        The task and the storage, pickled.
    """

    terms: Requirements
    rest: bytes


def run_unit(order: bytes, unit: bytes, isolated: bool) -> Outcome:
    """Do one unit on this worker."""
    worker = get_worker()
    limit_threads(worker.state.nthreads)  # before libraries are loaded, which then begin with the right number
    task, refused = _unpack_context(order)
    if task is None:
        return Rejected(worker.address, refused)
    work = loads(unit)
    if isolated:
        return run_isolated(task, work)
    with deadline(work.time_limit_s):
        return catch_outcome(lambda: task(work))


@lru_cache(maxsize=2)
def _unpack_context(order: bytes) -> tuple[Task | None, tuple[str, ...]]:
    """The task of a run, made once a worker and not once a unit; or None, and what speaks against doing it here."""
    with deadline(_BEGIN_WITHIN_S):  # a file system that hangs would else hang the run
        sealed = loads(order)
        if refused := list_mismatches(sealed.terms):
            return None, tuple(refused)
        task, storage = loads(sealed.rest)
        apply_storage(storage)
        return task, ()


@contextmanager
def deadline(limit_s: float) -> Iterator[None]:
    """Kill this process where the context takes longer than `limit_s`: no thread of Python can be stopped otherwise.

    The kernel's timer does it, whatever holds Python's lock. A process has one such timer, which is set to the first
    deadline of all its threads.
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
