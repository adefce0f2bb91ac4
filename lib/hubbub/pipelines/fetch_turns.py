"""Turns of hosts: which files of which host come next, so that each host is in one unit at a time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from typing import Self

from hubbub.downloads.addresses import host_of
from hubbub.downloads.robots import Robots
from hubbub.io.text import count_noun
from hubbub.tasks.fetch import FILES_A_TURN, FetchItem, FetchResult, FetchUnit
from hubbub.tasks.result import UnitLost


class HostTurns:
    """An iterator of units that has none while every host is at work, and more once results have come (`take`).

    Parameters
    ----------
    items
        What is to be fetched, in order.
    turn_s
        Time after which a turn begins no further file.
    most_bytes
        What is fetched at most; None: no limit.
    longest_s
        Time after which no turn is given any more; None: no limit.

    Attributes
    ----------
    given_up
        Hosts that are not asked any more, and why.
    why_ended
        The limit that ended the run; empty: none did.
    unchanged, received_bytes
        Sums over the results.
    """

    def __init__(
        self, items: Iterable[FetchItem], *, turn_s: float, most_bytes: int | None, longest_s: float | None
    ) -> None:
        self._queues: dict[str, deque[FetchItem]] = {}
        for item in items:
            self._queues.setdefault(host_of(item.url), deque()).append(item)
        self._ready = deque(self._queues)
        self._at_work: dict[int, str] = {}
        self._robots: dict[str, dict[str, Robots]] = {}
        self._turn_s, self._most_bytes, self._longest_s = turn_s, most_bytes, longest_s
        self._began, self._number = time.monotonic(), 0
        self.given_up: dict[str, str] = {}
        self.why_ended = ""
        self.unchanged = self.received_bytes = 0

    @property
    def left(self) -> int:
        """Files that were not tried."""
        return sum(map(len, self._queues.values()))

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> FetchUnit:
        """Return the next turn; raise `StopIteration` where no host is free now."""
        if self._longest_s is not None and time.monotonic() - self._began > self._longest_s:
            self.why_ended = f"--max-hours {self._longest_s / 3600:g} are over"
        if not self._ready or self.why_ended:
            raise StopIteration
        host = self._ready.popleft()
        queue = self._queues[host]
        items = tuple(queue.popleft() for _ in range(min(FILES_A_TURN, len(queue))))
        number, self._number = self._number, self._number + 1
        self._at_work[number] = host
        most = 2**63 if self._most_bytes is None else max(0, self._most_bytes - self.received_bytes)
        return FetchUnit(number, items, host, self._turn_s, self._robots.get(host, {}), most)

    def take(self, result: FetchResult | UnitLost) -> None:
        """Take the result of a turn; its host gets another one if files are left."""
        host = self._at_work.pop(result.unit)
        if isinstance(result, UnitLost):
            self.given_up[host] = result.reason
            return
        self._queues[host].extendleft(reversed(result.left))
        self._robots[host] = result.robots
        self.unchanged += result.unchanged
        self.received_bytes += result.bytes_read
        if result.reached_total:
            self.why_ended = f"the next file goes beyond --max-total-gb {(self._most_bytes or 0) / 2**30:g}"
        elif result.given_up:
            self.given_up[host] = result.given_up
        elif self._queues[host]:
            self._ready.append(host)

    def describe_rest(self) -> list[str]:
        """Say which files were not tried, and why."""
        lines = [
            f"{why}; {count_noun(len(self._queues[host]), 'file')} of {host} not tried"
            for host, why in self.given_up.items()
        ]
        if self.why_ended:
            lines.append(f"ended: {self.why_ended}; {count_noun(self.left, 'file')} not tried")
        return lines
