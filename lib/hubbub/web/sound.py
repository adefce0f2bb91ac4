"""Short pieces of a recording as FLAC, which every browser plays and which hold the samples exactly.

Pieces that follow each other join without a gap, so a player that schedules them by their samples stays in step with
the picture however long the recording is.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from hubbub.audio.decode import decode_blocks
from hubbub.errors import UsageError

LONGEST_S = 30.0
"""Of a piece, as it is heard."""

MOST_HZ = 48_000
"""What people hear; a recording of more is resampled, or slowed down."""

SLOWED = (1, 2, 4, 8, 16, 32)
"""How many times slower a piece may be played, which makes bats and ultrasound audible."""


def encode_piece(path: Path, sample_rate: int, *, start_s: float, length_s: float, slow: int = 1) -> bytes:
    """Encode a piece, mono, 16 bits.

    Parameters
    ----------
    path, sample_rate
        The recording, and its own rate in Hz.
    start_s, length_s
        In the recording; `length_s` times `slow` is `LONGEST_S` at most.
    slow
        One of `SLOWED`: so many times slower, and so many times lower.

    Raises
    ------
    UsageError
        For a piece that is none.
    AudioError
        The recording cannot be decoded.
    """
    import soundfile

    if not (0 <= start_s < 1e9 and 0 < length_s * slow <= LONGEST_S and slow in SLOWED):
        raise UsageError(
            f"a piece from {start_s:g} s of {length_s:g} s, {slow} times slower: expected a start from 0 on and up to "
            f"{LONGEST_S:g} s as heard, slowed by one of {', '.join(map(str, SLOWED))}"
        )
    rate = min(sample_rate, MOST_HZ * slow)
    first, count = round(start_s * rate), round(length_s * rate)
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", max(1, round(rate / slow)), 1, format="FLAC", subtype="PCM_16") as sound:
        for block in decode_blocks(path, sample_rate=rate, first=first, count=count):
            sound.write(np.clip(block, -1.0, 1.0))
    return file.getvalue()


def parse_range(header: str | None, size_bytes: int) -> tuple[int, int] | None:
    """Read the HTTP header ``Range``: first byte, and the one after the last; None: all of it is asked for.

    Raises
    ------
    UsageError
        It asks for bytes that are not there.
    """
    unit, _, span = (header or "").partition("=")
    begin, dash, end = span.partition("-")
    if unit.strip() != "bytes" or not dash or "," in span or not (begin + end).strip().isdigit():
        return None
    if not begin.strip():
        return max(0, size_bytes - int(end)), size_bytes
    first = int(begin)
    stop = min(size_bytes, int(end) + 1) if end.strip() else size_bytes
    if first >= stop:
        raise UsageError(f"Range {span!r} of {size_bytes} bytes: expected bytes that are there")
    return first, stop
