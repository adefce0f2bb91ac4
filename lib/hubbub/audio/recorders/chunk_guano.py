"""GUANO in the ``guan`` chunk: lines of ``Key: value``, UTF-8 (guano-md.org, specification 1.0).

Written by Song Meters (SM4, Mini, Micro, SM5), BATLOGGER, Anabat, Pettersson and others. `Timestamp` with an offset is
aware; without one it is the time of the recorder's clock, as the specification says.
"""

from __future__ import annotations

import re

from hubbub.audio.recorders.statement import (
    ImpossibleTime,
    Statement,
    clean_text,
    decode_text,
    parse_iso_time,
    parse_number,
    parse_position,
)

SOURCE = "chunk 'guan'"
_MOST_FIELDS = 500
_SONG_METER_GAIN = re.compile(r"[\"\u201c\u201d]gain[\"\u201c\u201d]\s*:\s*(-?\d{1,3}(?:\.\d{1,3})?)", re.ASCII)
_COLDEST_C, _HOTTEST_C = -90, 100


def read_chunk(body: bytes) -> Statement | None:
    """Read the chunk's content; None: it says nothing."""
    fields = _read_fields(decode_text(body))
    time, problem = None, None
    if fields.get("Timestamp"):
        try:
            time = parse_iso_time(fields["Timestamp"])
        except ImpossibleTime as error:
            problem = f"the Timestamp of {SOURCE}: {error}"
    place = parse_position(*(fields.get("Loc Position", "").split() + ["", ""])[:2]) or (None, None)
    serial = clean_text(fields.get("Serial", ""))
    prefix = clean_text(fields.get("WA|Song Meter|Prefix", ""))
    gain, gain_db = _read_gain(fields)
    found = Statement(
        SOURCE,
        time,
        site=prefix if prefix != serial else None,
        recorder=clean_text(f"{fields.get('Make', '')} {fields.get('Model', '')}"),
        serial=serial,
        gain=gain,
        gain_db=gain_db,
        latitude=place[0],
        longitude=place[1],
        temperature_c=_read_temperature(fields),
        problem=problem,
    )
    return None if found == Statement(SOURCE) else found


def _read_fields(text: str) -> dict[str, str]:
    lines = text.strip("\0").split("\n", _MOST_FIELDS)[:_MOST_FIELDS]
    pairs = (line.split(":", 1) for line in lines if ":" in line)
    return {key.strip(" \t\r\0"): value.strip(" \t\r\0") for key, value in pairs}


def _read_temperature(fields: dict[str, str]) -> float | None:
    outside = parse_number(fields.get("Temperature Ext", ""), _COLDEST_C, _HOTTEST_C)
    return parse_number(fields.get("Temperature Int", ""), _COLDEST_C, _HOTTEST_C) if outside is None else outside


def _read_gain(fields: dict[str, str]) -> tuple[str | None, float | None]:
    """Song Meters give one gain a channel, in dB; Pettersson's has no unit."""
    gains = _SONG_METER_GAIN.findall(fields.get("WA|Song Meter|Audio settings", ""))
    if gains:
        return f"{', '.join(dict.fromkeys(gains))} dB", float(gains[0]) if len(set(gains)) == 1 else None
    return clean_text(fields.get("PET|Gain", "")), None
