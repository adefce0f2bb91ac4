"""Strict JSON schemas of Kubernetes' kinds, with no cluster: the operator's chart has Dask's, the client the others.

Kubernetes drops or refuses what its schemas do not name; so every object here is closed (``additionalProperties``).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import dask_kubernetes
import yaml
from jsonschema import Draft202012Validator
from kubernetes import client

_CHART = Path(dask_kubernetes.__file__).parent / "operator/deployment/helm/dask-kubernetes-operator"
_METADATA = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]{0,51}[a-z0-9])?$"},
        "namespace": {"type": "string"},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}


def problems(document: dict[str, Any]) -> list[str]:
    """What is wrong with one document, each with where it is; a Job's pod is held to the operator's schema as well."""
    found = list(_checker(document["apiVersion"], document["kind"]).iter_errors(document))
    if document["kind"] == "Job" and not found:
        found = list(_pod_checker().iter_errors(document["spec"]["template"]["spec"]))
    return [f"{error.json_path}: {error.message}" for error in found]


@cache
def _pod_checker() -> Draft202012Validator:
    group = _dask_kinds()["DaskWorkerGroup"]["properties"]["spec"]["properties"]
    return Draft202012Validator(group["worker"]["properties"]["spec"])


@cache
def _checker(api_version: str, kind: str) -> Draft202012Validator:
    if api_version == "kubernetes.dask.org/v1":
        return Draft202012Validator(_dask_kinds()[kind])
    if api_version not in ("v1", "batch/v1"):
        raise KeyError(f"{api_version}/{kind} is no kind that is known here")
    return Draft202012Validator(_closed(getattr(client, f"V1{kind}").model_json_schema(by_alias=True)))


@cache
def _dask_kinds() -> dict[str, dict[str, Any]]:
    kinds = {}
    for file in sorted((_CHART / "crds").glob("*.yaml")):
        definition = yaml.load(file.read_text(), Loader=yaml.CSafeLoader)["spec"]
        schema = definition["versions"][0]["schema"]["openAPIV3Schema"]
        named = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": _METADATA}
        whole = {**schema, "properties": {**schema["properties"], **named}, "required": ["metadata", "spec"]}
        kinds[definition["names"]["kind"]] = _closed(whole)
    return kinds


def _closed(schema: Any) -> Any:
    """The same schema, in which no object may have a property that it does not name."""
    if isinstance(schema, list):
        return [_closed(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    choices = [choice for choice in schema.get("anyOf", []) if choice != {"type": "null"}]
    if len(choices) == 1:  # the client's "or null", which nobody writes
        return _closed(choices[0])
    closed = {name: _closed(entry) for name, entry in schema.items()}
    if isinstance(schema.get("properties"), dict) and "type" in schema and "additionalProperties" not in schema:
        closed["additionalProperties"] = False
    return closed
