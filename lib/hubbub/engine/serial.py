"""The reference engine: a plain loop in this process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from hubbub.engine import Task
from hubbub.tasks.result import UnitLost, UnitResult


class SerialEngine:
    """Does units one after the other."""

    note = "serial: one unit at a time in this process"

    def run(self, task: Task, units: Iterable[Any]) -> Iterator[UnitResult | UnitLost]:
        """Do every unit in order; a task's exception is the caller's."""
        for unit in units:
            yield task(unit)
