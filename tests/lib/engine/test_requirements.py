"""What is refused of workers, what is not, and how it is said: workers are processes that others started."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from distributed import Client
from distributed.protocol.pickle import dumps

import hubbub
from hubbub.engine import requirements as module
from hubbub.engine.clients import Connection
from hubbub.engine.cluster import open_engine
from hubbub.engine.dask import DaskEngine
from hubbub.engine.requirements import (
    PathCheck,
    Requirements,
    check_requirements,
    collect_requirements,
    list_mismatches,
)
from hubbub.engine.ship import SOURCE, source_hash
from hubbub.errors import ClusterError
from tests.chaos.processes import Cluster, external_cluster
from tests.lib.engine.test_contract import Count, SmallUnit
from tests.lib.engine.worker_processes import (
    like_this_one,
    wait_for_workers,
    with_another_hubbub,
    without_hubbub,
    worker,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("terms")


@pytest.fixture(scope="module")
def cluster(folder: Path) -> Iterator[Cluster]:
    """A scheduler and a worker that fits; each test brings others."""
    with external_cluster(folder, n_workers=0) as cluster, worker(cluster, folder, like_this_one()):
        yield cluster


@pytest.fixture
def client(cluster: Cluster) -> Iterator[Client]:
    with Client(cluster.address) as client:
        wait_for_workers(client, 1)
        yield client


def with_version(name: str, version: str) -> Requirements:
    return Requirements(
        versions=tuple((known, version if known == name else is_) for known, is_ in collect_requirements([]).versions)
    )


def version(name: str) -> str:
    return dict(collect_requirements([]).versions)[name]


def near(name: str) -> str:
    """Another version of the same release, as its first two figures have it."""
    return ".".join([*version(name).split(".")[:2], "999"])


def test_a_process_keeps_its_own_terms(tmp_path: Path):
    (tmp_path / "x.wav").write_bytes(b"abc")
    assert list_mismatches(collect_requirements([PathCheck(str(tmp_path / "x.wav"), 3, "the recordings")])) == []


def test_terms_are_small_for_they_go_with_every_unit():
    assert len(dumps(collect_requirements([PathCheck("/a/rather/long/path/" * 5, 3, "the recordings")] * 3))) < 2000


@pytest.mark.parametrize(
    ("name", "wanted", "is_refused"),
    [
        ("hubbub", "0.1.0 (source 00)", True),  # a checkout with other lines
        ("numpy", "1.26.4", True),
        ("numpy", near("numpy"), True),  # a fault that was mended may have changed values
        ("libsndfile", "1.2.0", True),
        ("zarr", "2.18.0", True),
        ("zarr", near("zarr"), False),
        ("python", near("python"), False),
        ("python", "3.9.1", True),
        ("distributed", "2024.1.0", True),
        ("distributed", near("distributed"), False),
        ("tensorflow", "2.1.0", True),
        ("keras", version("keras"), False),
    ],
)
def test_what_differs_is_refused_where_it_may_matter(name: str, wanted: str, is_refused: bool):
    said = [f"{name} is {version(name)} there and {wanted} here"] if is_refused else []
    assert list_mismatches(with_version(name, wanted)) == said


def test_a_library_that_is_missing_is_refused():
    assert list_mismatches(Requirements(versions=(("numpy-of-mars", "1.0"),))) == ["numpy-of-mars is missing there"]


@pytest.mark.parametrize("name", ["keras", "tensorflow", "av"])
def test_what_only_some_runs_need_may_be_missing(name: str, monkeypatch: pytest.MonkeyPatch):
    terms = collect_requirements([])
    known = {package: version for package, version in terms.versions if package != name}
    monkeypatch.setattr(module, "_collect_versions", lambda: known)
    assert list_mismatches(terms) == []
    assert list_mismatches(replace(terms, needs=(name,))) == [f"{name} is missing there"]


def test_files_have_to_be_there_and_the_same(tmp_path: Path):
    (tmp_path / "x.wav").write_bytes(b"x" * 12)
    gone, other = (
        PathCheck(str(tmp_path / "y.wav"), 3, "the recordings"),
        PathCheck(str(tmp_path / "x.wav"), 340, "the store"),
    )
    assert list_mismatches(Requirements((gone, PathCheck(str(tmp_path), 4096, "the folder"), other))) == [
        f"does not see the recordings at {tmp_path}/y.wav (no such file)",
        f"sees another file for the store at {tmp_path}/x.wav (12 bytes there, 340 here)",
    ]


def test_the_source_is_what_workers_run(tmp_path: Path):
    """Lines, and not where they lie, what was compiled of them, nor the commands, which workers do not run."""
    copy = tmp_path / "hubbub"
    shutil.copytree(Path(hubbub.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "__pycache__").mkdir()
    (copy / "__pycache__" / "x.py").write_text("x = 1")
    (copy / "jobs").mkdir(exist_ok=True)
    (copy / "jobs" / "one_more.py").write_text("x = 1")
    assert source_hash(copy) == SOURCE
    (copy / "errors.py").rename(copy / "error.py")
    assert source_hash(copy) != SOURCE


def test_workers_are_refused_each_for_its_reasons(
    cluster: Cluster, client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    """One has another hubbub, one has none, one does not answer, and one fits; none of them does a unit."""
    other, its_source = with_another_hubbub(folder)
    monkeypatch.setattr(module, "_ANSWER_WITHIN_S", 4.0)
    with (
        worker(cluster, folder, other),
        worker(cluster, folder, without_hubbub(folder)),
        worker(cluster, folder, like_this_one()) as stopped,
    ):
        wait_for_workers(client, 4)
        stopped.send_signal(signal.SIGSTOP)
        with pytest.raises(ClusterError) as refused, open_engine(cluster.address):
            pass
    text = str(refused.value)
    assert text.startswith("3 of 4 workers cannot do this run:\n")
    assert f": hubbub is 0.1.0 (source {its_source}) there and 0.1.0 (source {SOURCE}) here\n" in text
    assert ": hubbub is missing there\n" in text
    assert ": does not answer within 4 s: it is overloaded, or a file system hangs there\n" in text
    assert text.count("  tcp://127.0.0.1:") == 3
    assert "Add --ship to send workers the hubbub of this process" in text


def test_a_library_that_differs_is_told_with_what_to_install(client: Client):
    (address,) = wait_for_workers(client, 1)
    check_requirements(client, collect_requirements([]))
    with pytest.raises(ClusterError) as refused:
        check_requirements(client, with_version("librosa", "0.10.1"))
    assert f"{address}: librosa is {version('librosa')} there and 0.10.1 here" in str(refused.value)
    assert f"pip install 'librosa=={version('librosa')}'" in str(refused.value)
    assert "--ship" not in str(refused.value)
    with pytest.raises(ClusterError, match=r"the scheduler at tcp://\S+ is of another Dask: dask is \S+ there and"):
        check_requirements(client, with_version("dask", "2024.1.0"))


def test_a_worker_that_does_not_see_the_recordings_is_refused(
    cluster: Cluster, client: Client, folder: Path, tmp_path: Path
):
    """It has its own mounts, as another machine has."""
    (tmp_path / "x.wav").write_bytes(b"abc")
    apart = ("unshare", "-m", "--propagation", "private", "sh", "-c")
    hidden = (*apart, f'mount -t tmpfs none \'{tmp_path}\' && exec "$0" "$@"')
    if subprocess.run([*hidden, "true"], capture_output=True, check=False).returncode:
        pytest.skip("mount namespaces are not allowed here")
    with worker(cluster, folder, like_this_one(), before=hidden):
        wait_for_workers(client, 2)
        with (
            pytest.raises(ClusterError) as refused,
            open_engine(cluster.address, path_checks=[PathCheck(str(tmp_path / "x.wav"), 3, "the recordings")]),
        ):
            pass
    assert str(refused.value).startswith("1 of 2 workers cannot do this run:\n  tcp://127.0.0.1:")
    assert f": does not see the recordings at {tmp_path}/x.wav (no such file)\n" in str(refused.value)
    assert str(refused.value).endswith("or use places in a bucket: s3://bucket/prefix.")


@pytest.mark.slow
def test_a_worker_that_comes_late_and_does_not_fit_is_sent_away(cluster: Cluster, client: Client, folder: Path):
    """Nor can it read the task, whose class it has not: what differs is told, not what Python says of that."""
    other, its_source = with_another_hubbub(folder)
    notes: list[str] = []
    taken = count(1)

    def until_noted() -> Iterator[SmallUnit]:
        while not notes:
            yield SmallUnit(next(taken))

    engine = DaskEngine(Connection(client), collect_requirements([]), notes.append)
    results = engine.run(Count(sleep_s=0.05), until_noted())
    done = [next(results)]
    with worker(cluster, folder, other) as late:
        done += list(results)
        assert late.wait(30) is not None  # it ended by itself
    assert sorted(result.unit for result in done) == list(range(1, next(taken)))
    assert len(notes) == 1
    assert f"hubbub is 0.1.0 (source {its_source}) there" in notes[0]
