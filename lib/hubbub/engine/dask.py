"""The Dask engine: units to a cluster and results back, through whatever befalls workers and scheduler.

Units in flight are bounded, so that neither driver nor scheduler ever holds an archive. One that comes back without a
result goes there again::

    units ──> in flight ──> result
                 │  ▲
                 │  └── retried    the cause may pass: after a pause
                 ├────> suspect    its worker died: in a process of its own, which names the culprit (`alone`)
                 └────> waiting    the scheduler is gone: when it is back
"""

from __future__ import annotations

import heapq
import itertools
import math
import pickle
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event
from typing import Any

from distributed import Client, Future
from distributed.client import ClosedClientError, FutureCancelledError
from distributed.comm import CommClosedError
from distributed.protocol.pickle import dumps, loads
from distributed.scheduler import KilledWorker

from hubbub.engine import EngineState, Task
from hubbub.engine.clients import Connection
from hubbub.engine.outcomes import Outcome, Raised, Rejected
from hubbub.engine.performance import write_performance_report
from hubbub.engine.requirements import Requirements, find_mismatched_workers
from hubbub.engine.worker import RunContext, UnitCall
from hubbub.errors import ClusterError, ClusterLost
from hubbub.io.paths import storage_environment
from hubbub.io.retry import unit_backoffs_s
from hubbub.tasks.result import UnitLost, UnitResult

_IN_FLIGHT_PER_THREAD = 16  # a worker holds one that runs and one that is next; the scheduler queues the others
_REFILL = 0.25  # of the units in flight, handed out at once: half the cost of one by one
_ASK_EVERY_S = 2.0
_LOOK_EVERY_S = 0.25
_MOST_DEATHS_ALONE = 3
_MOST_REFUSALS = 16
_GATHER_WITHIN_S = 10.0
_RECONNECT_S = 120
_GONE = (FutureCancelledError, CommClosedError, ClosedClientError)


@dataclass(eq=False)
class _Try:
    """A unit on its way: what it is, and what befell it so far."""

    index: int
    clips: int
    packed: bytes
    alone: bool = False
    deaths_alone: int = 0
    backoffs_s: Iterator[float] = field(default_factory=unit_backoffs_s)


@dataclass(frozen=True)
class _Cluster:
    """What the scheduler said of its workers, and when."""

    asked_at: float = -math.inf
    workers: int = 0
    threads: int = 0
    memory_bytes: int = 0
    memory_limit_bytes: int = 0
    resources: frozenset[str] = frozenset()


class DaskEngine:
    """Does units on a Dask cluster.

    Parameters
    ----------
    connection
        To the cluster; whoever made it closes it.
    terms
        What must hold on workers.
    notify
        Told, in a sentence, what a person should know of while units are done.
    """

    def __init__(
        self, connection: Connection, terms: Requirements | None = None, notify: Callable[[str], None] = lambda _: None
    ) -> None:
        self._connection, self._client = connection, connection.client
        self._terms, self._notify = terms or Requirements(), notify
        self._cluster = _Cluster()
        self._in_flight: dict[Future, _Try] = {}
        self._retried = 0
        self._refusals: dict[str, tuple[str, ...]] = {}
        self._address = self._client.scheduler_info(n_workers=0)["address"]
        self._ask()
        self.note = f"{self._cluster.threads} Dask worker threads on {self._address}, dashboard {self._dashboard}"

    @property
    def _dashboard(self) -> str:
        return self._client.dashboard_link or "none"

    def state(self) -> EngineState:
        """How it stands, by what the scheduler said last."""
        known, tries = self._cluster, list(self._in_flight.values())
        return EngineState(
            in_flight=len(tries),
            suspects=sum(one.alone for one in tries),
            retried=self._retried,
            workers=known.workers,
            threads=known.threads,
            memory_bytes=known.memory_bytes,
            memory_limit_bytes=known.memory_limit_bytes,
        )

    def run(self, task: Task, units: Iterable[Any], stop: Event | None = None) -> Iterator[UnitResult | UnitLost]:
        """Do every unit.

        Once `stop` is set, what workers have begun is finished, and nothing else.

        Raises
        ------
        ClusterLost
            When the scheduler is gone and does not come back, or no worker comes; what is committed is kept.
        Exception
            What the task raised, once tries do not help.
        """
        flight = _Flight(self, task, units)
        try:
            while flight.is_under_way():
                if stop is not None and stop.is_set():
                    flight.begin_no_more()
                yield from flight.results()
        finally:
            flight.end()

    def report_to(self, path: Path) -> AbstractContextManager[None]:
        """Have Dask's performance report of what is done in the context in a file."""
        return write_performance_report(lambda: self._client, path)

    def _ask(self) -> None:
        """Ask the scheduler about its workers now and then: every question goes there and back."""
        if time.monotonic() - self._cluster.asked_at < _ASK_EVERY_S + self._cluster.workers / 100:
            return
        workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        self._cluster = _Cluster(
            asked_at=time.monotonic(),
            workers=len(workers),
            threads=sum(one["nthreads"] for one in workers),
            memory_bytes=sum(one["metrics"].get("memory", 0) for one in workers),
            memory_limit_bytes=sum(one["memory_limit"] or 0 for one in workers),
            resources=frozenset(name for one in workers for name, count in one["resources"].items() if count),
        )


class _Flight:
    """One run: what is handed out, what waits for it, and what has arrived."""

    def __init__(self, engine: DaskEngine, task: Task, units: Iterable[Any]) -> None:
        self._engine, self._task = engine, task
        # As Dask does, for tasks of a notebook; units are hubbub's own, and cost half as much pickled as they are.
        self._order = dumps(RunContext(task, storage_environment(), engine._terms))
        self._fresh = iter(units)
        self._again: deque[_Try] = deque()
        self._later: list[tuple[float, int, _Try]] = []
        self._in_flight = engine._in_flight
        self._arrived: SimpleQueue[Future] = SimpleQueue()
        # One name for all: Dask then queues them at the scheduler, and workers take one when they have room.
        self._name, self._numbers = f"{type(task).__name__}-{uuid.uuid4().hex}", itertools.count()
        self._resources: dict[str, int] = {}
        self._had_workers_at = time.monotonic()
        self._is_ending = self._has_results = False

    def is_under_way(self) -> bool:
        """Hand out what there is room for; False when everything is done."""
        engine = self._engine
        with suppress(*_GONE, OSError):  # found out soon enough by what is in flight
            engine._ask()
        self._check_workers()
        while self._later and self._later[0][0] <= time.monotonic():
            self._again.append(heapq.heappop(self._later)[2])
        room = self._room() - len(self._in_flight)
        if room >= _REFILL * self._room() or not self._in_flight:
            self._hand_out(list(itertools.islice(self._next(), room)))
        return bool(self._in_flight or self._later or self._again)

    def results(self) -> Iterator[UnitResult | UnitLost]:
        """Wait a little; give the results that arrived, and see to the units that came back without one."""
        for future, what in self._outcomes(self._batch()):
            tried = self._in_flight.pop(future, None)
            if tried is None:  # of a scheduler that is no more
                continue
            if isinstance(what, Raised):
                self._raised(tried, what)
            elif isinstance(what, Rejected):
                self._refused(tried, what)
            elif isinstance(what, KilledWorker):
                yield from self._died(tried, what)
            elif isinstance(what, _GONE):
                self._again.append(tried)
                self._reconnect(what)
            elif isinstance(what, ImportError) and (what.name or "").partition(".")[0] == "hubbub":
                self._unread(tried, what)
            elif isinstance(what, Exception):
                raise what
            else:
                self._has_results = True
                yield what

    def begin_no_more(self) -> None:
        """Take back what no worker has begun."""
        if self._is_ending:
            return
        self._is_ending, self._fresh = True, iter(())
        self._again.clear()
        self._later.clear()
        with suppress(*_GONE, OSError):  # of a scheduler that is gone nothing comes back
            taken_back = set(_take_back_queued(self._engine._client, self._name))
            for future in [future for future in self._in_flight if future.key in taken_back]:
                del self._in_flight[future]

    def end(self) -> None:
        """Leave nothing behind, however the run ended."""
        left = list(self._in_flight)
        self._in_flight.clear()
        with suppress(*_GONE, OSError, TimeoutError):
            self._engine._client.cancel(left)

    def _room(self) -> int:
        """Units to keep in flight: it follows a cluster that grows or shrinks, and lets one grow that has no worker."""
        connection, threads = self._engine._connection, self._engine._cluster.threads
        return _IN_FLIGHT_PER_THREAD * max(1, threads, connection.most_threads or 0)

    def _next(self) -> Iterator[_Try]:
        while self._again:
            yield self._again.popleft()
        for unit in self._fresh:
            yield _Try(unit.index, len(unit.items), pickle.dumps(unit))

    def _hand_out(self, tries: list[_Try]) -> None:
        try:
            futures = self._submitted(tries)
        except _GONE as error:
            self._again.extend(tries)
            self._reconnect(error)
            return
        self._in_flight.update(zip(futures, tries, strict=True))
        for future in futures:
            future.add_done_callback(self._arrived.put)

    def _submitted(self, tries: list[_Try]) -> list[Future]:
        if not tries:
            return []
        return self._engine._client.map(
            loads,
            [pickle.dumps(UnitCall(self._order, one.packed, alone=one.alone)) for one in tries],
            # Left to itself, Dask makes a key by spelling out the whole task, a millisecond a unit.
            key=[(self._name, next(self._numbers)) for _ in tries],
            pure=False,
            resources=self._resources or None,
        )

    def _batch(self) -> list[Future]:
        """What has arrived by now, one future at least, or nothing after a little while."""
        batch: list[Future] = []
        with suppress(Empty):
            batch.append(self._arrived.get(timeout=_LOOK_EVERY_S))
            while True:
                batch.append(self._arrived.get_nowait())
        return [future for future in batch if future in self._in_flight]

    def _outcomes(self, batch: list[Future]) -> Iterator[tuple[Future, Outcome | Exception]]:
        """What came of each; never by `Future.status`: it reverts when the worker that holds the result dies.

        Then the result is made anew, and waited for as if it had not arrived.
        """
        client = self._engine._client
        try:
            results = _within(client, lambda: client.gather(batch, asynchronous=True)) if batch else []
            yield from zip(batch, results, strict=True)
        except Exception:
            for future in batch:
                if future in self._in_flight:
                    what = _outcome(client, future)
                    if isinstance(what, TimeoutError):
                        self._arrived.put(future)
                    else:
                        yield future, what

    def _raised(self, tried: _Try, what: Raised) -> None:
        if isinstance(what.error, MemoryError) and not tried.alone:
            self._suspect(tried)  # whose fault it is can be told there
            return
        if self._is_ending and what.is_transient:
            return  # the next run makes it
        pause_s = next(tried.backoffs_s, None) if what.is_transient else None
        if pause_s is None:
            raise what.error
        self._engine._retried += 1
        heapq.heappush(self._later, (time.monotonic() + pause_s, id(tried), tried))

    def _died(self, tried: _Try, error: KilledWorker) -> Iterator[UnitLost]:
        if tried.alone:
            tried.deaths_alone += 1
        if tried.deaths_alone >= _MOST_DEATHS_ALONE:
            reason = (
                f"its workers died {tried.deaths_alone} times, though it ran apart; last {error.last_worker.address}"
            )
            yield UnitLost(tried.index, tried.clips, reason)
            return
        self._suspect(tried)

    def _suspect(self, tried: _Try) -> None:
        self._engine._retried += 1
        tried.alone = True
        if not self._is_ending:
            self._again.append(tried)

    def _refused(self, tried: _Try, what: Rejected) -> None:
        """Send a worker away that came late and does not fit; its unit goes to another."""
        self._send_away({what.worker: what.objections})
        self._hand_on(tried)

    def _unread(self, tried: _Try, error: Exception) -> None:
        """Send workers away that cannot even say that they do not fit, since they have no hubbub."""
        engine = self._engine
        with suppress(*_GONE, OSError):
            self._send_away(find_mismatched_workers(engine._client, engine._terms))
        if not engine._refusals:
            raise error
        self._hand_on(tried)

    def _hand_on(self, tried: _Try) -> None:
        if not self._is_ending:
            self._again.append(tried)

    def _send_away(self, unfit: Mapping[str, tuple[str, ...]]) -> None:
        engine = self._engine
        for worker in unfit.keys() - engine._refusals.keys():
            engine._refusals[worker] = unfit[worker]
            engine._notify(f"worker {worker} is sent away: {'; '.join(unfit[worker])}")
            with suppress(*_GONE, OSError):
                engine._client.retire_workers([worker])
        if len(engine._refusals) >= _MOST_REFUSALS and not self._has_results:
            raise ClusterLost(f"none of {len(engine._refusals)} workers fits: {self._refusals()}")

    def _refusals(self) -> str:
        return "; ".join(sorted({text for texts in self._engine._refusals.values() for text in texts}))

    def _reconnect(self, error: Exception) -> None:
        """Go on with the scheduler that comes back at the same address, or say that none does."""
        self._again.extend(self._in_flight.values())
        self._in_flight.clear()
        engine, deadline = self._engine, time.monotonic() + _RECONNECT_S
        lost = ClusterLost(
            f"the Dask scheduler at {engine._address} is gone ({type(error).__name__}); what is committed is kept: "
            "run the same command again, on a cluster that is up"
        )
        if engine._connection.again is None or self._is_ending:
            raise lost
        engine._notify(f"the Dask scheduler at {engine._address} is gone; waiting up to {_RECONNECT_S} s for it")
        while True:
            try:
                engine._client = engine._connection.again()
                break
            except ClusterError:
                if time.monotonic() > deadline:
                    raise lost from None
        engine._notify("it is back; the run goes on")
        engine._cluster, self._had_workers_at = _Cluster(), time.monotonic()

    def _check_workers(self) -> None:
        """Give up where no worker comes; and follow resources that workers bring or take along."""
        engine, limit_s = self._engine, self._engine._connection.workers_within_s
        if engine._cluster.workers:
            self._had_workers_at = time.monotonic()
        elif time.monotonic() - self._had_workers_at > limit_s:
            why = self._refusals()
            raise ClusterLost(
                f"the scheduler at {engine._address} has had no worker for {limit_s:g} s"
                + (f" that fits ({why})" if why else "")
                + "; what is committed is kept: start workers, then run the same command again"
            )
        wanted = getattr(self._task, "resource", None)
        offered = {wanted: 1} if wanted in engine._cluster.resources else {}
        if offered != self._resources:
            self._resources = offered
            self._take_back()

    def _take_back(self) -> None:
        """Hand out again what waits for workers that may be no more."""
        futures = list(self._in_flight)
        self._again.extend(self._in_flight.values())
        self._in_flight.clear()
        with suppress(*_GONE, OSError):
            self._engine._client.cancel(futures)


def _outcome(client: Client, future: Future) -> Any:
    try:
        return _within(client, lambda: future.result(timeout=None))
    except Exception as error:
        return error


def _within(client: Client, ask: Callable[[], Any]) -> Any:
    """What a question of the client's is answered with; `TimeoutError` where that takes too long."""
    return client.sync(ask, callback_timeout=_GATHER_WITHIN_S)


def _take_back_queued(client: Client, name: str) -> list[Any]:
    """Take back what no worker has been given, of the tasks whose keys begin with `name`; returns their keys.

    At once and by the scheduler itself: what it gives out between a question and an answer would be done, and not told.
    """

    def take_back(dask_scheduler: Any = None) -> list[Any]:  # nested, so that it travels by value
        waiting = ("queued", "no-worker", "waiting")
        tasks = [task for key, task in dask_scheduler.tasks.items() if isinstance(key, tuple) and key[0] == name]
        keys = [task.key for task in tasks if task.state in waiting]
        for task in [dask_scheduler.tasks[key] for key in keys]:
            for owner in [state.client_key for state in task.who_wants or ()]:
                dask_scheduler.client_releases_keys(keys=[task.key], client=owner, stimulus_id="hubbub-stops")
        return keys

    return list(client.run_on_scheduler(take_back))
