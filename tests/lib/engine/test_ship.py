"""`--ship`: workers that have no hubbub, or another, get this one; and what an archive must not do."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import pandas as pd
import pytest
from distributed import Client

from hubbub.engine import ship
from hubbub.engine.clients import Connection
from hubbub.engine.cluster import open_engine
from hubbub.engine.dask import DaskEngine
from hubbub.engine.requirements import check_requirements, collect_requirements
from hubbub.engine.ship import SOURCE, Ship, pack_source, ship_to, source_hash, unpack
from hubbub.errors import ClusterError
from tests.chaos.processes import Cluster, external_cluster
from tests.jobs.command import succeed
from tests.lib.engine.test_contract import Count, SmallUnit
from tests.lib.engine.worker_processes import (
    like_this_one,
    wait_for_workers,
    with_another_hubbub,
    without_hubbub,
    worker,
)


def archive_of(**files: bytes) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return held.getvalue()


def test_the_package_is_packed_whole_and_the_same_each_time(tmp_path: Path):
    archive = pack_source()
    assert archive == pack_source()
    names = zipfile.ZipFile(io.BytesIO(archive)).namelist()
    some = {"hubbub/__init__.py", "hubbub/py.typed", "hubbub/engine/isolated_child.py", "hubbub/jobs/cli.py"}
    assert some < set(names)
    assert not [name for name in names if "__pycache__" in name or "/." in name]
    unpack(archive, tmp_path / "new")
    assert source_hash(tmp_path / "new" / "hubbub") == SOURCE


@pytest.mark.parametrize(
    "name",
    [
        "../x.py",
        "/tmp/x.py",
        "hubbub/../../x.py",
        "hubbub/..",
        "hubbub/a\\..\\x.py",
        "other/x.py",
        "x.py",
        "hubbub/folder/",
    ],
)
def test_an_archive_with_anything_else_is_refused_before_a_file_is_written(name: str, tmp_path: Path):
    (tmp_path / "deep").mkdir()
    with pytest.raises(ValueError, match="which is no file of hubbub"):
        unpack(archive_of(**{"hubbub/__init__.py": b"", name: b"x"}), tmp_path / "deep" / "new")
    assert [path.name for path in tmp_path.rglob("*")] == ["deep"]


def test_an_archive_that_bursts_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="at most 33554432 are unpacked"):
        unpack(archive_of(**{"hubbub/x.py": bytes(33_554_433)}), tmp_path / "new")
    assert not list(tmp_path.iterdir())


def test_a_package_that_is_too_large_is_not_shipped(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ship, "MOST_BYTES", 1000)
    with pytest.raises(ClusterError, match=r"--ship: the files of hubbub in \S+ are \S+ MB, and at most"):
        pack_source()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ship")


@pytest.fixture(scope="module")
def cluster(folder: Path) -> Iterator[Cluster]:
    """A scheduler that has no hubbub; each test brings its workers."""
    with external_cluster(folder, without_hubbub(folder), n_workers=0) as cluster:
        yield cluster


@pytest.fixture
def client(cluster: Cluster) -> Iterator[Client]:
    with Client(cluster.address) as client:
        wait_for_workers(client, 0)
        yield client
        with suppress(ValueError):  # where nothing was shipped
            client.unregister_worker_plugin(Ship.name)


def where_hubbub_is(client: Client) -> dict[str, str]:
    def where(dask_worker: object) -> str:
        import hubbub

        return hubbub.__file__

    return client.run(where)


@pytest.fixture(scope="module")
def clips(esc10_mini: Path, folder: Path) -> Path:
    """A clip table of a few clips."""
    whole, few = folder / "whole.parquet", folder / "clips.parquet"
    succeed("index", esc10_mini / "esc10.csv", "-o", whole)
    import pyarrow.parquet as pq

    pq.write_table(pq.read_table(whole).slice(0, 4), few)
    return few


def rows(store: Path) -> pd.DataFrame:
    parts = [pd.read_parquet(path) for path in sorted((store / "rows").glob("*.parquet"))]
    return pd.concat(parts).sort_values(["clip_id", "window"])[["clip_id", "window", "status", "crc32"]]


def test_a_cluster_without_hubbub_is_refused_and_with_ship_makes_the_same_store(
    cluster: Cluster, client: Client, folder: Path, clips: Path
):
    """The scheduler has none either, and gets none; a worker that comes later has it before its first unit."""
    bare = without_hubbub(folder)
    words = ("features", clips, "--set", "layout.rows_per_shard=2", "--set", "layout.rows_per_chunk=2")
    succeed(*words, "-o", folder / "serial", "--cluster", "serial")
    with worker(cluster, folder, bare) as first:
        wait_for_workers(client, 1)
        with pytest.raises(ClusterError, match="hubbub is missing there"):
            check_requirements(client, collect_requirements([]))
        succeed(*words, "-o", folder / "store", "--cluster", cluster.address, "--ship")
        pd.testing.assert_frame_equal(rows(folder / "store"), rows(folder / "serial"))
        with worker(cluster, folder, bare):
            wait_for_workers(client, 2)
            check_requirements(client, collect_requirements([]))
            places = where_hubbub_is(client).values()
            assert all(Path(place).is_relative_to(folder) for place in places)
            assert len(set(places)) == 2
            assert not [file.path for file in first.open_files() if file.path.endswith(".zip")]
    with pytest.raises(ModuleNotFoundError, match="No module named 'hubbub'"):
        client.run_on_scheduler(lambda: __import__("hubbub"))


def test_another_hubbub_gives_way_to_the_one_that_is_shipped(cluster: Cluster, client: Client, folder: Path):
    """Also where it was imported before; the processes that a worker starts have the new one, too."""
    other, its_source = with_another_hubbub(folder)
    with worker(cluster, folder, other):
        wait_for_workers(client, 1)
        before = where_hubbub_is(client)
        assert all("another" in place for place in before.values())
        with open_engine(cluster.address, ship=True):
            pass
        after = where_hubbub_is(client)
        assert not any("another" in place for place in after.values())

        def source_of_child() -> str:
            import subprocess
            import sys

            code = "from hubbub.engine.ship import SOURCE; print(SOURCE, end='')"
            return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

        assert list(client.run(source_of_child).values()) == [SOURCE]
        assert its_source != SOURCE


def test_a_worker_with_the_same_hubbub_keeps_it(cluster: Cluster, client: Client, folder: Path):
    with worker(cluster, folder, like_this_one()):
        wait_for_workers(client, 1)
        before = where_hubbub_is(client)
        ship_to(client)
        assert where_hubbub_is(client) == before


def test_a_worker_that_cannot_take_it_is_told(cluster: Cluster, client: Client, folder: Path):
    """Its folder cannot be written to, by what stands in its way."""

    def spoil(dask_worker: object) -> None:
        import pathlib

        (pathlib.Path(dask_worker.local_directory) / "file").touch()
        dask_worker.local_directory += "/file"

    with worker(cluster, folder, without_hubbub(folder)):
        wait_for_workers(client, 1)
        client.run(spoil)
        with pytest.raises(ClusterError, match=r"--ship: a worker cannot take hubbub \(NotADirectoryError: .*instead"):
            ship_to(client)


@pytest.mark.slow
def test_a_worker_without_hubbub_that_comes_late_is_sent_away(cluster: Cluster, client: Client, folder: Path):
    notes: list[str] = []
    taken = count(1)

    def until_noted() -> Iterator[SmallUnit]:
        while not notes:
            yield SmallUnit(next(taken))

    with worker(cluster, folder, like_this_one()):
        wait_for_workers(client, 1)
        engine = DaskEngine(Connection(client), collect_requirements([]), notes.append)
        results = engine.run(Count(sleep_s=0.05), until_noted())
        done = [next(results)]
        with worker(cluster, folder, without_hubbub(folder)) as late:
            done += list(results)
            assert late.wait(30) is not None
    assert sorted(result.unit for result in done) == list(range(1, next(taken)))
    assert ["hubbub is missing there" in note for note in notes] == [True]
