"""The identity of a run's process, by which another process of the same machine finds out whether the run is alive."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import psutil


@dataclass(frozen=True)
class Process:
    """A process of one machine; `machine` is empty where the machine cannot be identified."""

    host: str
    machine: str
    pid: int
    started_s: float


@cache
def own_process() -> Process:
    """Return the identity of this process."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        machine = f"{socket.gethostname()} {boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        machine = ""
    return Process(socket.gethostname(), machine, os.getpid(), psutil.Process().create_time())


def find_process(document: dict[str, Any]) -> Literal["there", "gone", "unknown"]:
    """Look for the process that a status file names; ``unknown`` for a process of another machine."""
    ours = own_process()
    if not ours.machine or document["machine"] != ours.machine:
        return "unknown"
    try:
        found = psutil.Process(document["pid"])
        is_it = abs(found.create_time() - document["started_s"]) < 1 and found.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return "gone"
    return "there" if is_it else "gone"
