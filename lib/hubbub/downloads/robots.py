"""robots.txt: what a host lets robots fetch, and how fast (RFC 9309)."""

from __future__ import annotations

from dataclasses import dataclass

from protego import Protego

MOST_BYTES = 512 * 1024
"""Of a robots.txt, that are read; RFC 9309 asks for 500 KiB at least."""

_NAME = "hubbub"
_CLOSED = "User-agent: *\nDisallow: /\n"


@dataclass(frozen=True)
class Robots:
    """The rules of one host.

    Attributes
    ----------
    text
        The file; empty: everything may be fetched.
    why_closed
        Why nothing may be fetched, where the file could not be read; empty elsewhere.
    """

    text: str = ""
    why_closed: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_rules", Protego.parse(_CLOSED if self.why_closed else self.text))

    def allows(self, address: str) -> bool:
        """Tell whether an address may be fetched."""
        return bool(self._rules.can_fetch(address, _NAME))  # type: ignore[attr-defined]

    @property
    def interval_s(self) -> float:
        """Least time between two requests that the host asks for, s; 0 where it asks for none."""
        delay = self._rules.crawl_delay(_NAME)  # type: ignore[attr-defined]
        rate = self._rules.request_rate(_NAME)  # type: ignore[attr-defined]
        by_rate = rate.seconds / rate.requests if rate is not None and rate.requests else 0.0
        return max(0.0, float(delay or 0.0), by_rate)


def read_robots(status: int, content: bytes) -> Robots:
    """Take the answer to a request for robots.txt.

    A host that has none (4xx) lets everything be fetched; one that fails (5xx) lets nothing be, since nobody knows what
    it would have said.
    """
    if 200 <= status < 300:
        return Robots(content[:MOST_BYTES].decode("utf-8", errors="replace").removeprefix("\ufeff"))
    if 400 <= status < 500 and status != 429:
        return Robots()
    return Robots(why_closed=f"its robots.txt answers {status}")
