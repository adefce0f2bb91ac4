"""The Dask engine: units in flight are bounded, so that neither driver nor scheduler ever holds an archive."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

from distributed import Client, Future, as_completed
from distributed.scheduler import KilledWorker

from hubbub.engine import Task
from hubbub.tasks.result import UnitLost, UnitResult

_IN_FLIGHT_PER_THREAD = 3  # one that runs, one that waits on the worker, one on its way


class DaskEngine:
    """Does units on a Dask cluster.

    Parameters
    ----------
    client
        Connected to the cluster; whoever made it closes it.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        address = client.scheduler_info(n_workers=0)["address"]
        self.note = f"{self._threads()} Dask worker threads on {address}, dashboard {client.dashboard_link}"

    def run(self, task: Task, units: Iterable[Any]) -> Iterator[UnitResult | UnitLost]:
        """Do every unit; one whose workers die again and again is lost, the others go on."""
        waiting = iter(units)
        spread = self._client.scatter(task, broadcast=True, hash=False)
        names: dict[Future, Any] = {}

        def submit(count: int) -> list[Future]:
            futures = {
                self._client.submit(_call, spread, unit, pure=False): unit for unit in itertools.islice(waiting, count)
            }
            names.update(futures)
            return list(futures)

        running = as_completed(submit(self._room()))
        try:
            for future in running:
                yield self._outcome(future, names.pop(future))
                running.update(submit(max(0, self._room() - len(names))))
        finally:
            self._client.cancel(list(names))

    def _room(self) -> int:
        """Units to keep in flight; it follows a cluster that grows or shrinks."""
        return max(1, self._threads() * _IN_FLIGHT_PER_THREAD)

    def _threads(self) -> int:
        return sum(self._client.nthreads().values())

    def _outcome(self, future: Future, unit: Any) -> UnitResult | UnitLost:
        try:
            # Never branch on .status: a finished future reverts when the worker that holds its result dies.
            return future.result()
        except KilledWorker as error:
            reason = f"its workers died {error.allowed_failures + 1} times, the last on {error.last_worker.address}"
            return UnitLost(unit.index, len(unit.items), reason)


def _call(task: Task, unit: Any) -> UnitResult:
    return task(unit)
