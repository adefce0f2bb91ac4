"""The units of one run on a Dask cluster: submitted, in flight, resubmitted, arrived."""

from __future__ import annotations

import heapq
import itertools
import math
import pickle
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from distributed import Client, Future
from distributed.client import ClosedClientError, FutureCancelledError
from distributed.comm import CommClosedError
from distributed.protocol.pickle import dumps, loads
from distributed.scheduler import KilledWorker

from hubbub.engine import Task
from hubbub.engine.outcomes import Outcome, Raised, Rejected
from hubbub.engine.requirements import find_mismatched_workers
from hubbub.engine.worker import RunContext, UnitMessage
from hubbub.errors import ClusterError, ClusterLost
from hubbub.io.retry import unit_backoffs_s
from hubbub.io.storage_options import storage_environment
from hubbub.io.text import count_noun
from hubbub.tasks.result import UnitLost, UnitResult

if TYPE_CHECKING:
    from hubbub.engine.dask import DaskEngine

_IN_FLIGHT_PER_THREAD = 16  # a worker holds one that runs and one that is next; the scheduler queues the others
_REFILL = 0.25  # of the units in flight, handed out at once: half the cost of one by one
_POLL_INTERVAL_S = 0.25
_MAX_ISOLATED_DEATHS = 3
_MAX_REJECTIONS = 16
_GATHER_TIMEOUT_S = 10.0
_RECONNECT_S = 120
_CONNECTION_ERRORS = (FutureCancelledError, CommClosedError, ClosedClientError)


@dataclass(eq=False)
class Attempt:
    """A unit in flight, and its failures so far."""

    index: int
    clips: int
    packed: bytes
    isolated: bool = False
    isolated_deaths: int = 0
    backoffs_s: Iterator[float] = field(default_factory=unit_backoffs_s)


@dataclass(frozen=True)
class ClusterState:
    """What the scheduler reported about its workers, and when."""

    asked_at: float = -math.inf
    workers: int = 0
    threads: int = 0
    memory_bytes: int = 0
    memory_limit_bytes: int = 0
    resources: frozenset[str] = frozenset()


class UnitsInFlight:
    """The units of one run: in flight, waiting to be submitted, and arrived."""

    def __init__(self, engine: DaskEngine, task: Task, units: Iterable[Any]) -> None:
        self._engine, self._task = engine, task
        # Pickled as Dask does, for tasks defined in a notebook; units are plain classes: pickle takes half the time.
        self._context = dumps(RunContext(task, storage_environment(), engine._requirements))
        self._new = iter(units)
        self._to_resubmit: deque[Attempt] = deque()
        self._delayed: list[tuple[float, int, Attempt]] = []
        self._in_flight = engine._in_flight
        self._arrived: SimpleQueue[Future] = SimpleQueue()
        # One name for all: Dask then queues them at the scheduler, and workers take one when they have room.
        self._name, self._numbers = f"{type(task).__name__}-{uuid.uuid4().hex}", itertools.count()
        self._resources: dict[str, int] = {}
        self._had_workers_at = time.monotonic()
        self._is_ending = self._has_results = False

    def submit_more(self) -> bool:
        """Submit as many units as there is room for; return False when every unit is done."""
        engine = self._engine
        with suppress(*_CONNECTION_ERRORS, OSError):  # the units in flight show it soon enough
            engine._update_state()
        self._check_workers()
        while self._delayed and self._delayed[0][0] <= time.monotonic():
            self._to_resubmit.append(heapq.heappop(self._delayed)[2])
        room = self._room() - len(self._in_flight)
        if room >= _REFILL * self._room() or not self._in_flight:
            self._submit(list(itertools.islice(self._take_next(), room)))
        return bool(self._in_flight or self._delayed or self._to_resubmit)

    def results(self) -> Iterator[UnitResult | UnitLost]:
        """Wait a little; give the results that arrived, and handle units that came back without one."""
        for future, what in self._gather(self._wait_for_arrivals()):
            attempt = self._in_flight.pop(future, None)
            if attempt is None:  # of the scheduler before
                continue
            if isinstance(what, Raised):
                self._handle_error(attempt, what)
            elif isinstance(what, Rejected):
                self._handle_rejection(attempt, what)
            elif isinstance(what, KilledWorker):
                yield from self._handle_death(attempt, what)
            elif isinstance(what, _CONNECTION_ERRORS):
                self._to_resubmit.append(attempt)
                self._reconnect(what)
            elif isinstance(what, ImportError) and (what.name or "").partition(".")[0] == "hubbub":
                self._handle_missing_hubbub(attempt, what)
            elif isinstance(what, Exception):
                raise what
            else:
                self._has_results = True
                yield what

    def drain(self) -> None:
        """Cancel the units that no worker has begun, and submit no more."""
        if self._is_ending:
            return
        self._is_ending, self._new = True, iter(())
        self._to_resubmit.clear()
        self._delayed.clear()
        with suppress(*_CONNECTION_ERRORS, OSError):  # nothing comes back from a scheduler that is gone
            cancelled = set(_cancel_queued(self._engine._client, self._name))
            for future in [future for future in self._in_flight if future.key in cancelled]:
                del self._in_flight[future]

    def end(self) -> None:
        """Cancel every unit in flight, however the run ended."""
        left = list(self._in_flight)
        self._in_flight.clear()
        with suppress(*_CONNECTION_ERRORS, OSError, TimeoutError):
            self._engine._client.cancel(left)

    def _room(self) -> int:
        """Return the units to keep in flight, by the threads the cluster has or may grow to."""
        connection, threads = self._engine._connection, self._engine._cluster.threads
        return _IN_FLIGHT_PER_THREAD * max(1, threads, connection.max_threads or 0)

    def _take_next(self) -> Iterator[Attempt]:
        while self._to_resubmit:
            yield self._to_resubmit.popleft()
        for unit in self._new:
            yield Attempt(unit.index, len(unit.items), pickle.dumps(unit))

    def _submit(self, tries: list[Attempt]) -> None:
        try:
            futures = self._map_units(tries)
        except _CONNECTION_ERRORS as error:
            self._to_resubmit.extend(tries)
            self._reconnect(error)
            return
        self._in_flight.update(zip(futures, tries, strict=True))
        for future in futures:
            future.add_done_callback(self._arrived.put)

    def _map_units(self, tries: list[Attempt]) -> list[Future]:
        if not tries:
            return []
        return self._engine._client.map(
            loads,
            [pickle.dumps(UnitMessage(self._context, one.packed, isolated=one.isolated)) for one in tries],
            # Left to itself, Dask makes a key by spelling out the whole task, a millisecond a unit.
            key=[(self._name, next(self._numbers)) for _ in tries],
            pure=False,
            resources=self._resources or None,
        )

    def _wait_for_arrivals(self) -> list[Future]:
        """Return the futures that have arrived, at least one, or none after a short wait."""
        batch: list[Future] = []
        with suppress(Empty):
            batch.append(self._arrived.get(timeout=_POLL_INTERVAL_S))
            while True:
                batch.append(self._arrived.get_nowait())
        return [future for future in batch if future in self._in_flight]

    def _gather(self, batch: list[Future]) -> Iterator[tuple[Future, Outcome | Exception]]:
        """Give the outcome of each future.

        Never by `Future.status`, which reverts when the worker that holds the result dies. The unit then runs again,
        and its future is waited for again.
        """
        client = self._engine._client
        try:
            results = _ask_within(client, lambda: client.gather(batch, asynchronous=True)) if batch else []
            yield from zip(batch, results, strict=True)
        except Exception:
            for future in batch:
                if future in self._in_flight:
                    what = _read_outcome(client, future)
                    if isinstance(what, TimeoutError):
                        self._arrived.put(future)
                    else:
                        yield future, what

    def _handle_error(self, attempt: Attempt, what: Raised) -> None:
        if isinstance(what.error, MemoryError) and not attempt.isolated:
            self._isolate(attempt)  # which finds the culprit
            return
        if self._is_ending and what.is_transient:
            return  # the next run computes it
        pause_s = next(attempt.backoffs_s, None) if what.is_transient else None
        if pause_s is None:
            raise what.error
        self._engine._retried += 1
        heapq.heappush(self._delayed, (time.monotonic() + pause_s, id(attempt), attempt))

    def _handle_death(self, attempt: Attempt, error: KilledWorker) -> Iterator[UnitLost]:
        if attempt.isolated:
            attempt.isolated_deaths += 1
        if attempt.isolated_deaths >= _MAX_ISOLATED_DEATHS:
            reason = (
                f"its workers died {attempt.isolated_deaths} times, though isolated; last {error.last_worker.address}"
            )
            yield UnitLost(attempt.index, attempt.clips, reason)
            return
        self._isolate(attempt)

    def _isolate(self, attempt: Attempt) -> None:
        self._engine._retried += 1
        attempt.isolated = True
        if not self._is_ending:
            self._to_resubmit.append(attempt)

    def _handle_rejection(self, attempt: Attempt, what: Rejected) -> None:
        """Reject a worker that joined late and misses a requirement; another worker gets its unit."""
        self._reject_workers({what.worker: what.mismatches})
        self._resubmit(attempt)

    def _handle_missing_hubbub(self, attempt: Attempt, error: Exception) -> None:
        """Reject workers that have no hubbub, and so cannot report their mismatches."""
        engine = self._engine
        with suppress(*_CONNECTION_ERRORS, OSError):
            self._reject_workers(find_mismatched_workers(engine._client, engine._requirements))
        if not engine._rejected:
            raise error
        self._resubmit(attempt)

    def _resubmit(self, attempt: Attempt) -> None:
        if not self._is_ending:
            self._to_resubmit.append(attempt)

    def _reject_workers(self, unfit: Mapping[str, tuple[str, ...]]) -> None:
        engine = self._engine
        for worker in unfit.keys() - engine._rejected.keys():
            engine._rejected[worker] = unfit[worker]
            engine._notify(f"worker {worker} is rejected: {'; '.join(unfit[worker])}")
            with suppress(*_CONNECTION_ERRORS, OSError):
                engine._client.retire_workers([worker])
        if len(engine._rejected) >= _MAX_REJECTIONS and not self._has_results:
            raise ClusterLost(
                f"none of {count_noun(len(engine._rejected), 'worker')} meets the requirements: "
                f"{self._list_rejections()}; install the same versions there, or use --ship"
            )

    def _list_rejections(self) -> str:
        return "; ".join(sorted({text for texts in self._engine._rejected.values() for text in texts}))

    def _reconnect(self, error: Exception) -> None:
        """Connect to the scheduler that comes back at the same address; raise `ClusterLost` if none does."""
        self._to_resubmit.extend(self._in_flight.values())
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
        engine._notify("the Dask scheduler is back; the run continues")
        engine._cluster, self._had_workers_at = ClusterState(), time.monotonic()

    def _check_workers(self) -> None:
        """Raise `ClusterLost` where no worker comes; follow the resources that workers bring."""
        engine, limit_s = self._engine, self._engine._connection.workers_within_s
        if engine._cluster.workers:
            self._had_workers_at = time.monotonic()
        elif time.monotonic() - self._had_workers_at > limit_s:
            why = self._list_rejections()
            raise ClusterLost(
                f"the scheduler at {engine._address} has had no worker for {limit_s:g} s"
                + (f" that meets the requirements ({why})" if why else "")
                + "; what is committed is kept: start workers, then run the same command again"
            )
        wanted = getattr(self._task, "resource", None)
        offered = {wanted: 1} if wanted in engine._cluster.resources else {}
        if offered != self._resources:
            self._resources = offered
            self._resubmit_queued()

    def _resubmit_queued(self) -> None:
        """Submit the units again that wait for resources of workers that may be gone."""
        futures = list(self._in_flight)
        self._to_resubmit.extend(self._in_flight.values())
        self._in_flight.clear()
        with suppress(*_CONNECTION_ERRORS, OSError):
            self._engine._client.cancel(futures)


def _read_outcome(client: Client, future: Future) -> Any:
    try:
        return _ask_within(client, lambda: future.result(timeout=None))
    except Exception as error:
        return error


def _ask_within(client: Client, ask: Callable[[], Any]) -> Any:
    """Return the answer to a question of the client; raise `TimeoutError` where it takes too long."""
    return client.sync(ask, callback_timeout=_GATHER_TIMEOUT_S)


def _cancel_queued(client: Client, name: str) -> list[Any]:
    """Cancel the queued tasks whose keys begin with `name`; return their keys.

    The scheduler does it in one step: a task handed to a worker between a question and an answer would run unseen.
    """

    def cancel(dask_scheduler: Any = None) -> list[Any]:  # nested, so that it travels by value
        waiting = ("queued", "no-worker", "waiting")
        tasks = [task for key, task in dask_scheduler.tasks.items() if isinstance(key, tuple) and key[0] == name]
        keys = [task.key for task in tasks if task.state in waiting]
        for task in [dask_scheduler.tasks[key] for key in keys]:
            for owner in [state.client_key for state in task.who_wants or ()]:
                dask_scheduler.client_releases_keys(keys=[task.key], client=owner, stimulus_id="hubbub-stops")
        return keys

    return list(client.run_on_scheduler(cancel))
