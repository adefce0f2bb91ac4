"""Label tables in DuckDB: compact, in memory, and a consistent view that grows while ``hubbub label`` writes.

::

    clips    one row a clip that counts: n, unit, file, uri, status, error, duration_s … and the carried columns
    events   n, clip (clips.n), label (names.code), onset_s, offset_s, peak, mean, bin (of the peak, 0 to 99), day, hour
    names    code, label
    effort   clip, day, hour, seconds: when there was audio that was analysed

A unit enters whole or not at all, in one transaction with the units read beside it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from hubbub.errors import HubbubError
from hubbub.io.paths import StoragePath, is_local
from hubbub.labels.tables import LabelTables, open_labels
from hubbub.store.parts import concatenate_tables, part_path, read_part
from hubbub.web.snapshot import Snapshot
from hubbub.web.stamps import Stamp, list_stamps

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

UNITS_AT_ONCE = 500
"""Units that one transaction reads."""

THREADS = 2
"""Of DuckDB; the page shares the machine with what writes the tables."""

MEMORY = "512MB"
"""What DuckDB may take."""

OWN_COLUMNS = {
    "n": "BIGINT",
    "unit": "BIGINT",
    "file": "VARCHAR",
    "uri": "VARCHAR",
    "clip_id": "VARCHAR",
    "status": "VARCHAR",
    "error": "VARCHAR",
    "attempts": "INTEGER",
    "duration_s": "DOUBLE",
    "sample_rate": "INTEGER",
    "channels": "INTEGER",
    "windows": "INTEGER",
    "version": "VARCHAR",
    "recorded_at": "BIGINT",
    "clip_start_s": "DOUBLE",
    "clip_end_s": "DOUBLE",
    "group": "VARCHAR",
}
"""Columns of `clips` that are always there; carried ones follow."""

# A clip divided at full hours: an hour of audio that began at half past is two rows.
_EFFORT = """
INSERT INTO effort
SELECT * FROM (SELECT clip, moment::DATE, hour(moment),
  greatest(0.0, epoch(least(stop, hour_start + INTERVAL 1 HOUR) - greatest(start, hour_start))) AS seconds
FROM (
  SELECT clip, start, stop, hour_start, hour_start AT TIME ZONE ? AS moment
  FROM (
    SELECT clip, start, stop, unnest(generate_series(date_trunc('hour', start), stop, INTERVAL 1 HOUR)) AS hour_start
    FROM (
      SELECT clips.n AS clip, f.recorded_at + to_microseconds((coalesce(f.clip_start_s, 0) * 1e6)::BIGINT) AS start,
        start + to_microseconds((f.duration_s * 1e6)::BIGINT) AS stop
      FROM staged_files f JOIN clips ON clips.clip_id = f.clip_id AND clips.unit = f.unit
      WHERE f.status = 'ok' AND f.recorded_at IS NOT NULL AND f.duration_s BETWEEN 0 AND 31622400
    )
  )
)) WHERE seconds > 0
"""

_LEFT_OUT = {"mean_scores", "peak_scores"}
_FILE = "md5(uri)[1:16]"
"""What the page calls a recording by: no path."""


@dataclass(frozen=True)
class LoadState:
    """How far the tables are read.

    Attributes
    ----------
    units, units_read
        Committed units, and those whose rows are here.
    problems
        Units that cannot be read, each with its reason.
    generation
        Grows with every change of what is here.
    """

    units: int
    units_read: int
    problems: tuple[str, ...]
    generation: int

    @property
    def is_complete(self) -> bool:
        """Whether all of it is here."""
        return self.units_read >= self.units


class Archive:
    """Label tables that the page asks; see the module.

    Parameters
    ----------
    tables
        The tables.
    timezone
        In which the page tells hours and days, such as ``Europe/Berlin``.
    """

    def __init__(self, tables: LabelTables, *, timezone: str = "UTC") -> None:
        import duckdb

        self.tables, self.timezone = tables, timezone
        # No extension is fetched: what DuckDB has in itself is enough, and the page asks no network.
        config: dict[str, Any] = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
        self._db = duckdb.connect(config=config | {"threads": str(THREADS), "memory_limit": MEMORY})
        if not is_local(tables.path):
            self._db.register_filesystem(tables.path.fs)
        columns = ", ".join(f'"{name}" {kind}' for name, kind in OWN_COLUMNS.items())
        self._db.execute(f"CREATE TABLE clips ({columns})")
        self._db.execute(
            "CREATE TABLE events (n BIGINT, clip BIGINT, label SMALLINT, onset_s DOUBLE, offset_s DOUBLE, peak FLOAT, "
            "mean FLOAT, bin TINYINT, day DATE, hour TINYINT)"
        )
        self._db.execute("CREATE TABLE names (code SMALLINT, label VARCHAR)")
        self._db.execute("CREATE TABLE effort (clip BIGINT, day DATE, hour TINYINT, seconds DOUBLE)")
        self._db.execute("CREATE SEQUENCE numbers")
        self._loaded: dict[int, Stamp] = {}
        self._listed = 0
        self._problems: dict[int, tuple[Stamp, str]] = {}
        self._generation = 0
        self._refreshing, self._snapshot = threading.Lock(), Snapshot(tables, timezone)

    @property
    def state(self) -> LoadState:
        """How far the tables are read."""
        problems = tuple(reason for _, reason in self._problems.values())
        return LoadState(self._listed, len(self._loaded) + len(problems), problems, self._generation)

    def ask(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Ask the tables; `values` take the places of ``?``, so that no text of a page is ever SQL."""
        with self.open_cursor() as cursor:
            return cursor.execute(sql, values).fetchall()

    def ask_rows(self, sql: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """The same, each row by the names of its columns."""
        with self.open_cursor() as cursor:
            found = cursor.execute(sql, values)
            names = [column[0] for column in found.description]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def ask_frame(self, sql: str, values: Sequence[Any] = ()) -> pd.DataFrame:
        """The same, as a frame of pandas: for many rows."""
        with self.open_cursor() as cursor:
            return cursor.execute(sql, values).df()

    @property
    def names(self) -> dict[int, str]:
        """Labels of the events, by their codes."""
        return dict(self.ask("SELECT code, label FROM names"))

    @property
    def carried(self) -> dict[str, str]:
        """Carried columns and their types in DuckDB."""
        found = self.ask("SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 'clips'")
        return {name: kind for name, kind in found if name not in OWN_COLUMNS}

    def refresh(self) -> bool:
        """Read what was written since; returns whether anything has changed.

        Raises
        ------
        HubbubError
            The tables are not there any more, or their bucket cannot be reached.
        """
        with self._refreshing:
            before = self._generation
            self.tables = open_labels(self.tables.path)
            listed = list_stamps(self.tables.path)
            self._listed = len(listed)
            if not self._loaded and self._generation == 0:
                self._read_snapshot(listed)
            gone = [unit for unit in self._loaded if self._loaded[unit] != listed.get(unit)]
            self._problems = {unit: held for unit, held in self._problems.items() if listed.get(unit) == held[0]}
            wanted = [unit for unit in listed if unit not in self._problems]
            wanted = sorted(unit for unit in wanted if self._loaded.get(unit) != listed[unit])
            started = time.monotonic()
            self._remove(set(gone).difference(listed))
            for first in range(0, len(wanted), UNITS_AT_ONCE):
                some = wanted[first : first + UNITS_AT_ONCE]
                self._replace({unit: listed[unit] for unit in some})
            if wanted and self.state.is_complete and not self._problems:
                self._snapshot.write(self._db, self._loaded, took_s=time.monotonic() - started)
            return self._generation != before

    def close(self) -> None:
        """Let go of the memory."""
        self._db.close()

    @contextlib.contextmanager
    def open_cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection of one thread's own."""
        cursor = self._db.cursor()
        try:
            yield cursor
        finally:
            cursor.close()

    def _read_snapshot(self, listed: dict[int, Stamp]) -> None:
        held = self._snapshot.read(self._db)
        if held is not None:
            self._loaded = held
            self._remove({unit for unit in held if held[unit] != listed.get(unit)})
            self._generation += 1

    def _remove(self, units: set[int]) -> None:
        if not units:
            return
        with self._transaction() as cursor:
            _delete(cursor, units)
        for unit in units:
            self._loaded.pop(unit, None)
        self._generation += 1

    def _replace(self, stamps: dict[int, Stamp]) -> None:
        """Read units in place of what they held before."""
        import duckdb

        try:
            self._insert(list(stamps))
            self._loaded |= stamps
        except duckdb.Error:
            self._replace_one_by_one(stamps)
        self._generation += 1

    def _replace_one_by_one(self, stamps: dict[int, Stamp]) -> None:
        """Find the unit that cannot be read; the others are read all the same."""
        for unit, stamp in stamps.items():
            try:
                for folder in ("files", "events"):
                    self.tables.read_part(folder, unit)
                self._insert([unit], arrow=True)
                self._loaded[unit] = stamp
            except (HubbubError, OSError, pa.ArrowException) as error:
                self._problems[unit] = stamp, str(error)

    def _insert(self, units: list[int], *, arrow: bool = False) -> None:
        with self._transaction() as cursor:
            _delete(cursor, set(units))
            for folder in ("files", "events"):
                if arrow:
                    cursor.register("staged_arrow", _read_parts(self.tables.path / folder, units))
                    cursor.execute(f"CREATE OR REPLACE TEMP TABLE staged_{folder} AS SELECT * FROM staged_arrow")
                    cursor.unregister("staged_arrow")
                else:
                    names = [str(part_path(self.tables.path / folder, unit)) for unit in units]
                    cursor.execute(
                        f"CREATE OR REPLACE TEMP TABLE staged_{folder} AS "
                        "SELECT *, regexp_extract(filename, '([0-9]+).parquet$', 1)::BIGINT AS unit "
                        "FROM read_parquet(?, union_by_name=true, filename=true)",
                        [names],
                    )
            _take_staged(cursor, self.timezone)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self.open_cursor() as cursor:
            cursor.begin()
            try:
                yield cursor
                cursor.commit()
            except BaseException:
                cursor.rollback()
                raise


def _read_parts(folder: StoragePath, units: list[int]) -> pa.Table:
    tables = []
    for unit in units:
        table, _ = read_part(folder, unit)
        table = table.drop_columns(
            [name for name in _LEFT_OUT if name in table.column_names]
        )  # DuckDB takes no float16
        tables.append(table.append_column("unit", pa.repeat(pa.scalar(unit, pa.int64()), table.num_rows)))
    return concatenate_tables(tables)


def _delete(cursor: duckdb.DuckDBPyConnection, units: set[int]) -> None:
    for table in ("events", "effort"):
        of_units = "SELECT n FROM clips WHERE unit IN (SELECT unnest(?))"
        cursor.execute(f"DELETE FROM {table} WHERE clip IN ({of_units})", [[*units]])
    cursor.execute("DELETE FROM clips WHERE unit IN (SELECT unnest(?))", [[*units]])


def _take_staged(cursor: duckdb.DuckDBPyConnection, timezone: str) -> None:
    """Move staged rows into the tables; of a clip that was tried again the newest attempt alone counts."""
    found = cursor.execute("SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 'staged_files'")
    kinds = {name: kind for name, kind in found.fetchall() if name not in _LEFT_OUT | {"filename"}}
    held = {name for (name,) in _columns(cursor, "clips")}
    for name, kind in kinds.items():
        if name not in held:
            cursor.execute(f"ALTER TABLE clips ADD COLUMN {quote(name)} {'VARCHAR' if kind == 'NULL' else kind}")
    carried = [name for name in kinds if name not in OWN_COLUMNS]
    own = [name for name in OWN_COLUMNS if name not in ("n", "file", "recorded_at")]
    into = ", ".join(quote(name) for name in ("n", "file", "recorded_at", *own, *carried))
    took = ", ".join(quote(name) for name in (*own, *carried))
    cursor.execute(
        f"INSERT INTO clips ({into}) "
        f"SELECT nextval('numbers'), {_FILE}, epoch_us(recorded_at), {took} FROM staged_files"
    )
    cursor.execute(
        "INSERT INTO names SELECT (SELECT coalesce(max(code), -1) FROM names) + row_number() OVER (), label FROM "
        "(SELECT DISTINCT label FROM staged_events WHERE label NOT IN (SELECT label FROM names))"
    )
    cursor.execute(
        "INSERT INTO events SELECT nextval('numbers'), clip, code, onset_s, offset_s, peak, mean, "
        "least(99, floor(peak * 100)), moment::DATE, hour(moment) "
        "FROM (SELECT clips.n AS clip, e.*, names.code, e.onset_at AT TIME ZONE ? AS moment FROM staged_events e "
        "JOIN clips ON clips.clip_id = e.clip_id AND clips.unit = e.unit JOIN names ON names.label = e.label)",
        [timezone],
    )
    cursor.execute(_EFFORT, [timezone])
    cursor.execute(
        "CREATE OR REPLACE TEMP TABLE superseded AS SELECT n FROM clips WHERE clip_id IN (SELECT clip_id FROM "
        "staged_files) QUALIFY row_number() OVER (PARTITION BY clip_id ORDER BY attempts DESC, unit DESC) > 1"
    )
    if cursor.execute("SELECT count(*) FROM superseded").fetchone() != (0,):
        for table in ("events", "effort"):
            cursor.execute(f"DELETE FROM {table} WHERE clip IN (SELECT n FROM superseded)")
        cursor.execute("DELETE FROM clips WHERE n IN (SELECT n FROM superseded)")
    for name in ("staged_files", "staged_events", "superseded"):
        cursor.execute(f"DROP TABLE {name}")


def _columns(cursor: duckdb.DuckDBPyConnection, table: str) -> list[tuple[str]]:
    return cursor.execute("SELECT column_name FROM duckdb_columns() WHERE table_name = ?", [table]).fetchall()


def quote(name: str) -> str:
    """A column's name as SQL takes it, whatever it is."""
    return '"' + name.replace('"', '""') + '"'
