"""Measure what reading recorders' names and header notes adds to the probe of each recording, in microseconds.

    python benchmarks/recorders.py --files 2000

Files are small, and in the disk's cache. The table has a row a kind of recorder: notes of the header, facts of both,
and beside them `read_audio_info`, which every indexed file costs.
"""

from __future__ import annotations

import argparse
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from arguments import positive

from hubbub.audio.decode import read_audio_info
from hubbub.audio.recorders import HeaderNotes, describe_recording, parse_timezone, read_header_notes

_ROUNDS = 5  # the fastest counts: other programs only slow one down
_COMMENT = (
    b"Recorded at 04:30:00 17/05/2026 (UTC+2) by AudioMoth 24F3190361DA3578 at medium gain while battery was 4.1V and "
    b"temperature was 23.4C."
)
_GUANO = (
    b"GUANO|Version: 1.0\nMake: Wildlife Acoustics, Inc.\nModel: Song Meter Mini\nSerial: 2MA04827\n"
    b"Timestamp: 2026-05-17T04:30:00+02:00\nLoc Position: 46.765390 8.738140\nTemperature Int: -1.25\n"
)


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def _make_wav(before: bytes = b"", after: bytes = b"") -> bytes:
    fmt = _chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, 8000, 16000, 2, 16))
    body = b"WAVE" + fmt + before + _chunk(b"data", bytes(16_000)) + after
    return b"RIFF" + struct.pack("<I", len(body)) + body


KINDS = {
    "none": ("dog.wav", _make_wav()),
    "AudioMoth": (
        "20260517_043000.WAV",
        _make_wav(before=_chunk(b"LIST", b"INFO" + _chunk(b"ICMT", _COMMENT.ljust(384, b"\0")))),
    ),
    "Song Meter": ("SITE_20260517_043000.wav", _make_wav(after=_chunk(b"guan", _GUANO))),
}
"""Kinds of recorders: a name, and a recording of one second with its notes."""


def measure(name: str, content: bytes, folder: Path, files: int) -> Iterator[float]:
    """Give microseconds a file: of the notes, of the facts, and of `read_audio_info`."""
    paths = [folder / f"{number}.wav" for number in range(files)]
    for path in paths:
        path.write_bytes(content)
    zone = parse_timezone("Europe/Berlin")
    notes: list[HeaderNotes] = [read_header_notes(path) for path in paths]
    for work in (
        lambda: [read_header_notes(path) for path in paths],
        lambda: [describe_recording(name, one, zone).columns() for one in notes],
        lambda: [read_audio_info(path) for path in paths],
    ):
        yield 1e6 * min(_time(work) for _ in range(_ROUNDS)) / files


def _time(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=positive, default=2000, help="recordings of each kind (2000)")
    files = parser.parse_args().files
    print("| recorder | notes, us a file | facts, us a file | beside read_audio_info, us a file |")
    print("|---|---|---|---|")
    for kind, (name, content) in KINDS.items():
        with tempfile.TemporaryDirectory() as folder:
            notes, facts, probe = measure(name, content, Path(folder), files)
        print(f"| {kind} | {notes:.1f} | {facts:.1f} | {probe:.1f} |", flush=True)


if __name__ == "__main__":
    main()
