"""ID3v2 tags at the head of MP3 and other files (id3.org, 2.2 to 2.4), under the names that Vorbis comments have.

ID3v1 at the end of a file is not read: its comment has 30 letters, and its date a year.
"""

from __future__ import annotations

import re

from hubbub.audio.recorders.statement import decode_text
from hubbub.audio.riff import Pread

_MOST_FRAMES = 100
_LONGEST_FRAME = 4000
_LONGEST_TAG = 2**16
_NAMES = {
    b"COMM": "comment",
    b"COM": "comment",
    b"TPE1": "artist",
    b"TP1": "artist",
    b"TENC": "encoded_by",
    b"TEN": "encoded_by",
    b"TDRC": "date",
    b"TYER": "year",
    b"TYE": "year",
    b"TDAT": "day",
    b"TDA": "day",
    b"TIME": "clock",
    b"TIM": "clock",
    b"TXXX": "",
    b"TXX": "",
}
"""Frames that are read; those without a name here bring their own."""
_ENCODINGS = {1: "utf-16", 2: "utf-16-be"}
_CONTROL = re.compile(r"[\0\r\n]+")


def id3_length(head: bytes) -> int:
    """Bytes of the tag that a file begins with; 0: none."""
    if head[:3] != b"ID3" or len(head) < 10 or head[3] not in (2, 3, 4):
        return 0
    return 10 + _whole(head[6:10], 7) + (10 if head[5] & 0x10 else 0)


def read_id3_tags(pread: Pread) -> tuple[dict[str, str], str | None]:
    """Read the tags at a file's head; and a sentence where they are broken."""
    head = pread(10, 0)
    end = id3_length(head)
    if not end:
        return {}, None
    version, at = head[3], 10
    if head[5] & 0x80 and version < 4:  # each FF of the whole tag is followed by a 00 that does not belong to it
        content = head + pread(min(end, _LONGEST_TAG) - 10, 10).replace(b"\xff\x00", b"\xff")
        pread, end = (lambda count, offset: content[offset : offset + count]), len(content)
    if head[5] & 0x40 and version > 2:
        at += _whole(pread(4, at), 7) if version == 4 else 4 + _whole(pread(4, at), 8)
    tags: dict[str, str] = {}
    header_bytes = 6 if version == 2 else 10
    for _ in range(_MOST_FRAMES):
        header = pread(header_bytes, at)
        if at + header_bytes > end or not header.strip(b"\0"):
            break
        name = header[:3] if version == 2 else header[:4]
        length = _whole(header[len(name) : 2 * len(name)], 7 if version == 4 else 8)
        at += header_bytes
        if at + length > end or not name.isalnum():
            return _join_date(tags), "the tags break off"
        if name in _NAMES and not header[9:].strip(b"\0"):  # flags: packed or encrypted
            tags |= {key: text for key, text in [_parse_frame(name, pread(min(length, _LONGEST_FRAME), at))] if text}
        at += length
    return _join_date(tags), None


def _parse_frame(name: bytes, body: bytes) -> tuple[str, str]:
    """Name and text of a frame; a comment has a language and a description before its text."""
    encoding, text = body[:1], body[1:]
    if name.startswith(b"COM"):
        text = text[3:]
    described, _, said = _decode(encoding, text).partition("\0")
    if not name.startswith((b"COM", b"TXX")):
        described, said = "", described
    return _NAMES[name] or described.strip().lower(), _CONTROL.sub(" ", said.lstrip("\ufeff")).strip()


def _decode(encoding: bytes, text: bytes) -> str:
    name = _ENCODINGS.get(encoding[0] if encoding else 0)
    return text[: len(text) // 2 * 2].decode(name, errors="replace") if name else decode_text(text)


def _join_date(tags: dict[str, str]) -> dict[str, str]:
    """Version 2.3 tells the date of a recording in three frames: year, day and month, hour and minute."""
    year, day, clock = (tags.pop(name, "") for name in ("year", "day", "clock"))
    if re.fullmatch(r"\d{4}\D\d{4}\D\d{4}", f"{year}-{day}-{clock}", re.ASCII):
        return {"date": f"{year}-{day[2:]}-{day[:2]}T{clock[:2]}:{clock[2:]}"} | tags
    return ({"date": year} if year else {}) | tags


def _whole(digits: bytes, bits: int) -> int:
    value = 0
    for digit in digits:
        value = value << bits | (digit & 0x7F if bits == 7 else digit)
    return value
