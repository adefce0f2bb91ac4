"""Engines: anything with ``run(task, units) -> iterator of results``. Serial and Dask pass the same tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from hubbub.tasks.result import UnitLost, UnitResult

Task = Callable[[Any], UnitResult]


class Engine(Protocol):
    """What runs units.

    Attributes
    ----------
    note
        A line for the user: what it runs on, and where to watch it.
    """

    note: str

    def run(self, task: Task, units: Iterable[Any]) -> Iterator[UnitResult | UnitLost]:
        """Do every unit once, in any order, and yield what came of each.

        Raises
        ------
        StorageError
            When results cannot be written: no other unit would fare better.
        """
