"""What is known of a recording from its name and its header together.

A time with a zone wins over one without; among equals the header's (GUANO, wamd, Frontier Labs' tags, AudioMoth's
comment) wins over the name's, and the name's over ``bext``, ``iXML`` and the tag ``DATE``, which editors rewrite. The
others check it: clocks in different zones are whole quarter-hours apart, and anything else is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from hubbub.audio.recorders import chunk_bext, chunk_guano, chunk_info, chunk_ixml, chunk_wamd, tags
from hubbub.audio.recorders.names import read_name
from hubbub.audio.recorders.notes import HeaderNotes
from hubbub.audio.recorders.statement import Facts, Statement
from hubbub.audio.recorders.timezones import convert_to_utc

_RANKS = {
    chunk_guano.SOURCE: 0,
    chunk_wamd.SOURCE: 1,
    tags.FRONTIER_SOURCE: 1,
    chunk_info.SOURCE: 2,
    tags.COMMENT_SOURCE: 2,
    chunk_bext.SOURCE: 4,
    chunk_ixml.SOURCE: 5,
    tags.DATE_SOURCE: 6,
}
_NAME_RANK = 3
_QUARTER_HOUR_S = 15 * 60
_FURTHEST_ZONES_S = 14 * 3600
_TOLERANCE_S = 2  # names and notes are written when the file is made, and its samples begin within it
_FIELDS = {
    "site": "site",
    "recorder": "recorder",
    "serial": "recorder_serial",
    "gain": "gain_setting",
    "gain_db": "gain_db",
    "latitude": "latitude",
    "longitude": "longitude",
    "temperature_c": "temperature_c",
    "battery_v": "battery_v",
}
"""Attributes, and the columns of a clip table that carry them."""


@dataclass(frozen=True)
class RecordingFacts(Facts):
    """What is known of a recording; None where nothing tells.

    Attributes
    ----------
    recorded_at
        When it began, in UTC.
    local_time
        When it began by the recorder's clock, naive, where the zone is unknown; `recorded_at` is then None.
    evidence
        A sentence: which scheme of names or which chunk gave the time. Empty where nothing tells anything.
    problem
        A sentence on what is impossible, doubtful or in contradiction.
    """

    recorded_at: datetime | None = None
    local_time: datetime | None = None
    evidence: str = ""
    problem: str | None = None

    def columns(self) -> dict[str, str | float]:
        """Return what is known as carried columns of a clip table; `recorded_at` is a column of its own.

        Returns
        -------
        dict
            Of ``site``, ``recorder``, ``recorder_serial``, ``gain_setting`` (text), ``gain_db`` (dB), ``latitude`` and
            ``longitude`` (degrees), ``temperature_c`` (degrees Celsius) and ``battery_v`` (volts), the known ones.
        """
        values = {column: getattr(self, name) for name, column in _FIELDS.items()}
        return {column: value for column, value in values.items() if value is not None}


def describe_recording(name: str, notes: HeaderNotes | None = None, timezone: tzinfo | None = None) -> RecordingFacts:
    """Tell what a recording's name and header notes say of it.

    Parameters
    ----------
    name
        Its file name, path or address; the last part is read.
    notes
        What `read_header_notes` gave; None: the header was not looked at.
    timezone
        The zone of the recorder's clock (`parse_timezone`), for times that come without one; None: unknown.
    """
    named = read_name(name)
    statements = [*([named] if named else []), *(notes.statements if notes else ())]
    problems = [*(notes.problems if notes else ()), *(s.problem for s in statements if s.problem)]
    if not statements:
        return RecordingFacts(problem="; ".join(problems) or None)
    ordered = sorted(statements, key=_rank)
    timed = sorted((s for s in ordered if s.time), key=lambda s: s.time is not None and s.time.tzinfo is None)
    recorded_at, local_time, evidence = None, None, ""
    if timed:
        best, others = timed[0], timed[1:]
        recorded_at, local_time, evidence, remark = _settle_time(best, timezone)
        problems += [remark] if remark else []
        problems += [told for other in others if (told := _compare(best, other))]
    else:
        evidence = f"no time is known; other facts are from {' and '.join(dict.fromkeys(s.source for s in ordered))}"
    return RecordingFacts(
        recorded_at,
        local_time,
        **_first_known(ordered),
        evidence=evidence,
        problem="; ".join(problems) or None,
    )


def _rank(statement: Statement) -> int:
    return _RANKS.get(statement.source, _NAME_RANK)


def _settle_time(best: Statement, zone: tzinfo | None) -> tuple[datetime | None, datetime | None, str, str | None]:
    """Return time in UTC, naive time where no zone is known, evidence, and a remark on daylight saving."""
    assert best.time is not None
    if best.time.tzinfo is not None:
        return best.time.astimezone(UTC), None, f"the time is from the {best.source}, which knows its zone", None
    if zone is None:
        return None, best.time, f"the time is from the {best.source}, which does not know its zone", None
    when, remark = convert_to_utc(best.time, zone)
    return when, None, f"the time is from the {best.source}, in the time zone {zone}", remark


def _first_known(ordered: list[Statement]) -> dict[str, Any]:
    """Take each fact from the first source that knows it; latitude and longitude from one."""
    facts = {
        name: next((value for s in ordered if (value := getattr(s, name)) is not None), None)
        for name in _FIELDS
        if name not in ("latitude", "longitude")
    }
    place = next(((s.latitude, s.longitude) for s in ordered if s.latitude is not None), (None, None))
    return facts | {"latitude": place[0], "longitude": place[1]}


def _compare(best: Statement, other: Statement) -> str | None:
    """Tell where two times of a recording cannot both be right.

    Of two with zones, or two without, any difference is told; of one with and one without, what no zones explain.
    """
    assert best.time is not None
    assert other.time is not None
    gap_s = abs((_bare(other.time) - _bare(best.time)).total_seconds())
    same_kind = (best.time.tzinfo is None) == (other.time.tzinfo is None)
    beyond_s = gap_s if same_kind else _beyond_quarter_hours(gap_s)
    if beyond_s <= _TOLERANCE_S:
        return None
    gap = timedelta(seconds=round(gap_s))
    why = "" if same_kind else ", no difference of time zones"
    return f"the {other.source} and the {best.source} are {gap} apart{why}; the {best.source} is taken"


def _bare(when: datetime) -> datetime:
    return when.astimezone(UTC).replace(tzinfo=None) if when.tzinfo else when


def _beyond_quarter_hours(gap_s: float) -> float:
    over = gap_s % _QUARTER_HOUR_S
    return gap_s if gap_s > _FURTHEST_ZONES_S + _TOLERANCE_S else min(over, _QUARTER_HOUR_S - over)
