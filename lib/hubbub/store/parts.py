"""Parquet parts: small tables that appear whole or not at all, numbered by the unit that wrote them.

A folder of parts is one table. A part is the commit record of its unit: what has none was not done.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hubbub.errors import StorageError, StoreError

_NAME = re.compile(r"(\d{8})\.parquet")


def part_path(folder: Path, number: int) -> Path:
    """Where part `number` of a folder lies."""
    return folder / f"{number:08d}.parquet"


def part_numbers(folder: Path) -> list[int]:
    """Numbers of the parts that are there, sorted; half-written ones have other names and do not count."""
    names = (_NAME.fullmatch(name) for name in (os.listdir(folder) if folder.is_dir() else []))
    return sorted(int(match[1]) for match in names if match)


def write_part(folder: Path, number: int, table: pa.Table, metadata: dict[str, Any]) -> None:
    """Write one part so that it is there whole or not at all, and survives a power cut once it is there.

    Raises
    ------
    StorageError
        When the disk is full or the folder cannot be written.
    """
    path = part_path(folder, number)
    partial = path.with_suffix(f".partial-{os.getpid()}")
    table = table.replace_schema_metadata({b"hubbub": json.dumps(metadata).encode()})
    with writing(path):
        try:
            with open(partial, "wb") as file:
                pq.write_table(table, file, compression="zstd")
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


def read_part(folder: Path, number: int) -> tuple[pa.Table, dict[str, Any]]:
    """Read one part and the metadata it was written with.

    Raises
    ------
    StoreError
        When it is torn or foreign.
    """
    path = part_path(folder, number)
    try:
        table = pq.ParquetFile(path).read(use_threads=False)  # a part is small: threads would cost more than they do
        metadata = json.loads(table.schema.metadata[b"hubbub"])
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{path} cannot be read ({error}); move it away, and the next run makes it again") from None
    return table.replace_schema_metadata(None), metadata


def write_json(path: Path, data: Any) -> None:
    """Write JSON that appears whole or not at all; errors of `write_part`."""
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    with writing(path):
        try:
            partial.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
            os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


def sweep_partials(folder: Path) -> None:
    """Remove what killed writers left half-written under a folder. Only for the one who starts a run."""
    for path in folder.rglob("*.partial*"):
        if path.is_file():
            path.unlink(missing_ok=True)


def refuse_foreign_folder(path: Path, mark: str, what: str) -> None:
    """Raise `StoreError` where a new `what` would land on something else: a file, or a folder without `mark`."""
    if not path.exists() or (path / mark).exists():
        return
    if not path.is_dir():
        raise StoreError(f"{path} is a file; expected a folder for {what}, new or made by an earlier run")
    held = sorted(name for name in os.listdir(path) if not name.startswith("."))
    if held:
        some = ", ".join(held[:3]) + (", …" if len(held) > 3 else "")
        raise StoreError(f"{path} holds something else ({some}); give a new folder for {what}")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn failures to write at `path` into `StorageError`, said in the user's words."""
    try:
        yield
    except OSError as error:
        hint = {
            errno.ENOSPC: "free some space, then run the same command again: what is committed is kept",
            errno.EDQUOT: "the quota is used up; free some space, then run the same command again",
            errno.EACCES: "there is no permission to write there",
            errno.EPERM: "there is no permission to write there",
            errno.EROFS: "it is mounted read-only",
        }.get(error.errno or 0, "run the same command again once it can be written")
        raise StorageError(f"cannot write {path}: {error.strerror or error}; {hint}") from error
