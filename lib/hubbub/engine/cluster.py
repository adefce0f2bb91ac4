"""From what ``--cluster`` says to an engine: serial, local, or the address of a scheduler."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from hubbub.engine import Engine
from hubbub.engine.serial import SerialEngine
from hubbub.engine.terms import Sight, check_workers, terms_here
from hubbub.errors import ClusterError

_ADDRESSES = ("tcp://", "tls://", "ucx://", "ws://", "wss://")


def check_cluster(cluster: str, workers: int | None = None) -> None:
    """Refuse what is no cluster by its looks, before any work is planned.

    Parameters
    ----------
    cluster
        ``serial``; ``local``, for workers on this machine; or a scheduler's address, ``tcp://host:8786``.
    workers
        Processes of a local cluster; None: one a core.

    Raises
    ------
    ClusterError
        For anything else, or a number of workers that does not go with it.
    """
    if cluster not in ("serial", "local") and not cluster.startswith(_ADDRESSES):
        raise ClusterError(f"--cluster '{cluster}': expected serial, local or an address such as tcp://host:8786")
    if workers is not None and cluster != "local":
        raise ClusterError(f"--workers {workers} goes with --cluster local; '{cluster}' has the workers that it has")


@contextmanager
def open_engine(
    cluster: str,
    workers: int | None = None,
    *,
    sights: Sequence[Sight] = (),
    ship: bool = False,
    notify: Callable[[str], None] = lambda _: None,
) -> Iterator[Engine]:
    """Give the engine that `cluster` names, for as long as the context lasts.

    Parameters
    ----------
    cluster, workers
        The arguments of `check_cluster`.
    sights
        Files that every worker must see.
    ship
        Whether workers that others started get the hubbub of this process.
    notify
        Told, in a sentence, what a person should know of while units are done.

    Raises
    ------
    ClusterError
        When `check_cluster` does, when no scheduler or no worker answers, or when workers are not fit for the run.
    """
    check_cluster(cluster, workers)
    if cluster == "serial":
        yield SerialEngine()
        return
    from hubbub.engine.clients import local, remote  # half a second that others need not wait
    from hubbub.engine.dask import DaskEngine

    if cluster == "local":
        with local(workers or os.cpu_count() or 1) as connection:
            yield DaskEngine(connection, notify=notify)
        return
    with remote(cluster) as connection:
        terms = terms_here(sights)
        check_workers(connection.client, terms)
        yield DaskEngine(connection, terms, notify)
