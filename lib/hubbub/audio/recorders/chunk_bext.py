"""Broadcast Wave's ``bext`` chunk (EBU Tech 3285): date, time and originator, in fixed places.

The time is that of the recorder's clock: the chunk has no field for a zone.
"""

from __future__ import annotations

import re

from hubbub.audio.recorders.statement import ImpossibleTime, Statement, build_time, clean_text, decode_text

SOURCE = "chunk 'bext'"
_ORIGINATOR, _DATE, _TIME = slice(256, 288), slice(320, 330), slice(330, 338)
_DATE_FORM = re.compile(r"(\d{4})[-_:./ ](\d\d)[-_:./ ](\d\d)", re.ASCII)
_TIME_FORM = re.compile(r"(\d\d)[-_:./ ](\d\d)[-_:./ ](\d\d)", re.ASCII)


def read_chunk(body: bytes) -> Statement | None:
    """Read the chunk's content; None: it says nothing."""
    originator, date, time = (decode_text(body[part]).split("\0")[0] for part in (_ORIGINATOR, _DATE, _TIME))
    return state_origination(SOURCE, date, time, recorder=clean_text(originator))


def state_origination(
    source: str,
    date: str,
    time: str,
    *,
    recorder: str | None,
    site: str | None = None,
    place: tuple[float, float] | None = None,
) -> Statement | None:
    """Make the statement of a chunk that gives date and time apart; zeros and blanks are a clock never set."""
    when, problem = None, None
    if re.search("[1-9]", date):
        day, moment = _DATE_FORM.match(date.strip()), _TIME_FORM.match(time.strip())
        try:
            if day is None or moment is None:
                raise ImpossibleTime(f"'{clean_text(f'{date} {time}')}' is no date and time")
            when = build_time((*day.groups(), *moment.groups()))
        except ImpossibleTime as error:
            problem = f"the origination time of {source}: {error}"
    north, east = place or (None, None)
    found = Statement(source, when, site=site, recorder=recorder, latitude=north, longitude=east, problem=problem)
    return None if found == Statement(source) else found
