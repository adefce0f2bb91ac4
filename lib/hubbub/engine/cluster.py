"""Open an engine: serial, a local cluster, an external scheduler, a cluster file, or the caller's own client."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hubbub.engine import Engine
from hubbub.engine.requirements import PathCheck, check_requirements, collect_requirements
from hubbub.engine.serial import SerialEngine
from hubbub.engine.threaded import ThreadEngine
from hubbub.errors import ClusterError, UsageError

if TYPE_CHECKING:
    from distributed import Client

    from hubbub.engine.clients import Connection

_ADDRESSES = ("tcp://", "tls://", "ucx://", "ws://", "wss://")
_FILES = (".yaml", ".yml")
THREADS = "threads"
"""The engine of threads in this process: what a job takes that mostly waits, where nobody names a cluster."""

_THREADS = 8


def check_cluster(cluster: str, workers: int | None = None) -> None:
    """Refuse what is no cluster, by its looks or by its file, before any work is planned.

    Parameters
    ----------
    cluster
        ``serial``; `THREADS`; ``local``, for workers on this machine; a scheduler's address, ``tcp://host:8786``; or
        the path of a cluster file (`hubbub.engine.cluster_file`), ``FILE.yaml``.
    workers
        Processes of a local cluster; None: one a core.

    Raises
    ------
    ClusterError
        For anything else, a file or its class that will not do, or a number of workers that does not go with it.
    """
    is_file = cluster.endswith(_FILES)
    if cluster not in ("serial", "local", THREADS) and not cluster.startswith(_ADDRESSES) and not is_file:
        raise ClusterError(
            f"--cluster '{cluster}': expected serial, local or an address such as tcp://host:8786, "
            "or a cluster file such as cluster.yaml"
        )
    if workers is not None and cluster != "local":
        whose = " (of $DASK_SCHEDULER_ADDRESS)" if cluster == os.environ.get("DASK_SCHEDULER_ADDRESS") else ""
        has = "says how many under 'scale'" if is_file else "has the workers that it has"
        raise ClusterError(f"--workers {workers} goes with --cluster local; '{cluster}'{whose} {has}")
    if is_file:
        from hubbub.engine.cluster_file import load_cluster_class, read_cluster_file

        load_cluster_class(Path(cluster), read_cluster_file(Path(cluster)))


@contextmanager
def open_engine(
    cluster: str | None,
    workers: int | None = None,
    *,
    client: Client | None = None,
    path_checks: Sequence[PathCheck] = (),
    needs: Sequence[str] = (),
    ship: bool = False,
    notify: Callable[[str], None] = lambda _: None,
) -> Iterator[Engine]:
    """Give an engine for as long as the context lasts.

    Parameters
    ----------
    cluster, workers
        The arguments of `check_cluster`; None where `client` is given.
    client
        A connected `distributed.Client` of the caller, which stays open and as it is.
    path_checks
        Files that every worker must see.
    needs
        Packages that workers must have beside those that hubbub always needs.
    ship
        Whether workers of an external cluster get the hubbub of this process.
    notify
        Called with a sentence that a person should read while units run.

    Raises
    ------
    ClusterError
        When `check_cluster` does, when no scheduler or no worker answers, or when workers miss a requirement.
    UsageError
        When both `cluster` and `client` are given, or the client is closed or asynchronous.
    TypeError
        When `client` is no `distributed.Client`.
    """
    if client is not None:
        with _connect_client(client, cluster, workers) as connection:
            yield _check_engine(connection, path_checks, needs, ship=ship, notify=notify)
        return
    cluster = cluster or "local"
    check_cluster(cluster, workers)
    if cluster == "serial":
        yield SerialEngine()
        return
    if cluster == THREADS:
        yield ThreadEngine(_THREADS)
        return
    from hubbub.engine.dask import DaskEngine  # half a second that others need not wait

    with _connect(cluster, workers, notify) as connection:
        if cluster == "local":
            yield DaskEngine(connection, notify=notify)
            return
        yield _check_engine(connection, path_checks, needs, ship=ship, notify=notify)


def _check_engine(
    connection: Connection,
    path_checks: Sequence[PathCheck],
    needs: Sequence[str],
    *,
    ship: bool,
    notify: Callable[[str], None],
) -> Engine:
    """Give an engine on workers that hubbub did not start, once they meet the requirements."""
    from hubbub.engine.dask import DaskEngine

    if ship:
        connection = _ship_source(connection)
    requirements = collect_requirements(path_checks, needs)
    check_requirements(connection.client, requirements)
    return DaskEngine(connection, requirements, notify)


def _connect_client(client: Client, cluster: str | None, workers: int | None) -> AbstractContextManager[Connection]:
    from hubbub.engine.clients import connect_client

    if cluster is not None or workers is not None:
        given = f"cluster={cluster!r}" if cluster is not None else f"workers={workers}"
        raise UsageError(f"client and {given} were both given; pass one of them: the client has its own cluster")
    return connect_client(client)


def _connect(cluster: str, workers: int | None, notify: Callable[[str], None]) -> AbstractContextManager[Connection]:
    from hubbub.engine.clients import connect_external, connect_local

    if cluster == "local":
        return connect_local(workers or os.cpu_count() or 1)
    if cluster.endswith(_FILES):
        from hubbub.engine.cluster_file import start_cluster

        return start_cluster(Path(cluster), notify)
    return connect_external(cluster)


def _ship_source(connection: Connection) -> Connection:
    """A connection whose workers have the hubbub of this process, also when their scheduler was gone and is back."""
    from hubbub.engine.ship import ship_to

    def again() -> Client:
        assert connection.again is not None
        client = connection.again()
        ship_to(client)
        return client

    ship_to(connection.client)
    return replace(connection, again=again) if connection.again else connection
