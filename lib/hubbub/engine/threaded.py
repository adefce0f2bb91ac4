"""An engine of threads in this process, for units that wait more than they compute, such as downloads."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from typing import Any

from hubbub.engine import EngineState, Task
from hubbub.engine.serial import run_with_retries
from hubbub.tasks.result import UnitLost, UnitResult

_Came = tuple[UnitResult | None, BaseException | None]


class ThreadEngine:
    """Does several units at once.

    Units may be an iterator that has none at the moment and more once results have come: it is asked again after each.

    Parameters
    ----------
    threads
        Units that are done at once.
    """

    def __init__(self, threads: int) -> None:
        self.note = f"threads: up to {threads} units at a time in this process"
        self._threads = threads
        self._in_flight = self._retried = 0

    def run(self, task: Task, units: Iterable[Any], stop: Event | None = None) -> Iterator[UnitResult | UnitLost]:
        """Do every unit; a task's exception is the caller's, once tries do not help."""
        stop, left = stop or Event(), iter(units)
        came: SimpleQueue[_Came] = SimpleQueue()

        def do(unit: Any) -> None:
            try:
                came.put((run_with_retries(task, unit, stop, self._count_retry), None))
            except BaseException as error:  # handed to whoever waits
                came.put((None, error))

        in_flight = 0
        while True:
            while in_flight < self._threads and not stop.is_set() and (unit := next(left, None)) is not None:
                in_flight += 1
                # Daemons: after a second Ctrl-C nobody waits for what they are at.
                threading.Thread(target=do, args=(unit,), name=f"hubbub-unit-{unit.index}", daemon=True).start()
            self._in_flight = in_flight
            if not in_flight:
                return
            result, error = came.get()
            in_flight -= 1
            self._in_flight = in_flight
            if error is not None:
                raise error
            assert result is not None
            yield result

    def state(self) -> EngineState:
        """How many units are in flight; the process is the one worker."""
        return EngineState(in_flight=self._in_flight, retried=self._retried, threads=self._threads)

    def report_to(self, path: Path) -> AbstractContextManager[None]:
        """There is nothing to report."""
        return nullcontext()

    def _count_retry(self) -> None:
        self._retried += 1
