"""The clip table: schema, validation, reading and writing.

One row a clip: a file, or a segment of one. Columns beyond the contract are carried through to every output.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hubbub.errors import ClipTableError, UsageError
from hubbub.io.atomic import atomic_write, explain_read_errors, local_file
from hubbub.io.paths import StoragePath, absolute_path, is_local, parse_path, remote_path
from hubbub.io.text import count_noun, list_few

FORMAT = "hubbub-clips/1"
_ROWS_READ = 10_000  # at once, of a table that is read in parts

CLIP_SCHEMA = pa.schema(
    [
        pa.field("clip_id", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        ("start_s", pa.float64()),
        ("end_s", pa.float64()),
        pa.field("labels", pa.list_(pa.string()), nullable=False),
        ("fold", pa.int32()),
        ("split", pa.string()),
        ("group", pa.string()),
        ("version", pa.string()),
        ("size_bytes", pa.int64()),
        ("duration_s", pa.float64()),
        ("sample_rate", pa.int32()),
        ("channels", pa.int32()),
        ("recorded_at", pa.timestamp("us", tz="UTC")),
    ]
)
"""The columns every clip table has."""

IS_EVENT = "is_event"
"""A column that tables of events have: true where the clip is an event from its first sample to its last, so that
training need not ask its level when it sounds."""

RESERVED_COLUMNS = frozenset(
    {
        *("row", "window", "windows", "valid_frames", "status", "error", "attempts", "crc32"),
        *("channel", "variant", "policy_rule", "augmentation"),
        *("clip_start_s", "clip_end_s", "shard", "unit"),
        *("label", "onset_s", "offset_s", "peak", "mean", "onset_at", "scores", "mean_scores", "peak_scores"),
    }
)
"""Names that hubbub's outputs give to columns of their own; a carried column cannot have one."""

TAKEN_COLUMNS = RESERVED_COLUMNS | {*CLIP_SCHEMA.names, IS_EVENT}
"""Every name that has a meaning in hubbub's tables."""


@dataclass(frozen=True)
class ClipTable:
    """A validated clip table.

    Attributes
    ----------
    rows
        The clips, with the columns of `CLIP_SCHEMA` first, then the carried ones.
    root
        The folder that relative uris start from.
    source
        The file that holds the table; None: it is in memory only.
    """

    rows: pa.Table
    root: StoragePath
    source: StoragePath | None = field(default=None, compare=False)

    def __len__(self) -> int:
        """Return the number of clips."""
        return self.rows.num_rows

    def __repr__(self) -> str:
        """Describe the table in one line."""
        labels = sorted({label for labels in self.rows["labels"].to_pylist() for label in labels})
        where = f" '{self.source}'" if self.source is not None else ""
        return f"<ClipTable{where}: {count_noun(len(self), 'clip')}, {list_few(labels, 'label')}>"

    @property
    def carried(self) -> list[str]:
        """Names of the columns beyond the contract."""
        return [name for name in self.rows.column_names if name not in CLIP_SCHEMA.names]


def clip_id(uri: str, start_s: float | None = None, end_s: float | None = None) -> str:
    """32 hex digits of SHA-256 over uri and segment: the same on any machine, in any run."""
    segment = [None if value is None else float(value) for value in (start_s, end_s)]
    return hashlib.sha256(json.dumps([uri, *segment]).encode()).hexdigest()[:32]


def content_version(stat: os.stat_result) -> str:
    """What tells changed content of a local file: its size and modification time."""
    return f"{stat.st_size}-{stat.st_mtime_ns}"


_VERSION = re.compile(r"\d+-\d+")


def has_changed(path: StoragePath, version: str | None) -> bool:
    """Compare a local file with a clip table's `version`.

    Returns False where the two cannot be compared: the version is null, or no `content_version`. Returns False for a
    file in a bucket: `audio.remote` fetches only the content that the version names.
    """
    if version is None or not is_local(path) or not _VERSION.fullmatch(version):
        return False
    try:
        return content_version(path.stat()) != version
    except OSError:
        return False  # gone: opening it says so in better words


def resolve_uri(uri: str, root: StoragePath) -> StoragePath:
    """Where a clip's recording lies.

    In a bucket a relative uri is what follows the root and a slash in the key, letter by letter: ``#``, ``?``, ``%``
    and ``..`` mean nothing there.

    Raises
    ------
    ClipTableError
        For a scheme other than ``file://`` and ``s3://``, and for no key of a bucket.
    """
    if "://" not in uri:
        return root / uri if is_local(root) else _path_in_bucket(f"{root.path.rstrip('/')}/{uri}", uri)
    _refuse_bad_address(uri)
    return _path_in_bucket(uri.removeprefix("s3://"), uri) if uri.startswith("s3://") else parse_path(uri)


def _path_in_bucket(path: str, uri: str) -> StoragePath:
    found = remote_path(path)
    if found.path != path:
        raise ClipTableError(f"'{uri}' names no recording in a bucket; expected the rest of a key below {path}")
    return found


def _refuse_bad_address(uri: str) -> None:
    scheme, _, rest = uri.partition("://")
    if scheme not in ("file", "s3"):
        raise ClipTableError(f"'{uri}': {scheme}:// is not read; give local paths, file:// or s3:// addresses")
    bucket, _, key = rest.partition("/")
    if scheme == "s3" and not (bucket and key):
        raise ClipTableError(f"'{uri}' names no recording in a bucket; expected s3://bucket/key")


def make_table(clips: Sequence[Mapping[str, Any]], root: StoragePath) -> ClipTable:
    """Build and validate a clip table from one mapping a clip (missing contract columns are null).

    Raises
    ------
    ClipTableError
        For a table that breaks the contract: says which clip and how.
    """
    rows = make_rows(clips)
    return _validate(rows.cast(name_null_types(rows.schema)), root, where="the clips")


def make_rows(clips: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Build rows of a clip table; of a column that holds nothing, the type is null.

    Raises
    ------
    ClipTableError
        For values that do not fit their column.
    """
    names = dict.fromkeys(name for clip in clips for name in clip)
    carried = [name for name in names if name not in CLIP_SCHEMA.names]
    try:
        columns = [pa.array([clip.get(field.name) for clip in clips], field.type) for field in CLIP_SCHEMA]
        columns += [pa.array([clip.get(name) for clip in clips]) for name in carried]
    except UnicodeEncodeError as error:
        raise ClipTableError(f"the name {error.object!r} is not UTF-8; rename the file") from None
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise explain_misfit(error) from None
    return pa.table(dict(zip([*CLIP_SCHEMA.names, *carried], columns, strict=True)))


def explain_misfit(error: pa.ArrowException) -> ClipTableError:
    """Say that the values of a column are of several types."""
    return ClipTableError(f"the clips do not fit the clip table: {error}; give each column values of one type")


def name_null_types(schema: pa.Schema) -> pa.Schema:
    """Make text of the columns that hold nothing."""
    return pa.schema([field.with_type(pa.string()) if pa.types.is_null(field.type) else field for field in schema])


def write_table(table: ClipTable, path: StoragePath) -> None:
    """Write a clip table as Parquet; it appears at `path` only when whole.

    Raises
    ------
    StorageError
        When the place cannot be written.
    """
    write_rows([table.rows], table.rows.schema, table.root, path)


def write_rows(parts: Iterable[pa.Table], schema: pa.Schema, root: StoragePath, path: StoragePath) -> None:
    """Write the rows of a clip table part by part; `schema` is that of each. Errors of `write_table`."""
    metadata = {b"hubbub": json.dumps({"format": FORMAT, "root": str(root)}).encode()}
    with atomic_write(path) as partial, pq.ParquetWriter(partial, schema.with_metadata(metadata)) as writer:
        for rows in parts:
            writer.write_table(rows.replace_schema_metadata(metadata))


def read_table(path: StoragePath) -> ClipTable:
    """Read a clip table.

    Raises
    ------
    ClipTableError
        When `path` is missing, no Parquet file, or breaks the contract.
    UsageError
        When its bucket cannot be reached, or does not let us in.
    """
    with _open_parquet(path) as file:
        rows = file.read()
    root = _read_root(rows.schema.metadata or {}, path)
    return replace(_validate(rows.replace_schema_metadata(None), root, where=str(path)), source=path)


def read_parts(path: StoragePath) -> Iterator[ClipTable]:
    """Read a clip table some thousand rows at a time, without a look for doubled clips; errors of `read_table`."""
    with _open_parquet(path) as file:
        root = _read_root(file.schema_arrow.metadata or {}, path)
        for batch in file.iter_batches(_ROWS_READ):
            rows = pa.Table.from_batches([batch]).replace_schema_metadata(None)
            yield ClipTable(check_rows(rows, where=str(path)), root, path)


@contextmanager
def _open_parquet(path: StoragePath) -> Iterator[pq.ParquetFile]:
    with explain_read_errors(path):
        there = path.exists()
    if not there:
        raise ClipTableError(f"{path} does not exist; make a clip table with: hubbub index SOURCE -o {path}")
    try:
        # One reader of one file: pq.read_table would treat a path with '=' as a partitioned set.
        with local_file(path) as local, pq.ParquetFile(local) as file:
            yield file
    except (OSError, pa.ArrowException) as error:
        raise ClipTableError(f"{path} is no clip table ({error}); make one with: hubbub index SOURCE -o FILE") from None


def _read_root(metadata: Mapping[bytes, bytes], path: StoragePath) -> StoragePath:
    """The root a table was written with; the folder it lies in for one that others made."""
    if b"hubbub" not in metadata:
        return absolute_path(path).parent
    try:
        return parse_path(str(json.loads(metadata[b"hubbub"])["root"]))
    except UsageError as error:
        raise ClipTableError(f"{path}: its root cannot be read: {error}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ClipTableError(f"{path} is another table of hubbub's; a clip table is made by: hubbub index") from None


def _validate(rows: pa.Table, root: StoragePath, *, where: str) -> ClipTable:
    if rows.num_rows == 0:
        raise ClipTableError(f"{where}: no clips; expected at least one")
    rows = check_rows(rows, where)
    _refuse_duplicates(rows, where)
    return ClipTable(rows, root)


def check_rows(rows: pa.Table, where: str) -> pa.Table:
    """Give rows the columns of `CLIP_SCHEMA`, and refuse those that break the contract by themselves.

    Raises
    ------
    ClipTableError
        For rows that break it; `where` is what they are called.
    """
    rows = _cast_columns(rows, where)
    clash = sorted(RESERVED_COLUMNS & set(rows.column_names))
    if clash:
        raise ClipTableError(f"{where}: column '{clash[0]}' has a name that hubbub's outputs use; rename it")
    for name in ("clip_id", "uri", "labels"):
        if rows[name].null_count:
            raise ClipTableError(
                f"{where}: column '{name}' has {rows[name].null_count} empty values; every clip needs one"
            )
    _refuse_bad_segments(rows, where)
    _refuse_bad_addresses(rows, where)
    return rows


def _cast_columns(rows: pa.Table, where: str) -> pa.Table:
    missing = [name for name in ("clip_id", "uri", "labels") if name not in rows.column_names]
    if missing:
        there = ", ".join(rows.column_names)
        raise ClipTableError(
            f"{where}: column '{missing[0]}' is missing (there are: {there}); make a clip table with: hubbub index"
        )
    columns = {}
    for column in CLIP_SCHEMA:
        held = rows[column.name] if column.name in rows.column_names else pa.nulls(rows.num_rows, column.type)
        try:
            columns[column.name] = held.cast(column.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise ClipTableError(f"{where}: column '{column.name}' is {held.type}; expected {column.type}") from None
    columns |= {name: rows[name] for name in rows.column_names if name not in columns}
    return pa.table(columns)


def _refuse_duplicates(rows: pa.Table, where: str) -> None:
    counts = rows["clip_id"].value_counts()
    doubled = (
        [entry["values"].as_py() for entry in counts if entry["counts"].as_py() > 1] if len(counts) < len(rows) else []
    )
    if doubled:
        uris = [
            uri
            for name, uri in zip(rows["clip_id"].to_pylist(), rows["uri"].to_pylist(), strict=True)
            if name == doubled[0]
        ]
        raise explain_doubled(len(doubled), uris[0], where)


def explain_doubled(count: int, uri: str, where: str) -> ClipTableError:
    """Say that clips are there more than once, and which is one of them."""
    return ClipTableError(f"{where}: {count_noun(count, 'clip')} more than once, such as {uri}; keep one row each")


def _refuse_bad_segments(rows: pa.Table, where: str) -> None:
    for uri, start_s, end_s in zip(*(rows[name].to_pylist() for name in ("uri", "start_s", "end_s")), strict=True):
        start = 0.0 if start_s is None else start_s
        if not start >= 0 or (end_s is not None and not end_s > start):
            raise ClipTableError(
                f"{where}: {uri} has the segment {start_s} s to {end_s} s; expected 0 <= start_s < end_s"
            )


def _refuse_bad_addresses(rows: pa.Table, where: str) -> None:
    """Refuse uris that `resolve_uri` does: a run would else find out clip by clip."""
    for uri in rows["uri"].filter(pc.match_substring(rows["uri"], "://")).unique().to_pylist():
        try:
            _refuse_bad_address(uri)
        except ClipTableError as error:
            raise ClipTableError(f"{where}: {error}") from None
