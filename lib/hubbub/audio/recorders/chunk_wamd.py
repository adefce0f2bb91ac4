"""Wildlife Acoustics' ``wamd`` chunk, version 1, as the maker's published wa_meta.h describes it.

Entries of id (16 bits), length (32 bits), content, all little-endian, without padding. Written by SM2 to SM4, the EM3
and Echo Meter Touch.
"""

from __future__ import annotations

import struct

from hubbub.audio.recorders.statement import (
    Statement,
    clean_text,
    decode_text,
    parse_number,
    parse_position,
    read_time,
)

SOURCE = "chunk 'wamd'"
_VERSION, _MODEL, _SERIAL, _PREFIX, _START, _FIRST_PLACE = 0x00, 0x01, 0x02, 0x04, 0x05, 0x06
_LAST_PLACE, _TEMPERATURE_INSIDE, _TEMPERATURE_OUTSIDE = 0x14, 0x15, 0x16
_MOST_ENTRIES = 256
_LONGEST_ENTRY = 1000


def read_chunk(body: bytes) -> Statement | None:
    """Read the chunk's content; None: it is of another version, or says nothing."""
    entries = _read_entries(body)
    if entries.get(_VERSION, b"")[:2] != b"\x01\x00":
        return None
    text = {key: decode_text(value).strip(" \0") for key, value in entries.items() if key != _VERSION}
    time, problem = read_time(text.get(_START, ""), f"the start time of {SOURCE}")
    place = _read_place(text.get(_FIRST_PLACE, "")) or _read_place(text.get(_LAST_PLACE, "")) or (None, None)
    outside, inside = (
        parse_number(text.get(key, ""), -90, 100) if text.get(key, "").endswith("C") else None
        for key in (_TEMPERATURE_OUTSIDE, _TEMPERATURE_INSIDE)
    )
    model, serial, prefix = (clean_text(text.get(key, "")) for key in (_MODEL, _SERIAL, _PREFIX))
    return Statement(
        SOURCE,
        time,
        site=prefix if prefix != serial else None,
        recorder=f"Wildlife Acoustics {model}" if model else "Wildlife Acoustics",
        serial=serial,
        latitude=place[0],
        longitude=place[1],
        temperature_c=inside if outside is None else outside,
        problem=problem,
    )


def _read_entries(body: bytes) -> dict[int, bytes]:
    entries: dict[int, bytes] = {}
    at = 0
    for _ in range(_MOST_ENTRIES):
        if at + 6 > len(body):
            break
        key, length = struct.unpack_from("<HI", body, at)
        entries.setdefault(key, body[at + 6 : at + 6 + min(length, _LONGEST_ENTRY)])
        at += 6 + length
    return entries


def _read_place(text: str) -> tuple[float, float] | None:
    """Read ``WGS84,42.38,N,71.45,W``, or ``WGS84,42.38,-71.45`` as the Echo Meter Touch writes; the datum may lack."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) >= 5 and parts[2] in ("N", "S") and parts[4] in ("E", "W"):
        south, west = parts[2] == "S", parts[4] == "W"
        place = parse_position(parts[1], parts[3])
        return place and (-place[0] if south else place[0], -place[1] if west else place[1])
    return parse_position(parts[1], parts[2]) if len(parts) >= 3 else None
