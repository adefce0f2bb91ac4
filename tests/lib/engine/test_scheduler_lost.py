"""Schedulers and workers that go away in mid-run, for good or for a while: what is not done is done then."""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dask
import pytest
from distributed import Client, LocalCluster

from hubbub.engine.clients import OWN_SETTINGS, Connection, connect_external
from hubbub.engine.dask import DaskEngine
from hubbub.errors import ClusterLost
from hubbub.tasks.result import UnitLost, UnitResult
from tests.chaos.processes import Cluster, external_cluster, kill_quietly, wait_until
from tests.lib.engine.poison_units import DoThings, Thing, Things

pytestmark = pytest.mark.chaos


def units(count: int) -> list[Things]:
    """Units that take a little while."""
    return [Things(number, (Thing("doze"),)) for number in range(count)]


class Progress:
    """A run in a thread of its own, and what came of it so far."""

    def __init__(self, engine: DaskEngine, task: DoThings, units: int) -> None:
        self.results: list[UnitResult | UnitLost] = []
        self.error: Exception | None = None
        self._units = units
        self._thread = threading.Thread(target=self._run, args=(engine, task), daemon=True)
        self._thread.start()

    def _run(self, engine: DaskEngine, task: DoThings) -> None:
        try:
            for result in engine.run(task, units(self._units)):
                self.results.append(result)
        except Exception as error:
            self.error = error

    @property
    def over(self) -> bool:
        return not self._thread.is_alive()

    def wait_for(self, count: int) -> None:
        """Wait for so many results, and see that more are to come."""
        wait_until(lambda: self.over or len(self.results) >= count, f"{count} results")
        assert not self.over, self.error

    def done(self) -> list[UnitResult | UnitLost]:
        """Wait for the end, and see that every unit is done, and told once."""
        self._thread.join(120)
        assert not self.over or self.error is None, self.error
        assert self.over, f"still at {len(self.results)} of {self._units}"
        assert Counter(result.unit for result in self.results) == Counter(range(self._units))
        assert not [result for result in self.results if isinstance(result, UnitLost)]
        return self.results


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "done").mkdir()
    return tmp_path / "done"


@contextmanager
def guest(folder: Path, notify: Callable[[str], None] = lambda _: None) -> Iterator[tuple[Cluster, DaskEngine]]:
    """An engine on two workers of others, which blame a unit for the first worker that dies of it."""
    environment = os.environ | {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}
    with external_cluster(folder, environment) as cluster, connect_external(cluster.address) as connection:
        yield cluster, DaskEngine(connection, notify=notify)


@pytest.mark.slow
def test_a_scheduler_that_comes_back_is_gone_on_with(folder: Path) -> None:
    said: list[str] = []
    with guest(folder.parent, said.append) as (cluster, engine):
        run = Progress(engine, DoThings(folder), 120)
        run.wait_for(10)
        cluster.kill_scheduler()
        time.sleep(1)  # as long as someone needs to notice
        cluster.start_scheduler()
        run.done()
    assert [text.partition(" tcp://")[0] for text in said] == [
        "the Dask scheduler at",
        "the Dask scheduler is back; the run continues",
    ]
    assert len(list(folder.iterdir())) == 120


def test_a_scheduler_that_does_not_come_back_is_told_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hubbub.engine.in_flight._RECONNECT_S", 2)
    monkeypatch.setattr("hubbub.engine.clients._CONNECT_TIMEOUT_S", 1)
    with guest(folder.parent) as (cluster, engine):
        run = Progress(engine, DoThings(folder), 1000)
        run.wait_for(5)
        cluster.kill_scheduler()
        wait_until(lambda: run.over, "the end of a run without a scheduler", patience_s=40)
    assert isinstance(run.error, ClusterLost), run.error
    assert f"scheduler at {cluster.address} is gone" in str(run.error)
    assert "what is committed is kept" in str(run.error)


@pytest.mark.slow
def test_workers_that_all_vanish_and_come_back_are_gone_on_with(folder: Path) -> None:
    with guest(folder.parent) as (cluster, engine):
        run = Progress(engine, DoThings(folder), 80)
        run.wait_for(10)
        cluster.kill_workers()
        time.sleep(1)
        assert not run.over
        cluster.add_worker()
        run.done()


def test_a_cluster_whose_workers_stay_away_is_given_up(folder: Path) -> None:
    with guest(folder.parent) as (cluster, engine):
        engine._connection = Connection(engine._client, workers_within_s=3)
        run = Progress(engine, DoThings(folder), 1000)
        run.wait_for(5)
        cluster.kill_workers()
        wait_until(lambda: run.over, "the end of a run without workers", patience_s=40)
    assert isinstance(run.error, ClusterLost), run.error
    assert "has had no worker for 3 s" in str(run.error)


@pytest.mark.slow
def test_workers_killed_at_random_cost_no_unit(folder: Path) -> None:
    """Spot instances: every unit of theirs is a suspect, none is guilty."""
    chance = random.Random(1)
    with guest(folder.parent) as (cluster, engine):
        run = Progress(engine, DoThings(folder), 150)
        for _ in range(4):
            run.wait_for(len(run.results) + 5)
            wait_until(lambda: bool(cluster.workers()), "a worker")
            kill_quietly(chance.choice(cluster.workers()))
        run.done()


@pytest.mark.slow
def test_workers_that_come_and_go_with_the_work_are_not_blamed(folder: Path) -> None:
    with (
        dask.config.set(OWN_SETTINGS),
        LocalCluster(
            n_workers=0, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, silence_logs=60
        ) as cluster,
        Client(cluster) as client,
    ):
        cluster.adapt(minimum=0, maximum=3, interval="200ms", wait_count=2)
        engine = DaskEngine(Connection(client, max_threads=3))
        run = Progress(engine, DoThings(folder), 150)
        run.wait_for(20)  # from zero
        cluster.adapt(minimum=0, maximum=1, interval="200ms", wait_count=2)  # the others retire in mid-run
        wait_until(lambda: run.over or len(cluster.scheduler.workers) == 1, "workers to retire")
        run.done()
        assert engine.state().retried == 0, "nobody is blamed for a worker that retires"
        wait_until(lambda: not cluster.scheduler.workers, "workers to go when there is no work")
        assert len(list(engine.run(DoThings(folder), units(2)))) == 2, "and they come again"
