"""The file and the page of `deploy/ssh`, on a real SSH server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import dask
import psutil
import pytest
import yaml

from hubbub.engine.cluster import open_engine
from hubbub.engine.cluster_file import start_cluster
from hubbub.errors import ClusterError
from hubbub.store.opening import open_store
from tests.chaos.processes import wait_until
from tests.deploy.commands import ROOT, files_named, hubbub_lines, indented, parse
from tests.jobs.command import succeed
from tests.servers.sshd import Sshd

FOLDER = ROOT / "deploy" / "ssh"
PAGE = FOLDER / "README.md"
OURS = (
    ("alpha, alpha, beta", "127.0.0.1, 127.0.0.1, 127.0.0.1"),
    ("/opt/hubbub/bin/python", sys.executable),
    ("n_workers: 4", "n_workers: 1"),
)
"""What a user puts in for this machine, in the commands of the page."""


@pytest.fixture
def file(tmp_path: Path, sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page's copy of its file, made by the page's own commands, and with the test's way in."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(FOLDER, tmp_path / "deploy" / "ssh")
    for line in indented(PAGE):
        if line.startswith(("cp ", "sed ")):
            for theirs, ours in OURS:
                line = line.replace(theirs, ours)
            subprocess.run(line, shell=True, check=True)
    edit(tmp_path / "cluster.yaml", connect_options=sshd.connect_options)
    return tmp_path / "cluster.yaml"


def edit(file: Path, **options: Any) -> None:
    said = yaml.safe_load(file.read_text())
    known = said["cluster"]["options"]
    known.update(
        {name: {**known[name], **value} if isinstance(value, dict) else value for name, value in options.items()}
    )
    known["scheduler_options"] = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    known["worker_options"]["host"] = "127.0.0.1"  # all that a test uses is loopback, and free ports
    file.write_text(yaml.safe_dump(said))


def started_by_ssh() -> list[int]:
    return [
        one.pid for one in psutil.process_iter(["cmdline"]) if "distributed.cli.dask_spec" in str(one.info["cmdline"])
    ]


def test_features_on_machines_over_ssh(file: Path, clips: Path) -> None:
    before, store = started_by_ssh(), file.parent / "store"
    said = succeed("features", clips, "-o", "store", "--cluster", file, cwd=file.parent)  # workers have other folders
    assert "2 Dask worker threads on tcp://127.0.0.1" in said
    succeed("verify", store, "--clips", clips)
    assert len(open_store(store).rows()) == 100
    wait_until(lambda: set(started_by_ssh()) <= set(before), "the end of what was started by SSH", patience_s=20)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"connect_options": {"port": 1}}, "does not start: ConnectionRefusedError"),
        ({"connect_options": {"client_keys": ["{folder}/host_key"]}}, "does not start: PermissionDenied"),
        ({"connect_options": {"known_hosts": "/dev/null"}}, "does not start: HostKeyNotVerifiable"),
        ({"connect_options": {"prot": 1}}, "unexpected keyword argument 'prot'"),
        ({"remote_python": "/nowhere/python"}, "does not start: Exception: Worker failed to start"),
        ({"host": ["a"]}, "unknown option 'host': did you mean 'hosts'?"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_what_the_page_says_of_mistakes(options: dict[str, Any], message: str, file: Path, sshd: Sshd) -> None:
    keys = options.get("connect_options", {}).get("client_keys")
    if keys:
        options = {"connect_options": {"client_keys": [key.format(folder=sshd.folder) for key in keys]}}
    edit(file, **options)
    with pytest.raises(ClusterError) as refused, open_engine(str(file)):
        pass
    assert f"{file}: distributed.SSHCluster " in str(refused.value)
    assert message in str(refused.value)


def test_scaling_is_refused(file: Path) -> None:
    file.write_text(file.read_text() + "scale: {minimum: 1, maximum: 2}\n")
    with (
        pytest.raises(ClusterError, match="has the workers that its options name; leave out 'scale'"),
        open_engine(str(file)),
    ):
        pass


@pytest.mark.slow
def test_workers_have_the_settings_of_hubbub(file: Path) -> None:
    with start_cluster(file, print) as connection:
        assert set(connection.client.run(os.getenv, "MALLOC_ARENA_MAX").values()) == {"1"}
        assert connection.client.run_on_scheduler(dask.config.get, "distributed.scheduler.allowed-failures") == 0


@pytest.fixture(scope="module")
def clips(esc10_mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "clips.parquet"
    succeed("index", esc10_mini, "-o", path)
    return path


def test_the_page_names_what_there_is() -> None:
    assert [str(path) for path in files_named(PAGE) if not path.exists()] == []
    assert FOLDER / "cluster.yaml" in files_named(PAGE)
    lines = [words for words in hubbub_lines(PAGE) if words[2:]]
    assert len(lines) >= 3
    for words in lines:
        parse(words)
