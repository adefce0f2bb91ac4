"""The chunks of RIFF files: WAV, RF64 and BW64 with 64-bit lengths (EBU Tech 3306, ITU-R BS.2088), and Sony's W64.

Only chunk headers are read; what a chunk holds is skipped, so that a recording's samples cost nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

Pread = Callable[[int, int], bytes]
"""Reads up to `count` bytes at an `offset`, as `os.pread` does; fewer past the end."""

MOST_CHUNKS = 64
"""Looked at in one file, so that a hostile one cannot ask a bucket for thousands of ranges."""

_UNKNOWN = 2**32 - 1  # a length that was not known when the header was written, or that ds64 holds
_W64_RIFF = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
_W64_TAIL = b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"  # of every other chunk's GUID


@dataclass(frozen=True)
class Chunk:
    """One chunk of a RIFF file.

    Attributes
    ----------
    name
        Its four letters, such as ``data``.
    start
        Offset of its content in bytes.
    length
        Bytes of content that its header states.
    """

    name: bytes
    start: int
    length: int


class BrokenChunks(ValueError):
    """The chunks of a file do not go on as their headers say; those before are good."""


def read_chunk_header(pread: Pread, at: int) -> tuple[bytes, int]:
    """Name and length of the RIFF chunk at an offset; no name past the end."""
    header = pread(8, at)
    return (header[:4], struct.unpack("<I", header[4:])[0]) if len(header) == 8 else (b"", 0)


def is_chunk_name(name: bytes) -> bool:
    """Whether four bytes may name a chunk: printable ASCII."""
    return len(name) == 4 and name.isascii() and name.decode("ascii").isprintable()


def iterate_chunks(pread: Pread, size: int) -> Iterator[Chunk]:
    """Give the chunks of a WAV, RF64, BW64 or W64 file in their order; none for a file of another kind.

    Parameters
    ----------
    pread
        Reads the file.
    size
        Its bytes.

    Raises
    ------
    BrokenChunks
        Where a chunk is no chunk, reaches beyond the file, or there are more than `MOST_CHUNKS`.
    """
    head = pread(40, 0)
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        yield from _bounded(_riff_chunks(pread, size), size)
    elif head[:16] == _W64_RIFF and head[24:40] == b"wave" + _W64_TAIL:
        yield from _bounded(_w64_chunks(pread, size), size)


def _bounded(chunks: Iterator[Chunk], size: int) -> Iterator[Chunk]:
    for number, chunk in enumerate(chunks):
        if number == MOST_CHUNKS:
            raise BrokenChunks(f"there are more than {MOST_CHUNKS} chunks; those after byte {chunk.start} are not read")
        yield chunk
        if chunk.start + chunk.length > size:
            if chunk.name == b"data" and chunk.length == _UNKNOWN:
                return
            name = chunk.name.decode("ascii")
            raise BrokenChunks(f"chunk '{name}' says {chunk.length} bytes, which is beyond the end of the file")


def _riff_chunks(pread: Pread, size: int) -> Iterator[Chunk]:
    at, data_length = 12, _UNKNOWN
    while at + 8 <= size:
        name, length = read_chunk_header(pread, at)
        if not is_chunk_name(name):
            raise BrokenChunks(f"what stands at byte {at} is no chunk")
        if name == b"ds64":
            lengths = pread(16, at + 8)
            data_length = struct.unpack("<Q", lengths[8:])[0] if len(lengths) == 16 else _UNKNOWN
        if name == b"data" and length == _UNKNOWN:
            length = data_length
        yield Chunk(name, at + 8, length)
        at += 8 + length + length % 2


def _w64_chunks(pread: Pread, size: int) -> Iterator[Chunk]:
    at = 40
    while at + 24 <= size:
        header = pread(24, at)
        length = struct.unpack("<Q", header[16:])[0] if len(header) == 24 else 0  # with its own 24 bytes
        if length < 24 or not is_chunk_name(header[:4]) or header[4:16] != _W64_TAIL:
            raise BrokenChunks(f"what stands at byte {at} is no chunk")
        yield Chunk(header[:4], at + 24, length - 24)
        at += length + -length % 8
