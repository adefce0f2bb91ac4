"""The files and the page of `deploy/kubernetes`, against the operator's own schemas and code, and real processes."""

from __future__ import annotations

import copy
import inspect
import re
import shlex
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from dask_kubernetes.operator import KubeCluster
from dask_kubernetes.operator.controller import controller as operator

from hubbub.engine.cluster_file import load_cluster_class, read_cluster_file
from tests.deploy.commands import ROOT, files_named, hubbub_lines, indented, parse
from tests.deploy.processes import Machine
from tests.deploy.schemas import problems
from tests.servers.server import Server

FOLDER = ROOT / "deploy" / "kubernetes"
PAGE = FOLDER / "README.md"
CLUSTER_FILE = FOLDER / "cluster.yaml"
FILES = sorted(path for path in FOLDER.rglob("*.yaml") if path != CLUSTER_FILE)
JOBS = sorted((FOLDER / "jobs").glob("*.yaml"))
REGISTRY = "registry.example.org/"

PATHS = {
    "DaskWorkerGroup": ("spec", "worker"),
    "DaskCluster": ("spec",),
    "DaskJob": ("spec", "job"),
    "Job": ("spec", "template"),
}
"""Where in a document of each kind the first pod is."""


def documents(file: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(file.read_text()))


ALL = [(file, document) for file in FILES for document in documents(file)]
IDS = [f"{file.stem}-{document['kind']}" for file, document in ALL]


def pods(document: Any) -> Iterator[dict[str, Any]]:
    """Every pod's spec in a document."""
    if isinstance(document, dict):
        if "containers" in document:
            yield document
        for value in document.values():
            yield from pods(value)


def containers(document: Any) -> list[dict[str, Any]]:
    return [one for pod in pods(document) for one in [*pod.get("initContainers", []), *pod["containers"]]]


EVERY_POD = [pod for _, document in ALL for pod in pods(document)]
EVERY_CONTAINER = [container for _, document in ALL for container in containers(document)]


def of_kind(kind: str, name: str) -> dict[str, Any]:
    found = [document for _, document in ALL if (document["kind"], document["metadata"]["name"]) == (kind, name)]
    assert len(found) == 1, f"{len(found)} documents {kind}/{name}"
    return copy.deepcopy(found[0])


@pytest.mark.parametrize("document", [document for _, document in ALL], ids=IDS)
def test_a_document_fits_the_schema_of_its_kind(document: dict[str, Any]) -> None:
    assert problems(document) == []


def _misspell_image(pod: dict[str, Any]) -> None:
    pod["containers"][0]["imagee"] = pod["containers"][0].pop("image")


def _number_of_gpus(pod: dict[str, Any]) -> None:
    first = [*pod.get("initContainers", []), *pod["containers"]][0]
    first["resources"]["limits"]["nvidia.com/gpu"] = 1


def _no_containers(pod: dict[str, Any]) -> None:
    del pod["containers"]


def _probe_without_port(pod: dict[str, Any]) -> None:
    pod["containers"][0]["readinessProbe"] = {"httpGet": {"path": "/health"}}


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        (_misspell_image, "'imagee' was unexpected"),
        (_number_of_gpus, "1 is not of type 'string'|1 is not valid under any"),
        (_no_containers, "'containers' is a required property"),
        (_probe_without_port, "'port' is a required property"),
    ],
)
@pytest.mark.parametrize(
    ("kind", "name"),
    [("DaskCluster", "hubbub"), ("DaskWorkerGroup", "hubbub-gpu"), ("DaskJob", "label"), ("Job", "train")],
)
def test_a_mistake_in_a_pod_is_caught(kind: str, name: str, mistake: Any, said: str) -> None:
    document = of_kind(kind, name)
    mistake(next(pods(document)))
    assert re.search(said, "\n".join(problems(document)))


@pytest.mark.parametrize(
    ("kind", "name", "path", "value", "said"),
    [
        ("DaskCluster", "hubbub", "spec.worker.replicas", "2", "'2' is not of type 'integer'"),
        ("DaskCluster", "hubbub", "spec.scheduler.service", None, "'service' is a required property"),
        ("DaskCluster", "hubbub", "spec.idleTimeoutt", 1, "'idleTimeoutt' was unexpected"),
        ("DaskCluster", "hubbub", "metadata.name", "Hub_bub", "does not match"),
        ("DaskWorkerGroup", "hubbub-gpu", "spec.cluster", None, "'cluster' is a required property"),
        ("DaskAutoscaler", "hubbub", "spec.maximum", "20", "'20' is not of type 'integer'"),
        ("DaskJob", "features", "spec.job", None, "'job' is a required property"),
        ("Job", "train", "spec.backofLimit", 1, "'backofLimit' was unexpected"),
        ("Job", "index", "spec.template", None, "'template' is a required property"),
        ("Namespace", "hubbub", "metadata.labels.x", 1, "1 is not of type 'string'"),
        ("PersistentVolumeClaim", "train", "spec.resources.requests.storage", 20, "20 is not of type 'string'"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_document_is_caught(kind: str, name: str, path: str, value: Any, said: str) -> None:
    document = of_kind(kind, name)
    *parents, last = path.split(".")
    place = document
    for parent in parents:
        place = place[parent]
    if value is None:
        del place[last]
    else:
        place[last] = value
    assert said in "\n".join(problems(document))


@pytest.mark.parametrize("pod", EVERY_POD, ids=[pod["containers"][0]["args"][1] for pod in EVERY_POD])
def test_no_pod_runs_as_root_or_gains_rights(pod: dict[str, Any]) -> None:
    """What the namespace's standard, `restricted`, asks of pods; the user is that of the image."""
    context = pod["securityContext"]
    assert (context["runAsNonRoot"], context["runAsUser"]) == (True, 1000)
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in containers(pod):
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    namespace = of_kind("Namespace", "hubbub")["metadata"]
    assert namespace["labels"] == {"pod-security.kubernetes.io/enforce": "restricted"}
    assert {document["metadata"].get("namespace", namespace["name"]) for _, document in ALL} == {namespace["name"]}


def test_keys_come_from_the_secret_alone() -> None:
    secret = re.search(r"kubectl create secret generic (\S+)", PAGE.read_text())
    assert secret
    for container in EVERY_CONTAINER:
        assert container.get("envFrom", []) in ([], [{"secretRef": {"name": secret[1]}}])
        assert {entry["name"] for entry in container.get("env", [])} <= {"DASK_SCHEDULER_ADDRESS"}
    reads_buckets = [
        one for one in EVERY_CONTAINER if "s3://" in str(one["args"]) or one["args"][:2] == ["dask", "worker"]
    ]
    assert len(reads_buckets) >= 10
    assert all("envFrom" in container for container in reads_buckets)


@pytest.mark.parametrize("container", EVERY_CONTAINER, ids=[" ".join(one["args"][:2]) for one in EVERY_CONTAINER])
def test_a_command_is_one_of_the_image_and_is_understood(
    container: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    assert "command" not in container, "it would replace the image's entry point, which passes signals on"
    if container["args"][0] == "python":
        compile(container["args"][2], "args", "exec")
    else:
        parse(container["args"])


def test_a_wrong_option_is_noticed() -> None:
    with pytest.raises(click.UsageError, match="check spelling"):
        parse(["dask", "worker", "--nthread", "1"])
    with pytest.raises(Exception, match="--set-it"):
        parse(["hubbub", "features", "clips.parquet", "-o", "store", "--set-it", "1"])


def test_images_are_those_that_are_built_and_gpus_have_theirs() -> None:
    built = set(re.findall(r"-t (hubbub:\S+)", (ROOT / "deploy/containers/README.md").read_text()))
    assert {container["image"].removeprefix(REGISTRY) for container in EVERY_CONTAINER} == built
    for container in EVERY_CONTAINER:
        gpus = container["resources"]["limits"].get("nvidia.com/gpu")
        assert container["image"].startswith(REGISTRY)
        if container["args"][:2] == ["dask", "worker"]:
            assert ("GPU=1" in container["args"]) == (gpus == "1") == container["image"].endswith("-gpu")
    for pod in EVERY_POD:
        wants = any("nvidia.com/gpu" in one["resources"]["limits"] for one in containers(pod))
        assert wants == bool(pod.get("tolerations"))


def test_workers_stop_themselves_before_the_kernel_stops_their_pod() -> None:
    units = {"Gi": 2**30, "GiB": 2**30, "MiB": 2**20}

    def size(text: str) -> int:
        number, unit = re.fullmatch(r"(\d+)(\w+)", text).groups()  # type: ignore[union-attr]
        return int(number) * units[unit]

    for container in EVERY_CONTAINER:
        limit = size(container["resources"]["limits"]["memory"])
        assert size(container["resources"]["requests"]["memory"]) <= limit
        if container["args"][:2] == ["dask", "worker"]:
            own = size(container["args"][container["args"].index("--memory-limit") + 1])
            assert own + 2**28 <= limit, "a nanny takes memory, too"


@pytest.mark.parametrize("file", JOBS, ids=[file.stem for file in JOBS])
def test_the_parts_of_a_job_find_each_other(file: Path) -> None:
    first, *others = sorted(documents(file), key=lambda document: document["kind"] not in ("DaskJob", "Job"))
    assert first["metadata"]["name"] == file.stem
    assert next(pods(first[PATHS[first["kind"]][0]]))["restartPolicy"] == "Never"
    for other in others:
        assert other["spec"].get("cluster", file.stem) == file.stem
    if first["kind"] == "DaskJob":
        service = first["spec"]["cluster"]["spec"]["scheduler"]["service"]
        assert service["selector"]["dask.org/cluster-name"] == file.stem
        (wait,) = first["spec"]["job"]["spec"]["initContainers"]
        assert wait["env"] == [{"name": "DASK_SCHEDULER_ADDRESS", "value": f"tcp://{file.stem}-scheduler:8786"}]
    assert {other["kind"] for other in others} != {"DaskAutoscaler", "DaskWorkerGroup"}


def test_the_cluster_that_stays_is_found_by_its_parts_and_the_cluster_file() -> None:
    said = read_cluster_file(CLUSTER_FILE)
    assert load_cluster_class(CLUSTER_FILE, said) is KubeCluster
    options = said.cluster.options
    inspect.signature(KubeCluster).bind(**options)
    (cluster,) = documents(ROOT / options["custom_cluster_spec"])
    assert cluster["spec"]["scheduler"]["service"]["selector"]["dask.org/cluster-name"] == cluster["metadata"]["name"]
    assert options["namespace"] == cluster["metadata"]["namespace"]
    for file in ("autoscaler.yaml", "gpu-workers.yaml"):
        assert documents(FOLDER / file)[0]["spec"]["cluster"] == cluster["metadata"]["name"]


def test_the_page_names_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    assert [str(path) for path in files_named(PAGE) if not path.exists()] == []
    assert set(FILES) | {CLUSTER_FILE} <= files_named(PAGE)
    lines = hubbub_lines(PAGE)
    assert len(lines) >= 8
    for words in lines:
        if words[2:]:
            parse(words)
    assert re.findall(r"--version (\S+)", PAGE.read_text()) == [version("dask-kubernetes")]


def test_the_table_of_the_page_is_what_the_jobs_run() -> None:
    rows = re.findall(r"^\| `(jobs/\w+\.yaml)` \| `([^`]+)`", PAGE.read_text(), re.MULTILINE)
    assert {FOLDER / file for file, _ in rows} == set(JOBS)
    for file, command in rows:
        ran = [one["args"] for document in documents(FOLDER / file) for one in containers(document)]
        assert shlex.split(command) in ran


def test_names_on_the_page_are_those_that_the_operator_gives() -> None:
    clusters = {document["metadata"]["name"] for _, document in ALL if document["kind"] in ("DaskCluster", "DaskJob")}
    groups = {document["metadata"]["name"] for _, document in ALL if document["kind"] == "DaskWorkerGroup"}
    known = {f"service/{name}-scheduler" for name in clusters} | {
        operator.get_job_runner_pod_name(name) for name in clusters
    }
    known |= {f"daskworkergroup/{name}" for name in groups | {f"{name}-default" for name in clusters}}
    known |= {f"{document['kind'].lower()}/{document['metadata']['name']}" for _, document in ALL}
    lines = [line for line in indented(PAGE) if re.match("kubectl (logs|exec|port-forward|scale|wait)", line)]
    assert len(lines) >= 10
    for line in lines:
        named = [word for word in shlex.split(line.partition(" -- ")[0]) if "/" in word or word.endswith("-runner")]
        assert named
        assert set(named) <= known, line


@pytest.fixture
def machine(tmp_path: Path, moto_server: Server) -> Iterator[Machine]:
    machine = Machine(tmp_path, moto_server)
    yield machine
    machine.close()


@pytest.fixture
def city(s3: str, moto_server: Server, esc10_mini: Path) -> str:
    """A bucket in which a few recordings lie."""
    for file in sorted((esc10_mini / "audio").iterdir())[:6]:
        moto_server.client().upload_file(str(file), s3.removeprefix("s3://"), f"recordings/{file.name}")
    return s3


def _in(bucket: str, words: list[str]) -> list[str]:
    return [word.replace("s3://city", bucket) for word in words]


def _environment(container: dict[str, Any]) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in container.get("env", [])}


def _expanded(container: dict[str, Any]) -> list[str]:
    return [re.sub(r"\$\((\w+)\)", lambda name: _environment(container)[name[1]], word) for word in container["args"]]


@pytest.mark.slow  # a minute: every pod is a process of its own
def test_the_pods_that_the_operator_makes_of_a_job_do_it(machine: Machine, city: str, moto_server: Server) -> None:
    """The operator's own code makes the pods; their commands run as processes. The runner starts before all others."""
    (index,) = containers(of_kind("Job", "index"))
    machine.run(_in(city, index["args"]), {})
    job = of_kind("DaskJob", "features")["spec"]
    cluster = operator.build_cluster_spec(
        "features", job["cluster"]["spec"]["worker"], job["cluster"]["spec"]["scheduler"], {}, {}
    )
    runner = operator.build_job_pod_spec("features", "features", "hubbub", job["job"]["spec"], {}, {})["spec"]
    waiting = machine.start(runner["initContainers"][0]["args"], _environment(runner["initContainers"][0]), ends=True)
    machine.start(containers(cluster["spec"]["scheduler"])[0]["args"], {})
    worker = operator.build_worker_deployment_spec(
        "features-default", "hubbub", "features", "0123456789", cluster["spec"]["worker"]["spec"], {}, {}
    )
    (worker_container,) = containers(worker)
    machine.start(_expanded(worker_container), _environment(worker_container))
    assert waiting.wait(60) == 0
    assert machine.healthy()
    assert machine.worker_names() == [worker["metadata"]["name"]]
    said = machine.run(_in(city, runner["containers"][0]["args"]), _environment(runner["containers"][0]))
    assert machine.address in said
    assert "features: done" in said
    (verify,) = [one for one in containers(of_kind("DaskJob", "verify")) if one["args"][:2] == ["hubbub", "verify"]]
    machine.run(_in(city, verify["args"]), _environment(runner["containers"][0]))


def test_the_bundle_is_copied_whole_and_again(machine: Machine, s3: str, moto_server: Server, tmp_path: Path) -> None:
    (copies,) = [one for one in containers(of_kind("Job", "train")) if one["name"] == "copy"]
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "bundle.json").write_text("{}")
    words = [word.replace("/scratch/", f"{tmp_path}/") for word in _in(s3, copies["args"])]
    for _ in range(2):
        machine.run(words, {})
        assert moto_server.keys(s3) == ["bundle/bundle.json"]
