"""The most memory that a process ever had."""

from __future__ import annotations

from pathlib import Path


def peak_bytes(process: int) -> int:
    """Return the kernel's high-water mark of a process since it became what it is.

    `resource.getrusage` would tell that of the process that started it, too, where that one was larger.
    """
    status = Path(f"/proc/{process}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024
