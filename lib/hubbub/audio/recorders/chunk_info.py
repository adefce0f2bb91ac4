"""AudioMoth's sentence in the ``ICMT`` comment of ``LIST INFO``, as its firmware 1.0 to 1.11 writes it.

``Recorded at 04:30:00 17/05/2026 (UTC+2) by AudioMoth 24F3190361DA3578 at medium gain while battery was 4.1V and
temperature was 23.4C.`` Firmware 1.0 leaves the zone out, which is UTC; up to 1.3 the gain is a number from 0 to 4, and
before 1.4 there is no temperature. A battery said to be less than 2.5V or greater than 4.9V has no number. During a
deployment its number stands in place of the device's, which the ``IART`` entry gives.
"""

from __future__ import annotations

import re
import struct
from datetime import UTC

from hubbub.audio.recorders.statement import (
    ImpossibleTime,
    Statement,
    build_time,
    decode_text,
    parse_number,
    parse_offset,
)

SOURCE = "AudioMoth comment in chunk 'LIST'"
_MOST_ENTRIES = 64
_RECORDED = re.compile(
    r"Recorded at (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))? (\d\d)/(\d\d)/(\d{4})(?: \(UTC([+-]\d{1,2}(?::\d\d)?)?\))? "
    r"(?:by (Audio|Hydro)Moth ([0-9A-Fa-f]{16})|during deployment [0-9A-Fa-f]{16})",
    re.ASCII,
)
_GAIN = re.compile(r" at (?:gain setting ([0-4])|(low|low-medium|medium|medium-high|high) gain)")
GAIN_NAMES = ("low", "low-medium", "medium", "medium-high", "high")
_BATTERY = re.compile(r" battery (?:state )?was (\d{1,2}\.\d{1,3})V", re.ASCII)
_TEMPERATURE = re.compile(r" temperature was (-?\d{1,3}\.\d{1,2})C", re.ASCII)
_ARTIST = re.compile(r"(Audio|Hydro)Moth ([0-9A-Fa-f]{16})")


def read_chunk(body: bytes) -> Statement | None:
    """Read the content of a ``LIST``; None: no INFO, or no sentence of AudioMoth's."""
    entries = _read_entries(body)
    return state_comment(decode_text(entries.get(b"ICMT", b"")), decode_text(entries.get(b"IART", b"")))


def state_comment(comment: str, artist: str) -> Statement | None:
    """Make the statement of AudioMoth's sentence and of its artist entry; None: the comment is another's."""
    found = _RECORDED.match(comment.strip(" \0"))
    if found is None:
        return None
    device = _ARTIST.match(artist)
    kind, serial = found[9] or (device and device[1]) or "Audio", found[10] or (device and device[2])
    time, problem = None, None
    try:
        zone = parse_offset(found[8]) if found[8] else UTC
        if zone is None:
            raise ImpossibleTime(f"there is no offset {found[8]} from UTC")
        time = build_time(found.group(7, 6, 5, 1, 2, 3, 4), zone)
    except ImpossibleTime as error:
        problem = f"the {SOURCE}: {error}"
    gain, battery, warmth = (pattern.search(comment) for pattern in (_GAIN, _BATTERY, _TEMPERATURE))
    return Statement(
        SOURCE,
        time,
        recorder=f"{kind}Moth",
        serial=serial,
        gain=(gain[2] or GAIN_NAMES[int(gain[1])]) if gain else None,
        temperature_c=parse_number(warmth[1], -90, 100) if warmth else None,
        battery_v=parse_number(battery[1], 0, 30) if battery else None,
        problem=problem,
    )


def _read_entries(body: bytes) -> dict[bytes, bytes]:
    """Entries of an INFO list by their names; those before where it breaks."""
    entries: dict[bytes, bytes] = {}
    if body[:4] != b"INFO":
        return entries
    at = 4
    for _ in range(_MOST_ENTRIES):
        if at + 8 > len(body):
            break
        name, length = struct.unpack_from("<4sI", body, at)
        entries.setdefault(name, body[at + 8 : at + 8 + length])
        at += 8 + length + length % 2
    return entries
