"""How far files are that are being fetched: seen by what lies in the folder where they grow."""

from __future__ import annotations

import time

from hubbub.downloads.download import PartialFile
from hubbub.downloads.records import PARTIAL
from hubbub.io.paths import StoragePath, is_local
from hubbub.io.text import count_noun
from hubbub.pipelines.quantities import format_size

_LATELY_S = 60.0  # what grew no more for so long is left over from a failure, or an earlier run


def describe_under_way(output: StoragePath) -> str:
    """Say how many files are under way, and how much of them is here; empty for none, and where nobody can tell."""
    if not is_local(output):
        return ""
    sizes, totals = list[int](), list[int]()
    try:
        for path in (output / PARTIAL).iterdir():
            if path.suffix != ".json" and time.time() - path.stat().st_mtime < _LATELY_S:
                file = PartialFile(path)
                sizes.append(file.size)
                totals += [total] if isinstance(total := file.read_notes().get("total"), int) else []
    except OSError:  # one that got its name just now
        return ""
    if not sizes:
        return ""
    whole = f" of {format_size(sum(totals))}" if len(totals) == len(sizes) else ""
    return f"{count_noun(len(sizes), 'file')} under way: {format_size(sum(sizes))}{whole}"
