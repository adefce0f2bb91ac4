"""Vorbis comments, the tags of FLAC and of Ogg (Vorbis, Opus, Speex, FLAC): ``NAME=text`` in UTF-8.

Also the chunks of a WAV that ``flac --keep-foreign-metadata`` carried over into ``APPLICATION`` blocks.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from hubbub.audio.recorders.statement import decode_text
from hubbub.audio.riff import Chunk, Pread, read_chunk_header

LONGEST_COMMENTS = 2**16
"""Bytes of comments that are read; what follows, pictures mostly, is left out."""

_APPLICATION, _COMMENTS = 2, 4  # kinds of FLAC's blocks
_MOST_BLOCKS = 64
_MOST_TAGS = 200
_LONGEST_TAG = 2000
_MOST_PAGES = 64
_PACKET_MARKS = (b"\x03vorbis", b"OpusTags", b"Speex")
_OGG_FLAC = b"\x7fFLAC"


def read_flac_tags(pread: Pread, start: int) -> tuple[dict[str, str], str | None]:
    """Read the tags of a FLAC file whose mark stands at `start`; and a sentence where they are broken."""
    for kind, at, length in _list_blocks(pread, start):
        if kind == _COMMENTS:
            return parse_comments(pread(min(length, LONGEST_COMMENTS), at), is_whole=length <= LONGEST_COMMENTS)
    return {}, None


def list_foreign_chunks(pread: Pread) -> Iterator[Chunk]:
    """Give the chunks of a WAV that a FLAC file keeps."""
    if pread(4, 0) != b"fLaC":
        return
    for kind, at, length in _list_blocks(pread, 0):
        if kind == _APPLICATION and length > 12 and pread(4, at) == b"riff":
            name, stated = read_chunk_header(pread, at + 4)
            yield Chunk(name, at + 12, min(stated, length - 12))


def read_ogg_tags(pread: Pread) -> tuple[dict[str, str], str | None]:
    """Read the tags of an Ogg file, its second packet; and a sentence where they are broken."""
    packets = _read_packets(pread)
    packet = packets[1] if len(packets) > 1 else b""
    if packets[0].startswith(_OGG_FLAC):
        packet = packet[4:]
    mark = next((mark for mark in _PACKET_MARKS[:2] if packet.startswith(mark)), b"")
    if not mark and not packets[0].startswith((_OGG_FLAC, _PACKET_MARKS[2])):
        return {}, None
    return parse_comments(packet[len(mark) :], is_whole=len(packets) > 2)


def parse_comments(body: bytes, *, is_whole: bool) -> tuple[dict[str, str], str | None]:
    """Parse a comment block; of a name that stands twice the first text. Names come in small letters.

    Parameters
    ----------
    body
        From the length of the vendor's name on.
    is_whole
        Whether nothing of it was left out: then it is broken where it ends too early.
    """
    tags: dict[str, str] = {}
    try:
        at = 4 + struct.unpack_from("<I", body)[0]
        (count,) = struct.unpack_from("<I", body, at)
        at += 4
        for _ in range(min(count, _MOST_TAGS)):
            (length,) = struct.unpack_from("<I", body, at)
            if at + 4 + length > len(body):
                raise struct.error("the text of a tag is cut off")
            name, _, text = decode_text(body[at + 4 : at + 4 + min(length, _LONGEST_TAG)]).partition("=")
            tags.setdefault(name.strip().lower(), text.strip(" \t\r\n\0"))
            at += 4 + length
    except struct.error:
        return tags, "the tags break off" if is_whole else None
    return tags, None


def _list_blocks(pread: Pread, start: int) -> Iterator[tuple[int, int, int]]:
    """Give kind, offset and length of the blocks before the samples."""
    at = start + 4
    for _ in range(_MOST_BLOCKS):
        header = pread(4, at)
        if len(header) < 4:
            return
        length = int.from_bytes(header[1:], "big")
        yield header[0] & 0x7F, at + 4, length
        if header[0] & 0x80:
            return
        at += 4 + length


def _read_packets(pread: Pread) -> list[bytes]:
    """The first packets of an Ogg file's first stream; a third one, cut or empty, where the second is whole."""
    packets, at, stream = [b""], 0, b""
    for _ in range(_MOST_PAGES):
        header = pread(27, at)
        if len(header) < 27 or header[:4] != b"OggS":
            break
        lengths = pread(header[26], at + 27)
        stream = stream or header[14:18]
        body_at = at + 27 + len(lengths)
        at = body_at + sum(lengths)
        if header[14:18] != stream:
            continue
        body, used = pread(sum(lengths), body_at), 0
        for length in lengths:
            packets[-1] += body[used : used + length]
            used += length
            if length < 255:
                packets.append(b"")
        if len(packets) > 2 or len(packets[-1]) > LONGEST_COMMENTS:
            break
    return packets
