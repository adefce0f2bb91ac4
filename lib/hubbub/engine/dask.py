"""The Dask engine, the only file that imports Dask.

Units in flight are bounded, so that neither driver nor scheduler ever holds an archive.
"""

from __future__ import annotations

import itertools
import logging
import math
import signal
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any

import dask
from distributed import Client, Future, LocalCluster, as_completed
from distributed.client import FutureCancelledError
from distributed.comm import CommClosedError
from distributed.protocol import pickle
from distributed.scheduler import KilledWorker

from hubbub.engine import Task
from hubbub.errors import ClusterError, ClusterLost
from hubbub.places import apply_storage, shipped_storage
from hubbub.tasks.result import UnitLost, UnitResult

_IN_FLIGHT_PER_THREAD = 3  # one that runs, one that waits on the worker, one on its way
_THREADS_EVERY_S = 2.0
_CONNECT_TIMEOUT_S = 10
_WORKERS_TIMEOUT_S = 60

# One thread a process (decoding holds Python's lock in places, and a dead process then costs one unit); so every
# library's own pool of threads has one as well, or two workers would fight over every core.
WORKER_ENVIRONMENT = {
    **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), 1),
    **dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), 1),
    # glibc else gives every block of sound and frames back to the system, and pays for its pages anew: half of a clip's
    # time. A worker keeps up to this much more than it needs. Shards, which are larger, do go back at once.
    "MALLOC_MMAP_THRESHOLD_": 8 * 2**20,
    "MALLOC_TRIM_THRESHOLD_": 64 * 2**20,
    # Every thread that zarr starts would keep a heap of its own, and a worker would grow with a recording's length.
    "MALLOC_ARENA_MAX": 1,
}
_LOCAL_SETTINGS = {
    # A unit that kills its worker is tried once more elsewhere; distributed's default of 3 takes tens of seconds.
    "distributed.scheduler.allowed-failures": 1,
    # Distributed looks at its own clocks 50 times a second, at every worker's stack 100 times and at its memory 10
    # times; on a machine that driver, scheduler and workers share, that is a tenth of a core taken from the clips.
    "distributed.admin.tick.interval": "500ms",
    "distributed.worker.profile.interval": "100ms",
    "distributed.worker.memory.monitor-interval": "500ms",
    **{f"distributed.nanny.pre-spawn-environ.{name}": value for name, value in WORKER_ENVIRONMENT.items()},
}


class DaskEngine:
    """Does units on a Dask cluster.

    Parameters
    ----------
    client
        Connected to the cluster; whoever made it closes it.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._threads_known, self._threads_asked_at = 0, -math.inf
        self._address = client.scheduler_info(n_workers=0)["address"]
        self.note = f"{self._threads()} Dask worker threads on {self._address}, dashboard {client.dashboard_link}"

    def run(self, task: Task, units: Iterable[Any]) -> Iterator[UnitResult | UnitLost]:
        """Do every unit.

        A worker that dies takes all its units along, and each is blamed. So blamed units wait until the others are
        done, then each is tried once more with no other beside it; what kills again is lost.
        """
        blamed = []
        for unit, outcome in self._together(task, units):
            if isinstance(outcome, UnitLost):
                blamed.append(unit)
            else:
                yield outcome
        for unit in blamed:
            for _, outcome in self._together(task, [unit]):
                yield outcome

    def _together(self, task: Task, units: Iterable[Any]) -> Iterator[tuple[Any, UnitResult | UnitLost]]:
        waiting = iter(units)
        in_flight: dict[Future, Any] = {}
        packed = pickle.dumps((task, shipped_storage()))  # as Dask does: functions of a notebook by value
        # Left to itself, Dask makes a key by spelling out the whole task, a millisecond a unit.
        keys = (f"{type(task).__name__}-{uuid.uuid4().hex}" for _ in itertools.count())

        def submit(count: int) -> list[Future]:
            # The task travels with each unit: scattered data would be gone with the workers that hold it.
            chosen = itertools.islice(waiting, count)
            futures = {self._client.submit(_do, packed, unit, key=next(keys), pure=False): unit for unit in chosen}
            in_flight.update(futures)
            return list(futures)

        running = as_completed(submit(self._room()))
        try:
            for future in running:
                unit = in_flight.pop(future)
                yield unit, self._outcome(future, unit)
                running.update(submit(max(0, self._room() - len(in_flight))))
        except (FutureCancelledError, CommClosedError) as error:
            raise ClusterLost(
                f"the Dask scheduler at {self._address} is gone ({type(error).__name__}); what is committed is kept: "
                "run the same command again, on a cluster that is up"
            ) from None
        finally:
            with suppress(CommClosedError):
                self._client.cancel(list(in_flight))

    def _room(self) -> int:
        """Units to keep in flight; it follows a cluster that grows or shrinks."""
        return max(1, self._threads() * _IN_FLIGHT_PER_THREAD)

    def _threads(self) -> int:
        """Threads of all workers, asked anew now and then: every question goes to the scheduler and back."""
        if time.monotonic() - self._threads_asked_at > _THREADS_EVERY_S:
            self._threads_known = sum(self._client.nthreads().values())
            self._threads_asked_at = time.monotonic()
        return self._threads_known

    def _outcome(self, future: Future, unit: Any) -> UnitResult | UnitLost:
        try:
            # Never branch on .status: a finished future reverts when the worker that holds its result dies.
            return future.result()
        except KilledWorker as error:
            reason = f"its workers died {error.allowed_failures + 1} times, the last on {error.last_worker.address}"
            return UnitLost(unit.index, len(unit.items), reason)


def _do(packed: bytes, unit: Any) -> UnitResult:
    """Do one unit, on a worker."""
    return _unpacked(packed)(unit)


@lru_cache(maxsize=2)
def _unpacked(packed: bytes) -> Task:
    """The task of a run, made once a worker and not once a unit. Dask itself sends everything as pickles."""
    task, storage = pickle.loads(packed)
    apply_storage(storage)
    return task


@contextmanager
def local_client(workers: int) -> Iterator[Client]:
    """A client of a new cluster on this machine, which ends with the context."""
    with (
        dask.config.set(_LOCAL_SETTINGS),
        _interrupts_held_back(),
        _local_cluster(workers) as cluster,
        Client(cluster) as client,
    ):
        with _interrupts_let_through():
            yield client


def _local_cluster(workers: int) -> LocalCluster:
    """Start the processes of a local cluster; `ClusterLost` when one of them dies before it works."""
    try:
        return LocalCluster(
            n_workers=workers, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs=60
        )
    except (RuntimeError, OSError, TimeoutError) as error:
        raise ClusterLost(
            f"the {workers} workers of the local cluster did not start ({error}); what is committed is kept: run the "
            "same command again, with fewer --workers where memory is short"
        ) from error


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Ctrl-C is the driver's alone, and not while the cluster starts or ends: workers inherit that it is ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, kept)


@contextmanager
def _interrupts_let_through() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, kept)


@contextmanager
def remote_client(address: str) -> Iterator[Client]:
    """A client of a scheduler that others started.

    Raises
    ------
    ClusterError
        When it does not answer, or has no workers.
    """
    # A scheduler that goes away is told in a sentence (`ClusterLost`), and not in tracebacks of those who miss it.
    for name in logging.root.manager.loggerDict:
        if name.startswith("distributed"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        client = Client(address, timeout=_CONNECT_TIMEOUT_S)
    except (OSError, TimeoutError, ValueError) as error:
        raise ClusterError(f"no Dask scheduler answers at {address} within {_CONNECT_TIMEOUT_S} s ({error})") from None
    with client:
        try:
            client.wait_for_workers(1, timeout=_WORKERS_TIMEOUT_S)
        except TimeoutError:
            raise ClusterError(f"the scheduler at {address} has had no worker for {_WORKERS_TIMEOUT_S} s") from None
        yield client
