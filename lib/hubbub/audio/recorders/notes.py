"""The notes in a recording's header: which chunks and tags are read, within bounds, and what each states.

The chunks of WAV, RF64, BW64 and W64 and the tags of FLAC, Ogg and MP3 are read; of other formats there are no notes.
A recording with broken notes may still decode, so that nothing here raises: what is broken is told in
`HeaderNotes.problems`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

from hubbub.audio.recorders import chunk_bext, chunk_guano, chunk_info, chunk_ixml, chunk_wamd
from hubbub.audio.recorders.statement import Statement, clean_text
from hubbub.audio.recorders.tags import read_tags, state_tags
from hubbub.audio.recorders.tags_vorbis import list_foreign_chunks
from hubbub.audio.riff import BrokenChunks, Chunk, Pread, iterate_chunks

LONGEST_CHUNK = 2**16
"""Bytes of a chunk that are read; what follows is left out. Notes have a few hundred, bar voice memos in ``wamd``."""

_READERS: dict[bytes, Callable[[bytes], Statement | None]] = {
    b"guan": chunk_guano.read_chunk,
    b"wamd": chunk_wamd.read_chunk,
    b"LIST": chunk_info.read_chunk,
    b"bext": chunk_bext.read_chunk,
    b"iXML": chunk_ixml.read_chunk,
}
_MOST_READ = 8  # chunks with notes in one file
_BLOCK_BYTES = 4096  # fetched at once: a header, or what follows the samples, is mostly shorter


@dataclass(frozen=True)
class HeaderNotes:
    """What the header of a recording holds.

    Attributes
    ----------
    statements
        Those of the tags, then one a chunk that says something, in the order of the file.
    problems
        A sentence for each thing that is broken; the recording may still decode.
    """

    statements: tuple[Statement, ...] = ()
    problems: tuple[str, ...] = ()


def read_header_notes(source: str | Path | int | Pread, size: int | None = None) -> HeaderNotes:
    """Read the notes in a recording's header; chunks behind the samples are found without reading the samples.

    Parameters
    ----------
    source
        A local path, an open file's descriptor (its position is neither used nor moved), or a function that returns up
        to `count` bytes at an `offset`, as `os.pread` does: a range of a key in a bucket.
    size
        Bytes of the recording; needed with a function, and else asked of the file.

    Returns
    -------
    HeaderNotes
        Empty for a recording without notes. Errors of the disk or the network are among its `problems`.

    Raises
    ------
    ValueError
        For a function without `size`.
    """
    if callable(source) and size is None:
        raise ValueError("size is missing; give the bytes of the recording with a function that reads it")
    statements: list[Statement] = []
    problems: list[str] = []
    try:
        with _opened(source, size) as (pread, length):
            tags, broken = read_tags(pread)
            statements += state_tags(tags)
            problems += [f"the header is broken: {broken}"] if broken else []
            for chunk in _note_chunks(pread, length, problems):
                statement = _READERS[chunk.name](pread(min(chunk.length, LONGEST_CHUNK), chunk.start))
                statements += [statement] if statement is not None else []
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte, which no file has
        problems.append(
            f"the header's notes cannot be read ({clean_text(getattr(error, 'strerror', None) or str(error))})"
        )
    return HeaderNotes(tuple(statements), tuple(problems))


def _note_chunks(pread: Pread, size: int, problems: list[str]) -> Iterator[Chunk]:
    """Give the chunks that have a reader; tell where the chunks of the file break off."""
    read = 0
    try:
        for chunk in chain(list_foreign_chunks(pread), iterate_chunks(pread, size)):
            if chunk.name in _READERS and read < _MOST_READ:
                read += 1
                yield chunk
    except BrokenChunks as error:
        problems.append(f"the header is broken: {error}")


@contextmanager
def _opened(source: str | Path | int | Pread, size: int | None) -> Iterator[tuple[Pread, int]]:
    if callable(source):
        yield _Blocks(source).pread, size or 0
    elif isinstance(source, int):
        yield _Blocks(partial(os.pread, source)).pread, os.fstat(source).st_size if size is None else size
    else:
        fd = os.open(source, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        try:
            yield _Blocks(partial(os.pread, fd)).pread, os.fstat(fd).st_size if size is None else size
        finally:
            os.close(fd)


class _Blocks:
    """Reads a block at a time, so that neighbouring chunks cost one read."""

    def __init__(self, pread: Pread) -> None:
        self._pread, self._block, self._start = pread, b"", 0

    def pread(self, count: int, offset: int) -> bytes:
        """Return up to `count` bytes at an offset."""
        at = offset - self._start
        if not 0 <= at <= at + count <= len(self._block):
            self._block, self._start, at = self._pread(max(count, _BLOCK_BYTES), offset), offset, 0
        return self._block[at : at + count]
