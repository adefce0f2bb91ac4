"""Runs of `hubbub` that tests break off: how they start, what they have committed, and how their processes end."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.jobs.command import COMMAND

PATIENCE_S = 120
SMALL_UNITS = ("--set", "layout.rows_per_shard=2", "--set", "layout.rows_per_chunk=2")
"""50 units of the 100 clips: 50 places between commits where a run may break off."""

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
    """

    def __init__(self, words: tuple[object, ...], said: Path, environment: Mapping[str, str] | None = None) -> None:
        self._said = said
        with open(said, "wb") as output:
            self.process = subprocess.Popen(
                [str(COMMAND), *map(str, words)], stdout=output, stderr=subprocess.STDOUT, env=environment,
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

    def wait(self) -> int:
        """Wait for its end; returns its exit code, below 0 for a signal."""
        try:
            return self.process.wait(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            kill_driver_and_workers(self)
            raise AssertionError(f"a run did not end within {PATIENCE_S} s; it said:\n{self.said}") from None

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
        return "spawn_main" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False


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


class Cluster:
    """A scheduler and two workers, each a process that others started: where a driver is a guest.

    Attributes
    ----------
    address
        The scheduler's.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self._folder, self._environment = folder, environment
        self._processes: list[subprocess.Popen[bytes]] = []
        self.address = ""

    def start(self) -> None:
        """Start everything anew; what is left of the last time is ended."""
        self.stop()
        log = self._folder / "scheduler.log"
        self._spawn(log, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        wait_until(lambda: bool(_SCHEDULER_AT.search(log.read_text(errors="replace"))), "a Dask scheduler")
        self.address = _SCHEDULER_AT.findall(log.read_text(errors="replace"))[-1]
        for number in range(2):
            words = ("--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1")
            self._spawn(self._folder / f"worker-{number}.log", "worker", self.address, *words,
                        "--local-directory", str(self._folder))  # fmt: skip

    def _spawn(self, log: Path, *words: str) -> None:
        with open(log, "wb") as output:
            self._processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "dask", *words],
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=self._environment,
                    start_new_session=True,
                )  # fmt: skip
            )

    @property
    def scheduler(self) -> psutil.Process:
        """Its process."""
        return psutil.Process(self._processes[0].pid)

    def workers(self) -> list[psutil.Process]:
        """The processes that do units, each below its nanny."""
        return [child for nanny in self._processes[1:] for child in _descendants(nanny.pid) if is_worker(child)]

    def stop(self) -> None:
        """End every process."""
        for process in self._processes:
            for child in [*_descendants(process.pid), psutil.Process(process.pid)] if process.poll() is None else []:
                kill_quietly(child)
            process.wait()
        self._processes = []


@contextmanager
def guest_cluster(folder: Path, environment: Mapping[str, str] | None = None) -> Iterator[Cluster]:
    """Give a running `Cluster`, which ends with the context."""
    cluster = Cluster(folder, environment)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
