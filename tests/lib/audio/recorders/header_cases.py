"""WAV, RF64 and W64 files made by hand, and the notes that recorders put into them."""

from __future__ import annotations

import struct

from hubbub.audio.recorders import HeaderNotes, RecordingFacts, describe_recording, read_header_notes

SAMPLES = struct.pack("<400h", *range(400))
FMT = struct.pack("<HHIIHH", 1, 1, 8000, 16000, 2, 16)
W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")

GUANO = (
    "GUANO|Version: 1.0\nMake: Wildlife Acoustics, Inc.\nModel: Song Meter Mini\nSerial: 2MA04827\n"
    "Original Filename: 2MA04827_20250227_073902.wav\nTimestamp: 2025-02-27T07:39:02+01:00\nSamplerate: 24000\n"
    'WA|Song Meter|Prefix: DACH-Süd\nWA|Song Meter|Audio settings: [{"rate":24000,"gain":18}]\n'
    "Loc Position: 46.765390 8.738140\nLength: 3597.99\nTemperature Int: -1.25\nNote: two\\nlines: and a colon\n"
)
COMMENT = (
    "Recorded at 04:30:00 17/05/2026 (UTC+2) by AudioMoth 24F3190361DA3578 at medium gain while battery was 4.1V "
    "and temperature was 23.4C."
)


def chunk(name: bytes, body: bytes, length: int | None = None) -> bytes:
    """Make a RIFF chunk with its padding, or with another length in its header."""
    return name + struct.pack("<I", len(body) if length is None else length) + body + b"\0" * (len(body) % 2)


def wav(*before: bytes, after: tuple[bytes, ...] = (), samples: bytes = SAMPLES) -> bytes:
    """Make a WAV file with chunks before and after its samples."""
    body = b"WAVE" + chunk(b"fmt ", FMT) + b"".join(before) + chunk(b"data", samples) + b"".join(after)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def rf64(*after: bytes, samples: bytes = SAMPLES) -> bytes:
    """Make an RF64 file, whose data chunk has its length in ds64, with chunks after its samples."""
    ds64 = chunk(b"ds64", struct.pack("<QQQI", 0, len(samples), 0, 0))
    return (
        b"RF64\xff\xff\xff\xffWAVE" + ds64 + chunk(b"fmt ", FMT) + chunk(b"data", samples, 2**32 - 1) + b"".join(after)
    )


def w64(*chunks: tuple[bytes, bytes]) -> bytes:
    """Make a W64 file of chunks by their four letters and contents."""
    body = b"wave" + W64_TAIL
    for name, content in chunks:
        body += name + W64_TAIL + struct.pack("<Q", 24 + len(content)) + content + b"\0" * (-len(content) % 8)
    return b"riff" + bytes.fromhex("2e91cf11a5d628db04c10000") + struct.pack("<Q", 24 + len(body)) + body


def info(comment: str = COMMENT, artist: str = "") -> bytes:
    """Make the LIST chunk of AudioMoth's firmware, with the padding to 384 bytes that it has."""
    entries = chunk(b"ICMT", comment.encode().ljust(384, b"\0"))
    entries += chunk(b"IART", artist.encode().ljust(32, b"\0")) if artist else b""
    return chunk(b"LIST", b"INFO" + entries)


def bext(date: str = "2026-05-17", time: str = "04:30:00", originator: str = "Zoom F6") -> bytes:
    """Make a bext chunk, EBU Tech 3285 version 1."""
    body = b"sSCENE=1".ljust(256, b"\0") + originator.encode().ljust(32, b"\0") + b"\0" * 32
    return chunk(b"bext", body + date.encode().ljust(10, b"\0") + time.encode().ljust(8, b"\0") + b"\0" * 264)


def wamd(**entries: str) -> bytes:
    """Make a wamd chunk of version 1 from model, serial, prefix, start, place and temperatures."""
    keys = {"model": 1, "serial": 2, "prefix": 4, "start": 5, "place": 6, "inside": 0x15, "outside": 0x16}
    body = struct.pack("<HIH", 0, 2, 1)
    for name, value in entries.items():
        body += struct.pack("<HI", keys[name], len(value)) + value.encode()
    return chunk(b"wamd", body)


def read(content: bytes) -> HeaderNotes:
    """Read a file's notes as ranges of a bucket are read."""
    return read_header_notes(lambda count, offset: content[offset : offset + count], len(content))


def facts_of(content: bytes) -> RecordingFacts:
    """What the notes of a file tell."""
    return describe_recording("x", read(content))
