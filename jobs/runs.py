"""Runs: where a distributed job runs, how it is stopped, and the folder that tells of it.

A run folder lies with what the run makes, on a disk or in a bucket::

    OUT/.runs/20260314T070500.123Z-features/
      plan.json     what is to be done, by which command, where, with which versions
      log.jsonl     what happened, a line an event
      status.json   how it stands, rewritten every few seconds; `hubbub status` reads it
      dask.html     Dask's performance report, where Dask ran it
"""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from typing import Any

import psutil
import typer

from hubbub import __version__
from hubbub.engine.cluster import check_cluster
from hubbub.engine.requirements import PathCheck
from hubbub.io.atomic import atomic_write, list_names, remove_tree, write_bytes, write_json
from hubbub.io.paths import StoragePath, is_local

from . import console
from .console import JsonLog

RUNS = ".runs"
PLAN, LOG, STATUS, REPORT = "plan.json", "log.jsonl", "status.json", "dask.html"
FORMAT = 1
INTERRUPTED = 130
"""Exit code of a command that was stopped."""

_KEPT = 20
_EVERY_S, _REMOTE_EVERY_S = 2.0, 10.0
_LOG_EVERY_S = 60.0
_LOG_SHARE = 50  # of the time, putting the log in a bucket again takes one in so many
_COUNT_WITHIN_S, _COUNT_EVERY_S = 0.5, 0.02
_SECRET = re.compile(r"(?<=://)[^/@\s]*@|(?<=\?)(?=\S*=)\S+")
_LIBRARIES = ("numpy", "scipy", "librosa", "soundfile", "soxr", "zarr", "dask", "distributed", "keras", "tensorflow")


@dataclass(frozen=True)
class Where:
    """Where a job does its units, as its options say.

    Attributes
    ----------
    cluster
        ``serial``, ``local``, a scheduler's address, or a cluster file.
    workers
        Processes of a local cluster; None: one a core.
    ship
        Whether workers that others started get the hubbub of this process.
    """

    cluster: str = "local"
    workers: int | None = None
    ship: bool = False

    def check(self) -> None:
        """Refuse what is no cluster by its looks; errors of `check_cluster`."""
        check_cluster(self.cluster, self.workers)


@dataclass(frozen=True)
class Counts:
    """How many of something; `total` is None where that is not known."""

    total: int | None = None
    done: int = 0
    lost: int = 0


@dataclass(frozen=True)
class Standing:
    """How a stage of a run stands.

    Attributes
    ----------
    stage
        What it does: the job's name, or that of a part of it.
    counted
        What `windows` counts: ``windows``, or ``rows``, ``shards``, ``units``.
    clips, windows, units
        What is done; lost is what no worker brought to its end.
    failed
        Of the clips done, those that are failed rows.
    in_flight, suspects, retried, workers, threads, memory_bytes, memory_limit_bytes
        The engine's (`hubbub.engine.EngineState`).
    clips_a_second, audio_h_a_second
        Over the stage; and over the last minute, as `…_last_minute`.
    left_s
        Seconds it still takes; None: unknown.
    """

    stage: str = ""
    counted: str = "windows"
    clips: Counts = Counts()
    windows: Counts = Counts()
    units: Counts = Counts()
    failed: int = 0
    in_flight: int = 0
    suspects: int = 0
    retried: int = 0
    workers: int = 0
    threads: int = 0
    memory_bytes: int = 0
    memory_limit_bytes: int = 0
    clips_a_second: float = 0.0
    clips_a_second_last_minute: float = 0.0
    audio_h_a_second: float = 0.0
    audio_h_a_second_last_minute: float = 0.0
    left_s: float | None = None

    @property
    def share(self) -> float:
        """How much of its work is done, 0…1."""
        return min(1.0, (self.windows.done + self.windows.lost) / self.windows.total) if self.windows.total else 0.0

    def __str__(self) -> str:
        """All of it in one line."""
        parts = [self._done(), self._pace(), f"{self.failed} failed"]
        if self.clips.lost or self.units.lost:
            parts.append(f"{self.clips.lost} lost")
        apart = f" ({self.suspects} apart)" if self.suspects else ""
        parts.append(f"{self.in_flight} units in flight{apart}")
        parts.append(f"{console.duration(float('inf') if self.left_s is None else self.left_s)} left")
        return ", ".join(part for part in parts if part) + "; " + self.crew

    @property
    def crew(self) -> str:
        """Workers and their memory."""
        limit = f" of {console.size(self.memory_limit_bytes)}" if self.memory_limit_bytes else ""
        memory = f" with {console.size(self.memory_bytes)}{limit}" if self.memory_bytes else ""
        return f"{self.workers} worker{'' if self.workers == 1 else 's'}{memory}"

    def _done(self) -> str:
        if self.clips.total is None:
            return f"{self.windows.done} of {self.windows.total} {self.counted}"
        return f"{self.clips.done} of {self.clips.total} clips"

    def _pace(self) -> str:
        if self.clips.total is None:
            return ""
        sound = f", {self.audio_h_a_second_last_minute:.3g} h of sound a second" if self.audio_h_a_second else ""
        return f"{self.clips_a_second_last_minute:.3g} a second{sound}"


def standing_from(held: Mapping[str, Any]) -> Standing:
    """A standing as a status file holds it; `TypeError` and `KeyError` for what is none."""
    counts = {name: Counts(**held[name]) for name in ("clips", "windows", "units")}
    return Standing(**(dict(held) | counts))


class Run:
    """One run of a job; `begun` gives it.

    Attributes
    ----------
    job
        The command's name.
    where
        Where it does its units.
    log
        What happens.
    stop
        Set once no more units are to be begun.
    is_stopped
        Whether units were left because of that.
    lost
        Units that no worker brought to their end.
    result
        At the end, how many clips of the whole table are ok, failed and missing, as storage has them.
    folder
        Its run folder; None for one that leaves no trace.
    """

    def __init__(self, job: str, where: Where, log: JsonLog, folder: StoragePath | None = None) -> None:
        self.job, self.where, self.log, self.folder = job, where, log, folder
        self.stop = Event()
        self.is_stopped, self.lost = False, 0
        self.result: dict[str, int] = {}
        self._look: Callable[[], Standing] = Standing
        self._state, self._error, self._ended = "planned", "", ""
        self._began, self._beat, self._reports = _now(), 0, 0

    @property
    def path_checks(self) -> tuple[PathCheck, ...]:
        """What every worker must see of the place that the run writes to."""
        return () if self.folder is None else make_path_checks("what the run writes to", self.folder / PLAN)

    @contextmanager
    def stage(self, look: Callable[[], Standing]) -> Iterator[None]:
        """Tell how a stage stands, by what `look` says, until the next one begins."""
        self._state, self._look = "running", look
        _quietly(self.write)  # not only at the next beat: who asks before would read that nothing has begun
        try:
            yield
        finally:
            last = look()
            self._look = lambda: last

    @contextmanager
    def reporting(self) -> Iterator[Path | None]:
        """Give a name on this machine for Dask's report, which is in the run folder after the context."""
        if self.folder is None:
            yield None
            return
        self._reports += 1
        name = REPORT if self._reports == 1 else f"dask-{self._reports}.html"
        with nullcontext(self.folder) if is_local(self.folder) else _scratch() as folder:
            yield folder / name
            if not is_local(self.folder) and (folder / name).exists():
                there = self.folder / name
                _quietly(lambda: _put(folder / name, there))

    def end(self, error: BaseException | None) -> None:
        """Note how it ended."""
        code = getattr(error, "exit_code", None) if isinstance(error, typer.Exit) else None
        if isinstance(error, KeyboardInterrupt) or code == INTERRUPTED or (error is None and self.is_stopped):
            self._state = "stopped"
        elif (error is not None and code != 0) or self.lost:
            self._state = "failed"
            self._error = str(error) if code is None and error is not None else f"{self.lost} units were lost"
        else:
            self._state = "done"
        self._ended = _now()
        _quietly(self.write)

    def write(self) -> None:
        """Write how it stands now."""
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
            "every_s": every_s(self.folder),
            **asdict(own_process()),
            "cluster": hidden(self.where.cluster),
            "standing": asdict(self._look()),
            "result": self.result,
        }


@contextmanager
def begun(job: str, where: Where, log: JsonLog, output: StoragePath | None, plan: Mapping[str, Any]) -> Iterator[Run]:
    """Give a run that has a run folder, and note at the end how it ended.

    Parameters
    ----------
    output
        The store or label tables, which this process holds; None: the run leaves no trace.
    plan
        What it will do, as names and values for people.

    Raises
    ------
    StorageError
        When the run folder cannot be made. Once it is there, a file in it that cannot be written costs itself alone.
    """
    if output is None:
        yield Run(job, where, log)
        return
    run = Run(job, where, log, output / RUNS / f"{_stamp()}-{job.replace(' ', '-').replace('--', '')}")
    assert run.folder is not None
    write_json(run.folder / PLAN, _plan(run, plan))
    run.write()
    _quietly(lambda: _keep_newest(output / RUNS))
    error: BaseException | None = None
    try:
        with _logged(log, run.folder), console.every(every_s(run.folder), lambda: _quietly(run.write)):
            yield run
    except BaseException as raised:
        error = raised
        raise
    finally:
        run.end(error)


@contextmanager
def stoppable(stop: Event, in_flight: Callable[[], int], settled: Callable[[], bool]) -> Iterator[None]:
    """Have Ctrl-C, or SIGTERM, set `stop` once, and say so; the second one stops at once. Only in the main thread.

    Parameters
    ----------
    in_flight
        Units that are still finished.
    settled
        Whether that is their number by now, those that no worker has begun being taken back.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked: SimpleQueue[bool] = SimpleQueue()  # whose `put` may be called in the middle of another; an Event's may not
    times = 0

    def on_signal(number: int, frame: object) -> None:
        nonlocal times
        times += 1
        if times == 1:
            asked.put(True)
        elif number == signal.SIGINT:
            raise KeyboardInterrupt
        else:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def answer() -> None:
        if not asked.get():
            return
        stop.set()
        deadline = time.monotonic() + _COUNT_WITHIN_S
        while not settled() and time.monotonic() < deadline:
            time.sleep(_COUNT_EVERY_S)
        console.warn(f"stopping: {in_flight()} units in flight are finished and committed; Ctrl-C again stops now")

    thread = threading.Thread(target=answer, name="hubbub-stop", daemon=True)
    # One that is ignored, as of a command in the background of a script, stays so.
    heard = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is not signal.SIG_IGN]
    thread.start()
    before = {number: signal.signal(number, on_signal) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        asked.put(False)
        thread.join()


def make_path_checks(what: str, *places: StoragePath) -> tuple[PathCheck, ...]:
    """Files of this machine that workers have to see; those that are not there say nothing."""
    found = []
    for path in places:
        if is_local(path):
            with suppress(OSError):
                found.append(PathCheck(str(path.resolve()), path.stat().st_size, what))
    return tuple(found)


@dataclass(frozen=True)
class Process:
    """Which process a run is: `machine` is empty where that cannot be told apart from others."""

    host: str
    machine: str
    pid: int
    started_s: float


@cache
def own_process() -> Process:
    """The process that asks."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        machine = f"{socket.gethostname()} {boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        machine = ""
    return Process(socket.gethostname(), machine, os.getpid(), psutil.Process().create_time())


def every_s(folder: StoragePath | None) -> float:
    """Seconds from one beat to the next of a run with that folder."""
    return _EVERY_S if folder is None or is_local(folder) else _REMOTE_EVERY_S


def hidden(text: str) -> str:
    """A word of a command line without what may be secret: names and queries of addresses."""
    return _SECRET.sub("…", text) if "://" in text else text


def _plan(run: Run, plan: Mapping[str, Any]) -> dict[str, Any]:
    where = asdict(run.where) | {"cluster": hidden(run.where.cluster)}
    return {
        "format": FORMAT,
        "job": run.job,
        "command": shlex.join(["hubbub", *map(hidden, sys.argv[1:])]),
        "folder": hidden(os.getcwd()),
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
def _logged(log: JsonLog, folder: StoragePath) -> Iterator[None]:
    """Have the log in the run folder as well; in a bucket a copy that is put there now and then."""
    if is_local(folder):
        with log.also_to(folder / LOG):
            yield
        return
    with _scratch() as scratch:
        copy = _Copy(scratch / LOG, folder / LOG)
        try:
            with log.also_to(copy.local), console.every(_LOG_EVERY_S / 10, copy.now_and_then):
                yield
        finally:
            copy.put()


class _Copy:
    """A file that grows here and is put in a bucket again and again, which takes a small share of the time."""

    def __init__(self, local: Path, there: StoragePath) -> None:
        self.local, self._there = local, there
        self._size, self._next = 0, time.monotonic() + _LOG_EVERY_S

    def now_and_then(self) -> None:
        if time.monotonic() >= self._next:
            self.put()

    def put(self) -> None:
        if not self.local.exists() or (size := self.local.stat().st_size) == self._size:
            return
        began = time.monotonic()
        _quietly(lambda: _put(self.local, self._there))
        self._size, now = size, time.monotonic()
        self._next = now + max(_LOG_EVERY_S, _LOG_SHARE * (now - began))


def _put(local: Path, there: StoragePath) -> None:
    with atomic_write(there) as partial:
        shutil.copyfile(local, partial)


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hubbub-") as folder:
        yield Path(folder)


def _keep_newest(folder: StoragePath) -> None:
    for name in sorted(list_names(folder))[:-_KEPT]:
        remove_tree(folder / name)


def _quietly(do: Callable[[], None]) -> None:
    """Do what is of no account to the run: a folder that tells of it is not worth its end."""
    with suppress(Exception):
        do()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _stamp() -> str:
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")[:-3] + "Z"
