"""How much memory shuffling may take."""

from __future__ import annotations

from pathlib import Path

import psutil

BUDGET_SHARE = 4
"""One of so many bytes of free memory holds rows that are shuffled together."""

_LIMITS = (  # of a container: limit, use, and how the part of use that the system would free at once is called
    ("memory.max", "memory.current", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
)


def shuffle_budget_bytes(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes of rows that may be in memory to be shuffled: a quarter of what is free now, to this process's container.

    The order of rows depends on the budget where a store does not fit it. Ask once a training, write the answer down,
    and hand it to every `hubbub.learn.dataset.Pass`: what is free changes.

    Parameters
    ----------
    cgroup
        Where the system describes the limits of the container.
    """
    free = [psutil.virtual_memory().available, *_free_in_containers(cgroup)]
    return max(0, min(free)) // BUDGET_SHARE


def _free_in_containers(cgroup: Path) -> list[int]:
    """Bytes left by each limit that there is."""
    free = []
    for limit, use, freed in _LIMITS:
        try:
            allowed, used = (int((cgroup / name).read_text()) for name in (limit, use))
            lines = (cgroup / use).with_name("memory.stat").read_text().splitlines()
        except (OSError, ValueError):  # no such limit: "max"
            continue
        statistics = dict(line.split(maxsplit=1) for line in lines)
        free.append(allowed - used + int(statistics.get(freed, 0)))
    return free
