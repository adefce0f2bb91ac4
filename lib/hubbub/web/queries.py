"""Numbers of a request's address: there, of their kind, and within bounds that the server can answer."""

from __future__ import annotations

import math

from starlette.datastructures import QueryParams

from hubbub.errors import UsageError

MOST = 2**53
"""Whole numbers up to here are the same in a browser and here."""


def read_whole(query: QueryParams, name: str, default: int | None = None, *, least: int = 0, most: int = MOST) -> int:
    """Read a whole number; None as default: it has to be there.

    Raises
    ------
    UsageError
        It is none, or below `least`, or above `most`.
    """
    given = query.get(name, "" if default is None else str(default))
    try:
        number = int(given)
    except ValueError:
        number = least - 1
    if not least <= number <= most:
        raise UsageError(f"{name} {given[:40]!r}: expected a whole number from {least} to {most}")
    return number


def read_number(query: QueryParams, name: str, default: float | None = None) -> float:
    """Read a number that is finite; None as default: it has to be there.

    Raises
    ------
    UsageError
        It is none.
    """
    given = query.get(name, "" if default is None else str(default))
    try:
        number = float(given)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(f"{name} {given[:40]!r}: expected a number")
    return number
