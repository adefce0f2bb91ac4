"""The log of a job as JSON lines, for ``--log-json`` and for the run folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from hubbub.errors import UsageError


class JsonLog:
    """Writes events as JSON lines; a log without a file discards them.

    A file that can no longer be written is dropped with a warning; the run continues.

    Parameters
    ----------
    path
        The file, which is appended to; None: no file.
    job
        Name of the job, written on each line.
    warn
        Receives the warning about a file that can no longer be written.

    Raises
    ------
    UsageError
        The file cannot be opened.
    """

    def __init__(self, path: Path | None, job: str, warn: Callable[[str], None] = lambda _: None) -> None:
        self._job, self._warn = job, warn
        self._files: list[TextIO] = []
        try:
            if path is not None:
                self._files.append(_open_to_append(path))
        except OSError as error:
            raise UsageError(f"--log-json {path}: {error.strerror}; give a file that can be written") from None

    def write(self, event: str, **fields: Any) -> None:
        """Write one line: time (UTC), job, event, then the fields."""
        if not self._files:
            return
        head = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "job": self._job, "event": event}
        line = json.dumps(head | fields, default=str) + "\n"
        for file in list(self._files):
            try:
                file.write(line)
            except OSError as error:
                self._files.remove(file)
                self._warn(
                    f"log file {file.name} cannot be written any more ({error.strerror}); the run continues without it"
                )

    @contextmanager
    def also_write_to(self, path: Path) -> Iterator[None]:
        """Write the events of this context to another file as well."""
        file = _open_to_append(path)
        self._files.append(file)
        try:
            yield
        finally:
            if file in self._files:
                self._files.remove(file)
            with suppress(OSError):
                file.close()


def _open_to_append(path: Path) -> TextIO:
    return open(path, "a", encoding="utf-8", buffering=1)
