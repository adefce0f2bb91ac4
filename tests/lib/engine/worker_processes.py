"""Workers that others started: with this hubbub, with another, with none; and what they may be asked."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from distributed import Client

import hubbub
from hubbub.engine.ship import source_hash
from hubbub.tasks.result import UnitResult
from tests.chaos.processes import Cluster, kill_quietly, wait_until
from tests.conftest import ROOT
from tests.lib.engine.test_contract import SmallUnit

HIDE = """
import sys
from importlib.machinery import PathFinder

class Hidden:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != "hubbub":
            return None
        spec = PathFinder.find_spec(name, [folder for folder in sys.path if "site-packages" not in folder])
        if spec is None:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
        return spec

sys.meta_path.insert(0, Hidden)
"""


def like_this_one() -> dict[str, str]:
    """Environment of a process that has what this one has, and these tests."""
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(hubbub.__file__).parent.parent), str(ROOT)])}


def without_hubbub(folder: Path) -> dict[str, str]:
    """Environment of a process that has everything but the hubbub that is installed."""
    (folder / "hide").mkdir(exist_ok=True)
    (folder / "hide" / "sitecustomize.py").write_text(HIDE)
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(folder / "hide"), str(ROOT)])}


def with_another_hubbub(folder: Path) -> tuple[dict[str, str], str]:
    """Environment of a process that has a hubbub with one line more, and not these tests; and its source's hash."""
    package = folder / "another" / "hubbub"
    if not package.exists():
        shutil.copytree(Path(hubbub.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
        with open(package / "metrics.py", "a") as file:
            file.write("# changed\n")
    return os.environ | {"PYTHONPATH": str(package.parent)}, source_hash(package)


@contextmanager
def worker(
    cluster: Cluster, folder: Path, environment: Mapping[str, str], *, before: Sequence[str] = (), threads: int = 1
) -> Iterator[psutil.Process]:
    """A worker, whose folder is where it runs; it is dead after the context."""
    words = ("--no-nanny", "--nthreads", str(threads), "--no-dashboard", "--host", "127.0.0.1")
    command = [*before, sys.executable, "-m", "dask", "worker", cluster.address, *words]
    with open(folder / f"guest-{time.monotonic_ns()}.log", "wb") as log:
        process = subprocess.Popen(
            [*command, "--local-directory", str(folder)],
            cwd=folder,  # the folder that a process starts in is one that it imports from
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
        )
    try:
        yield psutil.Process(process.pid)
    finally:
        if process.poll() is None:
            for child in psutil.Process(process.pid).children(recursive=True):
                kill_quietly(child)
        process.kill()
        process.wait()


def wait_for_workers(client: Client, count: int) -> list[str]:
    """Wait until a cluster has so many workers; returns their addresses."""
    wait_until(lambda: len(client.scheduler_info(n_workers=-1)["workers"]) == count, f"{count} workers", 60)
    return list(client.scheduler_info(n_workers=-1)["workers"])


def load_libraries() -> dict[str, int]:
    """Load BLAS and OpenMP, as other work on the worker may have done; returns the sizes of their pools."""
    import sklearn.utils._openmp_helpers  # noqa: F401
    from threadpoolctl import threadpool_info

    return {pool["prefix"]: pool["num_threads"] for pool in threadpool_info()}


@dataclass(frozen=True)
class Pools:
    """A task that tells, as events heard, how large each pool is for the thread that does the unit."""

    def __call__(self, unit: SmallUnit) -> UnitResult:
        time.sleep(0.05)  # that all threads get some
        event_counts = load_libraries() | {f"thread {threading.get_ident()}": 1}
        return UnitResult(unit.index, 2, 0, 2, 2, 1.0, 1, event_counts=event_counts)
