"""The process that a local cluster's workers are forked from: it imports what they need while the driver still plans.

::

    driver     |-- imports, reads the clip table, plans --|-- cluster --|-- units
    forked from     |-- imports --|~~~~~~~~~~~~~~~~~~~~~~~~~~|
    workers                                                  |-|-- units

Python's other way, to spawn, has every worker import everything by itself, seconds after the run began.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import forkserver

WORKER_ENVIRONMENT = {
    # One thread a process (decoding holds Python's lock in places, and a dead process then costs one unit); so every
    # library's own pool of threads has one as well, or two workers would fight over every core.
    **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), 1),
    **dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), 1),
    # glibc would return every block of audio and frames to the system, and pay for new pages: half of a clip's
    # time. A worker keeps up to this much more than it needs. Shards, which are larger, do go back at once.
    "MALLOC_MMAP_THRESHOLD_": 8 * 2**20,
    "MALLOC_TRIM_THRESHOLD_": 64 * 2**20,
    # Every thread that zarr starts would keep a heap of its own, and a worker would grow with a recording's length.
    "MALLOC_ARENA_MAX": 1,
}
"""Of worker processes on this machine."""

UNITS = "hubbub.tasks.ahead"
"""The module that imports what units of recordings need."""

FORKED = "forkserver"


def start_method() -> str:
    """How this machine's workers are started: forked where the system can, else spawned."""
    return FORKED if FORKED in multiprocessing.get_all_start_methods() else "spawn"


def import_ahead(*modules: str) -> None:
    """Start to import modules in the process that workers will be forked from, and return at once.

    Where such a process is running already, as after an earlier run, it stays as it is.
    """
    if start_method() != FORKED:
        return
    multiprocessing.get_context(FORKED).set_forkserver_preload(["distributed", *modules])
    # As Dask has it, what the environment says already counts more.
    with _environment({name: os.environ.get(name, str(value)) for name, value in WORKER_ENVIRONMENT.items()}):
        forkserver.ensure_running()


@contextmanager
def _environment(changed: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
