"""What the page is filtered by, as SQL with ``?`` in place of every value."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from hubbub.errors import UsageError
from hubbub.web.loading import OWN_COLUMNS, quote

MOST_VALUES = 1000
"""Values that one filter may name."""

_KNOWN = ("labels", "least", "most", "hours", "from_day", "to_day", "columns", "file", "reviewed")


@dataclass(frozen=True)
class Where:
    """A condition on events ``e`` or clips ``c``, and the values of its question marks."""

    sql: str
    values: tuple[Any, ...]

    def __and__(self, other: Where) -> Where:
        """Both hold."""
        return Where(f"({self.sql}) AND ({other.sql})", self.values + other.values)


@dataclass(frozen=True)
class Filter:
    """What is asked for; what is empty or None lets all through.

    Attributes
    ----------
    labels
        Labels of events.
    least, most
        Range of an event's peak, 0 to 1, both included.
    hours
        Hours of the day in the page's time zone, 0 to 23.
    from_day, to_day
        Days, both included.
    columns
        Values of carried columns, as text; None stands for no value.
    file
        One recording, as the page calls it.
    reviewed
        True: events with a verdict; False: those without.
    """

    labels: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    hours: tuple[int, ...] = ()
    from_day: date | None = None
    to_day: date | None = None
    columns: Mapping[str, tuple[str | None, ...]] = field(default_factory=dict)
    file: str | None = None
    reviewed: bool | None = None

    def clips(self) -> Where:
        """The condition on clips ``c`` alone."""
        parts: list[str] = ["true"]
        values: list[Any] = []
        for name, chosen in self.columns.items():
            named = [value for value in chosen if value is not None]
            either = [f"CAST(c.{quote(name)} AS VARCHAR) IN (SELECT unnest(?))"] if named else []
            either += [f"c.{quote(name)} IS NULL"] if None in chosen else []
            parts.append(f"({' OR '.join(either)})")
            values += [named] if named else []
        if self.file is not None:
            parts.append("c.file = ?")
            values.append(self.file)
        return Where(" AND ".join(parts), tuple(values))

    def times(self, table: str) -> Where:
        """The condition on the columns day and hour of a table."""
        parts: list[str] = ["true"]
        values: list[Any] = []
        if self.hours:
            parts.append(f"{table}.hour IN (SELECT unnest(?))")
            values.append(list(self.hours))
        for sign, day in ((">=", self.from_day), ("<=", self.to_day)):
            if day is not None:
                parts.append(f"{table}.day {sign} ?")
                values.append(day)
        return Where(" AND ".join(parts), tuple(values))

    def events(self, *, of_labels: bool = True, of_scores: bool = True) -> Where:
        """The condition on events ``e``, with or without that on labels and scores."""
        parts: list[str] = ["true"]
        values: list[Any] = []
        if of_labels and self.labels:
            parts.append("e.label IN (SELECT code FROM names WHERE label IN (SELECT unnest(?)))")
            values.append(list(self.labels))
        if of_scores:
            for sign, score in ((">=", self.least), ("<=", self.most)):
                if score is not None:
                    parts.append(f"e.peak {sign} ?::FLOAT")
                    values.append(score)
        if self.reviewed is not None:
            parts.append(f"e.n {'IN' if self.reviewed else 'NOT IN'} (SELECT n FROM judged)")
        found = Where(" AND ".join(parts), tuple(values)) & self.times("e")
        if not self.columns and self.file is None:
            return found
        clips = self.clips()
        return found & Where(f"e.clip IN (SELECT c.n FROM clips c WHERE {clips.sql})", clips.values)


def parse_filter(text: str | None, carried: Mapping[str, str]) -> Filter:
    """Read a filter as the page sends it, JSON.

    Parameters
    ----------
    text
        ``{"labels": ["dog"], "least": 0.5, "hours": [5, 6], "columns": {"city": ["Riga", null]}}``; None: no filter.
    carried
        Columns that may be named beside the recording's ``group``.

    Raises
    ------
    UsageError
        It is no JSON of that kind.
    """
    if not text:
        return Filter()
    try:
        return _build_filter(json.loads(text), carried)
    except (ValueError, TypeError, AttributeError, KeyError, OverflowError, RecursionError) as error:
        raise UsageError(
            f"the filter {text[:200]!r} cannot be read ({error}); expected JSON with {', '.join(_KNOWN)}"
        ) from None


def _build_filter(given: Mapping[str, Any], carried: Mapping[str, str]) -> Filter:
    if unknown := sorted(set(given) - set(_KNOWN)):
        raise ValueError(f"unknown entry {unknown[0]!r}")
    columns = {name: _read_values(chosen) for name, chosen in (given.get("columns") or {}).items() if chosen}
    if unknown := sorted(set(columns) - set(list_columns(carried))):
        raise ValueError(f"there is no column {unknown[0]!r}")
    labels = _read_values(given.get("labels") or ())
    return Filter(
        labels=tuple(label for label in labels if label is not None),
        least=_read_number(given.get("least")),
        most=_read_number(given.get("most")),
        hours=tuple(_read_hour(hour) for hour in given.get("hours") or ())[:24],
        from_day=_read_day(given.get("from_day")),
        to_day=_read_day(given.get("to_day")),
        columns=columns,
        file=None if given.get("file") is None else _read_text(given["file"]),
        reviewed=None if given.get("reviewed") is None else bool(given["reviewed"]),
    )


def _read_values(given: Any) -> tuple[str | None, ...]:
    if isinstance(given, str) or len(given) > MOST_VALUES:
        raise ValueError(f"expected a list of up to {MOST_VALUES} values")
    return tuple(None if value is None else _read_text(value) for value in given)


def _read_text(given: Any) -> str:
    return str(given).encode().decode()  # raises for halves of letters, which JSON may hold


def _read_number(given: Any) -> float | None:
    if given is None:
        return None
    if not math.isfinite(value := float(given)):
        raise ValueError(f"{given!r} is no score")
    return value


def _read_hour(given: Any) -> int:
    if not 0 <= (hour := int(given)) <= 23:
        raise ValueError(f"{hour} is no hour of the day")
    return hour


def _read_day(given: Any) -> date | None:
    return None if given is None else date.fromisoformat(given)


def list_columns(carried: Mapping[str, str]) -> dict[str, str]:
    """Columns that recordings may be told apart by, and their types: carried ones that hold no list, and the group."""
    plain = {name: kind for name, kind in carried.items() if not kind.endswith("]") and not kind.startswith("STRUCT")}
    return {"group": OWN_COLUMNS["group"], **plain}
