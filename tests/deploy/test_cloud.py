"""The files and the page of `deploy/cloud`, as far as they can be tried without an account."""

from __future__ import annotations

import ast
import asyncio
import copy
import inspect
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import dask
import pytest
import yaml

from hubbub.engine.cluster_file import read_cluster_file
from tests.deploy.commands import ROOT, files_named, hubbub_lines, indented, parse

FOLDER = ROOT / "deploy" / "cloud"
PAGE = FOLDER / "README.md"
EC2, COILED = FOLDER / "ec2.yaml", FOLDER / "coiled.yaml"
COILED_TAKES = {
    *("name", "region", "container", "n_workers", "worker_cpu", "worker_memory", "worker_options", "worker_disk_size"),
    *("scheduler_cpu", "scheduler_memory", "spot_policy", "idle_timeout", "show_widget", "environ", "software"),
    *("workspace", "worker_vm_types", "worker_gpu", "tags"),
}
"""Options of coiled.Cluster 1.135.6; `test_what_coiled_takes_is_what_was_written_down` asks the package."""


@pytest.fixture(autouse=True)
def _settings_of_before() -> Iterator[None]:
    """EC2Cluster has all of this process encrypted, even where it is only made."""
    with suppress(ImportError):
        import dask_cloudprovider.aws  # noqa: F401  # whose own settings come with it, once
    before = copy.deepcopy(dask.config.config)
    yield
    dask.config.config.clear()
    dask.config.config.update(before)


@pytest.fixture(params=["as it is", "as the page changes it"])
def options(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Options of the file for EC2, and of the copy that the page's commands make."""
    if request.param == "as it is":
        return yaml.safe_load(EC2.read_text())["cluster"]["options"]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    before = {path.name: path.read_text() for path in (EC2, COILED)}
    for line in indented(PAGE):
        if line.startswith(("cp ", "sed ")):
            subprocess.run(line, shell=True, check=True)
    said = yaml.safe_load((tmp_path / "ec2.yaml").read_text())
    assert {path.name: path.read_text() for path in (EC2, COILED)} == before
    assert said["scale"] == {"minimum": 100, "maximum": 100}
    assert said["cluster"]["options"]["worker_options"] == {"nthreads": 1, "resources": {"GPU": 1}}
    assert "ghcr.io/you/hubbub:0.1.0-gpu" in said["cluster"]["options"]["docker_image"]
    return said["cluster"]["options"]


def test_ec2_takes_the_options_and_runs_the_image(options: dict[str, Any]) -> None:
    """The class is made in earnest, short of asking AWS for machines."""
    pytest.importorskip("dask_cloudprovider", reason="pip install 'hubbub[cloud]'")
    from dask_cloudprovider.aws import EC2Cluster
    from distributed import Nanny, Worker

    async def script() -> str:
        return EC2Cluster.get_cloud_init(**options)

    said = asyncio.run(script())
    assert re.search(rf"docker run --net=host +{re.escape(options['docker_image'])} dask-scheduler", said)
    for name in options["worker_options"]:
        assert name in {*inspect.signature(Nanny.__init__).parameters, *inspect.signature(Worker.__init__).parameters}


@pytest.mark.parametrize("file", [EC2, COILED], ids=["ec2", "coiled"])
def test_hubbub_reads_the_file_and_the_image_is_one_that_is_built(file: Path) -> None:
    said = read_cluster_file(file)
    assert said.scale is not None
    image = said.cluster.options.get("docker_image") or said.cluster.options["container"]
    built = re.findall(r"-t (hubbub:\S+)", (ROOT / "deploy/containers/README.md").read_text())
    assert image.removeprefix("registry.example.org/") in built


def test_the_options_for_coiled_are_among_those_it_takes() -> None:
    said = read_cluster_file(COILED).cluster
    assert said.class_ == "coiled.Cluster"
    assert set(said.options) <= COILED_TAKES


@pytest.mark.slow
def test_what_coiled_takes_is_what_was_written_down(tmp_path: Path) -> None:
    """The package is asked in an environment of its own: it brings much that hubbub does not need."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "coiled==1.135.6"], check=True)
    options = yaml.safe_load(COILED.read_text())["cluster"]["options"]
    code = (
        "import coiled, distributed.deploy, inspect, json, sys\n"
        "assert issubclass(coiled.Cluster, distributed.deploy.Cluster)\n"
        "takes = inspect.signature(coiled.Cluster.__init__)\n"
        "takes.bind(None, **json.loads(sys.argv[1]))\n"
        "print(sorted(takes.parameters))\n"
        "print(inspect.signature(coiled.Cluster.adapt))\n"
    )
    words = [python, "-c", code, json.dumps(options)]
    done = subprocess.run(words, check=True, text=True, capture_output=True, cwd=tmp_path)
    takes, adapt = done.stdout.splitlines()[-2:]
    assert set(ast.literal_eval(takes)) >= COILED_TAKES
    assert "minimum" in adapt
    assert "maximum" in adapt


def test_the_page_names_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    assert [str(path) for path in files_named(PAGE) if not path.exists()] == []
    assert {EC2, COILED} <= files_named(PAGE)
    lines = [words for words in hubbub_lines(PAGE) if words[2:]]
    assert len(lines) >= 5
    for words in lines:
        parse(words)
