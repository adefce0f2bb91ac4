"""Cluster files, addresses, and what is said of those that will not do."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from distributed import LocalCluster

from hubbub.engine.cluster import check_cluster, open_engine
from hubbub.engine.cluster_file import start_cluster
from hubbub.errors import ClusterError
from hubbub.tasks.result import UnitResult

LOCAL = """
cluster:
  class: distributed.LocalCluster
  options: {n_workers: 0, threads_per_worker: 1, host: 127.0.0.1, dashboard_address: "127.0.0.1:0"}
"""


@dataclass(frozen=True)
class SleepyUnit:
    index: int
    sleep_s: float
    items: tuple[str, ...] = ("a",)
    time_limit_s: float = 60.0


def sleep(unit: SleepyUnit) -> UnitResult:
    time.sleep(unit.sleep_s)
    return UnitResult(unit.index, ok=os.getpid(), failed=0, windows=1, rows=1, audio_s=1.0, bytes_read=1)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "cluster.yaml"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "holds no settings; expected such as:\ncluster: {class: dask_jobqueue.SLURMCluster"),
        ("a: [", "cannot be read: while parsing"),
        ("cluster: !!python/object/apply:os.getcwd []", "could not determine a constructor for the tag"),
        ("{}", "'cluster' is missing; expected such as cluster: {class:"),
        ("clustr: {class: a.B}", "unknown key 'clustr': did you mean 'cluster'?"),
        ("cluster: {clas: a.B}", "unknown key 'cluster.clas': did you mean 'class'?"),
        ("cluster: {class: LocalCluster}", "'LocalCluster' is no name of a class; expected such as dask_jobqueue"),
        (
            "cluster: {class: a.B, options: [1]}",
            "cluster.options: expected names with values, such as {name: value} (given: [1])",
        ),
        ("cluster: {class: a.B}\nscale: {minimum: 3, maximum: 2}", "scale: minimum 3 is above maximum 2"),
        ("cluster: {class: a.B}\nscale: {minimum: -1, maximum: 2}", "scale.minimum: expected at least 0 (given: -1)"),
        ("cluster: {class: a.B}\nscale: {maximun: 2}", "unknown key 'scale.maximun': did you mean 'maximum'?"),
        ("cluster: {class: a.B}\nworkers_within_s: 0", "workers_within_s: expected more than 0"),
        ("cluster: {class: nowhere.B}", "cluster.class nowhere.B cannot be imported (No module named 'nowhere')"),
        ("cluster: {class: coiled.Cluster}", "install it: pip install 'hubbub[coiled]'"),
        ("cluster: {class: os.system}", "os.system is no subclass of distributed.deploy.Cluster"),
        ("cluster: {class: dask_jobqueue.SLURMClustr}", "did you mean 'SLURMCluster'?"),
    ],
)  # fmt: skip
def test_a_file_that_will_not_do_is_refused_before_any_work(text: str, said: str, file: Path):
    file.write_text(text)
    with pytest.raises(ClusterError) as refused:
        check_cluster(str(file))
    assert said in str(refused.value)
    assert str(file) in str(refused.value)


def test_a_file_that_is_not_there_and_workers_beside_a_file(file: Path):
    with pytest.raises(ClusterError, match=r"cluster\.yaml does not exist"):
        check_cluster(str(file))
    file.write_text(LOCAL)
    with pytest.raises(ClusterError, match=r"--workers 2 goes with --cluster local; .* says how many under 'scale'"):
        check_cluster(str(file), 2)


def test_workers_with_an_address_out_of_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "tcp://10.0.0.1:8786")
    with pytest.raises(ClusterError, match=r"'tcp://10\.0\.0\.1:8786' \(of \$DASK_SCHEDULER_ADDRESS\) has the workers"):
        check_cluster("tcp://10.0.0.1:8786", 2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{class: dask_jobqueue.SLURMCluster, options: {corse: 2}}", "unknown option 'corse': did you mean 'cores'?"),
        ("{class: dask_jobqueue.SLURMCluster, options: {memory: 1GiB}}", "You must specify how much cores and memory"),
        ("{class: distributed.SSHCluster, options: {host: [a, b]}}", "unknown option 'host': did you mean 'hosts'?"),
        ("{class: distributed.LocalCluster, options: {n_workers: x}}", "TypeError"),
    ],
)
def test_options_that_a_class_refuses(text: str, said: str, file: Path):
    file.write_text(f"cluster: {text}")
    with pytest.raises(ClusterError) as refused, open_engine(str(file)):
        pass
    assert said in str(refused.value)
    assert "does not start" in str(refused.value)


def test_a_cluster_without_workers_is_given_up(file: Path):
    file.write_text(LOCAL + "workers_within_s: 0.5")
    with pytest.raises(ClusterError, match=r"LocalCluster has had no worker for 0\.5 s"), open_engine(str(file)):
        pass


@pytest.mark.slow
def test_a_cluster_grows_from_nothing_shrinks_and_is_there_for_the_next_run(file: Path):
    """Four workers for a wave of units, one for the long unit at its end, and four again."""
    file.write_text(LOCAL + "scale: {minimum: 0, maximum: 4}")
    told: list[str] = []
    with open_engine(str(file), notify=told.append) as engine:
        sizes: list[int] = []
        stop = threading.Event()

        def watch() -> None:
            while not stop.wait(0.2):
                sizes.append(engine.state().workers)

        threading.Thread(target=watch, daemon=True).start()
        units = [SleepyUnit(number, 0.5) for number in range(40)] + [SleepyUnit(40, 20)]
        results = list(engine.run(sleep, iter(units)))
        shrunk = engine.state().workers
        again = list(engine.run(sleep, iter(units[:40])))
        stop.set()
    assert sorted(result.unit for result in results) == list(range(41))
    assert len(Counter(result.ok for result in results)) == 4, "each worker did some"
    assert max(sizes) == 4
    assert shrunk == 1, sizes
    assert len({result.ok for result in again}) > 1
    assert told == []


@pytest.mark.slow
def test_workers_that_are_gone_are_replaced(file: Path):
    file.write_text(
        LOCAL.replace("n_workers: 0", "n_workers: 0, lifetime: 12 seconds") + "scale: {minimum: 2, maximum: 2}"
    )
    with open_engine(str(file)) as engine:
        results = list(engine.run(sleep, (SleepyUnit(number, 1) for number in range(60))))
    assert sorted(result.unit for result in results) == list(range(60))
    assert len({result.ok for result in results}) > 2


def test_workers_have_the_settings_of_hubbub(file: Path):
    file.write_text(LOCAL.replace("n_workers: 0", "n_workers: 1"))
    with start_cluster(file, print) as connection:
        (found,) = connection.client.run(os.getenv, "MALLOC_ARENA_MAX").values()
        assert found == "1"
        assert connection.workers_within_s == 300


@contextmanager
def listening() -> Iterator[int]:
    """Something that takes connections and says nothing."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def refused_within(address: str, limit_s: float) -> str:
    began = time.monotonic()
    with pytest.raises(ClusterError) as refused, open_engine(address):
        pass
    assert time.monotonic() - began < limit_s
    return str(refused.value)


def test_an_address_that_nobody_answers_says_what_was_tried():
    said = refused_within("tcp://127.0.0.1:1", 12)
    assert "no Dask scheduler answers at tcp://127.0.0.1:1 within 10 s" in said
    assert "a plain connection fails, too: [Errno 111] Connection refused" in said


def test_what_is_no_scheduler_is_told_apart(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("hubbub.engine.clients._CONNECT_TIMEOUT_S", 2)
    with listening() as port:
        said = refused_within(f"tcp://127.0.0.1:{port}", 12)
    assert f"something listens at port {port}, and it is no Dask scheduler" in said


def test_a_name_that_nobody_knows(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("hubbub.engine.clients._CONNECT_TIMEOUT_S", 2)
    assert "a plain connection fails, too" in refused_within("tcp://no-such-host.invalid:8786", 14)


def test_a_scheduler_without_workers_is_given_up_with_what_to_type(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("hubbub.engine.clients._WORKERS_TIMEOUT_S", 0.5)
    with LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address="127.0.0.1:0") as cluster:
        said = refused_within(cluster.scheduler_address, 10)
    assert said.endswith(f"has had no worker for 0.5 s; start some: dask worker {cluster.scheduler_address}")
