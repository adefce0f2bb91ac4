"""Names of Frontier Labs' recorders (BAR, BAR-LT), which hold the offset from UTC.

- ``20201107T065835+1000_REC [-27.3888+152.8808].flac``, also with a space between latitude and longitude; a site may
  follow the time.
- ``S20240815T093156.489390+1000_E20240815T094151.489368+1000_-27.38883+152.88083.wav``: start and end.

Certain: both need the offset and one of the marks (``REC``, brackets, start and end).
"""

from __future__ import annotations

import re

from hubbub.audio.recorders.statement import Statement, build_time, clean_text, parse_offset, parse_position

_TIME = r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)(?:\.(\d{1,6}))?(Z|[+-]\d{4})"
_END = r"\d{8}T\d{6}(?:\.\d{1,6})?(?:Z|[+-]\d{4})"
_PLACE = r"([+-]?\d{1,2}(?:\.\d{1,9})?)[ +]?((?<=\+)\d{1,3}(?:\.\d{1,9})?|(?<=[\d ])-?\d{1,3}(?:\.\d{1,9})?)"
_NAME = re.compile(
    rf"(?P<start>S)?{_TIME}(?P<end>_E{_END})?(?P<rec>_REC)?(?:_(?P<site>[^\[\]+]*?))?"
    rf"(?P<place>[_ ]*\[{_PLACE}\])?(?P<signed>_([+-]\d{{1,2}}\.\d{{1,9}})([+-]\d{{1,3}}\.\d{{1,9}}))?",
    re.ASCII,
)


def read_name(stem: str) -> Statement | None:
    """Read a name without its extension; None: not of this scheme."""
    found = _NAME.fullmatch(stem)
    if found is None or not (found["rec"] or found["place"] or (found["start"] and found["end"])):
        return None
    fields = found.groups()
    zone = parse_offset(fields[8] or "")
    if zone is None:
        return None
    when = build_time(fields[1:8], zone)
    place = found["place"] and parse_position(*found.group(14, 15))
    place = place or (found["signed"] and parse_position(*found.group(17, 18))) or (None, None)
    return Statement(
        "name (Frontier Labs scheme, certain)",
        when,
        site=clean_text((found["site"] or "").strip(" _-")),
        recorder="Frontier Labs",
        latitude=place[0],
        longitude=place[1],
    )
