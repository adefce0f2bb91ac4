"""What one source, a scheme of names or a chunk of a header, states about a recording; and how its parts are read."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache

from hubbub.io.text import make_visible

_LONGEST_TEXT = 200
_FIRST_YEAR, _LAST_YEAR = 1971, 2099
_MONTHS = "January February March April May June July August September October November December".split()
_FURTHEST_OFFSET_MINUTES = 14 * 60
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?\s*(Z|[+-]\d{1,2}(?::?\d\d)?)?", re.ASCII
)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is told of a recording beside its time; None where nothing tells.

    Attributes
    ----------
    site, recorder, serial
        Where it stood, its make and model, its number.
    gain
        The setting, in the recorder's own words.
    gain_db
        The gain in dB, where all channels have the same.
    latitude, longitude
        Degrees, WGS 84, north and east positive.
    temperature_c
        Degrees Celsius: outside the housing where both are known.
    battery_v
        Volts.
    """

    site: str | None = None
    recorder: str | None = None
    serial: str | None = None
    gain: str | None = None
    gain_db: float | None = None
    latitude: float | None = None
    longitude: float | None = None
    temperature_c: float | None = None
    battery_v: float | None = None


@dataclass(frozen=True)
class Statement(Facts):
    """What one source states.

    Attributes
    ----------
    source
        Who states it, for people: ``name (Song Meter scheme, certain)``, ``chunk 'guan'``.
    time
        When the recording began: aware where the source knows the zone, else naive, the time of the recorder's clock.
    problem
        A sentence on what the source holds that cannot be so.
    """

    source: str
    time: datetime | None = None
    problem: str | None = None


class ImpossibleTime(ValueError):
    """Digits that stand where a time is expected and are none; its text says why."""


def build_time(fields: tuple[str | None, ...], zone: tzinfo | None = None) -> datetime:
    """Make a time of the digits of year, month, day, hour, minute, second and (may be missing) fraction.

    Raises
    ------
    ImpossibleTime
        For a date or time that does not exist, years outside 1971 to 2099, and a clock that was never set.
    """
    year, month, day, hour, minute, second = (int(field or 0) for field in fields[:6])
    fraction = fields[6] if len(fields) > 6 else None
    try:
        when = datetime(year, month, day, hour, minute, second, int((fraction or "0")[:6].ljust(6, "0")), zone)
    except ValueError:
        raise ImpossibleTime(_explain(year, month, day, hour, minute, second)) from None
    if year == 1970:
        raise ImpossibleTime(f"{when:%Y-%m-%d}: the recorder's clock was not set")
    if not _FIRST_YEAR <= year <= _LAST_YEAR:
        raise ImpossibleTime(f"year {year}; expected {_FIRST_YEAR} to {_LAST_YEAR}")
    return when


def _explain(year: int, month: int, day: int, hour: int, minute: int, second: int) -> str:
    if not 1 <= month <= 12:
        return f"there is no month {month}"
    for value, bound, unit in ((hour, 24, "hour"), (minute, 60, "minute"), (second, 60, "second")):
        if value >= bound:
            return f"there is no {unit} {value}"
    return f"there is no {day} {_MONTHS[month - 1]} {year}"


def parse_iso_time(text: str) -> datetime:
    """Parse ``2026-05-17T04:30:00.5+02:00``: a space for the T, seconds, fraction and offset may be missing.

    Raises
    ------
    ImpossibleTime
        For anything else.
    """
    found = _ISO.fullmatch(text.strip())
    if found is None:
        raise ImpossibleTime(f"'{clean_text(text)}' is no time such as 2026-05-17T04:30:00+02:00")
    zone = found[8] and parse_offset(found[8])
    if found[8] and zone is None:
        raise ImpossibleTime(f"there is no offset {found[8]} from UTC")
    return build_time(found.groups()[:7], zone or None)


def read_time(text: str, what: str) -> tuple[datetime | None, str | None]:
    """Read a time as `parse_iso_time` does, None of no text; of one that cannot be, a sentence with `what` it is."""
    try:
        return (parse_iso_time(text) if text else None), None
    except ImpossibleTime as error:
        return None, f"{what}: {error}"


@lru_cache(256)
def parse_offset(text: str) -> timezone | None:
    """Parse an offset from UTC: ``Z``, ``+2``, ``+02:00``, ``-0330``, ``+02-00``; None beyond 14 hours, or for none."""
    if text in ("Z", "z"):
        return UTC
    found = re.fullmatch(r"([+-])(\d{1,2})(?:[:-]?(\d\d))?", text, re.ASCII)
    if found is None or int(found[3] or 0) > 59:
        return None
    minutes = 60 * int(found[2]) + int(found[3] or 0)
    if minutes > _FURTHEST_OFFSET_MINUTES:
        return None
    return timezone(timedelta(minutes=-minutes if found[1] == "-" else minutes))


def clean_text(text: str) -> str | None:
    """Return text of a file as it can be shown and stored: trimmed, one line, no control characters; None if empty."""
    kept = make_visible(" ".join(text.strip(" \t\r\n\0").split())[:_LONGEST_TEXT])
    return kept or None


def decode_text(body: bytes) -> str:
    """Decode a chunk's text: UTF-8, or Latin-1 where it is none, as older recorders write."""
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return body.decode("latin-1")


def parse_number(text: str, low: float, high: float) -> float | None:
    """Parse the number that a text begins with, such as ``12.3C``; None where there is none, or it is out of range."""
    found = re.match(r"\s*([+-]?\d{1,9}(?:\.\d{1,12})?)", text, re.ASCII)
    value = float(found[1]) if found else math.nan
    return value if low <= value <= high else None


def parse_position(latitude: str, longitude: str) -> tuple[float, float] | None:
    """Parse degrees; None where they are none, out of range, or 0, 0: what recorders write that found no satellite."""
    north, east = parse_number(latitude, -90, 90), parse_number(longitude, -180, 180)
    return None if north is None or east is None or north == east == 0 else (north, east)
