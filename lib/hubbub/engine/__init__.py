"""Engines: anything with ``run(task, units) -> iterator of results``. Serial and Dask pass the same tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any, Protocol

from hubbub.tasks.result import UnitLost, UnitResult

Task = Callable[[Any], UnitResult]
"""Does one unit. It may have two attributes: `resource`, which its units go by where workers have that resource of
Dask's; and `needs`, packages that workers must have beside those that hubbub always needs."""


class Unit(Protocol):
    """What an engine knows of a unit; the rest is between the plan and the task."""

    @property
    def index(self) -> int:
        """Its number."""

    @property
    def items(self) -> tuple[Any, ...]:
        """What it is made of, clips for most; where these have a field `failure`, one can be given up by itself."""

    @property
    def time_limit_s(self) -> float:
        """How long it may take before whoever does it is thought to hang."""


@dataclass(frozen=True)
class EngineState:
    """How an engine stands just now.

    Attributes
    ----------
    in_flight
        Units handed out whose results are not back.
    suspects
        Of these, units that are done in a process of their own, because whoever did them before died.
    retried
        Times that a unit was tried again so far, after a death or a failure that may pass.
    workers, threads
        Of the cluster.
    memory_bytes
        Of all workers together.
    memory_limit_bytes
        What they may take; 0 where nobody set a limit.
    """

    in_flight: int = 0
    suspects: int = 0
    retried: int = 0
    workers: int = 1
    threads: int = 1
    memory_bytes: int = 0
    memory_limit_bytes: int = 0


class Engine(Protocol):
    """What runs units.

    Attributes
    ----------
    note
        A line for the user: what it runs on, and where to watch it.
    """

    note: str

    def run(self, task: Task, units: Iterable[Any], stop: Event | None = None) -> Iterator[UnitResult | UnitLost]:
        """Do every unit once, in any order, and yield what came of each; once `stop` is set, begin no more.

        Raises
        ------
        StorageError
            When results cannot be written: no other unit would fare better.
        """

    def state(self) -> EngineState:
        """How it stands, asked from any thread while it runs."""

    def report_to(self, path: Path) -> AbstractContextManager[None]:
        """Have a page of what workers did in the context in a file, from engines that make one."""
