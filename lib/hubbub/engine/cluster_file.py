"""Cluster files: a Dask cluster class by its name, its options, and how far it may scale.

::

    cluster: {class: dask_jobqueue.SLURMCluster, options: {cores: 8, memory: 32GiB, walltime: "04:00:00"}}
    scale: {minimum: 0, maximum: 100}
    workers_within_s: 300
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import distributed
import yaml
from distributed import LocalCluster
from distributed.deploy import Cluster
from pydantic import Field, ValidationError, model_validator

from hubbub.config.base import Frozen, say_expected
from hubbub.engine.clients import Connection, open_own_cluster
from hubbub.engine.scaling import add_environment, scale_with_work, wait_for_first_workers
from hubbub.errors import ClusterError, suggest_nearest

_EXAMPLE = "cluster: {class: dask_jobqueue.SLURMCluster, options: {cores: 8, memory: 32GiB}}"
_EXTRAS = {
    "dask_jobqueue": "slurm",
    "dask_kubernetes": "kubernetes",
    "dask_cloudprovider": "cloud",
    "coiled": "coiled",
    "asyncssh": "ssh",
}
"""The extra of hubbub that installs each package."""


class ScaleLimits(Frozen):
    """How many workers a cluster may have: as many as there is work for, between these."""

    minimum: int = Field(0, ge=0)
    maximum: int = Field(ge=1)

    @model_validator(mode="after")
    def _in_order(self) -> ScaleLimits:
        if self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum} is above maximum {self.maximum}")
        return self


class NamedCluster(Frozen):
    """A cluster class by its dotted name, and what it is called with."""

    class_: str = Field(alias="class", pattern=r"^\w+(\.\w+)+$")
    options: dict[str, Any] = {}


class ClusterFile(Frozen):
    """What a cluster file says.

    Attributes
    ----------
    cluster
        What is started.
    scale
        Workers; None: those that the class starts by its options.
    workers_within_s
        How long the cluster may be without any worker before the run is given up.
    """

    cluster: NamedCluster
    scale: ScaleLimits | None = None
    workers_within_s: float = Field(300, gt=0)


def read_cluster_file(file: Path) -> ClusterFile:
    """Read a cluster file.

    Raises
    ------
    ClusterError
        When it cannot be read, has a key that is unknown (says the nearest), or a value that cannot be.
    """
    try:
        said = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ClusterError(f"cluster file {file} does not exist; expected YAML such as {_EXAMPLE}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ClusterError(f"cluster file {file} cannot be read: {error}") from None
    if not isinstance(said, dict):
        raise ClusterError(f"cluster file {file} holds no settings; expected such as:\n{_EXAMPLE}")
    try:
        return ClusterFile.model_validate(said)
    except ValidationError as error:
        raise ClusterError(f"{file}: " + "; ".join(map(_explain, error.errors()))) from None


def _explain(item: Any) -> str:
    """One pydantic complaint in hubbub's words."""
    *parents, last = map(str, item["loc"])
    name = ".".join([*parents, last])
    if item["type"] == "extra_forbidden":
        models: dict[str, type[Frozen]] = {"": ClusterFile, "cluster": NamedCluster, "scale": ScaleLimits}
        model = models[".".join(parents)]
        known = [field.alias or key for key, field in model.model_fields.items()]
        return f"unknown key '{name}': {suggest_nearest(last, known)}"
    if item["type"] == "missing":
        return f"'{name}' is missing; expected such as {_EXAMPLE}"
    if name == "cluster.class":
        return f"cluster.class: {item['input']!r} is no name of a class; expected such as dask_jobqueue.SLURMCluster"
    return f"{name}: {say_expected(item)} (given: {item['input']!r})"


def load_cluster_class(file: Path, said: ClusterFile) -> Callable[..., Cluster]:
    """Import the class that a cluster file names.

    Raises
    ------
    ClusterError
        When it cannot be imported (says what to install), or is no class of Dask clusters.
    """
    name = said.cluster.class_
    module_name, _, attribute = name.rpartition(".")
    try:
        module = import_module(module_name)
        found = getattr(module, attribute, None)
    except ImportError as error:
        raise ClusterError(
            f"{file}: cluster.class {name} cannot be imported ({error}){_suggest_install(name)}"
        ) from None
    if found is distributed.SSHCluster:  # a function that makes a cluster, unlike all others
        if find_spec("asyncssh") is None:
            raise ClusterError(f"{file}: {name} needs asyncssh{_suggest_install('asyncssh')}")
    elif not _is_cluster_factory(found):
        known = [key for key, value in vars(module).items() if _is_cluster_factory(value)]
        hint = f"; {suggest_nearest(attribute, known)}" if known else ""
        raise ClusterError(
            f"{file}: cluster.class {name} is no subclass of distributed.deploy.Cluster{hint}; expected one such as "
            "dask_jobqueue.SLURMCluster"
        )
    assert found is not None
    return found


def _is_cluster_factory(found: object) -> bool:
    return isinstance(found, type) and issubclass(found, Cluster)


def _suggest_install(name: str) -> str:
    extra = _EXTRAS.get(name.partition(".")[0])
    return f"; install it: pip install 'hubbub[{extra}]'" if extra else ""


@contextmanager
def start_cluster(file: Path, notify: Callable[[str], None]) -> Iterator[Connection]:
    """Connect to a new cluster as a cluster file says, once it has a worker; it ends with the context.

    Raises
    ------
    ClusterError
        When the file or its class does not do, the class refuses its options, or no worker comes.
    """
    said = read_cluster_file(file)
    maker = load_cluster_class(file, said)
    with open_own_cluster(lambda: _start(file, said, maker), here=maker is LocalCluster) as (cluster, client):
        limits = (said.scale.minimum, said.scale.maximum) if said.scale else None
        try:
            wait_for_first_workers(cluster, client, limits, said.workers_within_s)
            max_threads = scale_with_work(cluster, client, limits, notify)
        except ClusterError as error:
            raise ClusterError(f"{file}: {error}") from None
        yield Connection(client, max_threads, said.workers_within_s)


def _start(file: Path, said: ClusterFile, maker: Callable[..., Cluster]) -> Cluster:
    name, options = said.cluster.class_, said.cluster.options
    known = _list_parameters(maker)
    try:
        return maker(**add_environment(maker, known, options))
    except Exception as error:  # of whatever kind: each class has its own
        unknown, why = sorted(set(options) - known), _find_root_cause(error)
        if unknown:
            why = f"unknown option '{unknown[0]}': {suggest_nearest(unknown[0], known)}"
        elif isinstance(error, TypeError | ValueError):
            why += f"; it takes: {', '.join(sorted(known))}"
        raise ClusterError(f"{file}: {name} does not start: {why}") from error


def _list_parameters(maker: Any) -> set[str]:
    """Names of what a class takes; many hand on what they do not know to their parents, or to those of their jobs."""
    parts = [maker, *getattr(maker, "__mro__", ()), *getattr(getattr(maker, "job_cls", None), "__mro__", ())]
    if maker is distributed.SSHCluster:
        parts.append(distributed.SpecCluster)
    signatures = [inspect.signature(vars(part).get("__init__", part)) for part in parts]
    plain = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {one.name for each in signatures for one in each.parameters.values() if one.kind in plain} - {"self"}


def _find_root_cause(error: BaseException) -> str:
    """What went wrong first, in words; Dask wraps it in errors of its own."""
    while (cause := error.__cause__) is not None:
        error = cause
    return f"{type(error).__name__}: {error}".strip()
