"""From what ``--cluster`` says to an engine: serial, local, or the address of a scheduler."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hubbub.engine import Engine
from hubbub.engine.serial import SerialEngine
from hubbub.errors import ClusterError

_CONNECT_TIMEOUT_S = 10
_WORKERS_TIMEOUT_S = 60
_ADDRESSES = ("tcp://", "tls://", "ucx://", "ws://", "wss://")

# One thread a process (decoding holds Python's lock in places, and a dead process then costs one unit);
# so every library's own pool of threads is one as well, or two workers would fight over every core.
_WORKER_ENVIRONMENT = {
    **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), 1),
    **dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), 1),
    "TF_CPP_MIN_LOG_LEVEL": 2,
    "MALLOC_TRIM_THRESHOLD_": 65536,
}


@contextmanager
def open_engine(cluster: str, workers: int | None = None) -> Iterator[Engine]:
    """Give the engine that `cluster` names, for as long as the context lasts.

    Parameters
    ----------
    cluster
        ``serial``; ``local``, for workers on this machine; or a scheduler's address, ``tcp://host:8786``.
    workers
        Processes of a local cluster; None: one a core.

    Raises
    ------
    ClusterError
        For anything else, or when no scheduler or no worker answers.
    """
    if cluster == "serial":
        yield SerialEngine()
    elif cluster == "local":
        with _local_client(workers or os.cpu_count() or 1) as client:
            yield _dask_engine(client)
    elif cluster.startswith(_ADDRESSES):
        with _remote_client(cluster) as client:
            yield _dask_engine(client)
    else:
        raise ClusterError(f"--cluster '{cluster}': expected serial, local or an address such as tcp://host:8786")


def check_cluster(cluster: str, workers: int | None) -> None:
    """Refuse what `open_engine` would refuse by its looks, before any work is planned.

    Raises
    ------
    ClusterError
        For a name that is no cluster, or a number of workers that does not go with it.
    """
    if cluster not in ("serial", "local") and not cluster.startswith(_ADDRESSES):
        raise ClusterError(f"--cluster '{cluster}': expected serial, local or an address such as tcp://host:8786")
    if workers is not None and cluster != "local":
        raise ClusterError(f"--workers {workers} goes with --cluster local; '{cluster}' has the workers that it has")


def _dask_engine(client: Any) -> Engine:
    from hubbub.engine.dask import DaskEngine

    return DaskEngine(client)


@contextmanager
def _local_client(workers: int) -> Iterator[Any]:
    import dask
    from distributed import Client, LocalCluster

    environment = {f"distributed.nanny.pre-spawn-environ.{name}": value for name, value in _WORKER_ENVIRONMENT.items()}
    with (
        # A file that kills its worker is tried elsewhere once; distributed's default of 3 takes tens of seconds.
        dask.config.set({"distributed.scheduler.allowed-failures": 1, **environment}),
        LocalCluster(
            n_workers=workers, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs=50
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@contextmanager
def _remote_client(address: str) -> Iterator[Any]:
    from distributed import Client

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
