"""Parquet parts: small tables written atomically, numbered by the unit that wrote them.

A folder of parts is one table. A part is the commit record of its unit: what has none was not done.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hubbub.errors import StoreError
from hubbub.io.atomic import explain_read_errors, read_bytes, write_bytes
from hubbub.io.folders import list_names
from hubbub.io.paths import StoragePath

_NAME = re.compile(r"(\d{8})\.parquet")


class MissingPart(StoreError):
    """A part that was listed is there no longer."""


def part_path(folder: StoragePath, number: int) -> StoragePath:
    """Where part `number` of a folder lies."""
    return folder / f"{number:08d}.parquet"


def list_part_numbers(folder: StoragePath) -> list[int]:
    """Numbers of the parts that are there, sorted; half-written ones have other names and do not count."""
    matches = (_NAME.fullmatch(name) for name in list_names(folder))
    return sorted(int(match[1]) for match in matches if match)


def concatenate_tables(tables: Sequence[pa.Table]) -> pa.Table:
    """Parts as one table.

    A carried column may be null in one clip table and text in the next, or a number here and text there as an archive
    grows; where types do not go together the column becomes text.
    """
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        columns = dict.fromkeys(name for table in tables for name in table.column_names)
        mixed = [name for name in columns if len(_types(tables, name)) > 1 and not _go_together(tables, name)]
        return pa.concat_tables([_as_text(table, mixed) for table in tables], promote_options="permissive")


def _types(tables: Sequence[pa.Table], name: str) -> set[pa.DataType]:
    return {table.schema.field(name).type for table in tables if name in table.column_names}


def _go_together(tables: Sequence[pa.Table], name: str) -> bool:
    try:
        pa.unify_schemas([pa.schema([(name, kind)]) for kind in _types(tables, name)], promote_options="permissive")
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        return False
    return True


def _as_text(table: pa.Table, columns: Sequence[str]) -> pa.Table:
    for name in set(columns) & set(table.column_names):
        table = table.set_column(table.column_names.index(name), name, table[name].cast(pa.string()))
    return table


def write_part(folder: StoragePath, number: int, table: pa.Table, metadata: dict[str, Any]) -> None:
    """Write one part so that it is there whole or not at all, and survives a power cut once it is there.

    Raises
    ------
    StorageError
        When the disk is full or the folder cannot be written.
    """
    table = table.replace_schema_metadata({b"hubbub": json.dumps(metadata).encode()})
    buffer = io.BytesIO()
    # Small and read by the thousand: what a large file is compressed with costs more to unpack than to read.
    pq.write_table(
        table, buffer, compression="lz4", use_dictionary=False, write_statistics=False, write_page_checksum=True
    )
    write_bytes(part_path(folder, number), buffer.getvalue())


def read_part(
    folder: StoragePath, number: int, columns: Sequence[str] | None = None
) -> tuple[pa.Table, dict[str, Any]]:
    """Read one part, or some of its columns, and the metadata it was written with.

    Raises
    ------
    StoreError
        When it is torn or foreign.
    """
    path = part_path(folder, number)
    try:
        # A part is small: threads would cost more than they do.
        file = pq.ParquetFile(pa.BufferReader(_bytes(path)), pre_buffer=False, page_checksum_verification=True)
        table = file.read(None if columns is None else list(columns), use_threads=False)
        metadata = json.loads(table.schema.metadata[b"hubbub"])
    except FileNotFoundError:
        raise MissingPart(f"{path} cannot be read: it is missing, though it was committed") from None
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{path} cannot be read ({error}); move it away, and the next run makes it again") from None
    return table.replace_schema_metadata(None), metadata


def _bytes(path: StoragePath) -> bytes:
    """What a part holds; of a bucket it is asked once, where opening a file would ask for its size first."""
    with explain_read_errors(path):
        return read_bytes(path)
