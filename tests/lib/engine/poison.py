"""Units whose items kill, stall or burst whoever does them: what files do that meet a fault in a decoder."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from hubbub.tasks.result import UnitResult
from hubbub.tasks.watched import watched

LIMIT_S = 3.0
"""How long an item may take: longer than a worker's start takes from a busy machine."""


@dataclass(frozen=True)
class Thing:
    """An item that does what its kind says.

    Attributes
    ----------
    kind
        ok, segfault, kill, exit, sleep, loop (in C, holding Python's lock), bomb, raise.
    """

    kind: str = "ok"
    failure: str | None = None
    time_limit_s: float = LIMIT_S


@dataclass(frozen=True)
class Things:
    """A unit."""

    index: int
    items: tuple[Thing, ...]
    time_limit_s: float = LIMIT_S


@dataclass(frozen=True)
class DoThings:
    """Does units, and leaves a line for each item in `folder` when its unit is committed."""

    folder: Path

    def __call__(self, unit: Things) -> UnitResult:
        lines = []
        for item in watched(unit.items):
            if item.failure is None:
                DEEDS[item.kind]()
            lines.append(item.failure or "ok")
        partial = self.folder / f".{unit.index}-{os.getpid()}"
        partial.write_text("\n".join(lines))
        partial.rename(self.folder / str(unit.index))
        failed = sum(line != "ok" for line in lines)
        return UnitResult(unit.index, len(lines) - failed, failed, len(lines), len(lines) - failed, 1.0, 1)


def _bomb() -> None:
    held = []
    while True:  # until the limit of a worker, or of the child
        held.append(b"x" * 50_000_000)
        time.sleep(0.01)


def _loop() -> None:
    ctypes.PyDLL(None).sleep(10_000)  # PyDLL keeps the lock: no other thread of Python runs


def _raise() -> None:
    raise RuntimeError("no way")


DEEDS = {
    "ok": lambda: None,
    "segfault": lambda: ctypes.string_at(0),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "exit": lambda: os._exit(3),
    "sleep": lambda: time.sleep(10_000),
    "loop": _loop,
    "bomb": _bomb,
    "raise": _raise,
}
