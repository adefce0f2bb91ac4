"""Runs of distributed jobs, and the run folder that describes each.

A run folder lies inside the store or label tables that the run writes, on a disk or in a bucket::

    OUT/.runs/20260314T070500.123Z-features/
      plan.json     what the run will do, its command, cluster and versions
      log.jsonl     events, one JSON object a line
      status.json   progress, rewritten every few seconds; `hubbub status` reads it
      dask.html     Dask's performance report, where Dask ran the units
"""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from hubbub import __version__
from hubbub.engine.cluster import check_cluster
from hubbub.engine.requirements import PathCheck
from hubbub.errors import RunStopped
from hubbub.io.atomic import atomic_write, write_bytes, write_json
from hubbub.io.folders import list_names, remove_tree
from hubbub.io.paths import StoragePath, is_local
from hubbub.io.text import count_noun
from hubbub.pipelines.json_log import JsonLog
from hubbub.pipelines.periodic import call_every
from hubbub.pipelines.processes import own_process
from hubbub.pipelines.progress import Progress
from hubbub.pipelines.reporting import SILENT, Reporter

if TYPE_CHECKING:
    from distributed import Client

RUNS = ".runs"
PLAN, LOG, STATUS, REPORT = "plan.json", "log.jsonl", "status.json", "dask.html"
FORMAT = 1
_KEPT = 20
_EVERY_S, _REMOTE_EVERY_S = 2.0, 10.0
_LOG_EVERY_S = 60.0
_LOG_SHARE = 50  # uploading the log takes at most one part in so many of the time
_SECRET = re.compile(r"(?<=://)[^/@\s]*@|(?<=\?)(?=\S*=)\S+")
_LIBRARIES = ("numpy", "scipy", "librosa", "soundfile", "soxr", "zarr", "dask", "distributed", "keras", "tensorflow")


@dataclass(frozen=True)
class ClusterOptions:
    """Where a job runs its units.

    Attributes
    ----------
    cluster
        ``serial``, ``local``, a scheduler's address, or a cluster file; None: ``local``, or the cluster of `client`.
    workers
        Processes of a local cluster; None: one a core.
    ship
        Whether workers of an external cluster get the hubbub of this process.
    client
        A `distributed.Client` of the caller, in place of `cluster`.
    """

    cluster: str | None = None
    workers: int | None = None
    ship: bool = False
    client: Client | None = None

    def check(self) -> None:
        """Refuse a cluster that cannot be, before any work is planned; errors of `check_cluster`."""
        if self.client is None:
            check_cluster(self.cluster or "local", self.workers)

    @property
    def name(self) -> str:
        """The cluster in a word, as run folders have it."""
        return "client" if self.client is not None else self.cluster or "local"


class Run:
    """One run of a job; `open_run` gives it.

    Attributes
    ----------
    job
        The command's name.
    cluster
        Where it runs its units.
    log
        Its events.
    reporter
        Shows its progress and messages.
    stop
        Set to drain the run: no more units are begun.
    is_stopped
        Whether units were left because the run was drained.
    lost
        Units that no worker finished.
    result
        At the end, how many clips of the whole table are ok, failed and missing, as storage has them.
    folder
        Its run folder; None for a run without one.
    """

    def __init__(
        self,
        job: str,
        cluster: ClusterOptions,
        log: JsonLog,
        reporter: Reporter = SILENT,
        folder: StoragePath | None = None,
    ) -> None:
        self.job, self.cluster, self.log, self.reporter, self.folder = job, cluster, log, reporter, folder
        self.stop = Event()
        self.is_stopped, self.lost = False, 0
        self.result: dict[str, int] = {}
        self._measure: Callable[[], Progress] = Progress
        self._state, self._error, self._ended = "planned", "", ""
        self._began, self._beat, self._reports = _now(), 0, 0

    @property
    def path_checks(self) -> tuple[PathCheck, ...]:
        """A file of the run folder, which every worker must see."""
        return () if self.folder is None else make_path_checks("what the run writes to", self.folder / PLAN)

    @contextmanager
    def stage(self, measure: Callable[[], Progress]) -> Iterator[None]:
        """Write the progress that `measure` returns into the status file, until the next stage begins."""
        self._state, self._measure = "running", measure
        _ignore_errors(self.write_status)  # at once: a reader before the next beat would find a run not begun
        try:
            yield
        finally:
            last = measure()
            self._measure = lambda: last

    @contextmanager
    def reporting(self) -> Iterator[Path | None]:
        """Give a local path for Dask's report, which lies in the run folder after the context."""
        if self.folder is None:
            yield None
            return
        self._reports += 1
        name = REPORT if self._reports == 1 else f"dask-{self._reports}.html"
        with nullcontext(self.folder) if is_local(self.folder) else _scratch_folder() as folder:
            yield folder / name
            if not is_local(self.folder) and (folder / name).exists():
                there = self.folder / name
                _ignore_errors(lambda: _put(folder / name, there))

    def end(self, error: BaseException | None) -> None:
        """Write the final state."""
        if isinstance(error, KeyboardInterrupt | RunStopped) or (error is None and self.is_stopped):
            self._state = "stopped"
        elif error is not None or self.lost:
            self._state = "failed"
            self._error = f"{count_noun(self.lost, 'unit')} were lost" if error is None else str(error)
        else:
            self._state = "done"
        self._ended = _now()
        _ignore_errors(self.write_status)

    def write_status(self) -> None:
        """Write the progress of this moment."""
        if self.folder is None:
            return
        self._beat += 1
        data = json.dumps(self._document(), indent=2).encode() + b"\n"
        if not is_local(self.folder):
            write_bytes(self.folder / STATUS, data)
            return
        with atomic_write(self.folder / STATUS) as partial:  # of which nothing need survive a power cut
            partial.write_bytes(data)

    def _document(self) -> dict[str, Any]:
        state = "stopping" if self._state == "running" and self.stop.is_set() else self._state
        return {
            "format": FORMAT,
            "job": self.job,
            "state": state,
            "error": self._error,
            "began": self._began,
            "updated": _now(),
            "ended": self._ended,
            "beat": self._beat,
            "every_s": beat_every_s(self.folder),
            **asdict(own_process()),
            "cluster": redact_url(self.cluster.name),
            "standing": asdict(self._measure()),
            "result": self.result,
        }


@contextmanager
def open_run(
    job: str,
    cluster: ClusterOptions,
    log: JsonLog,
    reporter: Reporter,
    *,
    output: StoragePath,
    plan: Mapping[str, Any],
) -> Iterator[Run]:
    """Give a run with a run folder, and write its final state when the context ends.

    Parameters
    ----------
    output
        The store or label tables, which this process has locked.
    plan
        What the run will do, as names and values for people.

    Raises
    ------
    StorageError
        When the run folder cannot be made. A file in it that cannot be written later is left out.
    """
    folder = output / RUNS / f"{_stamp()}-{job.replace(' ', '-').replace('--', '')}"
    run = Run(job, cluster, log, reporter, folder)
    write_json(folder / PLAN, _describe_run(run, plan))
    run.write_status()
    _ignore_errors(lambda: _keep_newest(output / RUNS))
    error: BaseException | None = None
    try:
        with _log_to_folder(log, folder), call_every(beat_every_s(folder), lambda: _ignore_errors(run.write_status)):
            yield run
    except BaseException as raised:
        error = raised
        raise
    finally:
        run.end(error)


def make_path_checks(what: str, *places: StoragePath) -> tuple[PathCheck, ...]:
    """Make checks of local files that workers have to see; a missing file gives no check."""
    found = []
    for path in places:
        if is_local(path):
            with suppress(OSError):
                found.append(PathCheck(str(path.resolve()), path.stat().st_size, what))
    return tuple(found)


def beat_every_s(folder: StoragePath | None) -> float:
    """Return the seconds between two status files of a run."""
    return _EVERY_S if folder is None or is_local(folder) else _REMOTE_EVERY_S


def redact_url(text: str) -> str:
    """Replace user names, passwords and queries of a URL, which may be secret."""
    return _SECRET.sub("…", text) if "://" in text else text


def _describe_run(run: Run, plan: Mapping[str, Any]) -> dict[str, Any]:
    options = run.cluster
    where = {"cluster": redact_url(options.name), "workers": options.workers, "ship": options.ship}
    return {
        "format": FORMAT,
        "job": run.job,
        "command": shlex.join([Path(sys.argv[0]).name, *map(redact_url, sys.argv[1:])]),
        "folder": redact_url(os.getcwd()),
        "began": run._began,
        **where,
        "versions": _versions(),
        "plan": {name: value if isinstance(value, int) else str(value) for name, value in plan.items()},
    }


def _versions() -> dict[str, str]:
    found = {"hubbub": __version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


@contextmanager
def _log_to_folder(log: JsonLog, folder: StoragePath) -> Iterator[None]:
    """Write the log into the run folder as well; into a bucket as a copy that is uploaded periodically."""
    if is_local(folder):
        with log.also_write_to(folder / LOG):
            yield
        return
    with _scratch_folder() as scratch:
        copy = _Upload(scratch / LOG, folder / LOG)
        try:
            with log.also_write_to(copy.local), call_every(_LOG_EVERY_S / 10, copy.put_if_due):
                yield
        finally:
            copy.put()


class _Upload:
    """A growing local file that is uploaded again and again, in a small part of the time."""

    def __init__(self, local: Path, there: StoragePath) -> None:
        self.local, self._there = local, there
        self._size, self._next = 0, time.monotonic() + _LOG_EVERY_S

    def put_if_due(self) -> None:
        if time.monotonic() >= self._next:
            self.put()

    def put(self) -> None:
        if not self.local.exists() or (size := self.local.stat().st_size) == self._size:
            return
        began = time.monotonic()
        _ignore_errors(lambda: _put(self.local, self._there))
        self._size, now = size, time.monotonic()
        self._next = now + max(_LOG_EVERY_S, _LOG_SHARE * (now - began))


def _put(local: Path, there: StoragePath) -> None:
    with atomic_write(there) as partial:
        shutil.copyfile(local, partial)


@contextmanager
def _scratch_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hubbub-") as folder:
        yield Path(folder)


def _keep_newest(folder: StoragePath) -> None:
    for name in sorted(list_names(folder))[:-_KEPT]:
        remove_tree(folder / name)


def _ignore_errors(function: Callable[[], None]) -> None:
    """Call a function that only describes the run: its failure must not end the run."""
    with suppress(Exception):
        function()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _stamp() -> str:
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")[:-3] + "Z"
