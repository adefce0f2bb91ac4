"""The files and the page of `deploy/containers`: linted, held to the schema, built, and run as plain processes."""

from __future__ import annotations

import copy
import json
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import distributed  # noqa: F401  # brings Dask's own settings of clusters
import pytest
import yaml

from hubbub.engine.clients import OWN_SETTINGS, WORKER_ENVIRONMENT
from tests.deploy.commands import ROOT, files_named, hubbub_lines, indented, parse
from tests.deploy.image import Stage, built, context_of, instructions
from tests.deploy.processes import Machine
from tests.servers.server import Server

FOLDER = ROOT / "deploy" / "containers"
PAGE = FOLDER / "README.md"
DOCKERFILE = FOLDER / "Dockerfile"
COMPOSE = FOLDER / "compose.yaml"
SCRIPTS = Path(sys.executable).parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
JOBS = ("bucket", "index", "features")
"""Services that end, in the order in which they wait for each other."""


def pins(*files: Path) -> dict[str, str]:
    """Versions by name, as package indexes spell it."""
    lines = [line.partition(";")[0].strip() for file in files for line in file.read_text().splitlines() if "==" in line]
    return {_canonical(name): version for name, _, version in (line.partition("==") for line in lines)}


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def filled(text: str) -> str:
    """A compose file's text with the defaults of its variables, as compose fills them in where none is set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


@pytest.fixture
def services() -> dict[str, Any]:
    return copy.deepcopy(yaml.safe_load(filled(COMPOSE.read_text()))["services"])


def _lint(dockerfile: Path) -> str:
    done = subprocess.run([SCRIPTS / "hadolint", "--no-color", dockerfile], capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == (done.stdout == "")
    return done.stdout + done.stderr


def test_the_dockerfile_is_clean(tmp_path: Path) -> None:
    assert _lint(DOCKERFILE) == ""
    worse = tmp_path / "Dockerfile"
    worse.write_text(
        DOCKERFILE.read_text().replace("-slim-bookworm", "").replace(":3.11.14", "").replace("1000:1000", "root")
    )
    assert {"DL3006", "DL3002"} <= set(re.findall(r"DL\d+", _lint(worse)))


def _against_schema(file: Path) -> subprocess.CompletedProcess[str]:
    command = [SCRIPTS / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", file]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_compose_file_fits_its_schema(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(COMPOSE.read_text().replace("command: [dask, scheduler]", "comand: [dask]"))
    assert _against_schema(COMPOSE).returncode == 0
    refused = _against_schema(tmp_path / "compose.yaml")
    assert refused.returncode == 1
    assert "'comand' was unexpected" in refused.stdout


def test_every_image_is_pinned_and_ours_has_the_version_of_the_project(services: dict[str, Any]) -> None:
    ours = {service["image"] for service in services.values() if "build" in service}
    assert ours == {f"hubbub:{PROJECT['version']}-cpu"}
    bases = {value.partition(" AS ")[0] for instruction, value in instructions(DOCKERFILE) if instruction == "FROM"}
    assert len(bases) == 1
    others = {service["image"] for service in services.values() if "build" not in service}
    for image in bases | others:
        assert re.search(r":\d+\.\d+", image), image
    built_on_page = set(re.findall(r"-t (\S+)", PAGE.read_text()))
    assert built_on_page == {f"hubbub:{PROJECT['version']}-{extra}" for extra in ("cpu", "gpu")}
    assert {extra for tag in built_on_page for extra in [tag.rpartition("-")[2]]} <= set(
        PROJECT["optional-dependencies"]
    )


def test_every_command_is_understood(services: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    ours = {name: service for name, service in services.items() if "build" in service}
    assert set(ours) == {"scheduler", "worker", *JOBS}
    for service in ours.values():
        words = service["command"]
        if words[0] != "python":
            parse(words)
        assert "entrypoint" not in service
    for words in hubbub_lines(PAGE):
        parse(words)
    assert len(hubbub_lines(PAGE)) >= 2


def test_the_page_names_what_there_is(services: dict[str, Any]) -> None:
    assert [str(path) for path in files_named(PAGE) if not path.exists()] == []
    lines = [line for line in indented(PAGE) if line.startswith("docker compose")]
    assert len(lines) >= 7
    for line in lines:
        assert line.startswith("docker compose -f deploy/containers/compose.yaml ")
        named = re.search(
            r"(?:--wait|--scale \S+|--rm|--no-deps) ((?:[a-z]\w*)(?: [a-z]\w*)*)$", line.partition(" hubbub ")[0]
        )
        assert set(named[1].split() if named else []) <= set(services), line


def test_services_wait_for_what_is_there_and_healthy(services: dict[str, Any]) -> None:
    for service in services.values():
        for name, waited in service.get("depends_on", {}).items():
            if waited["condition"] == "service_healthy":
                assert "healthcheck" in services[name]
            else:
                assert (waited["condition"], name in JOBS) == ("service_completed_successfully", True)
    assert services["worker"]["deploy"]["replicas"] == 2


def test_everybody_finds_the_bucket_and_the_scheduler(services: dict[str, Any]) -> None:
    server = services["s3"]
    assert "-s3.port=8333" in server["command"]
    for service in services.values():
        keys = {name: service["environment"][name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
        assert keys == server["environment"]
        if service is not server:
            assert service["environment"]["AWS_ENDPOINT_URL"] == "http://s3:8333"
            assert service["environment"]["DASK_SCHEDULER_ADDRESS"] == "tcp://scheduler:8786"


def test_dask_is_set_as_in_a_cluster_that_hubbub_starts_itself() -> None:
    said = yaml.safe_load((FOLDER / "dask.yaml").read_text())
    assert said["distributed"]["nanny"]["pre-spawn-environ"] == WORKER_ENVIRONMENT
    told = {name: dask.config.get(name, config=said) for name in OWN_SETTINGS}
    assert told == OWN_SETTINGS
    routes = said["distributed"]["scheduler"]["http"]["routes"]
    usual = dask.config.get("distributed.scheduler.http.routes")
    assert sorted(set(routes) - set(usual)) == ["distributed.http.scheduler.api"]
    assert set(usual) <= set(routes)
    copied = [value.split() for instruction, value in instructions(DOCKERFILE) if instruction == "COPY"]
    assert ["deploy/containers/dask.yaml", "/etc/dask/hubbub.yaml"] in copied


def test_the_context_is_what_is_copied_and_nothing_else() -> None:
    copied = [
        source
        for instruction, value in instructions(DOCKERFILE)
        if instruction == "COPY" and "--from" not in value
        for source in value.split()[:-1]
    ]
    sent = context_of(ROOT, DOCKERFILE)
    for source in copied:
        assert any(path == source or path.startswith(f"{source}/") for path in sent), source
    for path in sent:
        assert any(path == source or path.startswith(f"{source}/") for source in copied), path
    assert not [path for path in sent if "__pycache__" in path]


def test_what_an_image_has_is_pinned_as_it_is_tested() -> None:
    tested, more = pins(ROOT / "constraints.txt"), pins(FOLDER / "constraints-image.txt")
    assert more["tensorflow"] == tested["tensorflow-cpu"]
    assert not set(tested) & set(more)


@pytest.fixture
def machine(tmp_path: Path, moto_server: Server) -> Iterator[Machine]:
    machine = Machine(tmp_path, moto_server)
    yield machine
    machine.close()


def _environment(service: dict[str, Any]) -> dict[str, str]:
    return {name: value for name, value in service["environment"].items() if not name.startswith("AWS_")}


@pytest.mark.slow
def test_the_services_do_their_job_as_processes(
    machine: Machine, s3: str, services: dict[str, Any], esc10_mini: Path, moto_server: Server
) -> None:
    bucket = f"{s3.removeprefix('s3://')}-city"

    def words(name: str) -> list[str]:
        return [
            word.replace("s3://city", f"s3://{bucket}")
            .replace("'city'", f"'{bucket}'")
            .replace("/recordings", str(esc10_mini))
            for word in services[name]["command"]
        ]

    machine.start(words("scheduler"), _environment(services["scheduler"]))
    for _ in range(services["worker"]["deploy"]["replicas"]):
        machine.start(words("worker"), _environment(services["worker"]))
    machine.run(words("bucket"), _environment(services["bucket"]))
    machine.run(words("bucket"), _environment(services["bucket"]))
    machine.run(words("index"), _environment(services["index"]))
    said = machine.run(words("features"), _environment(services["features"]))
    assert machine.address in said
    assert re.search(r"ok\W+100\b", said)
    assert machine.healthy()
    for name, value in WORKER_ENVIRONMENT.items():
        assert machine.variable(name) == [str(value)] * 2
    assert any(key.startswith("store/features.zarr/") for key in moto_server.keys(f"s3://{bucket}"))


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The image for CPUs, of what Docker would be sent."""
    workplace = tmp_path_factory.mktemp("image")
    for path in context_of(ROOT, DOCKERFILE):
        target = workplace / "context" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, target)
    try:
        with built(DOCKERFILE, workplace / "context", workplace, {"EXTRA": "cpu"}) as stage:
            yield stage
    except OSError as error:
        pytest.skip(f"mounting a root of its own is not allowed here: {error}")


@pytest.mark.slow
def test_the_image_has_hubbub_and_dask_for_a_user_who_is_not_root(image: Stage) -> None:
    assert image.run(["hubbub", "--version"]).strip() == f"hubbub {PROJECT['version']}"
    assert "Usage" in image.run(["dask", "scheduler", "--help"])
    assert "Usage" in image.run(["dask", "worker", "--help"])
    assert image.run(["id", "-u"]).strip() == "1000"
    assert image.run(["python", "-c", "import hubbub, keras; print(hubbub.__file__)"]).startswith("/opt/hubbub/")
    routes = "import dask.config; print(dask.config.get('distributed.scheduler.http.routes'))"
    assert "distributed.http.scheduler.api" in image.run(["python", "-c", routes])


@pytest.mark.slow
def test_the_image_holds_pinned_versions_alone(image: Stage) -> None:
    known = pins(ROOT / "constraints.txt", FOLDER / "constraints-image.txt")
    listed = json.loads(image.run(["python", "-m", "pip", "list", "--format", "json"]))
    assert len(listed) > 80
    there = {_canonical(entry["name"]): entry["version"] for entry in listed if entry["name"] != "hubbub"}
    assert there == {name: known.get(name) for name in there}


@pytest.mark.slow
def test_the_image_does_a_job(image: Stage, esc10_mini: Path) -> None:
    recordings = image.root / "recordings" / "dog"
    recordings.mkdir(parents=True)
    for file in sorted((esc10_mini / "audio").iterdir())[:3]:
        shutil.copy(file, recordings)
    image.run(["hubbub", "index", "/recordings", "-o", "clips.parquet"])
    said = image.run(["hubbub", "features", "clips.parquet", "-o", "store", "--cluster", "local", "--workers", "1"])
    assert "features: done" in said


@pytest.mark.slow
def test_stopping_a_container_is_ctrl_c(image: Stage) -> None:
    waits = "import time; print('up', flush=True)\ntry: time.sleep(60)\nexcept KeyboardInterrupt: print('Ctrl-C')"
    command = image.command([*image.entrypoint, "python", "-c", waits])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == "Ctrl-C\n"
    assert process.returncode == 0


@pytest.mark.slow
def test_what_the_gpu_image_would_have_is_pinned(tmp_path: Path) -> None:
    """It is resolved, and not installed: CUDA is gigabytes."""
    wanted = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["gpu"]]
    constraints = [
        word for file in (ROOT / "constraints.txt", FOLDER / "constraints-image.txt") for word in ("-c", file)
    ]
    command = ["-m", "pip", "install", "-q", "--dry-run", "--ignore-installed", "--report", tmp_path / "report.json"]
    subprocess.run([sys.executable, *command, *constraints, *wanted], check=True, capture_output=True)
    found = json.loads((tmp_path / "report.json").read_text())["install"]
    there = {_canonical(entry["metadata"]["name"]): entry["metadata"]["version"] for entry in found}
    known = pins(ROOT / "constraints.txt", FOLDER / "constraints-image.txt")
    assert "nvidia-cudnn-cu12" in there
    assert there == {name: known.get(name) for name in there}
