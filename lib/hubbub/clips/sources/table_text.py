"""Text of a table: the encoding of its bytes and the separator of its columns, found out."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator
from itertools import islice

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
HEAD_SIZE = 2**16  # bytes, and letters, by which a table's shape is found out

_MARKS = (  # that of UTF-32 begins as that of UTF-16 does, so it is looked for first
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WIDE = ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")
_GUESSED = {"cp1252": "Windows-1252", "latin-1": "Latin-1"}
_RECORDING = "it is a recording; give the folder that it lies in, or a table"
_NO_TEXT = {
    b"PK\x03\x04": "it is a workbook of Excel or a zip archive; save the table as CSV",
    b"\xd0\xcf\x11\xe0": "it is a workbook of Excel; save the table as CSV",
    b"\x1f\x8b": "it is compressed; unpack it with gunzip",
    b"PAR1": "it is Parquet; give it a name that ends in .parquet",
    **dict.fromkeys((b"RIFF", b"fLaC", b"OggS", b"ID3"), _RECORDING),
}
_SAMPLED_ROWS = 5
_HINT = re.compile(r"\s*\"?sep=.\"?\r?\n", re.IGNORECASE)  # what Excel is told by, in front of the header


def decode(content: bytes, *, is_head: bool = False) -> tuple[str, list[str]]:
    """Decode a file.

    Parameters
    ----------
    content
        Its bytes.
    is_head
        Whether they are its first bytes only: the last letter may then be cut.

    Returns
    -------
    text, notes
        `notes`: a sentence where the encoding is a guess.

    Raises
    ------
    ValueError
        For bytes that are no text: says what they may be, and what to do.
    """
    mark = next((encoding for start, encoding in _MARKS if content.startswith(start)), None)
    if mark is not None:
        if (text := _try_encoding(content, mark, is_head)) is None or "\0" in text:
            raise ValueError(f"it begins as {mark.upper()} and does not go on so; save it as UTF-8")
        return text, []
    for start, reason in _NO_TEXT.items():
        if content.startswith(start):
            raise ValueError(reason)
    if b"\0" in content:
        return _decode_wide(content, is_head)
    for encoding in ("utf-8", *_GUESSED):
        if (text := _try_encoding(content, encoding, is_head)) is not None:
            break
    if encoding == "utf-8":
        return text or "", []
    note = f"it is not UTF-8, and was read as {_GUESSED[encoding]}; if letters come out wrong, save it as UTF-8"
    return text or "", [note]


def _decode_wide(content: bytes, is_head: bool) -> tuple[str, list[str]]:
    """Text of two or four bytes a letter without a mark; a wrong guess has no line ends."""
    for encoding in _WIDE:
        text = _try_encoding(content, encoding, is_head)
        if text is not None and "\0" not in text and ("\n" in text or "\r" in text):
            return text, [f"does not say its encoding and was read as {encoding.upper()}"]
    raise ValueError("it holds null bytes, which no text does; expected a table as text, saved as UTF-8")


def _try_encoding(content: bytes, encoding: str, is_head: bool) -> str | None:
    try:
        return codecs.getincrementaldecoder(encoding)().decode(content, final=not is_head)
    except UnicodeDecodeError:
        return None


def find_separator(text: str) -> str:
    """Find what parts the columns.

    Of the separators that give the first rows more than one column, as many in each, the one that gives the most; where
    none does, the one that parts the header into the most. A comma wins ties.
    """
    counts = {separator: [len(row) for row in _sample_rows(text, separator)] for separator in SEPARATORS}
    steady = {name: rows[0] for name, rows in counts.items() if len(set(rows)) == 1 and rows[0] > 1}
    columns = steady or {name: rows[0] for name, rows in counts.items() if rows}
    return max(SEPARATORS, key=lambda separator: (columns.get(separator, 0), separator == ","))


def drop_hint(text: str) -> str:
    """The text without the line ``sep=;``, by which Excel is told the separator."""
    found = _HINT.match(text)
    return text if found is None else text[found.end() :]


def split_header(text: str) -> list[str]:
    """Names of the columns, as they stand in the first row; none where there is no row."""
    text = drop_hint(text)
    return next(_read_rows(text, find_separator(text)), [])


def _sample_rows(text: str, separator: str) -> list[list[str]]:
    try:
        rows = list(islice(_read_rows(text, separator), _SAMPLED_ROWS + 1))
    except csv.Error:
        return []
    return rows[:-1] if len(rows) > _SAMPLED_ROWS or (len(rows) > 1 and len(text) > HEAD_SIZE) else rows


def _read_rows(text: str, separator: str) -> Iterator[list[str]]:
    """The rows of a text's first letters that are not blank; the last one may be cut."""
    rows = csv.reader(io.StringIO(text[:HEAD_SIZE], newline=""), delimiter=separator)
    return (row for row in rows if len(row) > 1 or any(cell.strip() for cell in row))
