"""One file: fetched in one go or resumed, checked, and known by its hash."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubbub.downloads.content import Content, inspect_content
from hubbub.downloads.failures import FetchFailure, TotalReached
from hubbub.downloads.headers import parse_content_range, read_version
from hubbub.downloads.policy import Policy
from hubbub.downloads.session import Session
from hubbub.downloads.transfer import Answer
from hubbub.errors import StorageError
from hubbub.io.atomic import explain_write_errors

_SPACE_EVERY_BYTES = 32 * 2**20  # written between two looks at the free space
_READ_BYTES = 2**20
_OUT_OF_RANGE = 416


@dataclass(frozen=True)
class Downloaded:
    """A file that was fetched whole.

    Attributes
    ----------
    path
        The partial file, complete now; whoever asked for it gives it its name.
    size_bytes, sha256
        Its length, and the hash of its content.
    content
        What it is.
    etag, last_modified
        What the server knows this version by; None where it says nothing.
    """

    path: Path
    size_bytes: int
    sha256: str
    content: Content
    etag: str | None
    last_modified: str | None


class PartialFile:
    """A file that grows, and what the server said of it: enough for a later run to go on.

    Parameters
    ----------
    path
        Where it lies; the server's words are beside it, as ``NAME.json``.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._notes = path, path.with_name(f"{path.name}.json")

    @property
    def size(self) -> int:
        """Bytes that are there."""
        return self.path.stat().st_size if self.path.exists() else 0

    def read_notes(self) -> dict[str, Any]:
        """What the server said: etag, last_modified, total, and whether the rest can be asked for; empty: nothing."""
        try:
            notes = json.loads(self._notes.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return notes if isinstance(notes, dict) else {}

    def begin(self, answer: Answer) -> None:
        """Start anew, with what this answer says."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_bytes(b"")
        total = None if answer.is_encoded else answer.length
        notes = {**read_version(answer.headers), "total": total, "resumable": not answer.is_encoded}
        self._notes.write_text(json.dumps(notes), "utf-8")

    def remove(self) -> None:
        """Remove both files, if they are there."""
        self.path.unlink(missing_ok=True)
        self._notes.unlink(missing_ok=True)


class Budget:
    """What may still be fetched, shared by files that are fetched at once.

    Parameters
    ----------
    most_bytes
        Of all together.
    """

    def __init__(self, most_bytes: int) -> None:
        self._left = self._most_bytes = most_bytes

    @property
    def taken_bytes(self) -> int:
        """What came so far, also of files that failed then."""
        return self._most_bytes - self._left

    def take(self, count: int) -> None:
        """Take bytes, before they come where their number is known; raises `TotalReached` where fewer are left."""
        if count > self._left:
            raise TotalReached
        self._left -= count

    def give_back(self, count: int) -> None:
        """Give bytes back that were taken and did not come."""
        self._left += count


async def download(
    session: Session, address: str, host: str, partial: Path, *, known: dict[str, Any], budget: Budget
) -> Downloaded:
    """Fetch one file, with retries; each goes on where the last one broke off, if the server still has that version.

    Parameters
    ----------
    session
        Makes the requests.
    address, host
        What to fetch, and whose pauses hold.
    partial
        Where it grows; a later call with the same path resumes it.
    known
        ``etag`` and ``last_modified`` of the version that is here already; empty: none is.
    budget
        What may still be fetched.

    Raises
    ------
    FetchFailure
        When it cannot be fetched, is no recording, or is too large. What came stays only where the failure may pass.
    NotModified
        When the server has what is here.
    HostUnavailable, TotalReached
        When no more is to be fetched; what there is of the file stays.
    StorageError
        When the disk is full, or cannot be written.
    """
    file = PartialFile(partial)

    async def attempt() -> None:
        await _receive(session, address, file, known, budget)

    try:
        async with asyncio.timeout(session.policy.longest_file_s):  # its error is no error of the disk
            with explain_write_errors(partial):
                await session.retry(attempt, host)
        with explain_write_errors(partial):
            content = inspect_content(partial)
            notes = file.read_notes()
            sha256 = await asyncio.to_thread(_hash_file, partial)
    except TimeoutError:
        file.remove()
        raise FetchFailure(f"takes longer than {session.policy.longest_file_s / 60:.3g} minutes") from None
    except FetchFailure as failure:
        if not failure.is_transient:  # else the rest may come with the next run
            file.remove()
        raise
    return Downloaded(partial, file.size, sha256, content, notes.get("etag"), notes.get("last_modified"))


async def _receive(session: Session, address: str, file: PartialFile, known: dict[str, Any], budget: Budget) -> None:
    """Make one request and append what comes. The file is whole when this returns."""
    notes, here = file.read_notes(), file.size
    if here and notes.get("total") == here:
        return  # a kill came between the last byte and the name
    headers = _resume_headers(notes, here) or _condition_headers(known)
    try:
        async with session.get(address, headers) as answer:
            start = here if _continues(answer, file, notes, here if "Range" in headers else 0) else 0
            _check_size(answer, session.policy)
            budget.take(answer.length or 0)
            if not start:
                file.begin(answer)
            await _append(answer, session.policy, file, start, budget)
    except FetchFailure as failure:
        if failure.status == _OUT_OF_RANGE and here:  # what is here is longer than what the server has now
            file.remove()
            failure.is_transient = True
        raise


def _resume_headers(notes: dict[str, Any], here: int) -> dict[str, str]:
    """Headers that ask for the rest of the same version; empty where the server gave nothing to tell it by."""
    etag = notes.get("etag")
    version = etag if etag and not etag.startswith("W/") else notes.get("last_modified")
    may_resume = here and version and notes.get("resumable")
    return {"Range": f"bytes={here}-", "If-Range": str(version)} if may_resume else {}


def _condition_headers(known: dict[str, Any]) -> dict[str, str]:
    names = {"etag": "If-None-Match", "last_modified": "If-Modified-Since"}
    return {header: known[name] for name, header in names.items() if known.get(name)}


def _continues(answer: Answer, file: PartialFile, notes: dict[str, Any], asked_from: int) -> bool:
    """Tell whether an answer is the rest of what is here.

    Raises
    ------
    FetchFailure
        For a part that nobody asked for. After one that is not the rest of this version the next try begins anew:
        there are servers that know Range but not If-Range, and some that know neither well.
    """
    if answer.status != 206:
        return False
    if not asked_from:
        raise FetchFailure("the server sends another part of the file than was asked for")
    part, etag = parse_content_range(answer.headers.get("content-range")), read_version(answer.headers)["etag"]
    reason = ""
    if part is None or part.first != asked_from:
        reason = "the server sends another part of the file than was asked for"
    elif part.total not in (None, notes.get("total")) and notes.get("total") is not None:
        reason = "the file changed while it was fetched"
    elif etag and notes.get("etag") and etag != notes["etag"]:
        reason = "the file changed while it was fetched"
    if reason:
        file.remove()
        raise FetchFailure(reason, is_transient=True)
    return True


def _check_size(answer: Answer, policy: Policy) -> None:
    if (size := answer.length or 0) > policy.most_file_bytes:
        raise FetchFailure(f"has {size} bytes; expected at most {policy.most_file_bytes} (--max-file-gb)")


async def _append(answer: Answer, policy: Policy, file: PartialFile, start: int, budget: Budget) -> None:
    """Write the body behind what is there; see to its size, its rate and the free space on the way."""
    size, unchecked = start, _SPACE_EVERY_BYTES
    rate, taken = RateWatch(policy), answer.length or 0
    with open(file.path, "ab") as out, _return_rest(budget, lambda: taken - (size - start)):
        async for part in answer.read_parts():
            unchecked += len(part)
            if unchecked >= _SPACE_EVERY_BYTES:
                to_come = max(0, start + (answer.length or 0) - size)
                check_free_space(file.path.parent, policy.least_free_bytes + to_come)
                unchecked = 0
            out.write(part)
            size += len(part)
            rate.add(len(part))
            if size > policy.most_file_bytes:
                raise FetchFailure(f"has more than {policy.most_file_bytes} bytes (--max-file-gb), and is given up")
            if size - start > taken:  # nothing was said, or less than what comes
                budget.take(size - start - taken)
                taken = size - start
        out.flush()
        os.fsync(out.fileno())
    rest = parse_content_range(answer.headers.get("content-range")) if start else None
    whole = start + answer.length if answer.length is not None and not answer.is_encoded else None
    expected = rest.total if rest is not None and rest.total is not None else whole
    if expected is not None and size != expected:
        raise FetchFailure(f"ended after {size} of {expected} bytes", is_transient=True)


@contextmanager
def _return_rest(budget: Budget, rest: Callable[[], int]) -> Iterator[None]:
    try:
        yield
    finally:
        budget.give_back(max(0, rest()))


class RateWatch:
    """Refuses a body that only drips."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._since, self._bytes = time.monotonic(), 0

    def add(self, count: int) -> None:
        """Count bytes that came; raises `FetchFailure` where too few did for too long."""
        self._bytes += count
        passed_s = time.monotonic() - self._since
        if passed_s < self._policy.slow_after_s:
            return
        if self._bytes / passed_s < self._policy.least_bytes_s:
            raise FetchFailure(
                f"comes at {self._bytes / passed_s:.0f} bytes a second; expected {self._policy.least_bytes_s:.0f} "
                "at least"
            )
        self._since, self._bytes = time.monotonic(), 0


def check_free_space(folder: Path, least_bytes: int) -> None:
    """Stop a run before the disk is full.

    Raises
    ------
    StorageError
        When fewer bytes are free.
    """
    free = shutil.disk_usage(folder).free
    if free < least_bytes:
        raise StorageError(
            f"{folder} has {free / 2**30:.2f} GiB free, and the next file leaves less than the least that stays free "
            "(--keep-free-gb); free some space, then run the same command again"
        )


def _hash_file(path: Path) -> str:
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while part := file.read(_READ_BYTES):
            found.update(part)
    return found.hexdigest()
