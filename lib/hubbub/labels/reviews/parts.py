"""Writing of parts of reviews; `hubbub.clips.reviews` says how they are named, and reads them."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hubbub.clips.reviews import FOLDER, REVIEW_SCHEMA, SUFFIX
from hubbub.io.atomic import explain_write_errors, write_bytes
from hubbub.io.paths import StoragePath, is_local


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
