"""Headers of recordings in buckets, read by ranges: a header tells what a recording is, so the rest stays where it is.

A recording that ranges cannot tell is fetched whole: an MP3 whose frames must be counted, or what PyAV reads.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hubbub.audio.decode import AudioInfo, read_audio_info, read_ranged_info
from hubbub.audio.recorders import HeaderNotes, read_header_notes
from hubbub.audio.remote import explain_bucket_errors, read_range, temporary_copy
from hubbub.errors import AudioError

if TYPE_CHECKING:
    from upath import UPath

HEAD_BYTES = 256 * 2**10
"""Asked for at first; a recording that is no larger is then there as a whole."""

_BLOCK_BYTES = 64 * 2**10
_MOST_BLOCKS = 32  # 2 MiB; what needs more is fetched whole, in larger pieces


@dataclass(frozen=True)
class RemoteHeader:
    """What the header of a recording in a bucket tells.

    Attributes
    ----------
    version
        Its ETag, in the quotes that belong to it.
    size_bytes
        How large it is.
    info
        Rate, channels, duration; or why they cannot be told.
    notes
        What its recorder wrote.
    """

    version: str
    size_bytes: int
    info: AudioInfo | AudioError
    notes: HeaderNotes


def read_remote_header(source: UPath) -> RemoteHeader:
    """Read a recording's header by as few requests as it takes.

    Raises
    ------
    DecodeError
        There is no such key.
    FileChanged
        The recording changed while it was read.
    BucketError
        The bucket is not there, cannot be reached or lets nobody in.
    """
    with explain_bucket_errors(source):
        version, size_bytes, head = read_range(source, 0, None, HEAD_BYTES)
    if len(head) == size_bytes:
        return _read_whole(source.name, head, version)
    ranges = _Ranges(source, version, size_bytes, head)
    info = read_ranged_info(ranges, source.name)
    notes = read_header_notes(lambda count, offset: ranges.pread(count, offset), size_bytes)
    with explain_bucket_errors(source):
        ranges.raise_error()
    if info is not None and not ranges.is_exhausted:
        return RemoteHeader(version, size_bytes, info, notes)
    with temporary_copy(source) as copy:
        return RemoteHeader(copy.version, copy.size_bytes, _read_info(copy.path), read_header_notes(copy.path))


def _read_whole(name: str, content: bytes, version: str) -> RemoteHeader:
    with tempfile.TemporaryDirectory(prefix="hubbub-") as folder:
        path = Path(folder) / (name.encode()[-100:].decode(errors="ignore").replace("\0", "_") or "_")
        path.write_bytes(content)
        info = _read_info(path)
        return RemoteHeader(version, len(content), info, read_header_notes(path))


def _read_info(path: Path) -> AudioInfo | AudioError:
    try:
        return read_audio_info(path)
    except AudioError as error:
        return error


class _Ranges:
    """A recording in a bucket as a file of which ranges are read, each once; its methods never raise.

    Attributes
    ----------
    size
        Bytes.
    is_exhausted
        Whether more was asked for than ranges are good for; what was read is then not to be trusted.
    """

    def __init__(self, source: UPath, version: str, size: int, head: bytes) -> None:
        self.size, self.is_exhausted = size, False
        self._source, self._version = source, version
        self._blocks = {at: head[at * _BLOCK_BYTES :][:_BLOCK_BYTES] for at in range(len(head) // _BLOCK_BYTES)}
        self._error: Exception | None = None

    def pread(self, count: int, offset: int) -> bytes:
        """Read bytes at an offset; fewer, or none, at the end, after an error or when too many were asked for."""
        end = min(self.size, offset + count)
        if not 0 <= offset < end:
            return b""
        first, last = offset // _BLOCK_BYTES, (end - 1) // _BLOCK_BYTES
        if last - first >= _MOST_BLOCKS:
            self.is_exhausted = True
            return b""
        found = b"".join(self._block(at) for at in range(first, last + 1))
        begin = offset - first * _BLOCK_BYTES
        return found[begin : begin + end - offset]

    def raise_error(self) -> None:
        """Raise what kept a range from being read, if anything did."""
        if self._error is not None:
            raise self._error

    def _block(self, at: int) -> bytes:
        if at not in self._blocks:
            if self._error is not None or len(self._blocks) >= _MOST_BLOCKS:
                self.is_exhausted = True
                return b""
            try:
                self._blocks[at] = read_range(self._source, at * _BLOCK_BYTES, self._version, _BLOCK_BYTES)[2]
            except Exception as error:  # within a decoder nobody could catch it
                self._error = error
                return b""
        return self._blocks[at]
