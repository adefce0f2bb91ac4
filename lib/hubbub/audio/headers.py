"""The format of a file by its first bytes, and headers whose length is wrong.

libsndfile believes some headers that are wrong, and then leaves out audio. Such a file is shown to it
with those few bytes corrected (`CorrectedFile`); the file itself is never written. Measured with libsndfile 1.2.2:

- WAV whose data chunk says 0 bytes (a recorder that lost power) or whose length wrapped at 4 GiB: it reads 0 frames, or
  the remainder. 0xFFFFFFFF, and lengths beyond the file's end, it sets right by itself; so it does for AIFF, W64, RF64.
- MP3 without an Info frame: it reckons the length from the first frame's bitrate and reads no further, which in
  variable bitrate gave 2.2 s of 10 s.
- MP3 whose Info frame speaks of fewer frames than follow (two files joined): it reads those and no further.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from hubbub.audio.riff import is_chunk_name, read_chunk_header

_LONG = struct.pack(">I", 2**31 - 1)  # frames beyond what any MP3 holds, which make its decoder go on to the end
_RATES_HZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}  # by MPEG version
_FRAME_BYTES = (24, 1441)  # of layer III: 8 kbit/s at 24 kHz, 320 kbit/s at 32 kHz with padding
_HEAD_BYTES = 4096
_MOST_CHUNKS = 1000
_LONGEST_PAGE = 65_307  # bytes of an Ogg page, RFC 3533
_LONGEST_WAV_HEAD = 2**24
_LEAST_UNKNOWN_LENGTH = 0x7FFFF000  # bytes of a data chunk from which a program that wrote to a pipe meant: unknown


@dataclass(frozen=True)
class FileFormat:
    """What a file is by its first bytes.

    Attributes
    ----------
    name
        For people.
    demuxer
        FFmpeg's name of what reads it.
    by_libsndfile
        Whether libsndfile reads the most of its kind.
    """

    name: str
    demuxer: str
    by_libsndfile: bool = False


_KINDS: tuple[tuple[int, bytes, FileFormat], ...] = (
    *(
        (4, brand, FileFormat("MP4, M4A or MOV", "mov"))
        for brand in (b"ftyp", b"moov", b"mdat", b"wide", b"skip", b"pnot")
    ),
    (0, b"\x1aE\xdf\xa3", FileFormat("Matroska or WebM", "matroska")),
    (0, b"0&\xb2u\x8ef\xcf\x11\xa6\xd9\x00\xaa\x00b\xcel", FileFormat("WMA or another ASF file", "asf")),
    (0, b"FLV\x01", FileFormat("Flash video", "flv")),
    (8, b"AVI ", FileFormat("AVI", "avi")),
    (0, b"#!AMR", FileFormat("AMR", "amr")),
    (0, b"wvpk", FileFormat("WavPack", "wv")),
    (0, b"MAC ", FileFormat("Monkey's Audio", "ape")),
    (0, b"TTA1", FileFormat("True Audio", "tta")),
    (0, b"DSD ", FileFormat("DSF", "dsf")),
    (0, b"\x0bw", FileFormat("AC-3", "ac3")),
    (0, b"\x00\x00\x01\xba", FileFormat("MPEG video", "mpeg")),
    (0, b"OggS", FileFormat("Ogg", "ogg", by_libsndfile=True)),
    (0, b"fLaC", FileFormat("FLAC", "flac", by_libsndfile=True)),
    (0, b"caff", FileFormat("CAF", "caf", by_libsndfile=True)),
    (8, b"WAVE", FileFormat("WAV", "wav", by_libsndfile=True)),
    (8, b"AIFF", FileFormat("AIFF", "aiff", by_libsndfile=True)),
    (8, b"AIFC", FileFormat("AIFF", "aiff", by_libsndfile=True)),
)
"""Offset and bytes that tell a kind. No kind is guessed beyond these: FFmpeg has demuxers that follow a text file's
words to other files and addresses."""


def identify_format(head: bytes) -> FileFormat | None:
    """Tell what a file is by its first bytes (at least 400 of a file that has them); None: nothing known."""
    for offset, magic, kind in _KINDS:
        if head[offset : offset + len(magic)] == magic:
            return kind
    if head[:1] == b"\x47" and head[188:189] == b"\x47":
        return FileFormat("MPEG transport stream", "mpegts")
    if len(head) > 2 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0:
        return FileFormat("AAC", "aac")
    if head[:3] == b"ID3" or _is_mpeg_frame(head[:4]):
        return FileFormat("MP3", "mp3", by_libsndfile=True)
    return None


class RangedFile(Protocol):
    """A file elsewhere, of which ranges are read.

    Attributes
    ----------
    size
        Bytes.
    """

    size: int

    def pread(self, count: int, offset: int) -> bytes:
        """Read bytes at an offset, as `os.pread` does; fewer, or none, at the end. Never raises."""


Readable = int | RangedFile
"""A file by its descriptor, or one elsewhere."""


class CorrectedFile:
    """A file with another beginning, which reads, seeks and tells like a Python file; never raises.

    Parameters
    ----------
    fd
        The file; its own position is neither used nor moved.
    head
        What is seen first ...
    skip
        ... in place of this many of the file's own bytes.
    """

    def __init__(self, fd: Readable, head: bytes = b"", skip: int = 0) -> None:
        self._fd, self._head, self._shift = fd, head, skip - len(head)
        self._size, self._position = max(len(head), size_of(fd) - self._shift), 0

    def read(self, count: int = -1) -> bytes:
        """Read up to `count` bytes; fewer, or none, at the end or where the disk fails."""
        buffer = bytearray(max(0, self._size - self._position) if count < 0 else count)
        return bytes(buffer[: self.readinto(buffer)])

    def readinto(self, buffer: bytearray | memoryview) -> int:
        """Fill a buffer, or as much of it as there is; returns bytes read."""
        view = memoryview(buffer)
        front = self._head[self._position : self._position + len(view)]
        view[: len(front)] = front
        self._position += len(front)
        try:
            count = self._read_into(view[len(front) :], self._position + self._shift) if len(view) else 0
        except (OSError, OverflowError):  # within a decoder nobody could catch it: the file ends here for it
            count = 0
        self._position += count
        return len(front) + count

    def _read_into(self, view: memoryview, offset: int) -> int:
        if isinstance(self._fd, int):
            return os.preadv(self._fd, [view], offset)
        found = self._fd.pread(len(view), offset)
        view[: len(found)] = found
        return len(found)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move, as a Python file does; returns the position."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}.get(whence, 0)
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        """Position in bytes."""
        return self._position


def size_of(fd: Readable) -> int:
    """Return the bytes of a file."""
    return os.fstat(fd).st_size if isinstance(fd, int) else fd.size


def read_at(fd: Readable, count: int, offset: int) -> bytes:
    """Read bytes at an offset; fewer, or none, at the end."""
    return os.pread(fd, count, offset) if isinstance(fd, int) else fd.pread(count, offset)


def read_head(fd: Readable) -> bytes:
    """Return the first 4 KiB."""
    return read_at(fd, _HEAD_BYTES, 0)


def correct_length(fd: Readable, size: int) -> CorrectedFile | None:
    """Return the file as its decoder must see it, where its header is known to lie; None: as it is."""
    head = read_at(fd, 12, 0)
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return _correct_wav(fd, size)
    if head[:3] == b"ID3" or _is_mpeg_frame(head[:4]):
        return _correct_mp3(fd, size)
    return None


def lost_share(fd: Readable, size: int) -> float:
    """Return which share of a WAV's samples its header promises beyond the file's end, 0…1; 0 for other formats.

    An interrupted copy or download leaves such a file, and libsndfile reads the rest without a word. Lengths that
    recorders and pipes write where they know none (0, and from 0x7FFFF000 on) promise nothing.
    """
    head = read_at(fd, 12, 0)
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        return 0.0
    at, pread = 12, partial(read_at, fd)
    for _ in range(_MOST_CHUNKS):
        name, length = read_chunk_header(pread, at)
        if name == b"data":
            is_stated = 0 < length < _LEAST_UNKNOWN_LENGTH
            return max(0.0, 1 - (size - at - 8) / length) if is_stated else 0.0
        at += 8 + length + length % 2
        if not name or at >= size:
            break
    return 0.0


def is_chained(fd: Readable, size: int) -> bool:
    """Whether an Ogg file holds streams one behind the other, as recorded radio does: libsndfile reads only the first.

    Told by the last page's serial number, which is not the first page's.
    """
    first = read_at(fd, 18, 0)
    if first[:4] != b"OggS":
        return False
    for length in (2 * _HEAD_BYTES, _LONGEST_PAGE):  # most pages are of 4 KiB
        tail = read_at(fd, length, max(0, size - length))
        last = tail.rfind(b"OggS", 0, -14)
        if last >= 0:
            return tail[last + 14 : last + 18] != first[14:18]
    return False


def _correct_wav(fd: Readable, size: int) -> CorrectedFile | None:
    at, pread = 12, partial(read_at, fd)
    for _ in range(_MOST_CHUNKS):
        name, length = read_chunk_header(pread, at)
        if name == b"data":
            lies = (length == 0 or size > 2**32) and not _chunks_follow(fd, at + 8 + length, size)
            if not lies or at > _LONGEST_WAV_HEAD:
                return None
            return CorrectedFile(fd, _rf64_head(read_at(fd, at - 12, 12), size - at - 8), at + 8)
        at += 8 + length + length % 2
        if not name or at >= size:
            return None
    return None


def _rf64_head(chunks: bytes, data_bytes: int) -> bytes:
    """Return what stands before the samples in RF64, the WAV whose lengths have 64 bits (EBU Tech 3306)."""
    ds64 = b"ds64" + struct.pack("<IQQQI", 28, 64 + len(chunks) + data_bytes, data_bytes, 0, 0)
    return b"RF64\xff\xff\xff\xffWAVE" + ds64 + chunks + b"data\xff\xff\xff\xff"


def _chunks_follow(fd: Readable, at: int, size: int) -> bool:
    """Whether what is left of a file is RIFF chunks, or nothing."""
    pread = partial(read_at, fd)
    for _ in range(_MOST_CHUNKS):
        if at >= size:
            return True
        name, length = read_chunk_header(pread, at)
        if not is_chunk_name(name) or at + 8 + length > size:
            return False
        at += 8 + length + length % 2
    return False


def _correct_mp3(fd: Readable, size: int) -> CorrectedFile | None:
    start = _end_of_id3(fd)
    frame = read_at(fd, 64, start)
    if not _is_mpeg_frame(frame[:4]) or _layer(frame) != 3:
        return CorrectedFile(fd)
    place, there = _info_offset(frame), _end_of_mp3(fd, size) - start
    if frame[place : place + 4] not in (b"Xing", b"Info"):
        return CorrectedFile(fd, _info_frame(frame, there), start)
    flags, frames, stated = struct.unpack(">3I", frame[place + 4 : place + 16].ljust(12, b"\0"))
    if flags & 3 != 3:  # without frames or bytes; if there are frames, they are in their place
        return CorrectedFile(fd, frame[: place + 8] + _LONG, start + place + 12) if flags & 1 else CorrectedFile(fd)
    fits = stated == there or (stated < there and not _same_stream(frame, read_at(fd, 4, start + stated)))
    if fits and _FRAME_BYTES[0] * frames <= there <= _FRAME_BYTES[1] * frames:
        return None
    return CorrectedFile(fd, frame[: place + 8] + _LONG + struct.pack(">I", min(there, 2**32 - 1)), start + place + 16)


def _info_frame(frame: bytes, there: int) -> bytes:
    """Make an Info frame for a stream without one: it says that the stream is long, and is itself no audio.

    Its header is the first frame's, but at the highest bitrate, without padding and checksum.
    """
    version_1 = frame[1] & 0x08
    header = bytes([frame[0], frame[1] | 0x01, 0xE0 | frame[2] & 0x0C, frame[3]])
    bitrate, rate = (320_000 if version_1 else 160_000), _RATES_HZ[frame[1] >> 3 & 3][frame[2] >> 2 & 3]
    length = (144 if version_1 else 72) * bitrate // rate
    body = header.ljust(_info_offset(header), b"\0") + b"Info" + struct.pack(">I", 3) + _LONG
    return (body + struct.pack(">I", min(there + length, 2**32 - 1))).ljust(length, b"\0")


def _end_of_id3(fd: Readable) -> int:
    """Where ID3v2 tags, of which there may be several, end."""
    at = 0
    for _ in range(_MOST_CHUNKS):
        tag = read_at(fd, 10, at)
        if tag[:3] != b"ID3" or len(tag) < 10:
            break
        length = sum((byte & 0x7F) << shift for byte, shift in zip(tag[6:10], (21, 14, 7, 0), strict=True))
        at += 10 + length + (10 if tag[5] & 0x10 else 0)
    return at


def _end_of_mp3(fd: Readable, size: int) -> int:
    """Where an ID3v1 tag begins, or the file ends."""
    return size - 128 if read_at(fd, 3, max(0, size - 128)) == b"TAG" else size


def _info_offset(frame: bytes) -> int:
    """Offset of the Info frame's mark, which stands behind the side information: MPEG 1 or 2, stereo or mono."""
    mpeg_1, mono = frame[1] & 0x08, frame[3] & 0xC0 == 0xC0
    return (21 if mono else 36) if mpeg_1 else (13 if mono else 21)


def _is_mpeg_frame(header: bytes) -> bool:
    """Whether four bytes are the header of an MPEG audio frame, of any layer."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return False
    return header[1] >> 3 & 3 != 1 and _layer(header) != 4 and header[2] >> 4 != 15 and header[2] >> 2 & 3 != 3


def _layer(header: bytes) -> int:
    return 4 - (header[1] >> 1 & 3)


def _same_stream(frame: bytes, other: bytes) -> bool:
    """Whether another frame's header is of the same version, layer and rate."""
    return _is_mpeg_frame(other) and frame[1] & 0xFE == other[1] & 0xFE and frame[2] & 0x0C == other[2] & 0x0C
