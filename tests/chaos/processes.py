"""Runs of `hubbub` that tests break off: how they start, what they have committed, and how their processes end."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from tests.jobs.command import COMMAND

PATIENCE_S = 120
SMALL_UNITS = ("--set", "layout.rows_per_shard=2", "--set", "layout.rows_per_chunk=2")
"""50 units of the 100 clips: 50 places between commits where a run may break off."""

SUPERVISE = 'while kill -0 $PPID; do "$0" "$@"; sleep 0.2; done'
"""For `bash -c`: start the command that follows again whenever it ends, as long as the tests run."""

_PIDFD_GETFD = 438  # on every architecture; Python has no name for it
_SCHEDULER_AT = re.compile(r"Scheduler at:\s+(tcp://\S+)")


class Run:
    """A command in the background, what it says going to a file.

    Parameters
    ----------
    words
        The command's words after `hubbub`.
    said
        Where its output goes.
    environment
        Its environment; None: this process's.
    inside
        Words to put before the command, such as those that enter a network namespace.
    """

    def __init__(
        self,
        words: tuple[object, ...],
        said: Path,
        environment: Mapping[str, str] | None = None,
        inside: Sequence[str] = (),
    ) -> None:
        self._said = said
        with open(said, "wb") as output:
            self.process = subprocess.Popen(
                [*inside, str(COMMAND), *map(str, words)], stdout=output, stderr=subprocess.STDOUT, env=environment,
                start_new_session=True,
            )  # fmt: skip

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.process.poll() is not None

    @property
    def said(self) -> str:
        """What it printed so far."""
        return self._said.read_text(errors="replace")

    def wait(self, patience_s: float = PATIENCE_S) -> int:
        """Wait for its end; returns its exit code, below 0 for a signal."""
        try:
            return self.process.wait(timeout=patience_s)
        except subprocess.TimeoutExpired:
            kill_driver_and_workers(self)
            raise AssertionError(f"a run did not end within {patience_s} s; it said:\n{self.said}") from None

    def descendants(self) -> list[psutil.Process]:
        """Processes below the driver: nannies, workers, and Python's own helpers."""
        return _descendants(self.process.pid)


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def is_worker(process: psutil.Process) -> bool:
    """Whether a process below a driver or a nanny is one that does units."""
    try:
        words, above = (" ".join(one.cmdline()) for one in (process, process.parent() or process))
    except psutil.NoSuchProcess:
        return False
    # Forked, it has the words of the process that it is forked from.
    return "spawn_main" in words or ("multiprocessing.forkserver" in words and words == above)


def kill_quietly(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        pass  # it went with its parent


def kill_driver(run: Run) -> None:
    run.process.kill()


def kill_driver_and_workers(run: Run) -> None:
    for process in [*run.descendants(), psutil.Process(run.process.pid)]:
        kill_quietly(process)


def disconnect(process: psutil.Process, address: str) -> None:
    """Cut all connections of a process to an address, as a switch does that is set up anew; both sides live on."""
    ip, _, port = address.removeprefix("tcp://").rpartition(":")
    inside = os.pidfd_open(process.pid)
    try:
        for connection in process.net_connections("tcp"):
            if connection.raddr == (ip, int(port)) and connection.fd >= 0:
                _shut_down(inside, connection.fd)
    finally:
        os.close(inside)


def _shut_down(process_fd: int, fd: int) -> None:
    copied = ctypes.CDLL(None).syscall(_PIDFD_GETFD, process_fd, fd, 0)
    if copied < 0:
        return  # it is closed by now
    with suppress(OSError), socket.socket(fileno=copied) as theirs:
        theirs.shutdown(socket.SHUT_RDWR)


def stop_driver(run: Run) -> None:
    run.process.send_signal(signal.SIGINT)


def wait_until(true: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
    """Wait for something to become true, and fail when it does not."""
    deadline = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < deadline, f"not within {patience_s} s: {what}"
        time.sleep(0.005)


def wait_for_parts(folder: Path, count: int, run: Run) -> None:
    """Wait until a run has committed some units, and see that it goes on."""
    wait_until(lambda: run.over or n_parts(folder) >= count, f"{count} parts in {folder}; the run said:\n{run.said}")
    assert not run.over, f"the run ended before it could be killed: make its units smaller; it said:\n{run.said}"


def n_parts(folder: Path) -> int:
    """Units that a folder of parts has."""
    return len(list(folder.glob("[0-9]*.parquet")))


def knowing_tests(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment, None being this process's, whose Python finds the package of the tests."""
    inherited = dict(os.environ if environment is None else environment)
    paths = filter(None, [inherited.get("PYTHONPATH"), str(Path(__file__).resolve().parents[2])])
    return inherited | {"PYTHONPATH": os.pathsep.join(paths)}


class Cluster:
    """A scheduler and workers, each a process that others started: where a driver is a guest.

    A worker of Dask ends with its nanny when it loses its scheduler, or its connection. So, as under Kubernetes or
    systemd, somebody sees to it that another is started in its place.

    Parameters
    ----------
    folder
        Where logs and workers' files go.
    environment
        Of all processes; None: this process's.
    n_workers
        How many.
    n_threads
        Of each worker.
    worker_words
        What else the command of each worker says.

    Attributes
    ----------
    address
        The scheduler's.
    """

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str] | None = None,
        *,
        n_workers: int = 2,
        n_threads: int = 1,
        worker_words: Sequence[str] = (),
    ) -> None:
        self._folder, self._environment = folder, knowing_tests(environment)
        self._n_workers, self._n_threads, self._worker_words = n_workers, n_threads, worker_words
        self._scheduler: subprocess.Popen[bytes] | None = None
        self._supervisors: list[subprocess.Popen[bytes]] = []
        self.address = ""

    def start(self) -> None:
        """Start everything anew; what is left of the last time is ended."""
        self.stop()
        self.address = ""
        self.start_scheduler()
        for _ in range(self._n_workers):
            self.add_worker()

    def start_scheduler(self) -> None:
        """Start the scheduler, where the last one was if there was one."""
        log, port = self._folder / "scheduler.log", self.address.rpartition(":")[2] or "0"
        self._scheduler = self._spawn(log, "scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard")
        wait_until(lambda: bool(_SCHEDULER_AT.search(log.read_text(errors="replace"))), "a Dask scheduler")
        self.address = _SCHEDULER_AT.findall(log.read_text(errors="replace"))[-1]

    def add_worker(self) -> None:
        """Start one more worker, with its nanny."""
        words = ("--nthreads", str(self._n_threads), "--no-dashboard", "--host", "127.0.0.1", *self._worker_words)
        log = self._folder / f"worker-{len(self._supervisors)}.log"
        command = ("worker", self.address, *words, "--local-directory", str(self._folder))
        self._supervisors.append(self._spawn(log, *command, before=("bash", "-c", SUPERVISE)))

    def _spawn(self, log: Path, *words: str, before: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        with open(log, "wb") as output:
            return subprocess.Popen(
                [*before, sys.executable, "-m", "dask", *words],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
            )

    @property
    def scheduler(self) -> psutil.Process:
        """Its process."""
        assert self._scheduler is not None
        return psutil.Process(self._scheduler.pid)

    def kill_scheduler(self) -> None:
        """Kill it, and see it dead: another can then have its port."""
        assert self._scheduler is not None
        self._scheduler.kill()
        self._scheduler.wait()

    def workers(self) -> list[psutil.Process]:
        """The processes that do units, each below its nanny, which is below who supervises it."""
        return [child for one in self._supervisors for child in _descendants(one.pid) if is_worker(child)]

    def kill_workers(self) -> None:
        """Kill every worker, and all that would start it again."""
        for supervisor in self._supervisors:
            _end(supervisor)
        self._supervisors = []

    def stop(self) -> None:
        """End every process."""
        self.kill_workers()
        if self._scheduler is not None:
            _end(self._scheduler)
        self._scheduler = None


def _end(process: subprocess.Popen[bytes]) -> None:
    for one in [psutil.Process(process.pid), *_descendants(process.pid)] if process.poll() is None else []:
        kill_quietly(one)  # who supervises goes first
    process.wait()


@contextmanager
def external_cluster(folder: Path, environment: Mapping[str, str] | None = None, **shape: Any) -> Iterator[Cluster]:
    """Give a running `Cluster` of the shape asked for, which ends with the context."""
    cluster = Cluster(folder, environment, **shape)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
