"""What was really fetched: a recording, whole as far as its header tells, or something else under its name."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from html import unescape
from pathlib import Path

from hubbub.audio.headers import identify_format, lost_share
from hubbub.downloads.failures import FetchFailure, shorten

_HEAD_BYTES = 8192
_TITLE = re.compile(rb"<title[^>]*>([^<]{0,300})", re.IGNORECASE)
_MARKUP = re.compile(rb"\s*(\xef\xbb\xbf)?\s*<(!doctype|html|head|body|\?xml|!--|script|div|p\b)", re.IGNORECASE)
_KINDS: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"%PDF", "a PDF"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x89PNG", "a PNG image"),
    (b"GIF8", "a GIF image"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"#EXTM3U", "a playlist"),
    (b"[playlist]", "a playlist"),
)
_ENDINGS = {"mov": "m4a", "matroska": "mka", "asf": "wma", "mpegts": "ts"}
"""FFmpeg's names of formats -> endings of files, where they differ."""

_MOST_LOST = 0.01
"""Share of a recording that may be missing by its header before it counts as broken off."""


@dataclass(frozen=True)
class Content:
    """What a fetched file is.

    Attributes
    ----------
    name
        The format, for people.
    suffix
        The usual ending, such as ``.mp3``.
    """

    name: str
    suffix: str


def inspect_content(path: Path) -> Content:
    """Tell what a fetched file is by its first bytes.

    Raises
    ------
    FetchFailure
        When it is no recording, such as an error page, or its header tells of more than there is.
    """
    with open(path, "rb") as file:
        head, size = file.read(_HEAD_BYTES), os.fstat(file.fileno()).st_size
        if not head:
            raise FetchFailure("the file is empty")
        kind = identify_format(head)
        if kind is None or _MARKUP.match(head):
            raise FetchFailure(f"is {describe_other(head)}, no recording")
        if kind.by_libsndfile and (lost := lost_share(file.fileno(), size)) > _MOST_LOST:
            raise FetchFailure(
                f"breaks off: {lost:.0%} of the {kind.name} are missing by its header, and the server has no more"
            )
    return Content(kind.name, f".{_ENDINGS.get(kind.demuxer, kind.demuxer)}")


def describe_other(head: bytes) -> str:
    """Say what bytes are that are no recording; the title of a page is repeated."""
    if _MARKUP.match(head):
        title = _TITLE.search(head)
        words = shorten(unescape(title[1].decode("utf-8", errors="replace")), 80) if title else ""
        return "an HTML or XML page" + (f" titled {words!r}" if words.strip() else "")
    for magic, what in _KINDS:
        if head.startswith(magic):
            return what
    if head.lstrip()[:1] in (b"{", b"["):
        return "JSON"
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError:
        return "of no kind that hubbub knows"
    return f"a text that begins with {shorten(text, 40)!r}" if text.strip().isprintable() else "no audio"
