"""Markers in WAV files: a copy of a recording with cue points, their labels and lengths.

Chunks ``cue `` and ``LIST`` of type ``adtl`` with ``labl`` and ``ltxt`` (Multimedia Programming Interface and Data
Specifications 1.0, IBM and Microsoft, 1991), which editors show as markers and regions. Samples and all other chunks
are copied byte by byte; markers that the recording has already are kept.
"""

from __future__ import annotations

import itertools
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hubbub.audio.riff import BrokenChunks, Chunk, Pread, iterate_chunks
from hubbub.errors import DecodeError
from hubbub.io.atomic import atomic_write
from hubbub.io.paths import StoragePath

_BLOCK_BYTES = 2**20
_MOST_BYTES = 2**32 - 1  # of a WAV file's content, whose length is 32 bits
_MOST_MARKER_BYTES = 2**24  # of markers that are there already
_UNKNOWN = 2**32 - 1  # a length that was not known when the header was written
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_UTF8 = 65001  # the code page of the text
_OTHERS = {b"RF64": "RF64", b"BW64": "BW64", b"RIFX": "RIFX", b"riff": "W64"}


@dataclass(frozen=True)
class Cue:
    """A marker: where it begins and ends, seconds from the recording's start, and its text on one line."""

    onset_s: float
    offset_s: float
    text: str


def identify_wave(recording: Path) -> str | None:
    """Return ``WAV``, ``RF64``, ``BW64``, ``RIFX`` or ``W64`` by the first bytes; None: another format.

    Raises
    ------
    DecodeError
        The file cannot be opened.
    """
    with _open(recording) as file:
        head = file.read(40)
    if head[:4] == b"RIFF":
        return "WAV" if head[8:12] == b"WAVE" else None
    is_wave = head[24:28] == b"wave" if head[:4] == b"riff" else head[8:12] == b"WAVE"
    return _OTHERS.get(head[:4]) if is_wave else None


def copy_with_cues(recording: Path, out: StoragePath, cues: Sequence[Cue]) -> None:
    """Copy a WAV recording with markers, in bounded memory.

    Parameters
    ----------
    recording
        On this machine; it is only read.
    out
        The copy, there whole or not at all.
    cues
        Markers, sorted by onset. Those past the end are put at the end.

    Raises
    ------
    DecodeError
        The recording is no WAV file of plain samples (RF64, W64, compressed), is broken, or too large with its markers.
    StorageError
        `out` cannot be written.
    """
    kind = identify_wave(recording)
    if kind != "WAV":
        raise DecodeError(f"{recording.name} is {kind or 'no WAV file'}; markers go into WAV files below 4 GiB")
    with _open(recording) as file:
        layout = _read_layout(file, recording.name)
        added = layout.write_markers(cues)
        size = 4 + sum(8 + len(chunk) + len(chunk) % 2 for _, chunk in added)
        size += sum(8 + chunk.length + chunk.length % 2 for chunk in layout.kept)
        if size > _MOST_BYTES:
            raise DecodeError(f"{recording.name} would pass 4 GiB with its markers, which a WAV file cannot hold")
        with atomic_write(out) as partial, open(partial, "wb") as copy:
            copy.write(b"RIFF" + struct.pack("<I", size) + b"WAVE")
            for chunk in layout.kept:
                _copy_chunk(file, chunk, copy, recording.name)
            for name, content in added:
                copy.write(name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2))


@dataclass(frozen=True)
class _Layout:
    """What a WAV file holds.

    Attributes
    ----------
    kept
        Its chunks without markers, in their order.
    points
        Its cue points, 24 bytes each.
    texts
        What its ``adtl`` lists hold.
    sample_rate, frames
        Hz, samples a channel.
    """

    kept: list[Chunk]
    points: bytes
    texts: bytes
    sample_rate: int
    frames: int

    def write_markers(self, cues: Sequence[Cue]) -> list[tuple[bytes, bytes]]:
        """Return the chunks of markers: name and content; none where there are no markers."""
        taken = {point[0] for point in struct.iter_unpack("<I20x", self.points)}
        numbers = (number for number in itertools.count(1) if number not in taken)
        points, texts = [self.points], [self.texts]
        for number, cue in zip(numbers, cues):  # noqa: B905 - numbers have no end
            begin, end = (min(self.frames, max(0, round(s * self.sample_rate))) for s in (cue.onset_s, cue.offset_s))
            points.append(struct.pack("<II4sIII", number, begin, b"data", 0, 0, begin))
            text = struct.pack("<I", number) + cue.text.replace("\0", " ").encode() + b"\0"
            region = struct.pack("<II4sHHHH", number, end - begin, b"rgn ", 0, 0, 0, _UTF8)
            texts += [_pack(b"labl", text), _pack(b"ltxt", region)]
        held = b"".join(points)
        if not held:
            return []
        return [(b"cue ", struct.pack("<I", len(held) // 24) + held), (b"LIST", b"adtl" + b"".join(texts))]


def _pack(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def _open(recording: Path) -> IO[bytes]:
    try:
        return open(recording, "rb")
    except OSError as error:
        raise DecodeError(f"{recording.name} cannot be opened ({error.strerror})") from None


def _read_layout(file: IO[bytes], name: str) -> _Layout:
    kept, points, texts, form, data = [], b"", b"", b"", None
    try:
        for chunk in _iterate(file):
            if chunk.name in (b"cue ", b"LIST") and chunk.length <= _MOST_MARKER_BYTES:
                content = _pread(file)(chunk.length, chunk.start)
                if chunk.name == b"cue ":
                    points += content[4 : 4 + len(content[4:]) // 24 * 24]
                    continue
                if content[:4] == b"adtl":
                    texts += content[4:] + b"\0" * (len(content) % 2)
                    continue
            form = _pread(file)(min(chunk.length, 40), chunk.start) if chunk.name == b"fmt " else form
            data = chunk if chunk.name == b"data" else data
            kept.append(chunk)
    except BrokenChunks as error:
        raise DecodeError(f"{name} is a broken WAV file: {error}") from None
    except OSError as error:
        raise DecodeError(f"{name} cannot be read ({error.strerror})") from None
    if len(form) < 16 or data is None:
        raise DecodeError(f"{name} is a broken WAV file: it has no {'samples' if data is None else 'format'}")
    tag, _, rate, _, frame_bytes, _ = struct.unpack("<HHIIHH", form[:16])
    if tag == _EXTENSIBLE and len(form) >= 26:
        tag = struct.unpack("<H", form[24:26])[0]
    if tag not in (_PCM, _FLOAT):
        raise DecodeError(f"{name} is a compressed WAV file (format {tag}); markers go where samples are plain")
    if not rate or not frame_bytes:
        raise DecodeError(f"{name} is a broken WAV file: it states a rate of {rate} Hz, {frame_bytes} bytes a sample")
    return _Layout(kept, points, texts, rate, data.length // frame_bytes)


def _iterate(file: IO[bytes]) -> Iterator[Chunk]:
    """The chunks that the file's own length holds; what some recorders append is no chunk."""
    size = os.fstat(file.fileno()).st_size
    stated = struct.unpack("<I", _pread(file)(4, 4))[0] + 8
    chunks = iterate_chunks(_pread(file), min(size, stated) if stated >= 44 else size)
    for chunk in chunks:
        if chunk.name == b"data" and chunk.length == _UNKNOWN:
            raise BrokenChunks("its header does not say how many samples it has")
        yield chunk


def _pread(file: IO[bytes]) -> Pread:
    return lambda count, at: os.pread(file.fileno(), count, at)


def _copy_chunk(file: IO[bytes], chunk: Chunk, copy: IO[bytes], name: str) -> None:
    copy.write(chunk.name + struct.pack("<I", chunk.length))
    for at in range(chunk.start, chunk.start + chunk.length, _BLOCK_BYTES):
        wanted = min(_BLOCK_BYTES, chunk.start + chunk.length - at)
        block = _pread(file)(wanted, at)
        if len(block) != wanted:
            raise DecodeError(f"{name} changed while it was read")
        copy.write(block)
    copy.write(b"\0" * (chunk.length % 2))
