"""The Dask engine: runs units on a cluster, through the loss of workers and of the scheduler.

The number of units in flight is bounded, so that neither driver nor scheduler holds an archive. A unit that comes back
without a result is submitted again::

    units ──> in flight ──> result
                 │  ▲
                 │  └── retried    the cause is transient: after a backoff
                 ├────> suspect    its worker died: in an isolated process, which finds the culprit (`isolated`)
                 └────> waiting    the scheduler is gone: once it is back
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Event
from typing import Any

from distributed import Future

from hubbub.engine import EngineState, Task
from hubbub.engine.clients import Connection
from hubbub.engine.in_flight import Attempt, ClusterState, UnitsInFlight
from hubbub.engine.performance import write_performance_report
from hubbub.engine.requirements import Requirements
from hubbub.tasks.result import UnitLost, UnitResult

_POLL_INTERVAL_S = 2.0


class DaskEngine:
    """Runs units on a Dask cluster.

    Parameters
    ----------
    connection
        To the cluster; whoever made it closes it.
    requirements
        What workers must meet.
    notify
        Called with a sentence that a person should read while units run.
    """

    def __init__(
        self, connection: Connection, terms: Requirements | None = None, notify: Callable[[str], None] = lambda _: None
    ) -> None:
        self._connection, self._client = connection, connection.client
        self._requirements, self._notify = terms or Requirements(), notify
        self._cluster = ClusterState()
        self._in_flight: dict[Future, Attempt] = {}
        self._retried = 0
        self._rejected: dict[str, tuple[str, ...]] = {}
        self._address = self._client.scheduler_info(n_workers=0)["address"]
        self._update_state()
        self.note = f"{self._cluster.threads} Dask worker threads on {self._address}, dashboard {self._dashboard}"

    @property
    def _dashboard(self) -> str:
        return self._client.dashboard_link or "none"

    def state(self) -> EngineState:
        """Return the state that the scheduler reported last."""
        known, tries = self._cluster, list(self._in_flight.values())
        return EngineState(
            in_flight=len(tries),
            suspects=sum(one.isolated for one in tries),
            retried=self._retried,
            workers=known.workers,
            threads=known.threads,
            memory_bytes=known.memory_bytes,
            memory_limit_bytes=known.memory_limit_bytes,
        )

    def run(self, task: Task, units: Iterable[Any], stop: Event | None = None) -> Iterator[UnitResult | UnitLost]:
        """Run every unit.

        Once `stop` is set, workers finish the units that they have begun, and no others.

        Raises
        ------
        ClusterLost
            When the scheduler is gone and does not come back, or no worker comes; what is committed is kept.
        Exception
            What the task raised, once retries are used up.
        """
        flight = UnitsInFlight(self, task, units)
        try:
            while flight.submit_more():
                if stop is not None and stop.is_set():
                    flight.drain()
                yield from flight.results()
        finally:
            flight.end()

    def report_to(self, path: Path) -> AbstractContextManager[None]:
        """Write Dask's performance report of the context into a file."""
        return write_performance_report(lambda: self._client, path)

    def _update_state(self) -> None:
        """Ask the scheduler about its workers, at most every few seconds: each question is a round trip."""
        if time.monotonic() - self._cluster.asked_at < _POLL_INTERVAL_S + self._cluster.workers / 100:
            return
        workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        self._cluster = ClusterState(
            asked_at=time.monotonic(),
            workers=len(workers),
            threads=sum(one["nthreads"] for one in workers),
            memory_bytes=sum(one["metrics"].get("memory", 0) for one in workers),
            memory_limit_bytes=sum(one["memory_limit"] or 0 for one in workers),
            resources=frozenset(name for one in workers for name, count in one["resources"].items() if count),
        )
