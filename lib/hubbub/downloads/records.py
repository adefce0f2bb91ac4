"""What became of each address: the table ``fetched.parquet``, and the journal of what came since it was written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hubbub.downloads.file_names import hash_address
from hubbub.errors import UsageError
from hubbub.io.atomic import atomic_write, explain_read_errors, local_file
from hubbub.io.paths import StoragePath

STATE = ".fetch"
"""Folder of what a fetch needs to go on, below its output."""

JOURNAL, PAGES, PARTIAL = f"{STATE}/records", f"{STATE}/pages", f"{STATE}/partial"
TABLE = "fetched.parquet"


@dataclass(frozen=True)
class Record:
    """What became of one address. The field names are the columns of ``fetched.parquet``.

    Attributes
    ----------
    url
        The address.
    status
        ``ok``; ``failed``; ``duplicate``: another address gave the same bytes, and `file` is that one's.
    error
        Why it failed; empty elsewhere.
    file
        The recording, relative to the folder; empty where there is none.
    size_bytes, sha256
        Of the file.
    format
        What it is by its content.
    etag, last_modified
        What the server knows this version by.
    fetched_at
        When, UTC, ISO 8601.
    attempts
        Runs that tried it.
    """

    url: str
    status: str
    error: str = ""
    file: str = ""
    size_bytes: int = 0
    sha256: str = ""
    format: str = ""
    etag: str | None = None
    last_modified: str | None = None
    fetched_at: str = ""
    attempts: int = 1

    @property
    def key(self) -> str:
        """What the address is known by."""
        return hash_address(self.url)

    @property
    def is_done(self) -> bool:
        """Whether its recording is there."""
        return self.status in ("ok", "duplicate")


_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("url", "status", "error", "file")),
        ("size_bytes", pa.int64()),
        *((name, pa.string()) for name in ("sha256", "format", "etag", "last_modified", "fetched_at")),
        ("attempts", pa.int32()),
    ]
)
_NAMES = {one.name for one in fields(Record)}


def parse_record(entry: Mapping[str, Any]) -> Record | None:
    """Take an entry of the journal; None for one that is no record."""
    return Record(**entry) if set(entry) == _NAMES else None


def describe_record(record: Record) -> dict[str, Any]:
    """Return a record as the journal has it."""
    return asdict(record)


def read_records(output: StoragePath) -> dict[str, Record]:
    """Read the table of an output folder, by address; empty where there is none.

    Raises
    ------
    UsageError
        When it cannot be read.
    """
    path = output / TABLE
    with explain_read_errors(path):
        if not path.exists():
            return {}
        try:
            with local_file(path) as local:
                rows = pq.ParquetFile(local).read(columns=_SCHEMA.names).cast(_SCHEMA).to_pylist()
        except (pa.ArrowException, KeyError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise UsageError(f"{path} is no table of hubbub fetch ({reason}); give a new folder with -o") from None
    return {row["url"]: Record(**row) for row in rows}


def write_records(output: StoragePath, records: Iterable[Record]) -> None:
    """Write the table, whole or not at all; errors of `atomic_write`."""
    rows = [asdict(record) for record in records]
    with atomic_write(output / TABLE) as partial:
        pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), partial)


def find_duplicates(records: Mapping[str, Record], order: Iterable[str]) -> dict[str, Record]:
    """Point addresses that gave the same bytes as an earlier one to its file.

    Parameters
    ----------
    records
        By address.
    order
        Addresses, the first of which keeps its file.

    Returns
    -------
    dict
        All records, by address.
    """
    kept: dict[str, Record] = {}
    found = dict(records)
    for url in order:
        record = records.get(url)
        if record is None or not record.is_done:
            continue
        first = kept.setdefault(record.sha256, record)
        if first is not record:
            found[url] = replace(record, status="duplicate", file=first.file)
    return found
