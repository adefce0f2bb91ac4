"""Journals: what was done, one JSON object a line, on a disk and in a bucket; a kill costs the line being written.

On a disk a writer appends to a file of its own. Objects of a bucket cannot be appended to: there a writer keeps some
lines and puts them anew with each further one, and begins another object once there are many.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterable, Iterator
from typing import Any, Self, TextIO

from hubbub.io.atomic import explain_write_errors, read_bytes, write_bytes
from hubbub.io.folders import list_names, remove_file
from hubbub.io.paths import StoragePath, is_local

_SUFFIX = ".jsonl"
_LINES_AN_OBJECT = 100


class JournalWriter:
    """Adds entries to a journal; several may write to one journal at once. A context manager.

    Parameters
    ----------
    folder
        The journal.
    """

    def __init__(self, folder: StoragePath) -> None:
        self._folder = folder
        self._path, self._lines = self._name_part(), list[str]()
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, entry: dict[str, Any]) -> None:
        """Write an entry; it is there when this returns.

        Raises
        ------
        StorageError
            When it cannot be written.
        """
        line = json.dumps(entry, ensure_ascii=False) + "\n"
        if is_local(self._path):
            self._append(line)
            return
        self._lines.append(line)
        write_bytes(self._path, "".join(self._lines).encode("utf-8", errors="replace"))
        if len(self._lines) >= _LINES_AN_OBJECT:
            self._path, self._lines = self._name_part(), []

    def _append(self, line: str) -> None:
        with explain_write_errors(self._path):
            if self._file is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._file = open(str(self._path), "a", encoding="utf-8", errors="replace")
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())

    def _name_part(self) -> StoragePath:
        return self._folder / f"{uuid.uuid4().hex}{_SUFFIX}"


def list_parts(folder: StoragePath) -> list[StoragePath]:
    """Files of a journal, in the order of their names."""
    return [folder / name for name in sorted(list_names(folder)) if name.endswith(_SUFFIX)]


def read_journal(parts: Iterable[StoragePath]) -> Iterator[dict[str, Any]]:
    """Give the entries of a journal's files; a line that a kill cut is passed over."""
    for part in parts:
        for line in read_bytes(part).decode("utf-8", errors="replace").split("\n"):
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict):
                yield entry


def remove_parts(parts: Iterable[StoragePath]) -> None:
    """Remove files of a journal whose entries are elsewhere now; errors of `atomic_write`."""
    for part in parts:
        remove_file(part)
