"""Time zones: parsing what people type, and turning the time of a recorder's clock into UTC.

The rule for the two hours a year that make trouble: the offset of before the change holds. A time that exists twice
(clocks went back) is the first of the two, in summer time; a time that does not exist (clocks went forward) is that of
a recorder whose clock was not put forward. Both are told.
"""

from __future__ import annotations

import difflib
import os
import re
import zoneinfo
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from pathlib import Path

from hubbub.audio.recorders.statement import parse_offset
from hubbub.errors import UsageError
from hubbub.io.text import make_visible

_UTC = {"utc", "z", "gmt", "zulu"}
_LOCAL_ZONE = Path("/etc/localtime")
_KNOWN_FORMS = "an IANA name such as Europe/Berlin, an offset such as +02:00, UTC, or local"


def parse_timezone(text: str) -> tzinfo:
    """Parse a time zone: an IANA name in any case, ``UTC``, ``+02:00`` (also ``UTC+2``), or ``local``, this machine's.

    Raises
    ------
    UsageError
        For anything else; names the nearest zones.

    Examples
    --------
    >>> parse_timezone("europe/berlin"), parse_timezone("+0530")
    (zoneinfo.ZoneInfo(key='Europe/Berlin'), datetime.timezone(datetime.timedelta(seconds=19800)))
    """
    given = text.strip()
    if given.lower() in _UTC:
        return UTC
    if given.lower() == "local":
        return _local_zone()
    offset = parse_offset(re.sub(r"^(utc|gmt)(?=[+-])", "", given, flags=re.IGNORECASE))
    if offset is not None:
        return offset
    name = _zone_names().get(given.lower().replace(" ", "_"))
    if name is None:
        raise UsageError(f"there is no time zone '{make_visible(given)}'{_suggest(given)}; expected {_KNOWN_FORMS}")
    return zoneinfo.ZoneInfo(name)


def convert_to_utc(clock: datetime, zone: tzinfo) -> tuple[datetime, str | None]:
    """Turn a naive time of a recorder's clock into UTC.

    Returns
    -------
    time, remark
        `remark`: a sentence where the clock's time exists twice or never; None otherwise.
    """
    first, second = (clock.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    when = clock.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if first == second or first is None or second is None:
        return when, None
    if first > second:
        why = "exists twice, because clocks went back; the first is taken"
    else:
        why = "does not exist, because clocks went forward; a clock that was not put forward is taken"
    return when, f"{clock:%Y-%m-%d %H:%M:%S} in {zone} {why} ({when:%H:%M:%S} UTC)"


@lru_cache(1)
def _zone_names() -> dict[str, str]:
    return {name.lower(): name for name in zoneinfo.available_timezones()}


def _suggest(given: str) -> str:
    """Name the nearest zones, by their whole names or by their cities alone."""
    names = _zone_names()
    by_city: dict[str, list[str]] = {}
    for lowered, name in sorted(names.items()):
        by_city.setdefault(lowered.rsplit("/", 1)[-1], []).append(name)
    wanted = given.lower().replace(" ", "_")[:60]
    near = [names[close] for close in difflib.get_close_matches(wanted, names, n=2, cutoff=0.8)]
    for city in difflib.get_close_matches(wanted.rsplit("/", 1)[-1], by_city, n=2, cutoff=0.75):
        near += by_city[city]
    unique = list(dict.fromkeys(near))[:3]
    return f"; did you mean {' or '.join(unique)}?" if unique else ""


def _local_zone() -> tzinfo:
    """Find this machine's zone with its daylight saving, which an offset of today would not have."""
    named = os.environ.get("TZ", "").lstrip(":") or os.path.realpath(_LOCAL_ZONE).rpartition("/zoneinfo/")[2]
    name = _zone_names().get(named.lower())
    if name is not None:
        return UTC if name == "UTC" else zoneinfo.ZoneInfo(name)
    try:
        with open(_LOCAL_ZONE, "rb") as file:
            return zoneinfo.ZoneInfo.from_file(file, key="local")
    except (OSError, ValueError):
        raise UsageError(f"this machine does not say which time zone is local; expected {_KNOWN_FORMS}") from None
