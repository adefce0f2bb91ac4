"""Polite requests: robots.txt, pauses, redirects within the hosts given, retries."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Self, TypeVar

import httpx

from hubbub.downloads.addresses import host_of, parse_address
from hubbub.downloads.failures import FetchFailure, HostUnavailable, NotModified
from hubbub.downloads.pace import Pace, make_backoffs, parse_retry_after
from hubbub.downloads.policy import Policy
from hubbub.downloads.robots import MOST_BYTES, Robots, read_robots
from hubbub.downloads.transfer import Answer, Transfer

REDIRECTS = (301, 302, 303, 307, 308)
_NOT_MODIFIED = 304
_CONDITIONS = {"If-None-Match", "If-Modified-Since"}
_PASSING = (408, 425, 429, 500, 502, 503, 504)
_SILENT_IN_A_ROW = 3  # requests that a host does not answer at all, after which it is given up

T = TypeVar("T")


class Session:
    """Requests of one process, to any of the hosts given; an asynchronous context manager.

    Parameters
    ----------
    policy
        How politely they are asked.
    robots
        Rules of hosts that are known already; grows with every host that is asked.
    paced
        Hosts that were asked by another just before: the first request to each waits as if it were the second.
    """

    def __init__(self, policy: Policy, robots: dict[str, Robots] | None = None, *, paced: bool = False) -> None:
        self.policy, self.robots = policy, {} if robots is None else robots
        self._transfer, self._is_paced = Transfer(policy), paced
        self._paces: dict[str, Pace] = {}
        self._silent: dict[str, int] = {}
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._transfer.close()

    @asynccontextmanager
    async def get(self, address: str, headers: Mapping[str, str] | None = None) -> AsyncIterator[Answer]:
        """Ask for an address, follow its redirects, and give the answer while its body is read.

        Raises
        ------
        FetchFailure
            When robots.txt or the hosts given forbid it, when there are too many redirects, and for every answer but
            200 and 206.
        NotModified
            For 304.
        HostUnavailable
            When the host is not to be asked any more.
        """
        first = address
        for _ in range(self.policy.most_redirects + 1):
            await self._ask_leave(address)
            async with self._transfer.send(address, {**(headers or {}), **self._secrets(address)}) as answer:
                self._silent[host_of(address)] = 0
                if answer.status == _NOT_MODIFIED and not _CONDITIONS & (headers or {}).keys():
                    raise FetchFailure("the server says that nothing changed (304), though nothing was here before")
                if answer.status not in REDIRECTS:
                    check_status(answer)
                    yield answer
                    return
                address = find_target(answer)
        raise FetchFailure(f"{first} is redirected more than {self.policy.most_redirects} times; last to {address}")

    async def retry(self, do: Callable[[], Awaitable[T]], host: str) -> T:
        """Call a function that makes requests, and again after pauses while its failure may pass.

        Raises
        ------
        FetchFailure, NotModified
            Those of the last call.
        HostUnavailable
            When the host asks to wait for longer than we do, or has not answered at all several times.
        """
        pauses = make_backoffs(self.policy.backoff_s, self.policy.tries)
        while True:
            try:
                return await do()
            except FetchFailure as failure:
                pause_s = next(pauses, None) if failure.is_transient else None
                if failure.wait_s is not None and failure.wait_s > self.policy.longest_wait_s:
                    raise HostUnavailable(
                        f"{host} asks to wait {failure.wait_s:.0f} s; run the same command again then"
                    ) from failure
                if pause_s is None:
                    self._count_silence(host, failure)
                    raise
                await asyncio.sleep(max(pause_s, failure.wait_s or 0.0))

    def _count_silence(self, host: str, failure: FetchFailure) -> None:
        if not failure.is_of_host:
            return
        self._silent[host] = self._silent.get(host, 0) + 1
        if self._silent[host] >= _SILENT_IN_A_ROW:
            raise HostUnavailable(f"{host} is given up for now: {failure}") from failure

    async def _ask_leave(self, address: str) -> None:
        """See that an address may be asked for, and wait for its turn."""
        self.policy.hosts.check(address)
        host = host_of(address)
        async with self._lock:
            if host not in self.robots:
                self.robots[host] = await self._read_robots(address)
        rules = self.robots[host]
        if rules.why_closed:
            raise HostUnavailable(f"{host} is given up for now: {rules.why_closed}")
        if rules.interval_s > self.policy.longest_wait_s:
            raise HostUnavailable(
                f"{host} is given up: its robots.txt asks for {rules.interval_s:.3g} s between two requests; expected "
                f"at most {self.policy.longest_wait_s:g}"
            )
        if not rules.allows(address):
            raise FetchFailure(f"robots.txt of {host} does not allow {httpx.URL(address).raw_path.decode()}")
        await self._pace(host).wait()

    async def _read_robots(self, address: str) -> Robots:
        """Ask a host for its robots.txt; redirects lead to the same file of hosts given, at most."""
        wanted = str(httpx.URL(address).copy_with(raw_path=b"/robots.txt"))
        host = host_of(wanted)

        async def ask() -> Robots:
            target = wanted
            for _ in range(self.policy.most_redirects + 1):
                await self._pace(host).wait()
                async with self._transfer.send(target, {}) as answer:
                    if answer.status in REDIRECTS:
                        target = find_target(answer)
                        self.policy.hosts.check(target)
                        continue
                    if answer.status in _PASSING:
                        check_status(answer)
                    is_there = answer.status == 200
                    within_s = self.policy.answer_timeout_s
                    content = await answer.read_start(MOST_BYTES, "it", within_s=within_s) if is_there else b""
                    return read_robots(answer.status, content)
            return Robots()  # RFC 9309: too many redirects count as none there

        try:
            return await self.retry(ask, host)
        except FetchFailure as failure:
            if failure.is_of_host and failure.is_transient:  # it was asked several times
                raise HostUnavailable(f"{host} is given up for now: {failure}") from failure
            if failure.is_of_host:
                raise
            return Robots(why_closed=f"its robots.txt cannot be read: {failure}")

    def _pace(self, host: str) -> Pace:
        if host not in self._paces:
            begin_after_s = self._interval_s(host) if self._is_paced else 0.0
            self._paces[host] = Pace(self.policy.interval_s, begin_after_s=begin_after_s)
        if host in self.robots:
            self._paces[host].slow_down(self.robots[host].interval_s)
        return self._paces[host]

    def _interval_s(self, host: str) -> float:
        asked = self.robots[host].interval_s if host in self.robots else 0.0
        return max(self.policy.interval_s, asked)

    def _secrets(self, address: str) -> dict[str, str]:
        """Secret headers of an address's host; over an open connection they go to private addresses only."""
        is_safe = address.startswith("https://") or self.policy.allow_private
        return self.policy.secret_headers.get(host_of(address), {}) if is_safe else {}


def find_target(answer: Answer) -> str:
    """Return where a redirect leads; raises `FetchFailure` for nowhere, and from a safe to an open connection."""
    location = answer.headers.get("location")
    if not location:
        raise FetchFailure(f"answers {answer.status} and does not say where to go")
    target = parse_address(location, answer.address)
    if answer.address.startswith("https://") and target.startswith("http://"):
        raise FetchFailure("leads from https to http, where anyone may change the file")
    return target


def check_status(answer: Answer) -> None:
    """Refuse an answer without a body to take; raises `FetchFailure`, and `NotModified` for 304."""
    status = answer.status
    if status in (200, 206):
        return
    if status == _NOT_MODIFIED:
        raise NotModified
    words = {401: "asks for a password", 403: "is forbidden", 404: "is not there", 410: "is gone"}
    raise FetchFailure(
        f"{words[status]} ({status})" if status in words else f"the server answers {status}",
        is_transient=status in _PASSING,
        wait_s=parse_retry_after(answer.headers.get("retry-after")) if status in _PASSING else None,
        status=status,
    )
