"""One file from an address that a person gave: fetched whole, checked, and given its name only then.

Lists of files, politeness to hosts and resuming do not live here (`hubbub.downloads.download`).
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from hubbub.downloads.addresses import AllowedHosts, host_of, parse_address
from hubbub.downloads.download import RateWatch
from hubbub.downloads.failures import FetchFailure
from hubbub.downloads.pace import make_backoffs
from hubbub.downloads.policy import MIB, Policy
from hubbub.downloads.session import REDIRECTS, check_status, find_target
from hubbub.downloads.transfer import Answer, Transfer
from hubbub.errors import StorageError
from hubbub.io.atomic import atomic_write

_LOCAL = ("localhost", "127.0.0.1", "[::1]")
ONE_FILE = Policy(
    AllowedHosts.of(()),
    tries=3,
    longest_file_s=3600.0,
    least_bytes_s=2000.0,
    least_free_bytes=256 * MIB,
    private_advice="fetch the file yourself",
)


def fetch_file(
    address: str,
    path: Path,
    *,
    most_bytes: int,
    md5: str | None = None,
    check: Callable[[Path], None] | None = None,
    policy: Policy = ONE_FILE,
) -> None:
    """Fetch a file; `path` is as it was until all of it is there.

    Parameters
    ----------
    address
        ``https://host/path``; ``http://`` of this machine alone. It may lead to other public hosts.
    path
        Where to put it; folders are made.
    most_bytes
        Its size, at most.
    md5
        Of its content, 32 hex digits; None: nothing is known.
    check
        Looks at what came, and raises `FetchFailure` where that is something else.
    policy
        Times and rates.

    Raises
    ------
    FetchFailure
        It cannot be fetched, is too large, or its content is another.
    StorageError
        The disk is full, or cannot be written.
    """
    work = _fetch_with_retries(check_address(address), path, md5, check, replace(policy, most_file_bytes=most_bytes))
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(work)
        return
    with ThreadPoolExecutor(1, thread_name_prefix="hubbub-fetch") as thread:  # notebooks have a loop in theirs
        thread.submit(asyncio.run, work).result()


def check_address(address: str) -> str:
    """Return an address in its one form; raises `FetchFailure` for one that anyone on the way may change."""
    parsed = parse_address(address)
    if parsed.startswith("http://") and not _is_local(parsed):
        raise FetchFailure(f"{parsed} is fetched over an open connection, where anyone may change it; use https://")
    return parsed


def _is_local(address: str) -> bool:
    return host_of(address).rpartition(":")[0] in _LOCAL or host_of(address) in _LOCAL


async def _fetch_with_retries(
    address: str, path: Path, md5: str | None, check: Callable[[Path], None] | None, policy: Policy
) -> None:
    pauses = make_backoffs(policy.backoff_s, policy.tries)
    while True:
        try:
            async with asyncio.timeout(policy.longest_file_s):
                with atomic_write(path) as partial:
                    found = await _fetch(address, partial, policy)
                    if md5 not in (None, found):
                        raise FetchFailure(f"is another file than was expected: MD5 {found}, not {md5}")
                    if check is not None:
                        check(partial)
                return
        except TimeoutError:
            raise FetchFailure(f"takes longer than {policy.longest_file_s / 60:.3g} minutes") from None
        except FetchFailure as failure:
            pause_s = next(pauses, None) if failure.is_transient else None
            if pause_s is None:
                raise
            await asyncio.sleep(min(policy.longest_wait_s, max(pause_s, failure.wait_s or 0.0)))


async def _fetch(address: str, partial: Path, policy: Policy) -> str:
    """Follow redirects, write the body, and return its MD5."""
    # Whoever gives the address of a private network means it; where a server then leads to is another matter.
    given = Transfer(replace(policy, allow_private=True))
    others = Transfer(policy)
    transfer, target = given, address
    try:
        for _ in range(policy.most_redirects + 1):
            async with transfer.send(target, {}) as answer:
                if answer.status not in REDIRECTS:
                    check_status(answer)
                    return await _write(answer, partial, policy)
                target = check_address(find_target(answer))
            transfer = given if host_of(target) == host_of(address) else others
        raise FetchFailure(f"is redirected more than {policy.most_redirects} times; last to {target}")
    finally:
        await given.close()
        await others.close()


async def _write(answer: Answer, partial: Path, policy: Policy) -> str:
    size, digest, rate = 0, hashlib.md5(usedforsecurity=False), RateWatch(policy)
    if (answer.length or 0) > policy.most_file_bytes:
        raise FetchFailure(f"has {answer.length} bytes; expected at most {policy.most_file_bytes}")
    free, needed = shutil.disk_usage(partial.parent).free, policy.least_free_bytes + (answer.length or 0)
    if free < needed:
        raise StorageError(f"{partial.parent} has {free:,} bytes free; expected at least {needed:,} for a download")
    with open(partial, "wb") as out:
        async for part in answer.read_parts():
            out.write(part)
            digest.update(part)
            size += len(part)
            rate.add(len(part))
            if size > policy.most_file_bytes:
                raise FetchFailure(f"has more than {policy.most_file_bytes} bytes, and is given up")
        out.flush()
        os.fsync(out.fileno())
    if answer.length not in (None, size) and not answer.is_encoded:
        raise FetchFailure(f"ended after {size} of {answer.length} bytes", is_transient=True)
    return digest.hexdigest()
