"""The ``iXML`` chunk of field mixers (Sound Devices, Zoom, Tascam): date, time, originator and place, as XML.

A few elements are searched for in the text. An XML parser would expand entities and refuse the cut-off documents that
recorders leave when they lose power.
"""

from __future__ import annotations

import html
import re

from hubbub.audio.recorders.chunk_bext import state_origination
from hubbub.audio.recorders.statement import Statement, clean_text, decode_text, parse_position

SOURCE = "chunk 'iXML'"
_ELEMENT = re.compile(
    r"<(BWF_ORIGINATION_DATE|BWF_ORIGINATION_TIME|BWF_ORIGINATOR|LOCATION_NAME|LOCATION_GPS)>([^<]{1,300})</\1>"
)


def read_chunk(body: bytes) -> Statement | None:
    """Read the chunk's content; None: it says nothing."""
    text = {name: html.unescape(value).strip() for name, value in _ELEMENT.findall(decode_text(body))}
    place = text.get("LOCATION_GPS", "").split(",")
    return state_origination(
        SOURCE,
        text.get("BWF_ORIGINATION_DATE", ""),
        text.get("BWF_ORIGINATION_TIME", ""),
        recorder=clean_text(text.get("BWF_ORIGINATOR", "")),
        site=clean_text(text.get("LOCATION_NAME", "")),
        place=parse_position(place[0], place[1]) if len(place) >= 2 else None,
    )
