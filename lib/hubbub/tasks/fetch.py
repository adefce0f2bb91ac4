"""One unit of `fetch`: a host's turn. Some of its files are fetched one after the other, until the turn's time is over.

A host is in one unit at a time, so that no two workers ask it at once; the driver gives the next turn once one is back.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from hubbub.clips.sources.tree import is_audio
from hubbub.downloads.download import Budget, Downloaded, PartialFile, download
from hubbub.downloads.failures import FetchFailure, HostUnavailable, NotModified, TotalReached, shorten
from hubbub.downloads.file_names import hash_address
from hubbub.downloads.journal import JournalWriter
from hubbub.downloads.policy import Policy
from hubbub.downloads.records import JOURNAL, PARTIAL, Record, describe_record
from hubbub.downloads.robots import Robots
from hubbub.downloads.session import Session
from hubbub.errors import HubbubError
from hubbub.io.atomic import explain_write_errors
from hubbub.io.paths import StoragePath, is_local
from hubbub.tasks.result import MOST_REASONS, UnitResult, describe_failure

FILES_A_TURN = 50
_MARGIN_S = 600.0


@dataclass(frozen=True)
class FetchItem:
    """One file to fetch.

    Attributes
    ----------
    url
        Its address.
    file
        Where it goes, relative to the output; a usual ending is added where it has none of a recording.
    etag, last_modified
        Of the version that is here already, where it is asked for anew; None: none is.
    attempt
        1 at first, one more at every retry by a later run.
    failure
        Why it is not to be tried: found to kill or stall whoever fetches it; None for every other.
    """

    url: str
    file: str
    etag: str | None = None
    last_modified: str | None = None
    attempt: int = 1
    failure: str | None = None

    @property
    def time_limit_s(self) -> float:
        """Seconds after which it is thought to hang, whatever the policy says."""
        return 24 * 3600.0


@dataclass(frozen=True)
class FetchUnit:
    """A host's turn.

    Attributes
    ----------
    index
        Number of the turn.
    items
        Files of the host, at least one.
    host
        As `hubbub.downloads.addresses.host_of` writes it.
    turn_s
        Time after which no further file is begun; more than 0, so that a turn always begins one.
    robots
        Rules that an earlier turn read, by host; empty in the first turn.
    most_bytes
        What may still be fetched.
    """

    index: int
    items: tuple[FetchItem, ...]
    host: str
    turn_s: float
    robots: dict[str, Robots] = field(default_factory=dict)
    most_bytes: int = 2**63

    @property
    def time_limit_s(self) -> float:
        """Seconds after which the turn is thought to hang: a file may take long, and pauses too."""
        return self.turn_s + 24 * 3600.0 + _MARGIN_S


@dataclass(frozen=True)
class FetchResult(UnitResult):
    """A host's turn, over.

    Attributes
    ----------
    host
        The unit's.
    left
        Files that were not tried.
    robots
        Rules of the hosts that were asked.
    given_up
        Why the host is not asked any more in this run; empty: it may be.
    reached_total
        Whether the next file would have gone beyond `FetchUnit.most_bytes`.
    unchanged
        Files that the server has as they are here.
    """

    host: str = ""
    left: tuple[FetchItem, ...] = ()
    robots: dict[str, Robots] = field(default_factory=dict)
    given_up: str = ""
    reached_total: bool = False
    unchanged: int = 0


@dataclass(frozen=True)
class FetchTask:
    """Does turns; plain data, so that any engine can send it anywhere.

    Attributes
    ----------
    output
        The folder, or prefix of a bucket.
    policy
        How politely hosts are asked, and what is taken.
    """

    output: StoragePath
    policy: Policy

    def __call__(self, unit: FetchUnit) -> FetchResult:
        """Fetch the unit's files until its time is over; one that fails is a record with its reason.

        Raises
        ------
        StorageError
            When the disk is full, or nothing can be written.
        """
        with _partial_folder(self.output) as partials, JournalWriter(self.output / JOURNAL) as journal:
            return asyncio.run(_Turn(self, unit, partials, journal).run())


class _Turn:
    """One turn as it goes on."""

    def __init__(self, task: FetchTask, unit: FetchUnit, partials: Path, journal: JournalWriter) -> None:
        self._output, self._policy, self._unit = task.output, task.policy, unit
        self._partials, self._journal = partials, journal
        self._queue, self._budget = deque(unit.items), Budget(unit.most_bytes)
        self._given_up, self._reached_total = "", False
        self._ok = self._unchanged = 0
        self._reasons: list[tuple[str, str]] = []

    async def run(self) -> FetchResult:
        """Fetch files, a few at once, until the time is over or the host is given up."""
        started = time.perf_counter()
        deadline = time.monotonic() + self._unit.turn_s
        robots = dict(self._unit.robots)
        async with Session(self._policy, robots, paced=bool(robots)) as session:
            if not robots:  # one alone, so that robots.txt and a host that is down are met once
                await self._fetch(session, self._queue.popleft())
            await asyncio.gather(*(self._work(session, deadline) for _ in range(self._policy.connections)))
        failed = len(self._reasons)
        return FetchResult(
            unit=self._unit.index,
            ok=self._ok + self._unchanged,
            failed=failed,
            windows=self._ok + self._unchanged + failed,
            rows=self._ok,
            audio_s=0.0,
            bytes_read=self._budget.taken_bytes,
            seconds={"fetch": time.perf_counter() - started},
            reasons=tuple(self._reasons[:MOST_REASONS]),
            host=self._unit.host,
            left=tuple(self._queue),
            robots=robots,
            given_up=self._given_up,
            reached_total=self._reached_total,
            unchanged=self._unchanged,
        )

    async def _work(self, session: Session, deadline: float) -> None:
        while self._queue and not self._given_up and not self._reached_total and time.monotonic() < deadline:
            await self._fetch(session, self._queue.popleft())

    async def _fetch(self, session: Session, item: FetchItem) -> None:
        """Fetch one file and write down what became of it, or put it back."""
        key = hash_address(item.url)
        known = {"etag": item.etag, "last_modified": item.last_modified}
        try:
            if item.failure is not None:
                raise FetchFailure(item.failure)
            found = await download(
                session,
                item.url,
                self._unit.host,
                self._partials / key,
                known=known,
                budget=self._budget,
            )
        except NotModified:
            self._unchanged += 1
        except FetchFailure as failure:
            self._fail(item, str(failure))
        except HostUnavailable as error:
            self._given_up = str(error)
            self._queue.append(item)
        except TotalReached:
            self._reached_total = True
            self._queue.append(item)
        except (HubbubError, MemoryError):  # every other file would fail as well
            raise
        except Exception as error:  # whatever a strange server makes a library raise costs that file alone
            PartialFile(self._partials / key).remove()
            self._fail(item, shorten(describe_failure(error)))
        else:
            self._ok += 1
            self._keep(item, found)

    def _fail(self, item: FetchItem, reason: str) -> None:
        self._reasons.append((item.url, reason))
        self._journal.add(describe_record(_make_failed(item, reason)))

    def _keep(self, item: FetchItem, found: Downloaded) -> None:
        """Give a file its name, with a record of it: whatever kills us in between, the next run can tell."""
        name = item.file if is_audio(item.file) else item.file + found.content.suffix
        record = Record(
            item.url,
            "ok",
            file=name,
            size_bytes=found.size_bytes,
            sha256=found.sha256,
            format=found.content.name,
            etag=found.etag,
            last_modified=found.last_modified,
            fetched_at=_now(),
            attempts=item.attempt,
        )
        there = self._output / name
        if not is_local(there):
            with explain_write_errors(there):
                there.fs.put_file(str(found.path), there.path)
        self._journal.add(describe_record(record))
        if is_local(there):
            place_file(found.path, there)
        PartialFile(found.path).remove()


def place_file(partial: Path, there: Path) -> None:
    """Give a whole file its name; errors of `atomic_write`."""
    with explain_write_errors(there):
        there.parent.mkdir(parents=True, exist_ok=True)
        os.replace(partial, there)


def _make_failed(item: FetchItem, reason: str) -> Record:
    return Record(item.url, "failed", error=reason, fetched_at=_now(), attempts=item.attempt)


@contextmanager
def _partial_folder(output: StoragePath) -> Iterator[Path]:
    """Give the folder where files grow: below the output, where a later run finds them; for a bucket, a temporary one.

    There the next run begins a file anew that was broken off.
    """
    if is_local(output):
        folder = output / PARTIAL
        with explain_write_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="hubbub-") as name:
        yield Path(name)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
