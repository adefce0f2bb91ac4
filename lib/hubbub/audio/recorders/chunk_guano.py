"""GUANO in the ``guan`` chunk: lines of ``Key: value``, UTF-8 (guano-md.org, specification 1.0).

Written by Song Meters (SM4, Mini, Micro, SM5), AudioMoth's newest firmware, BATLOGGER, Anabat, Pettersson and others.
`Timestamp` with an offset is aware; without one it is the time of the recorder's clock, as the specification says.
"""

from __future__ import annotations

import re

from hubbub.audio.recorders.chunk_info import GAIN_NAMES
from hubbub.audio.recorders.statement import Statement, clean_text, decode_text, parse_number, parse_position, read_time

SOURCE = "chunk 'guan'"
_MOST_FIELDS = 500
_SONG_METER_GAIN = re.compile(r"[\"\u201c\u201d]gain[\"\u201c\u201d]\s*:\s*(-?\d{1,3}(?:\.\d{1,3})?)", re.ASCII)
_AUDIOMOTH_GAIN = re.compile(r"\bGAIN ([0-4])\b", re.ASCII)
_AUDIOMOTH_BATTERY_V = (2.5, 4.9)  # 2.4 and 5.0 stand for less and for more than can be told
_COLDEST_C, _HOTTEST_C = -90, 100


def read_chunk(body: bytes) -> Statement | None:
    """Read the chunk's content; None: it says nothing."""
    fields = _read_fields(decode_text(body))
    time, problem = read_time(fields.get("Timestamp", ""), f"the Timestamp of {SOURCE}")
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
        battery_v=parse_number(fields.get("OAD|Battery Voltage", ""), *_AUDIOMOTH_BATTERY_V),
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
    """Song Meters give one gain a channel, in dB; AudioMoth's is a number from 0 to 4; Pettersson's has no unit."""
    moth = _AUDIOMOTH_GAIN.search(fields.get("OAD|Recording Settings", ""))
    if moth:
        return GAIN_NAMES[int(moth[1])], None
    gains = _SONG_METER_GAIN.findall(fields.get("WA|Song Meter|Audio settings", ""))
    if gains:
        return f"{', '.join(dict.fromkeys(gains))} dB", float(gains[0]) if len(set(gains)) == 1 else None
    return clean_text(fields.get("PET|Gain", "")), None
