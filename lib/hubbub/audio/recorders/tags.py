"""What recorders tell in the tags of FLAC, Ogg and MP3 files, whatever the container.

- AudioMoth's comment, which conversions from WAV carry over as ``COMMENT`` or ``DESCRIPTION`` (`chunk_info`).
- Frontier Labs' own tags: ``RecordingStart``, ``SensorLocation`` and others.
- ``DATE`` and ``CREATION_TIME``, as FFmpeg names the date and time of a ``bext`` chunk.
- ``DATE`` with a time of day. A mere date is mostly that of a release, as midnight to the second is.

Titles are not read: what people write there is no time.
"""

from __future__ import annotations

import re
from dataclasses import replace

from hubbub.audio.recorders import chunk_info
from hubbub.audio.recorders.chunk_bext import state_origination
from hubbub.audio.recorders.statement import (
    Statement,
    clean_text,
    parse_number,
    parse_position,
    read_time,
)
from hubbub.audio.recorders.tags_id3 import id3_length, read_id3_tags
from hubbub.audio.recorders.tags_vorbis import read_flac_tags, read_ogg_tags
from hubbub.audio.riff import Pread

COMMENT_SOURCE = "AudioMoth comment in the tags"
FRONTIER_SOURCE = "Frontier Labs tags"
DATE_SOURCE = "tag 'DATE'"
_COMMENTS = ("comment", "description", "comments")
_WITH_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")
_MIDNIGHT = re.compile(r"[T ]00:00(:00(\.0*)?)?")
_PLACE = re.compile(r"([+-]?\d{1,2}\.\d{1,9})[ ,+]*([+-]?\d{1,3}\.\d{1,9})")


def read_tags(pread: Pread) -> tuple[dict[str, str], str | None]:
    """Read a file's tags by names in small letters, none of a file of another kind; and what is broken."""
    head = pread(10, 0)
    start = id3_length(head)
    if head[:4] == b"OggS":
        return read_ogg_tags(pread)
    tags, problem = read_id3_tags(pread)
    if (pread(4, start) if start else head[:4]) != b"fLaC":
        return tags, problem
    own, own_problem = read_flac_tags(pread, start)
    return tags | own, own_problem or problem


def state_tags(tags: dict[str, str]) -> list[Statement]:
    """Make the statements that tags hold."""
    comments = (chunk_info.state_comment(tags[name], tags.get("artist", "")) for name in _COMMENTS if name in tags)
    moth = next((replace(said, source=COMMENT_SOURCE) for said in comments if said is not None), None)
    return [said for said in (moth, _state_frontier_labs(tags), _state_date(tags)) if said is not None]


def _state_frontier_labs(tags: dict[str, str]) -> Statement | None:
    """Frontier Labs' BAR and BAR-LT; a battery is told as ``93%`` and volts, a gain in dB."""
    if "recordingstart" not in tags:
        return None
    time, problem = read_time(tags["recordingstart"], "the RecordingStart of the tags")
    place = _PLACE.search(tags.get("sensorlocation", ""))
    where = parse_position(*place.groups()) if place else None
    volts = re.search(r"(\d{1,2}\.\d{1,3})\s*V?\s*$", tags.get("batterylevel", ""), re.ASCII)
    gain = clean_text(tags.get("channelgain", ""))
    return Statement(
        FRONTIER_SOURCE,
        time,
        recorder="Frontier Labs",
        serial=clean_text(tags.get("sensoruid", "")),
        gain=gain,
        gain_db=parse_number(gain or "", -100, 200),
        latitude=where[0] if where else None,
        longitude=where[1] if where else None,
        battery_v=parse_number(volts[1], 0, 30) if volts else None,
        problem=problem,
    )


def _state_date(tags: dict[str, str]) -> Statement | None:
    date, clock = tags.get("date", ""), tags.get("creation_time", "")
    if re.match(r"\d\d:\d\d:\d\d$", clock):
        return state_origination(DATE_SOURCE, date, clock, recorder=clean_text(tags.get("encoded_by", "")))
    if _WITH_TIME.match(date) is None or _MIDNIGHT.match(date, 10):
        return None
    time, problem = read_time(date, f"the {DATE_SOURCE}")
    return Statement(DATE_SOURCE, time, problem=problem)
