"""What every engine does: one suite over all of them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dask
import pytest

from hubbub.engine import Engine
from hubbub.engine.cluster import check_cluster, open_engine
from hubbub.engine.serial import SerialEngine
from hubbub.engine.threaded import ThreadEngine
from hubbub.errors import ClusterError, StorageError
from hubbub.tasks.result import UnitResult

FAR_AHEAD = 36
"""Units an engine of two workers may take before their results are asked for."""


@dataclass(frozen=True)
class SmallUnit:
    index: int
    items: tuple[str, ...] = ("a", "b")
    time_limit_s: float = 60.0


@dataclass(frozen=True)
class Count:
    """A task that does nothing, except for what its units' numbers say."""

    fail_at: int = -1
    log: Path | None = None
    sleep_s: float = 0.0
    flaky_at: int = -1

    def __call__(self, unit: SmallUnit) -> UnitResult:
        if unit.index == self.fail_at:
            raise StorageError("cannot write /store: No space left on device")
        time.sleep(self.sleep_s)
        if unit.index == self.flaky_at and self.log is not None and not (self.log / "tried").exists():
            (self.log / "tried").touch()
            raise StorageError("cannot write /store") from ConnectionResetError("by a switch")
        if self.log is not None:
            (self.log / f"{unit.index}-{os.getpid()}").touch()
        return UnitResult(unit.index, ok=2, failed=0, windows=2, rows=2, audio_s=1.0, bytes_read=unit.index)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Engine]:
    with open_engine("local", 2) as engine:
        yield engine


@pytest.fixture(params=["serial", "threads", "dask"])
def engine(request: pytest.FixtureRequest) -> Engine:
    if request.param == "dask":
        return request.getfixturevalue("cluster")
    return SerialEngine() if request.param == "serial" else ThreadEngine(2)


def units(count: int) -> list[SmallUnit]:
    return [SmallUnit(number) for number in range(count)]


def test_every_unit_is_done_once(engine: Engine, tmp_path: Path):
    results = sorted(engine.run(Count(log=tmp_path), iter(units(40))), key=lambda result: result.unit)
    assert results == [Count()(unit) for unit in units(40)]
    assert sorted(int(path.name.partition("-")[0]) for path in tmp_path.iterdir()) == list(range(40))


def test_no_units_are_no_results(engine: Engine):
    assert list(engine.run(Count(), iter([]))) == []


def test_units_are_taken_as_they_are_needed(engine: Engine):
    """A plan of a million units must not lie in the driver's memory."""
    taken, ahead = 0, []

    def counted() -> Iterator[SmallUnit]:
        nonlocal taken
        for unit in units(1000):
            taken += 1
            yield unit

    for done, _ in enumerate(engine.run(Count(), counted())):
        ahead.append(taken - done)
    assert taken == len(ahead) == 1000
    assert max(ahead) <= FAR_AHEAD


def test_a_tasks_exception_is_the_callers(engine: Engine):
    with pytest.raises(StorageError, match="No space left on device"):
        list(engine.run(Count(fail_at=5), units(30)))
    assert len(list(engine.run(Count(), units(5)))) == 5, "and the engine can be used again"


def test_a_run_that_is_given_up_leaves_the_engine_fit(engine: Engine):
    results = engine.run(Count(), units(100))
    next(results)
    results.close()
    assert len(list(engine.run(Count(), units(5)))) == 5


def test_once_stopped_what_was_begun_is_finished_and_no_more(engine: Engine, tmp_path: Path):
    stop, done = threading.Event(), 0
    for _ in engine.run(Count(log=tmp_path, sleep_s=0.05), units(500), stop):
        done += 1
        stop.set()
    assert done == len(list(tmp_path.iterdir())), "what was begun has its results"
    assert 1 <= done <= FAR_AHEAD


def test_a_failure_that_may_pass_is_tried_again(engine: Engine, tmp_path: Path):
    results = sorted(engine.run(Count(log=tmp_path, flaky_at=3), units(6)), key=lambda result: result.unit)
    assert results == [Count()(unit) for unit in units(6)]
    assert engine.state().retried >= 1
    assert engine.state().in_flight == 0


def test_an_engine_says_what_it_is(engine: Engine):
    assert engine.note.startswith(("serial: ", "threads: up to 2 ", "2 Dask worker threads on tcp://127.0.0.1:"))
    assert engine.note.startswith(("serial", "threads")) or "dashboard http://" in engine.note


def test_open_engine_gives_serial():
    with open_engine("serial") as engine:
        assert isinstance(engine, SerialEngine)


@pytest.mark.parametrize(
    ("cluster_name", "workers", "message"),
    [
        ("slurm", None, r"--cluster 'slurm': expected serial, local or an address such as tcp://host:8786"),
        ("127.0.0.1:8786", None, "expected serial, local or an address"),
        ("serial", 2, "--workers 2 goes with --cluster local; 'serial' has the workers that it has"),
        ("tcp://host:8786", 2, "--workers 2 goes with --cluster local"),
    ],
)
def test_what_is_no_cluster_is_refused(cluster_name: str, workers: int | None, message: str):
    with pytest.raises(ClusterError, match=message):
        check_cluster(cluster_name, workers)


def test_an_address_where_nobody_answers(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("hubbub.engine.clients._CONNECT_TIMEOUT_S", 1)
    with pytest.raises(ClusterError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9.*Connection refused"):
        with open_engine("tcp://127.0.0.1:9"):
            pass


def test_an_engine_leaves_other_uses_of_dask_in_this_process_alone():
    before = dask.config.get("scheduler", None)
    with open_engine("local", 1):
        assert dask.config.get("scheduler", None) == before
    assert dask.config.get("scheduler", None) == before
