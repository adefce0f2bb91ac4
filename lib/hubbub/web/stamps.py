"""What tells changed parts of label tables: a stamp a unit, taken from listings alone."""

from __future__ import annotations

import os
import re
from typing import Any

from hubbub.io.atomic import explain_read_errors
from hubbub.io.paths import StoragePath, is_local

Stamp = tuple[str, str]
"""Of a unit's parts in ``files/`` and ``events/``: size and time, or a bucket's ETag."""

_NAME = re.compile(r"(\d{8,})\.parquet")


def list_stamps(labels: StoragePath) -> dict[int, Stamp]:
    """Stamps of the units that are committed, by number.

    A unit whose events are missing for a moment, as while ``hubbub events`` writes them anew, is left out.

    Raises
    ------
    OSError
        The folder cannot be listed.
    UsageError
        Its bucket cannot be reached.
    """
    files, events = (_list_folder(labels / name) for name in ("files", "events"))
    return {unit: (stamp, events[unit]) for unit, stamp in files.items() if unit in events}


def _list_folder(folder: StoragePath) -> dict[int, str]:
    try:
        if is_local(folder):
            with os.scandir(folder) as entries:
                found = {entry.name: entry.stat() for entry in entries if _NAME.fullmatch(entry.name)}
            return {int(name[:-8]): f"{stat.st_size} {stat.st_mtime_ns}" for name, stat in found.items()}
        with explain_read_errors(folder):
            listed = folder.fs.ls(folder.path, detail=True, refresh=True)
    except FileNotFoundError:
        return {}
    return {
        int(match[1]): _stamp_object(info)
        for info in listed
        if (match := _NAME.fullmatch(info["name"].rpartition("/")[2]))
    }


def _stamp_object(info: dict[str, Any]) -> str:
    return f"{info.get('size')} {info.get('ETag') or info.get('LastModified')}"
