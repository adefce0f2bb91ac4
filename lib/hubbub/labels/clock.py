"""Time zones, and spans of time cut at the hours and minutes of a clock."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pandas as pd

from hubbub.errors import UsageError

HOUR = 3_600_000_000
"""Microseconds."""

UNKNOWN = np.iinfo(np.int64).min
"""Of what has no time, in microseconds."""

Micros = npt.NDArray[np.integer]
"""Microseconds since 1970 in UTC."""


def read_zone(name: str | None) -> str:
    """Return the name of a time zone; None: UTC.

    Raises
    ------
    UsageError
        For a name that the IANA database has not.
    """
    if name is None:
        return "UTC"
    try:
        ZoneInfo(name)
    except (ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError
        raise _explain_zone(name) from None
    except KeyError:
        raise _explain_zone(name) from None
    return name


def _explain_zone(name: str) -> UsageError:
    return UsageError(f"--timezone {name}: no such time zone; expected a name such as Europe/Berlin or UTC")


def count_micros(times: pd.Series) -> npt.NDArray[np.int64]:
    """Return times as microseconds since 1970 in UTC, int64 [time]; `UNKNOWN` where there is none."""
    stamps = pd.to_datetime(times, utc=True).astype("datetime64[us, UTC]")
    return stamps.to_numpy("datetime64[us]").astype(np.int64)


def choose_step(zone: str) -> int:
    """Microseconds in which spans are cut, so that no piece lies in two hours of the clock.

    Borders of hours in any time zone are at quarters of UTC's.
    """
    return HOUR if zone == "UTC" else HOUR // 4


def find_hours(at: Micros, zone: str) -> Micros:
    """Return the hour of the clock in a time zone, as microseconds since 1970 there.

    Parameters
    ----------
    at
        int64 [time], microseconds of UTC.
    zone
        As `read_zone` gives it.
    """
    if zone == "UTC":
        return at // HOUR * HOUR
    local = pd.to_datetime(pd.Series(at), unit="us", utc=True).dt.tz_convert(zone).dt.tz_localize(None)
    return local.astype("datetime64[us]").astype("int64").to_numpy() // HOUR * HOUR


def cut_spans(begins: Micros, ends: Micros, step: int) -> tuple[Micros, Micros, Micros]:
    """Cut spans at the multiples of a step.

    Parameters
    ----------
    begins, ends
        int64 [span]; spans that end where they begin, or before, give no pieces.
    step
        Microseconds.

    Returns
    -------
    span, first, lasts
        int64 [piece]: which span a piece is of; the multiple of the step that it lies behind, in microseconds; how long
        it lasts.
    """
    low = begins // step
    counts = np.where(ends > begins, (ends - 1) // step - low + 1, 0)
    span = np.repeat(np.arange(len(begins)), counts)
    place = np.arange(len(span)) - np.repeat(np.cumsum(counts) - counts, counts)
    first = (low[span] + place) * step
    lasts = np.minimum(ends[span], first + step) - np.maximum(begins[span], first)
    return span, first, lasts
