"""Parts of reviews: small Parquet files, none of which is ever written twice.

::

    LABELS/reviews/
      <session>-00000064.parquet            one decision, number 64 of its session
      <session>-00000000-00000063.parquet   decisions 0 to 63 of a session, merged

Every name stands for the same decisions for ever, so that new names are new decisions, and what was read of a part may
be kept by its name.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hubbub.errors import LabelsError
from hubbub.io.atomic import explain_read_errors, explain_write_errors, read_bytes, write_bytes
from hubbub.io.folders import list_names
from hubbub.io.paths import StoragePath, is_local
from hubbub.labels.reviews.schema import FOLDER, REVIEW_SCHEMA

SUFFIX = ".parquet"


class MissingReviews(LabelsError):
    """A part of reviews that was listed is there no longer: its session has merged it into another."""


def list_parts(labels_path: StoragePath) -> list[str]:
    """Names of the parts of label tables' reviews, sorted; none where nobody has reviewed.

    It reads no part: two lists differ where anybody has decided something in between.

    Raises
    ------
    UsageError
        When the bucket cannot be reached, or does not let us in.
    """
    folder = labels_path / FOLDER
    with explain_read_errors(folder):
        return sorted(name for name in list_names(folder) if name.endswith(SUFFIX) and not name.startswith("."))


def name_part(session: str, first: int, last: int | None = None) -> str:
    """Name of the part with the decision `first` of a session, or with those from `first` to `last`."""
    return f"{session}-{first:08d}{'' if last is None else f'-{last:08d}'}{SUFFIX}"


def write_part(labels_path: StoragePath, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write decisions so that they are there whole or not at all; on a disk they survive a power cut.

    Raises
    ------
    StorageError
        When the disk is full or the folder cannot be written.
    """
    buffer = io.BytesIO()
    table = pa.Table.from_pylist([dict(row) for row in rows], schema=REVIEW_SCHEMA)
    pq.write_table(
        table, buffer, compression="lz4", use_dictionary=False, write_statistics=False, write_page_checksum=True
    )
    path = labels_path / FOLDER / name
    write_bytes(path, buffer.getvalue())
    if is_local(path):
        with explain_write_errors(path):
            _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut, where the system lets us."""
    if os.name == "nt":
        return  # Windows opens no folders
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_part(labels_path: StoragePath, name: str) -> pa.Table:
    """Read one part; columns as in `REVIEW_SCHEMA`.

    Raises
    ------
    MissingReviews
        When it is there no longer.
    LabelsError
        When it is torn, or holds something else than reviews.
    UsageError
        When the bucket cannot be reached.
    """
    path = labels_path / FOLDER / name
    try:
        with explain_read_errors(path):
            data = read_bytes(path)
    except FileNotFoundError:
        raise MissingReviews(f"{path} is missing, though it was there; read the reviews again") from None
    except OSError as error:
        raise LabelsError(f"{path} cannot be read: {error}; make it readable, or move it away") from None
    try:
        file = pq.ParquetFile(pa.BufferReader(data), pre_buffer=False, page_checksum_verification=True)
        table = file.read(use_threads=False).replace_schema_metadata(None)
        table.validate(full=True)
    except (OSError, pa.ArrowException, ValueError) as error:
        raise LabelsError(f"{path} cannot be read ({error}); move it away: its decisions are lost") from None
    held = {field.name: field.type for field in table.schema}
    if held != {field.name: field.type for field in REVIEW_SCHEMA}:
        raise LabelsError(f"{path} holds no reviews (its columns are {', '.join(held) or 'none'}); move it away")
    if any(table[field.name].null_count for field in REVIEW_SCHEMA if not field.nullable):
        raise LabelsError(f"{path} holds no reviews (a decision lacks a value); move it away")
    return table.select(REVIEW_SCHEMA.names)
