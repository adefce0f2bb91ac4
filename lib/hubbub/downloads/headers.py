"""Values of HTTP headers, from servers that may send anything: what cannot be understood counts as not said."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")
_LONGEST_VERSION = 1000


@dataclass(frozen=True)
class ContentRange:
    """Which part of a file a body is.

    Attributes
    ----------
    first, last
        Number of its first and its last byte.
    total
        Bytes of the whole file; None: unknown.
    """

    first: int
    last: int
    total: int | None


def parse_http_date(value: str | None) -> datetime | None:
    """Parse a date, UTC; None for none, or nonsense."""
    try:
        when = None if value is None else parsedate_to_datetime(value)
        return when if when is None else (when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def parse_content_range(value: str | None) -> ContentRange | None:
    """Parse the header Content-Range; None for none, or nonsense."""
    found = _CONTENT_RANGE.fullmatch((value or "").strip())
    return found and ContentRange(int(found[1]), int(found[2]), None if found[3] == "*" else int(found[3]))


def read_version(headers: Mapping[str, str]) -> dict[str, str | None]:
    """Return ``etag`` and ``last_modified``, by which a server knows a version.

    One that cannot be sent back as it came, since it has letters beyond ASCII, is None.
    """
    found = {name: headers.get(name.replace("_", "-")) for name in ("etag", "last_modified")}
    return {name: value if value and _can_be_sent(value) else None for name, value in found.items()}


def _can_be_sent(value: str) -> bool:
    return value.isascii() and value.isprintable() and len(value) <= _LONGEST_VERSION
