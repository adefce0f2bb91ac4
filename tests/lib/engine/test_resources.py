"""Units of a task that wants a resource go to the workers that have it, and to any where none has it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from distributed import Client, Nanny, Scheduler, SpecCluster, get_worker

from hubbub.engine.clients import Connection
from hubbub.engine.dask import DaskEngine
from hubbub.tasks.label import LabelTask
from hubbub.tasks.result import UnitResult
from tests.lib.engine.test_contract import units


@dataclass(frozen=True)
class Sign:
    """Leaves the worker's name beside each unit's number."""

    folder: Path
    resource: ClassVar[str] = "GPU"

    def __call__(self, unit) -> UnitResult:
        (self.folder / f"{unit.index}-{get_worker().name}-{os.getpid()}").touch()
        return UnitResult(unit.index, ok=2, failed=0, windows=2, rows=2, audio_s=1.0, bytes_read=1)


@contextmanager
def cluster_of(**resources: dict[str, float]) -> Iterator[DaskEngine]:
    """A cluster of one worker a name, with its resources."""
    workers = {
        name: {"cls": Nanny, "options": {"nthreads": 1, "resources": held, "dashboard_address": None}}
        for name, held in resources.items()
    }
    options = {"host": "127.0.0.1", "dashboard_address": None}
    with (
        SpecCluster(workers, scheduler={"cls": Scheduler, "options": options}, silence_logs=60) as cluster,
        Client(cluster) as client,
    ):
        client.wait_for_workers(len(workers))
        yield DaskEngine(Connection(client))


@pytest.mark.parametrize(
    ("resources", "where"),
    [
        ({"plain": {}, "fast": {"GPU": 1}}, {"fast"}),
        ({"plain": {}, "other": {"FPGA": 1}}, {"plain", "other"}),
    ],
)
def test_units_go_where_the_resource_is(resources: dict, where: set[str], tmp_path: Path):
    with cluster_of(**resources) as engine:
        results = list(engine.run(Sign(tmp_path), units(30)))
    assert len(results) == 30
    assert {path.name.split("-")[1] for path in tmp_path.iterdir()} == where


def test_labelling_wants_gpus():
    assert LabelTask.resource == "GPU"
