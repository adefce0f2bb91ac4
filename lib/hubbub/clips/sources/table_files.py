"""Tables as files: CSV with any separator and encoding, Parquet, JSON lines and JSON arrays, as a pandas frame."""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from hubbub.clips.sources.template import Columns
from hubbub.errors import ClipTableError
from hubbub.io.atomic import explain_read_errors, read_bytes
from hubbub.io.paths import StoragePath, is_local

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_SAMPLE_LINES = 5
_HEAD_BYTES = 2**16


def read_frame(source: StoragePath, columns: Columns | None = None) -> pd.DataFrame:
    """Read a table; see `read_table_file`, whose notes it leaves out."""
    return read_table_file(source, columns)[0]


def read_table_file(source: StoragePath, columns: Columns | None = None) -> tuple[pd.DataFrame, list[str]]:
    """Read a table as text and numbers.

    A column of a CSV is numbers where every cell that is not empty reads as one and would be written the same: ``007``
    is no 7, and ``NA`` no gap.

    Parameters
    ----------
    source
        ``.parquet``, ``.jsonl``, ``.ndjson``, ``.json``; anything else is read as a CSV, whose encoding and separator
        are found out.
    columns
        Names, labels, splits and groups stay text, whatever they look like.

    Returns
    -------
    frame, notes
        `notes`: what was found out that a person may want to correct.

    Raises
    ------
    ClipTableError
        When it cannot be read or has no rows.
    UsageError
        When its bucket cannot be reached, or does not let us in.
    """
    read, kind = _READERS.get(PurePosixPath(source.name).suffix.lower(), (_read_csv, "CSV"))
    try:
        frame, notes = read(_read_content(source), columns.text if columns is not None else set())
    except (OSError, ValueError, pa.ArrowException, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ClipTableError(f"{source} cannot be read as {kind}: {error}") from None
    if frame.empty:
        raise ClipTableError(f"{source} has a header and no rows; expected one row a clip")
    return frame, [f"{source.name}: {note}" for note in notes]


def read_header(source: StoragePath) -> list[str]:
    """Names of a CSV's columns; none where it is no text. Reads its first bytes only."""
    try:
        text = decode_head(read_head(source))
        return next(csv.reader([_first_lines(text)[0]], delimiter=_find_separator(text)), [])
    except (OSError, ValueError, IndexError, csv.Error):
        return []


def read_head(source: StoragePath) -> bytes:
    """The first 64 KiB of a file; errors of the disk or the bucket."""
    if is_local(source):
        with open(source, "rb") as file:
            return file.read(_HEAD_BYTES)
    return bytes(source.fs.cat_file(source.path, start=0, end=_HEAD_BYTES))


def decode_head(head: bytes) -> str:
    """Text of a file's first bytes, the last character of which may be cut."""
    mark = next((encoding for start, encoding in _BYTE_ORDER_MARKS if head.startswith(start)), None)
    return head.decode(mark, errors="ignore") if mark else _decode(head[: head.rfind(b"\n") + 1] or head)[0]


def _read_content(source: StoragePath) -> bytes:
    if is_local(source):
        return source.read_bytes()
    with explain_read_errors(source):
        return read_bytes(source)


def _read_csv(content: bytes, text_columns: set[str | None]) -> tuple[pd.DataFrame, list[str]]:
    text, notes = _decode(content)
    separator = _find_separator(text)
    if separator != ",":
        notes.append(f"its columns are parted by {_SEPARATORS[separator]}")
    frame = pd.read_csv(io.StringIO(text), sep=separator, dtype=str, keep_default_na=False, na_values=[""])
    frame.columns = [str(name).strip() for name in frame.columns]
    return frame.apply(lambda column: column if column.name in text_columns else _as_numbers(column)), notes


def _decode(content: bytes) -> tuple[str, list[str]]:
    """The text of a file, and a note where its encoding is a guess."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return content.decode(encoding), []
    try:
        return content.decode("utf-8"), []
    except UnicodeDecodeError:
        pass
    try:
        text = content.decode("cp1252")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return text, ["is no UTF-8 and was read as Windows-1252; save it as UTF-8 where letters come out wrong"]


def _find_separator(text: str) -> str:
    """The separator that parts the first lines into the most columns, as many in each; a comma where none does."""
    lines = _first_lines(text)

    def count_columns(separator: str) -> int:
        try:
            counts = {len(row) for row in csv.reader(lines, delimiter=separator)}
        except csv.Error:
            return 0
        return counts.pop() if len(counts) == 1 else 0

    return max(_SEPARATORS, key=lambda separator: (count_columns(separator), separator == ","))


def _first_lines(text: str) -> list[str]:
    return io.StringIO(text[: 2**16]).read().splitlines()[:_SAMPLE_LINES]


def _as_numbers(column: pd.Series) -> pd.Series:
    """A column of text as whole or other numbers where nothing is lost by it."""
    there = column.dropna()
    for dtype in ("Int64", "Float64"):
        try:
            numbers = there.astype(float).astype(dtype)
        except (ValueError, TypeError):
            continue
        if len(there) and (dtype == "Float64" or (numbers.astype(str) == there).all()):
            lost = there.str.fullmatch(r"[+-]?0\d+.*") | ~np.isfinite(there.astype(float))
            return column if lost.any() else column.astype(float).astype(dtype)
    return column


def _read_parquet(content: bytes, text_columns: set[str | None]) -> tuple[pd.DataFrame, list[str]]:
    table = pq.read_table(pa.BufferReader(content))
    if b"hubbub" in (table.schema.metadata or {}):
        raise ValueError("it is a table of hubbub's already; a clip table needs no index, and --check checks it")
    rows = table.to_pylist()
    return _frame_objects(rows, list(table.column_names), text_columns), []


def _read_json_lines(content: bytes, text_columns: set[str | None]) -> tuple[pd.DataFrame, list[str]]:
    return _frame_json([json.loads(line) for line in _decode(content)[0].splitlines() if line.strip()], text_columns)


def _read_json(content: bytes, text_columns: set[str | None]) -> tuple[pd.DataFrame, list[str]]:
    return _frame_json(json.loads(_decode(content)[0]), text_columns)


def _frame_json(rows: Any, text_columns: set[str | None]) -> tuple[pd.DataFrame, list[str]]:
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("expected one object a clip, each with the same names")
    names = list(dict.fromkeys(name for row in rows for name in row))
    return _frame_objects(rows, names, text_columns), []


def _frame_objects(rows: list[dict[str, Any]], names: list[str], text_columns: set[str | None]) -> pd.DataFrame:
    """A frame of values as they are; lists of text stay, other nested values become JSON."""

    def convert(name: str, value: Any) -> Any:
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return value if name in text_columns else ";".join(value)
        if isinstance(value, (list, dict)):
            return json.dumps(value, ensure_ascii=False, default=str)
        return str(value) if name in text_columns and value is not None else value

    return pd.DataFrame(
        {name: pd.Series([convert(name, row.get(name)) for row in rows], dtype=object) for name in names}
    )


_Reader = Callable[[bytes, set[str | None]], tuple[pd.DataFrame, list[str]]]
_READERS: dict[str, tuple[_Reader, str]] = {
    ".parquet": (_read_parquet, "Parquet"),
    ".jsonl": (_read_json_lines, "JSON lines"),
    ".ndjson": (_read_json_lines, "JSON lines"),
    ".json": (_read_json, "JSON"),
}
