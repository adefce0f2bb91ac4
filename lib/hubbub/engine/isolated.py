"""Isolated processes: a suspect unit, whose worker died, runs in a child process, which may die, too.

The child announces each item before it begins the item. When the child dies, hangs or takes too much memory, that item
is the culprit, and another child runs the unit, with a failed row for the culprit::

    worker    |--- unit 7 ---X            dies: of which clip?
    another   |--- child: clip 0, 1, 2 X  of clip 2, by signal 11
              |--- child: clip 0, 1, (2: WorkerDied), 3 … commits unit 7
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from typing import Any

import psutil
from distributed import get_worker
from distributed.protocol.pickle import dumps
from distributed.system import MEMORY_LIMIT

from hubbub.engine import Task
from hubbub.engine.outcomes import ItemStarted, Raised
from hubbub.errors import OutOfMemory, TimedOut, WorkerDied
from hubbub.io.storage_options import storage_environment
from hubbub.tasks.item_observer import has_item, mark_culprit
from hubbub.tasks.result import UnitLost, UnitResult

_LOOK_EVERY_S = 0.05
_START_WITHIN_S = 120.0
_LEAST_MEMORY_BYTES = 2 * 2**30  # Keras alone reserves 0.5 GB on two cores, and more on more
_NEARLY = 0.9  # of its memory limit: a child that dies above that ran out of memory
_EXTERNAL_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)  # what batch systems and terminals send to all


@dataclass(frozen=True)
class ProcessDeath:
    """The death of a child process.

    Attributes
    ----------
    item
        Number of the item in progress; None: before the first, or after the last.
    failure
        The reason, as a failed row has it.
    may_be_chance
        Whether the cause may be another than the item: a machine short of memory kills any process.
    """

    item: int | None
    failure: str
    may_be_chance: bool = False


def run_isolated(task: Task, unit: Any) -> UnitResult | UnitLost | Raised:
    """Run a unit in child processes, one after the other, until one commits the unit or its task raises."""
    limit_bytes, doubted = _memory_limit_bytes(), set[int | None]()
    while True:
        end = _run_child(task, unit, limit_bytes)
        if not isinstance(end, ProcessDeath):
            return end
        if end.may_be_chance and end.item not in doubted:
            doubted.add(end.item)
            continue
        if not has_item(unit, end.item):
            return UnitLost(unit.index, len(unit.items), end.failure)
        assert end.item is not None
        unit = mark_culprit(unit, end.item, end.failure)


def _run_child(task: Task, unit: Any, limit_bytes: int) -> UnitResult | Raised | ProcessDeath:
    with _start_child(dumps((task, storage_environment(), unit, limit_bytes))) as (process, messages):
        monitor = _ChildMonitor(unit, process, limit_bytes)
        while True:
            try:
                message = messages.recv() if messages.poll(_LOOK_EVERY_S) else None
            except (EOFError, ConnectionError):  # reset: the child died before it read its unit
                return monitor.describe_death()
            if isinstance(message, Raised) and isinstance(message.error, MemoryError):
                return monitor.out_of_memory()
            if isinstance(message, UnitResult | Raised):
                return message
            if isinstance(message, ItemStarted):
                monitor.begin_item(message.item)
            if (death := monitor.check_limits()) is not None:
                return death


class _ChildMonitor:
    """Follows the item, the time and the memory of a child process."""

    def __init__(self, unit: Any, process: subprocess.Popen[bytes], limit_bytes: int) -> None:
        self._unit, self._process, self._limit_bytes = unit, process, limit_bytes
        self._item: int | None = None
        self._began_at = time.monotonic()
        self._limit_s = max(_START_WITHIN_S, unit.time_limit_s)
        self._peak_bytes = 0

    def begin_item(self, item: int | None) -> None:
        self._item, self._began_at = item, time.monotonic()
        limits = self._unit if item is None else self._unit.items[item]
        self._limit_s = float(getattr(limits, "time_limit_s", self._unit.time_limit_s))

    def check_limits(self) -> ProcessDeath | None:
        """Return the death of a child that exceeds a limit; None while it keeps them."""
        self._peak_bytes = max(self._peak_bytes, _used_bytes(self._process.pid))
        if self._peak_bytes > self._limit_bytes:
            return self.out_of_memory()
        if time.monotonic() - self._began_at > self._limit_s:
            return self._death(TimedOut(f"not done within {self._limit_s:g} s, in an isolated process"))
        return None

    def out_of_memory(self) -> ProcessDeath:
        """Return the death of a child that needs more memory than there is."""
        return self._death(OutOfMemory(f"takes more than the {self._limit_bytes / 1e6:.0f} MB that a worker has"))

    def describe_death(self) -> ProcessDeath | Raised:
        """Return how the child died."""
        code = self._process.wait()
        if self._peak_bytes > _NEARLY * self._limit_bytes:
            return self.out_of_memory()
        if -code in _EXTERNAL_SIGNALS:
            return Raised(InterruptedError(f"the child was ended by {_name(-code)}, as its worker may be"), True)
        how = f"signal {-code} ({_name(-code)})" if code < 0 else f"exit code {code}"
        is_kill = -code == signal.SIGKILL
        how += ", as the kernel does where memory is short" if is_kill else ""
        return self._death(WorkerDied(f"the process that reads it dies: {how}, in an isolated process"), is_kill)

    def _death(self, error: WorkerDied | TimedOut | OutOfMemory, may_be_chance: bool = False) -> ProcessDeath:
        return ProcessDeath(self._item, error.reason, may_be_chance)


@contextmanager
def _start_child(message: bytes) -> Iterator[tuple[subprocess.Popen[bytes], Connection]]:
    """A child that was given its work, and what it says; it is dead after the context, however that ends."""
    ours, theirs = Pipe()
    command = [sys.executable, "-m", "hubbub.engine.isolated_child", str(theirs.fileno())]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with ours, theirs:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # what a dying C library prints there is no help to a user
            pass_fds=[theirs.fileno()],
            env=environment,
        )
        theirs.close()  # ours ends when the child does
        try:
            with suppress(ConnectionError):  # it died at once: found out by who listens to it
                ours.send_bytes(message)
            yield process, ours
        finally:
            process.kill()
            process.wait()
            assert process.stdin is not None
            process.stdin.close()


def _memory_limit_bytes() -> int:
    """What a child may take: what this worker's limit, or the machine's, leaves beside the worker itself."""
    allowed = get_worker().memory_manager.memory_limit or MEMORY_LIMIT
    return max(_LEAST_MEMORY_BYTES, int(min(allowed, MEMORY_LIMIT)) - _resident_bytes(os.getpid()))


def _resident_bytes(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def _used_bytes(pid: int) -> int:
    """What a process takes, and what it has been promised: the kernel's limit counts that (`RLIMIT_DATA`)."""
    try:
        memory = psutil.Process(pid).memory_info()
    except psutil.NoSuchProcess:
        return 0
    return int(max(memory.rss, getattr(memory, "data", 0)))


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"
