"""When the next request to a host may go out, and how long failures are waited for."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from hubbub.downloads.headers import parse_http_date

_LONGEST_BACKOFF_S = 60.0


class Pace:
    """Keeps requests to one host apart.

    Parameters
    ----------
    interval_s
        Least time between the starts of two requests.
    begin_after_s
        Time until the first one.
    """

    def __init__(self, interval_s: float, *, begin_after_s: float = 0.0) -> None:
        self._interval_s = interval_s
        self._next = time.monotonic() + begin_after_s

    def slow_down(self, interval_s: float) -> None:
        """Keep at least this interval from now on, as robots.txt asks."""
        self._interval_s = max(self._interval_s, interval_s)

    async def wait(self) -> None:
        """Wait for one's turn; of several who wait, each gets its own."""
        now = time.monotonic()
        turn = max(now, self._next)
        self._next = turn + self._interval_s
        await asyncio.sleep(turn - now)


def make_backoffs(first_s: float, tries: int) -> Iterator[float]:
    """Give the pauses between `tries` tries, s; jittered, so that clients do not come back all at once."""
    for number in range(tries - 1):
        yield min(first_s * 4**number, _LONGEST_BACKOFF_S) * random.uniform(0.75, 1.0)


def parse_retry_after(value: str | None) -> float | None:
    """Parse the header Retry-After, seconds or a date, to seconds from now; None for none, or nonsense."""
    if value is None:
        return None
    value = value.strip()
    if value.isdecimal():
        return float(value[:9])
    when = parse_http_date(value)
    return None if when is None else max(0.0, (when - datetime.now(UTC)).total_seconds())
