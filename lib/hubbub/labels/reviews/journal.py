"""The journal of a reviewer: each decision is on the disk, or in the bucket, when it is said."""

from __future__ import annotations

import contextlib
import threading
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Self

from hubbub.errors import LabelsError, StorageError, UsageError
from hubbub.io.folders import remove_file
from hubbub.io.paths import StoragePath, parse_path
from hubbub.labels.reviews.parts import name_part, write_part
from hubbub.labels.reviews.reading import read_reviews
from hubbub.labels.reviews.schema import FOLDER, Verdict
from hubbub.labels.tables import is_labels

MERGE_EVERY = 64
"""Decisions a session keeps in parts of their own before they are merged."""


class ReviewJournal:
    """One session of one reviewer. Threads may share it; any number of sessions may write at once. A context manager.

    Parameters
    ----------
    labels_path
        The folder of the label tables.
    reviewer
        Who decides.

    Raises
    ------
    LabelsError
        When the folder holds no label tables.
    UsageError
        For a reviewer without a name, or a bucket that cannot be reached.
    """

    def __init__(self, labels_path: str | StoragePath, reviewer: str) -> None:
        self._path = parse_path(labels_path)
        if not reviewer.strip():
            raise UsageError(f"reviewer {reviewer!r} is no name; expected who decides, such as 'ada'")
        if not is_labels(self._path):
            raise LabelsError(f"{self._path} holds no label tables; expected a folder that hubbub label made")
        self.reviewer, self.session = reviewer.strip(), uuid.uuid4().hex[:16]
        self._rows: list[dict[str, Any]] = []
        self._merged = 0  # decisions in the merged part
        self._last: dict[str, Verdict] = {}
        self._is_closed = False
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        """Return the number of decisions of this session, undone ones and undoing ones among them."""
        return len(self._rows)

    def add(self, verdict: Verdict) -> None:
        """Write a verdict; it is there when this returns, whatever happens to the process then.

        Raises
        ------
        StorageError
            When it cannot be written, as on a full disk; it does not count then, and adding it again later works.
        UsageError
            When the journal is closed.
        """
        with self._lock:
            self._add(verdict)

    def undo(self, event: str) -> None:
        """Take this reviewer's last verdict on an event back: there is none then, of earlier ones neither.

        Raises
        ------
        StorageError
            As of `add`.
        UsageError
            When the reviewer has no verdict on the event, or the journal is closed.
        """
        with self._lock:
            last = self._last.get(event)
            if last is None or last.verdict == "undone":
                last = self._find_last(event)
            if last is None or last.verdict == "undone":
                raise UsageError(
                    f"event {event}: {self.reviewer} has no verdict on it; expected an event with one to undo"
                )
            self._add(replace(last, verdict="undone", label=None))

    def close(self) -> None:
        """Merge what is left into one part. Nothing can be added then; closing again does nothing."""
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                self._merge()

    def _add(self, verdict: Verdict) -> None:
        if self._is_closed:
            raise UsageError(f"the journal of {self.reviewer} is closed; use another: ReviewJournal(…)")
        number, now = len(self._rows), datetime.now(UTC)
        said = {"reviewer": self.reviewer, "at": max(now, self._rows[-1]["at"]) if self._rows else now}
        row = {**verdict.to_dict(), **said, "session": self.session, "number": number}
        self._write(name_part(self.session, number), [row])
        self._rows.append(row)
        self._last[verdict.event] = verdict
        if len(self._rows) - self._merged >= MERGE_EVERY:
            self._merge()

    def _write(self, name: str, rows: list[dict[str, Any]]) -> None:
        try:
            write_part(self._path, name, rows)
        except StorageError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise
            write_part(self._path, name, rows)  # a run on the same tables has just swept unfinished files

    def _merge(self) -> None:
        """Put all decisions in one part, then remove those they were in. What fails is done at the next merge."""
        held = len(self._rows)
        if held - self._merged < 2:
            return
        with contextlib.suppress(StorageError):  # every decision is there already
            self._write(name_part(self.session, 0, held - 1), self._rows)
            old = [name_part(self.session, number) for number in range(self._merged, held)]
            if self._merged:
                old.append(name_part(self.session, 0, self._merged - 1))
            self._merged = held
            for name in old:
                remove_file(self._path / FOLDER / name)

    def _find_last(self, event: str) -> Verdict | None:
        """The reviewer's last verdict on an event, of whichever session."""
        reviews = read_reviews(self._path)
        own = reviews[(reviews["reviewer"] == self.reviewer) & (reviews["event"] == event)]
        if own.empty:
            return None
        row = own.iloc[-1].to_dict()
        return Verdict(**{name: row[name] for name in Verdict.__dataclass_fields__})
