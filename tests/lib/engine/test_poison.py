"""Items that kill, hang or burst their workers cost themselves, and nothing else."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import dask
import psutil
import pytest
from distributed import Client, LocalCluster

from hubbub.engine.clients import OWN_SETTINGS, Connection, connect_external
from hubbub.engine.dask import DaskEngine
from hubbub.tasks.result import UnitLost, UnitResult
from tests.chaos.moments import assert_equal_stores, assert_poisoned, assert_verified
from tests.chaos.poison_clips import REASONS, poisoned_environment
from tests.chaos.processes import external_cluster, wait_until
from tests.jobs.command import hubbub, succeed
from tests.lib.engine.poison_units import DoThings, Thing, Things

UNITS = ("--set", "layout.rows_per_shard=8", "--set", "layout.rows_per_chunk=8")
"""13 units of the 100 clips."""

MEMORY = 10**9
"""Of a worker, bytes."""


@contextmanager
def cluster_of(workers: int) -> Iterator[DaskEngine]:
    """A cluster on this machine as hubbub starts them, its workers short of memory."""
    with (
        dask.config.set(OWN_SETTINGS),
        LocalCluster(
            n_workers=workers, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, memory_limit=MEMORY,
            silence_logs=60,
        ) as cluster,
        Client(cluster) as client,
    ):  # fmt: skip
        yield DaskEngine(Connection(client))


@pytest.fixture(scope="module")
def engine() -> Iterator[DaskEngine]:
    with cluster_of(2) as engine:
        yield engine


def units_of(*kinds: str, innocent: int = 0) -> list[Things]:
    """A unit for each word, whose items are the kinds that the word names; then units of three good items."""
    return [unit_of(number, word.split()) for number, word in enumerate([*kinds, *["ok ok ok"] * innocent])]


def unit_of(number: int, kinds: list[str]) -> Things:
    hangs = not {"sleep", "loop"}.isdisjoint(kinds)
    return Things(number, tuple(Thing(kind, time_limit_s=2 if hangs else 60) for kind in kinds), 3 if hangs else 60)


def check(folder: Path, units: list[Things], results: list[UnitResult | UnitLost]) -> None:
    """See that every unit is done once, that its poison has the right reason, and its other items none."""
    assert sorted(result.unit for result in results) == [unit.index for unit in units]
    assert not [result for result in results if isinstance(result, UnitLost)]
    for unit in units:
        lines = (folder / str(unit.index)).read_text().splitlines()
        for item, line in zip(unit.items, lines, strict=True):
            assert re.match(REASONS.get(item.kind, "ok$"), line), f"{item} of {unit}: {line}"


MIXED = (
    "ok segfault ok", "kill ok ok", "ok ok exit", "ok ogg ok", "ok sleep ok", "loop ok", "ok bomb ok",
    "segfault ok exit ok segfault", "exit exit",
)  # fmt: skip
"""One poison of each kind; then several in one unit, and nothing but poison."""


@pytest.mark.slow
def test_every_kind_of_poison_costs_itself_alone(engine: DaskEngine, tmp_path: Path) -> None:
    units = units_of(*MIXED, innocent=12)
    results = list(engine.run(DoThings(tmp_path), units))
    check(tmp_path, units, results)
    assert sum(result.failed for result in results if isinstance(result, UnitResult)) == 12


def test_a_unit_that_dies_at_its_commit_is_lost_with_a_reason(engine: DaskEngine, tmp_path: Path) -> None:
    deadly = Things(0, (Thing(), Thing()), end="segfault")
    results = {
        result.unit: result for result in engine.run(DoThings(tmp_path), [deadly, *units_of("", "ok", "ok")[1:]])
    }
    assert isinstance(results[0], UnitLost)
    assert results[0].clips == 2
    assert re.search(REASONS["segfault"], results[0].reason)
    assert [path.name for path in sorted(tmp_path.glob("[0-9]*"))] == ["1", "2"]


def test_what_a_task_raises_once_it_is_apart_is_the_callers(engine: DaskEngine, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no way"):
        list(engine.run(DoThings(tmp_path), units_of("exit raise")))
    assert len(list(engine.run(DoThings(tmp_path), units_of("ok")))) == 1, "and the engine can be used again"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_that_others_kill_condemns_nobody(engine: DaskEngine, tmp_path: Path, number: signal.Signals) -> None:
    """A machine short of memory kills whom it likes, and a batch system ends all processes of a job."""
    units = units_of("exit " + "doze " * 20)
    struck = threading.Thread(target=strike_child, args=(number,))
    struck.start()
    check(tmp_path, units, list(engine.run(DoThings(tmp_path), units)))
    struck.join()


def strike_child(number: signal.Signals) -> None:
    """Send a signal to the first child that appears below this process."""
    wait_until(lambda: bool(children()), "a child")
    with suppress(psutil.NoSuchProcess):
        children()[0].send_signal(number)


def children() -> list[psutil.Process]:
    """Processes that do units apart, below this one."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            found += [process] if "hubbub.engine.isolated_child" in process.cmdline() else []
    return found


def test_one_worker_is_enough(tmp_path: Path) -> None:
    units = units_of("ok exit", "segfault ok", innocent=4)
    with cluster_of(1) as engine:
        check(tmp_path, units, list(engine.run(DoThings(tmp_path), units)))


@pytest.mark.slow
def test_on_the_cluster_of_others_with_two_threads_a_worker(tmp_path: Path) -> None:
    """There a unit dies with four workers before it is told, and takes its neighbours on the other thread along."""
    units = units_of("ok exit ok", "ok sleep", innocent=12)
    with external_cluster(tmp_path, n_threads=2) as cluster, connect_external(cluster.address) as connection:
        results = list(DaskEngine(connection).run(DoThings(tmp_path), units))
    check(tmp_path, units, results)


@pytest.mark.slow
@pytest.mark.chaos
def test_files_that_kill_the_decoder_are_failed_rows(esc10_mini: Path, tmp_path: Path) -> None:
    clips, store, whole = tmp_path / "clips.parquet", tmp_path / "store", tmp_path / "whole"
    succeed("index", esc10_mini / "esc10.csv", "-o", clips)
    succeed("features", clips, "-o", whole, "--cluster", "serial", *UNITS)
    names = sorted(path.name for path in (esc10_mini / "audio").iterdir())
    poison = dict(zip(names[5::20], ("ogg", "kill", "bomb"), strict=False))
    environment = poisoned_environment(tmp_path / "poison", poison) | {
        "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0",
    }
    with external_cluster(tmp_path, environment, worker_words=("--memory-limit", str(MEMORY))) as cluster:
        done = hubbub("features", clips, "-o", store, "--cluster", cluster.address, *UNITS)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "3 clips failed" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert_poisoned(str(store), poison)
    assert_equal_stores(str(store), str(whole), poison)
    assert_verified(str(store), str(clips))
