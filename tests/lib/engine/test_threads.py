"""How many threads libraries take on workers, seen on a real one of two threads."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import Client

from hubbub.engine.clients import Connection
from hubbub.engine.dask import DaskEngine
from tests.chaos.processes import external_cluster
from tests.conftest import ROOT
from tests.lib.engine.test_contract import units
from tests.lib.engine.worker_processes import Pools, like_this_one, load_libraries, wait_for_workers, worker

WORKER_THREADS = 2
ENVIRONMENT = {"OMP_NUM_THREADS": "4", "OPENBLAS_NUM_THREADS": "4"}
"""As some batch systems set it: every library's pool as large as the job."""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Of a cluster whose worker has two threads, and that environment."""
    folder: Path = tmp_path_factory.mktemp("threads")
    # A local cluster that this process had may have left settings of pools in it.
    clean = {name: value for name, value in like_this_one().items() if not name.endswith("_NUM_THREADS")}
    clean = {name: value for name, value in clean.items() if not name.startswith("TF_NUM_")}
    with (
        external_cluster(folder, n_workers=0) as cluster,
        worker(cluster, folder, clean | ENVIRONMENT, threads=WORKER_THREADS),
        Client(cluster.address) as client,
    ):
        wait_for_workers(client, 1)
        yield client


def test_libraries_take_one_thread_for_each_of_the_workers(client: Client):
    (before,) = client.run(load_libraries).values()
    assert before["libgomp"] == 4
    results = list(DaskEngine(Connection(client)).run(Pools(), iter(units(20))))
    threads = {name for result in results for name in result.event_counts if name.startswith("thread")}
    pools = {(name, size) for result in results for name, size in result.event_counts.items() if name not in threads}
    assert len(threads) == WORKER_THREADS
    assert pools == {("libscipy_openblas", 1), ("libgomp", 1)}


def test_tensorflow_shares_as_many_as_the_worker_has_and_what_comes_later_is_told(client: Client):
    list(DaskEngine(Connection(client)).run(Pools(), iter(units(2))))
    names = ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"]
    (said,) = client.run(lambda: [os.environ.get(name) for name in names]).values()
    assert said == ["1", "1", "2", "2"]


@pytest.mark.slow
def test_tensorflow_that_is_loaded_and_has_not_begun_is_told_as_well():
    code = (
        "import tensorflow as tf; from hubbub.engine.threads import limit_threads; limit_threads(3); "
        "print(tf.config.threading.get_intra_op_parallelism_threads()); tf.zeros(1) + 1; import threading; "
        "other = threading.Thread(target=limit_threads, args=[5]); other.start(); other.join(); "
        "print(tf.config.threading.get_intra_op_parallelism_threads())"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TF_NUM")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=clean)
    assert done.stdout.split() == ["3", "3"]
    assert "Traceback" not in done.stderr


def test_a_run_in_this_process_leaves_pools_as_they_are():
    code = (
        "import os; before = dict(os.environ); from hubbub.engine.serial import SerialEngine; "
        "from tests.lib.engine.test_contract import Count, units; "
        "assert len(list(SerialEngine().run(Count(), units(3)))) == 3; assert dict(os.environ) == before"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
