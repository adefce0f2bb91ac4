"""The lock of a folder: one writer at a time, on a disk and in a bucket alike.

The lock needs two operations: create a file if it is absent (`create_if_absent`), and listings that show what was
created before. Locks are numbered files, and the highest number holds::

    STORE/.claims/00000007.json     {"token": …, "user": …, "host": …, "job": …, "beat": 12, "released": false}

Whoever wants to build creates the next number once the highest is released or its holder dead; of several, one
succeeds. A holder may be taken for dead that only slept: so each looks, before it writes, whether its number is still
the highest (`Holder.check`). The highest file is never removed, hence no number comes twice.

No clock is trusted: a holder elsewhere counts beats in its file, and who waits measures with its own clock how long
the file stays as it is.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import re
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from hubbub.errors import HubbubError, StorageError, StoreError
from hubbub.io.atomic import create_if_absent, explain_read_errors, read_bytes, write_bytes
from hubbub.io.folders import list_names, remove_file
from hubbub.io.paths import StoragePath

LOCK_FOLDER = ".claims"
LEASE_S = 20.0
"""Seconds without a beat after which a holder elsewhere counts as dead."""

_BEATS_A_LEASE = 4
_LOOKS_A_LEASE = 40
_NAME = re.compile(r"(\d{8})\.json")

Notice = Callable[[str], None]


@dataclass(frozen=True)
class Holder:
    """Who holds a folder, as plain data that a driver gives its workers.

    Attributes
    ----------
    number
        Of the lock.
    token
        What tells it from every other.
    """

    number: int
    token: str

    def check(self, folder: StoragePath) -> None:
        """See that the folder is still held; to be called just before something is written to it.

        Raises
        ------
        StorageError
            When another has taken it over, or the lock was removed.
        """
        found = _read_highest(folder)
        if found is None or found.record is None or found.record.token != self.token:
            raise StorageError(_lost_error(folder, found))


@dataclass(frozen=True)
class _Record:
    """What a lock's file says.

    Attributes
    ----------
    token
        What tells it from every other.
    user, host
        Who holds, for people.
    machine
        What tells a running system, and the processes that see each other on it, from all others; empty: unknown.
    pid, started
        The process: its number may be another's later, not so together with when it started, in ticks since the boot.
    job
        What it does.
    since
        When it began, UTC, by its own clock; for people.
    beat
        Grows as long as the holder lives.
    released
        Whether it is done.
    """

    token: str
    user: str
    host: str
    machine: str
    pid: int
    started: int
    job: str
    since: str
    beat: int = 0
    released: bool = False

    @property
    def data(self) -> bytes:
        """The file."""
        return json.dumps(asdict(self), indent=2).encode()

    def __str__(self) -> str:
        return f"{self.user}@{self.host} (process {self.pid}, hubbub {self.job}) since {self.since}"


@dataclass(frozen=True)
class _FoundRecord:
    """The lock with the highest number; `record` is None where its file says nothing that can be read."""

    number: int
    data: bytes
    record: _Record | None


class WriteLock:
    """A folder that is held; `write_lock` gives it.

    Attributes
    ----------
    holder
        What workers check before they write.
    lost
        Set once it was noticed that another has taken over.
    """

    def __init__(self, folder: StoragePath, number: int, record: _Record, lease_s: float) -> None:
        self._folder, self._path, self._record = folder, _record_path(folder, number), record
        self.holder = Holder(number, record.token)
        self.lost = threading.Event()
        self._ended = threading.Event()
        self._every_s = lease_s / _BEATS_A_LEASE
        self._beats = threading.Thread(target=self._beat, name=f"lock on {folder}", daemon=True)
        self._beats.start()

    @property
    def number(self) -> int:
        """Number of the lock."""
        return self.holder.number

    @property
    def token(self) -> str:
        """What tells the lock from every other."""
        return self.holder.token

    def check(self) -> None:
        """See that the folder is still held; errors of `Holder.check`."""
        try:
            self.holder.check(self._folder)
        except StorageError:
            self.lost.set()
            raise

    def release(self) -> None:
        """Let the next one have it. What cannot be written down is found out by the next: this process is gone."""
        self._ended.set()
        self._beats.join()
        with contextlib.suppress(HubbubError, OSError):
            self.check()
            write_bytes(self._path, replace(self._record, released=True).data)

    def _beat(self) -> None:
        while not self._ended.wait(self._every_s):
            try:
                self.check()
                self._record = replace(self._record, beat=self._record.beat + 1)
                write_bytes(self._path, self._record.data)
            except Exception:  # a beat that cannot be written is tried again; a lock that is lost stays so
                if self.lost.is_set():
                    return


@contextlib.contextmanager
def write_lock(
    folder: StoragePath, job: str, *, lease_s: float = LEASE_S, notice: Notice | None = None
) -> Iterator[WriteLock]:
    """Hold a folder as its one builder for as long as the context lasts.

    Parameters
    ----------
    folder
        A store's or label tables'; it need not be there yet.
    job
        What is done, a command's name.
    lease_s
        Seconds without a beat after which a holder elsewhere counts as dead.
    notice
        Told, once, that one has to wait to see whether a holder elsewhere is alive.

    Raises
    ------
    StoreError
        When another holds it: says who, since when, and what to do.
    StorageError
        When nothing can be written there.
    """
    record = _make_own_record(job)
    number = _acquire(folder, record, lease_s, notice or (lambda text: None))
    lock = WriteLock(folder, number, record, lease_s)
    try:
        yield lock
    finally:
        lock.release()


def read_holder(folder: StoragePath) -> str | None:
    """Who holds a folder, in words; None where no one does, or the holder's process is gone."""
    found = _read_highest(folder)
    if found is None or (found.record and (found.record.released or _process(found.record) == "gone")):
        return None
    return str(found.record or "an unreadable lock")


def _acquire(folder: StoragePath, record: _Record, lease_s: float, notice: Notice) -> int:
    """Create the next lock once no other holds; returns its number."""
    while True:
        found = _read_highest(folder)
        if found is not None:
            _wait_until_free(folder, found, lease_s, notice)
        number = 1 if found is None else found.number + 1
        if not _create_record(folder, number, record):
            continue  # another was faster
        if _list_numbers(folder)[-1:] == [number]:
            for lower in _list_numbers(folder)[:-1]:
                remove_file(_record_path(folder, lower))
            return number
        remove_file(_record_path(folder, number))  # a number that was used, while we slept, and removed


def _create_record(folder: StoragePath, number: int, record: _Record) -> bool:
    """Create a lock; where the answer got lost, the file itself says whose it is."""
    try:
        if create_if_absent(_record_path(folder, number), record.data):
            return True
    except StorageError:  # also where the winner of a race swept away what we were about to rename
        if _list_numbers(folder)[-1:] < [number]:
            raise
    found = _read_record(folder, number)
    return found is not None and found.record is not None and found.record.token == record.token


def _wait_until_free(folder: StoragePath, found: _FoundRecord, lease_s: float, notice: Notice) -> None:
    """Return when the lock found no longer holds, which for a holder elsewhere takes up to `lease_s`.

    Raises
    ------
    StoreError
        When its holder is alive.
    """
    record = found.record
    if record is not None:
        if record.released or _process(record) == "gone":
            return
        if _process(record) == "there":
            raise StoreError(_held_error(folder, record))
    notice(f"{folder} is held by {record or 'an unreadable lock'}; waiting up to {lease_s:g} s for a sign of life")
    began = time.monotonic()
    while time.monotonic() - began < lease_s:
        time.sleep(lease_s / _LOOKS_A_LEASE)
        now = _read_highest(folder)
        if now is None or now.number != found.number or (now.record and now.record.released):
            return
        if now.data != found.data:
            raise StoreError(_held_error(folder, now.record))


def _read_highest(folder: StoragePath) -> _FoundRecord | None:
    """The lock that holds, or was the last to hold; None where there never was one."""
    with explain_read_errors(folder):
        while numbers := _list_numbers(folder):
            found = _read_record(folder, numbers[-1])
            if found is not None:  # else it was removed meanwhile: there is a higher one
                return found
    return None


def _list_numbers(folder: StoragePath) -> list[int]:
    matches = (_NAME.fullmatch(name) for name in list_names(folder / LOCK_FOLDER))
    return sorted(int(match[1]) for match in matches if match)


def _read_record(folder: StoragePath, number: int) -> _FoundRecord | None:
    """A lock; None where there is none."""
    try:
        data = read_bytes(_record_path(folder, number))
    except FileNotFoundError:
        return None
    return _FoundRecord(number, data, _parse_record(data))


def _parse_record(data: bytes) -> _Record | None:
    """What a lock's file says; None for one that a power cut shortened, or that a newer hubbub wrote."""
    try:
        held = json.loads(data)
        kinds = {name: type(value).__name__ for name, value in held.items()}
    except (ValueError, AttributeError):
        return None
    return _Record(**held) if kinds == {field.name: field.type for field in fields(_Record)} else None


def _record_path(folder: StoragePath, number: int) -> StoragePath:
    return folder / LOCK_FOLDER / f"{number:08d}.json"


def _make_own_record(job: str) -> _Record:
    pid = os.getpid()
    since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return _Record(
        uuid.uuid4().hex, _user_name(), socket.gethostname(), _machine_id(), pid, _start_time_s(pid), job, since
    )


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a number without a name, as in containers
        return str(os.getuid())


@cache
def _machine_id() -> str:
    """Name and boot of the machine, and whose processes are seen (a container's own); empty where it cannot be told."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{socket.gethostname()} {boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _process(record: _Record) -> str:
    """What is known of a holder's process: ``there``, ``gone``, or ``unknown`` where it is none of this machine."""
    if not record.machine or record.machine != _machine_id():
        return "unknown"
    with contextlib.suppress(PermissionError):  # there, but another user's
        try:
            os.kill(record.pid, 0)
        except ProcessLookupError:
            return "gone"
    try:
        return "there" if _start_time_s(record.pid) == record.started else "gone"
    except OSError:  # gone this moment, or hidden from us
        return "unknown"


def _start_time_s(pid: int) -> int:
    """When a process started, in ticks since the boot; -1 for one that has ended and whose parent was not told yet.

    Source: ``man 5 proc``, fields 3 and 22 of ``/proc/PID/stat``. The second may hold blanks and brackets.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        if _machine_id():
            raise
        return 0  # a system without /proc, where processes are never compared
    return -1 if fields[0] in (b"Z", b"X") else int(fields[19])


def _held_error(folder: StoragePath, record: _Record | None) -> str:
    return (
        f"{folder} is being written by {record or 'another'}. One at a time: wait until it ends, or end it, "
        "and run the same command again"
    )


def _lost_error(folder: StoragePath, found: _FoundRecord | None) -> str:
    now = f"now {found.record} holds it" if found is not None and found.record is not None else "its lock is gone"
    return (
        f"{folder} is no longer ours to write: {now}. What is committed is kept; this run stopped answering for a "
        "while, or its lock was tampered with. Run the same command again when the other has ended"
    )
