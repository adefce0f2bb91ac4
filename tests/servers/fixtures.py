"""Fixtures that start servers: `s3` and `ceph`, each with a fresh bucket a test; `slurm`, one node; `sshd`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import ceph as ceph_server
from tests.servers import slurm as slurm_server
from tests.servers import sshd as sshd_server
from tests.servers.moto import moto
from tests.servers.server import Server, forget_connections


@pytest.fixture(scope="session")
def moto_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Give moto's S3 server, one a process of the test run."""
    with moto(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture(scope="session")
def ceph_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Give Ceph's gateway, one a test run; skips where it is not installed."""
    if reason := ceph_server.missing():
        pytest.skip(reason)
    with ceph_server.shared_ceph(_folder_of_the_run(tmp_path_factory)) as server:
        yield server


def _folder_of_the_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that all processes of a test run share; with pytest-xdist each has its own below it."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if folder.name.startswith("popen-") else folder


@pytest.fixture
def s3(moto_server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Give the address of a fresh bucket, ``s3://…``, that this process and the commands it starts can reach."""
    yield from _fresh_bucket(moto_server, monkeypatch)


@pytest.fixture
def ceph(ceph_gateway: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Give the same on Ceph's gateway, which checks what moto takes on trust; skips where it is not installed."""
    yield from _fresh_bucket(ceph_gateway, monkeypatch)


def _fresh_bucket(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server.reach(monkeypatch)
    yield server.bucket()
    forget_connections()


@pytest.fixture(scope="session")
def slurm_cluster() -> Iterator[slurm_server.Slurm]:
    """Give a SLURM cluster of one node, one a process of the test run; skips where it cannot be started."""
    if reason := slurm_server.missing():
        pytest.skip(reason)
    with slurm_server.slurm() as cluster:
        yield cluster


@pytest.fixture
def slurm(slurm_cluster: slurm_server.Slurm, monkeypatch: pytest.MonkeyPatch) -> slurm_server.Slurm:
    """Give the same, for this process and the commands it starts."""
    for name, value in slurm_cluster.environment.items():
        monkeypatch.setenv(name, value)
    return slurm_cluster


@pytest.fixture(scope="session")
def sshd() -> Iterator[sshd_server.Sshd]:
    """Give an SSH server on loopback, one a process of the test run; skips where it is not installed."""
    if reason := sshd_server.missing():
        pytest.skip(reason)
    with sshd_server.sshd() as server:
        yield server
