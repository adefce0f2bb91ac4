"""The reference engine: a plain loop in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from threading import Event
from typing import Any

from hubbub.engine import EngineState, Task
from hubbub.io.retry import is_transient, unit_backoffs_s
from hubbub.tasks.result import UnitLost, UnitResult


class SerialEngine:
    """Does units one after the other."""

    note = "serial: one unit at a time in this process"

    def __init__(self) -> None:
        self._in_flight = self._retried = 0

    def run(self, task: Task, units: Iterable[Any], stop: Event | None = None) -> Iterator[UnitResult | UnitLost]:
        """Do every unit in order; a task's exception is the caller's, once tries do not help."""
        for unit in units:
            if stop is not None and stop.is_set():
                return
            self._in_flight = 1
            result = run_with_retries(task, unit, stop or Event(), self._count_retry)
            self._in_flight = 0
            yield result

    def state(self) -> EngineState:
        """One unit at most is in flight."""
        return EngineState(in_flight=self._in_flight, retried=self._retried)

    def report_to(self, path: Path) -> AbstractContextManager[None]:
        """There is nothing to report."""
        return nullcontext()

    def _count_retry(self) -> None:
        self._retried += 1


def run_with_retries(task: Task, unit: Any, stop: Event, on_retry: Callable[[], None]) -> UnitResult:
    """Do one unit, again after pauses while its failure may pass; raises what the task raised last."""
    for pause_s in unit_backoffs_s():
        try:
            return task(unit)
        except Exception as error:
            if not is_transient(error) or stop.wait(pause_s):
                raise
        on_retry()
    return task(unit)
