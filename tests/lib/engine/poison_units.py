"""Units whose items kill, stall or burst whoever does them: what files do that meet a fault in a decoder."""

from __future__ import annotations

import ctypes
import io
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from hubbub.tasks.item_observer import announce_items
from hubbub.tasks.result import UnitResult


@dataclass(frozen=True)
class Thing:
    """An item that does what its kind says.

    Attributes
    ----------
    kind
        Its deed, one of `DEEDS`.
    failure
        Why it is not to be tried again.
    time_limit_s
        How long it may take.
    """

    kind: str = "ok"
    failure: str | None = None
    time_limit_s: float = 60.0


@dataclass(frozen=True)
class Things:
    """A unit; `end` is the deed between its last item and its commit."""

    index: int
    items: tuple[Thing, ...]
    time_limit_s: float = 60.0
    end: str = "ok"


@dataclass(frozen=True)
class DoThings:
    """Does units, and leaves a line for each item in `folder` when its unit is committed."""

    folder: Path

    def __call__(self, unit: Things) -> UnitResult:
        lines = []
        for item in announce_items(unit.items):
            if item.failure is None:
                DEEDS[item.kind]()
            lines.append(item.failure or "ok")
        DEEDS[unit.end]()
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


def _long_ogg() -> None:
    """Meet a real fault in a C library: libsndfile 1.2.2 overruns its stack."""
    sound = np.random.default_rng(1).random(5_000_000, np.float32) - 0.5
    soundfile.write(io.BytesIO(), sound, 44_100, format="OGG", subtype="VORBIS")
    os.kill(os.getpid(), signal.SIGSEGV)  # by a libsndfile that has been mended


DEEDS = {
    "ok": lambda: None,
    "doze": lambda: time.sleep(0.1),
    "segfault": lambda: ctypes.string_at(0),
    "ogg": _long_ogg,
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "exit": lambda: os._exit(3),
    "sleep": lambda: time.sleep(10_000),
    "loop": _loop,
    "bomb": _bomb,
    "raise": _raise,
}
"""What things do: nothing, for a while or none; kill their process in one way or another; hang, in Python or in C with
Python's lock held; take all memory; raise what no task should."""
