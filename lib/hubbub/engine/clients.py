"""Connections to Dask clusters: a new one on this machine, an external one, or the caller's own client."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import dask
from distributed import Client, LocalCluster, Security, WorkerPlugin
from distributed.comm import connect
from distributed.comm.addressing import parse_host_port
from distributed.deploy import Cluster

from hubbub.engine.ahead import WORKER_ENVIRONMENT, start_method
from hubbub.errors import ClusterError, ClusterLost, UsageError
from hubbub.io.text import count_noun

_ANSWER_TIMEOUT_S = 10
_PROBE_TIMEOUT_S = 2
_CONNECT_TIMEOUT_S = _ANSWER_TIMEOUT_S - _PROBE_TIMEOUT_S
_WORKERS_TIMEOUT_S = 60
_NO_WORKERS_TIMEOUT_S = 600.0  # in mid-run, on an external cluster: new machines take minutes
_CLOSE_NOW_S = 0.5

OWN_SETTINGS = {
    # Who was on a worker that died is tried again in a process of its own, which names the culprit: no second worker
    # has to die for it. Distributed's default of 3 takes tens of seconds.
    "distributed.scheduler.allowed-failures": 0,
    # Distributed looks at its own clocks 50 times a second, at every worker's stack 100 times and at its memory 10
    # times; on a machine that driver, scheduler and workers share, that is a tenth of a core taken from the clips.
    "distributed.admin.tick.interval": "500ms",
    "distributed.worker.profile.interval": "100ms",
    "distributed.worker.memory.monitor-interval": "500ms",
    **{f"distributed.nanny.pre-spawn-environ.{name}": value for name, value in WORKER_ENVIRONMENT.items()},
}
"""Settings of clusters that hubbub starts itself."""


@dataclass(frozen=True)
class Connection:
    """A way to a cluster.

    Attributes
    ----------
    client
        Connected.
    most_threads
        Threads that the cluster may grow to; None: as far as anyone knows, those it has.
    workers_within_s
        How long it may be without any worker before the run is given up.
    again
        Gives a new client, of the cluster's scheduler as it is back after it was gone; raises `ClusterLost` where it
        does not come back. None: the scheduler lives and dies with this process.
    """

    client: Client
    max_threads: int | None = None
    workers_within_s: float = _WORKERS_TIMEOUT_S
    again: Callable[[], Client] | None = None


class IgnoreInterrupts(WorkerPlugin):
    """Ctrl-C in a terminal reaches all its processes; it is the driver's to end what its workers do."""

    name = "hubbub-deaf-to-interrupts"

    def setup(self, worker: object) -> None:
        """Be set up in a worker's main thread."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def connect_local(workers: int) -> Iterator[Connection]:
    """Connect to a new cluster on this machine, which ends with the context."""
    with open_own_cluster(lambda: _start_local_cluster(workers), here=True) as (_, client):
        yield Connection(client)


def _start_local_cluster(workers: int) -> LocalCluster:
    """Start the processes of a local cluster; `ClusterLost` when one of them dies before it works."""
    try:
        return LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            silence_logs=60,
            # They are forked from a process that may have begun with another environment.
            env={name: value for name, value in os.environ.items() if name not in WORKER_ENVIRONMENT},
        )
    except (RuntimeError, OSError, TimeoutError) as error:
        raise ClusterLost(
            f"the {count_noun(workers, 'worker')} of the local cluster did not start ({error}); what is "
            "committed is kept: run the "
            "same command again, with fewer --workers where memory is short"
        ) from error


@contextmanager
def open_own_cluster(start: Callable[[], Cluster], *, here: bool) -> Iterator[tuple[Cluster, Client]]:
    """Connect to a cluster that `start` starts with hubbub's settings, and that ends with the context.

    Parameters
    ----------
    start
        Starts it.
    here
        Whether its workers are processes of this machine, which Ctrl-C in a terminal would reach.
    """
    _silence_loggers()
    with (
        dask.config.set(OWN_SETTINGS | ({"distributed.worker.multiprocessing-method": start_method()} if here else {})),
        defer_interrupts() if here else nullcontext(nullcontext) as let_through,
        _ignore_port_warnings(),
        start() as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        if here:
            client.register_plugin(IgnoreInterrupts())
        try:
            with let_through():
                yield cluster, client
        except KeyboardInterrupt:
            if here:
                cluster.sync(_close_now, cluster)
            raise


async def _close_now(cluster: LocalCluster) -> None:
    """End the workers of a cluster without waiting for the units that they do."""
    nannies = cluster.workers.values()
    await asyncio.gather(*(nanny.close(timeout=_CLOSE_NOW_S) for nanny in nannies), return_exceptions=True)


@contextmanager
def _ignore_port_warnings() -> Iterator[None]:
    """The dashboard takes another port where its own is taken; its address is printed anyway."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Port .* is already in use")
        yield


@contextmanager
def connect_external(address: str) -> Iterator[Connection]:
    """Connect to a scheduler that others started.

    Raises
    ------
    ClusterError
        When it does not answer, or has no workers.
    """
    _silence_loggers()
    clients: list[Client] = []

    def connected() -> Client:
        try:
            asyncio.run(asyncio.wait_for(_probe_scheduler(address), _CONNECT_TIMEOUT_S))
            clients.append(Client(address, timeout=_CONNECT_TIMEOUT_S, set_as_default=False))
        except (OSError, TimeoutError, ValueError) as error:
            raise ClusterError(
                f"no Dask scheduler answers at {address} within {_ANSWER_TIMEOUT_S} s: {_describe_address(address)} "
                f"({str(error) or type(error).__name__}); start one with: dask scheduler"
            ) from None
        return clients[-1]

    try:
        client = connected()
        try:
            client.wait_for_workers(1, timeout=_WORKERS_TIMEOUT_S)
        except TimeoutError:
            raise ClusterError(
                f"the scheduler at {address} has had no worker for {_WORKERS_TIMEOUT_S} s; "
                f"start some: dask worker {address}"
            ) from None
        yield Connection(client, workers_within_s=_NO_WORKERS_TIMEOUT_S, again=connected)
    finally:
        for client in clients:
            client.close()


@contextmanager
def connect_client(client: Client) -> Iterator[Connection]:
    """Use a client of the caller, which stays open and as it is.

    Raises
    ------
    TypeError
        When it is no `distributed.Client`.
    UsageError
        When it is closed, or asynchronous.
    ClusterError
        When its cluster has no workers.
    """
    if not isinstance(client, Client):
        raise TypeError(f"client is {client!r}; expected a distributed.Client, such as distributed.Client(n_workers=2)")
    if client.status in ("closed", "closing"):
        raise UsageError("the client is closed; expected a connected distributed.Client: make a new one")
    if client.asynchronous:
        raise UsageError("the client is asynchronous; expected distributed.Client(..., asynchronous=False)")
    try:
        client.wait_for_workers(1, timeout=_WORKERS_TIMEOUT_S)
    except TimeoutError:
        raise ClusterError(
            f"the cluster of the client has had no worker for {_WORKERS_TIMEOUT_S} s; start some, such as with "
            "client.cluster.scale(2)"
        ) from None
    yield Connection(client, workers_within_s=_NO_WORKERS_TIMEOUT_S)


async def _probe_scheduler(address: str) -> None:
    """Shake hands with a scheduler. A client waits for ever where something takes connections and says nothing."""
    comm = await connect(address, _CONNECT_TIMEOUT_S, **Security().get_connection_args("client"))
    comm.abort()


def _describe_address(address: str) -> str:
    """Say what a plain connection finds where no scheduler answered."""
    try:
        host, port = parse_host_port(address.partition("://")[2], 8786)
        with socket.create_connection((host, port), _PROBE_TIMEOUT_S):
            return f"something listens at port {port}, and it is no Dask scheduler, or wants TLS (tls://)"
    except (OSError, ValueError) as error:
        return f"a plain connection fails, too: {error}"


def _silence_loggers() -> None:
    """Silence the tracebacks about a lost scheduler: `ClusterLost` says it in a sentence."""
    for name in logging.root.manager.loggerDict:
        if name.startswith(("distributed", "tornado.application", "asyncio")):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)


@contextmanager
def defer_interrupts() -> Iterator[Callable[[], AbstractContextManager[object]]]:
    """Ignore Ctrl-C while a cluster starts or ends; processes that are started meanwhile ignore it for good.

    Yields
    ------
    callable
        Gives a context in which Ctrl-C does what it did before.
    """
    with _interrupt_handler(signal.SIG_IGN) as before:
        yield lambda: _interrupt_handler(before)


@contextmanager
def _interrupt_handler(handler: Any) -> Iterator[Any]:
    if threading.current_thread() is not threading.main_thread():
        yield None
        return
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield before
    finally:
        signal.signal(signal.SIGINT, before)
