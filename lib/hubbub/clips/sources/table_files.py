"""Tables as files: CSV with any separator and encoding, Parquet, JSON lines and JSON arrays, as a pandas frame."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pandas.api.extensions import ExtensionArray

from hubbub.clips.sources.table_numbers import Cells, Mask, parse_numbers, replace_decimal_commas
from hubbub.clips.sources.table_text import HEAD_SIZE, SEPARATORS, decode, drop_hint, find_separator, split_header
from hubbub.clips.sources.template import Columns
from hubbub.errors import ClipTableError
from hubbub.io.atomic import explain_read_errors, read_bytes
from hubbub.io.paths import StoragePath, is_local
from hubbub.io.text import list_few


def read_frame(source: StoragePath, columns: Columns | None = None) -> pd.DataFrame:
    """Read a table; see `read_table_file`, whose notes it leaves out."""
    return read_table_file(source, columns)[0]


def read_table_file(source: StoragePath, columns: Columns | None = None) -> tuple[pd.DataFrame, list[str]]:
    """Read a table as text and numbers.

    A column of a CSV is numbers where every cell that is not empty reads as one and nothing is lost by it: ``007`` is
    no 7, and ``NA`` no gap. ``0,5`` is a number where commas part no columns.

    Parameters
    ----------
    source
        ``.parquet``, ``.pq``, ``.jsonl``, ``.ndjson``, ``.json``; anything else is read as a CSV, whose encoding and
        separator are found out.
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
    except FileNotFoundError:
        raise ClipTableError(f"{source} does not exist; expected a table ({kind})") from None
    except RecursionError:
        raise ClipTableError(f"{source} cannot be read as {kind}: its values are nested too deeply") from None
    except (OSError, ValueError, pa.ArrowException, pd.errors.ParserError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]  # Arrow goes on with what it read
        reason = reason.removeprefix("Error tokenizing data. C error: ")
        raise ClipTableError(f"{source} cannot be read as {kind}: {reason}") from None
    if frame.empty:
        there = "a header and no rows" if kind == "CSV" else "no rows"
        raise ClipTableError(f"{source} has {there}; expected one row a clip")
    return frame, [f"{source.name}: {note}" for note in notes]


def read_header(source: StoragePath) -> list[str]:
    """Names of a CSV's columns; none where it is no text. Reads its first bytes only."""
    try:
        return split_header(decode(read_head(source), is_head=True)[0])
    except (OSError, ValueError, csv.Error):
        return []


def read_head(source: StoragePath) -> bytes:
    """The first 64 KiB of a file; errors of the disk or the bucket."""
    if is_local(source):
        with open(source, "rb") as file:
            return file.read(HEAD_SIZE)
    return bytes(source.fs.cat_file(source.path, start=0, end=HEAD_SIZE))


def _read_content(source: StoragePath) -> bytes:
    if is_local(source):
        return source.read_bytes()
    with explain_read_errors(source):
        return read_bytes(source)


def _read_csv(content: bytes, text_columns: set[str | None]) -> tuple[pd.DataFrame, list[str]]:
    text, notes = decode(content)
    text = drop_hint(text)
    if not text.strip():
        raise ValueError("it is empty; expected a header and one row a clip")
    separator = find_separator(text)
    if separator != ",":
        notes.append(f"its columns are parted by {SEPARATORS[separator]}")
    # The header is read as a row: pandas would number columns of one name, and take extra cells for an index.
    table = pd.read_csv(
        io.StringIO(text), sep=separator, header=None, dtype=object, keep_default_na=False, na_values=[""]
    )
    is_missing: Mask = table.isna().to_numpy()
    cells: Cells = table.to_numpy(dtype=object, copy=True)
    cells[is_missing] = None
    names = _name_columns(["" if name is None else name for name in cells[0]])
    columns: dict[str, Cells | ExtensionArray] = {}
    with_commas = []
    for number, name in enumerate(names):
        column, missing = cells[1:, number], is_missing[1:, number]
        plain = None if separator == "," or name in text_columns else replace_decimal_commas(column, missing)
        if plain is not None:
            column = plain
            with_commas.append(name)
        if not is_missing[:, number].all():  # lines that end in a separator make a column without name and cells
            columns[name] = column if name in text_columns else parse_numbers(column, missing)
    if with_commas:
        notes.append(f"decimal commas were read in {list_few(with_commas, 'column')}: 0,5 is 0.5")
    return pd.DataFrame(columns), notes


def _name_columns(names: Iterable[Any]) -> list[str]:
    """Names without the blanks around them; columns without one are numbered, as pandas does."""
    stripped = [str(name).strip() or f"Unnamed: {number}" for number, name in enumerate(names)]
    if doubled := [name for name, count in Counter(stripped).items() if count > 1]:
        raise ValueError(f"{list_few([repr(name) for name in doubled], 'name')} of several columns; rename all but one")
    return stripped


def _read_parquet(content: bytes, text_columns: set[str | None]) -> tuple[pd.DataFrame, list[str]]:
    file = pq.ParquetFile(pa.BufferReader(content))
    schema = file.schema_arrow
    if b"hubbub" in (schema.metadata or {}):
        raise ValueError("it is a table of hubbub's already; a clip table needs no index, and --check checks it")
    if binary := [column.name for column in schema if _holds_bytes(column.type)]:
        raise ValueError(
            f"{list_few(binary, 'column')} of bytes; expected text and numbers. Write recordings to files, and their "
            "names into the table"
        )
    names = _name_columns(schema.names)
    rows = file.read().rename_columns(names).to_pylist()
    return _frame_objects(rows, names, text_columns), []


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _holds_bytes(kind.value_type)
    if pa.types.is_nested(kind):
        return any(_holds_bytes(kind.field(number).type) for number in range(kind.num_fields))
    kinds = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary, pa.types.is_binary_view)
    return any(is_kind(kind) for is_kind in kinds)


def _read_json_lines(content: bytes, text_columns: set[str | None]) -> tuple[pd.DataFrame, list[str]]:
    rows = []
    text, notes = decode(content)
    for number, line in enumerate(text.split("\n"), start=1):  # text may hold what else ends a line, such as U+2028
        try:
            rows += [json.loads(line)] if line.strip() else []
        except json.JSONDecodeError as error:
            raise ValueError(f"line {number}: {error.msg} at letter {error.colno}") from None
    return _frame_json(rows, text_columns), notes


def _read_json(content: bytes, text_columns: set[str | None]) -> tuple[pd.DataFrame, list[str]]:
    text, notes = decode(content)
    return _frame_json(json.loads(text), text_columns), notes


def _frame_json(rows: Any, text_columns: set[str | None]) -> pd.DataFrame:
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("expected one object a clip, each with the same names")
    return _frame_objects(rows, list(dict.fromkeys(name for row in rows for name in row)), text_columns)


def _frame_objects(rows: Sequence[dict[str, Any]], names: Sequence[str], text_columns: set[str | None]) -> pd.DataFrame:
    """A frame of values as they are; lists in columns of text stay, other nested values become text."""
    columns = {}
    for key, name in zip(names, _name_columns(names), strict=True):
        if name in text_columns:
            values = [_convert_text(row.get(key), name) for row in rows]
        else:
            values = [_convert_value(row.get(key)) for row in rows]
        if any(isinstance(value, int) and not -(2**63) <= value < 2**63 for value in values):
            values = [None if value is None else str(value) for value in values]  # more than a column of numbers holds
        columns[name] = pd.Series(values, dtype=object)
    return pd.DataFrame(columns)


def _convert_text(value: Any, column: str) -> Any:
    """Text, or a list of text: several labels. A gap in a column of floats is no text."""
    items = value if isinstance(value, list) else [value]
    if any(isinstance(item, (list, dict)) for item in items):
        raise ValueError(f"column '{column}' holds {_to_json(value)}; expected text, or a list of texts")
    texts = [str(item) for item in items if not _is_gap(item)]
    return texts if isinstance(value, list) else next(iter(texts), None)


def _is_gap(value: Any) -> bool:
    return value is None or value != value


def _convert_value(value: Any) -> Any:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ";".join(value)
    return _to_json(value) if isinstance(value, (list, dict)) else value


def _to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


_Reader = Callable[[bytes, set[str | None]], tuple[pd.DataFrame, list[str]]]
_READERS: dict[str, tuple[_Reader, str]] = {
    ".parquet": (_read_parquet, "Parquet"),
    ".pq": (_read_parquet, "Parquet"),
    ".jsonl": (_read_json_lines, "JSON lines"),
    ".ndjson": (_read_json_lines, "JSON lines"),
    ".json": (_read_json, "JSON"),
}
