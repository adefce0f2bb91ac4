"""How parts of label tables get into DuckDB: staged as they are, then moved into the tables of `hubbub.web.archive`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from hubbub.io.paths import StoragePath
from hubbub.store.parts import concatenate_tables, part_path, read_part

if TYPE_CHECKING:
    import duckdb

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
"""Columns of `clips` that are always there; carried ones follow. `recorded_at` is in microseconds since 1970."""

_LEFT_OUT = {"mean_scores", "peak_scores"}
_FILE = "md5(uri)[1:16]"
"""What the page calls a recording by: no path."""

_WHOLE = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"}

# No carried column has these names, for DuckDB compares names without their case and these hold a line break.
_UNIT, _NAME = "hubbub\nunit", "hubbub\nfilename"

_QUARTER = 900_000_000
# A clip divided at full quarters of UTC, then summed by the hours of the zone, for since 1972 every zone is whole
# quarters from UTC, and some are not whole hours.
_EFFORT = f"""
INSERT INTO effort
SELECT clip, day, hour, sum(shared) / 1e6 FROM (
  SELECT clip, moment::DATE AS day, hour(moment) AS hour, shared FROM (
    SELECT clip, make_timestamp(begin) AT TIME ZONE 'UTC' AT TIME ZONE ? AS moment,
      least(stop, begin + {_QUARTER}) - greatest(start, begin) AS shared
    FROM (
      SELECT clip, start, stop, unnest(generate_series(start - (start % {_QUARTER} + {_QUARTER}) % {_QUARTER},
        stop - 1, {_QUARTER}::BIGINT)) AS begin
      FROM (
        SELECT n AS clip, recorded_at + (coalesce(clip_start_s, 0) * 1e6)::BIGINT AS start,
          recorded_at + ((coalesce(clip_start_s, 0) + duration_s) * 1e6)::BIGINT AS stop
        FROM clips WHERE unit IN (SELECT unnest(?)) AND status = 'ok' AND recorded_at IS NOT NULL
          AND duration_s BETWEEN 0 AND 31622400 AND coalesce(clip_start_s, 0) BETWEEN 0 AND 31622400
      )
    )
  )
) WHERE shared > 0 GROUP BY ALL
"""

# Scores that are no numbers are none. Those of failed clips are what an earlier content left behind.
_EVENTS = """
INSERT INTO events
SELECT nextval('numbers'), clip, code, onset_s, offset_s, peak, mean, least(99, greatest(0, floor(peak * 100))),
  moment::DATE, hour(moment)
FROM (
  SELECT clips.n AS clip, names.code AS code, e.onset_s AS onset_s, e.offset_s AS offset_s,
    CASE WHEN isfinite(e.peak) THEN e.peak END AS peak, CASE WHEN isfinite(e.mean) THEN e.mean END AS mean,
    e.onset_at AT TIME ZONE ? AS moment
  FROM staged_events e JOIN clips ON clips.clip_id = e.clip_id AND clips.unit = e.{unit} AND clips.status = 'ok'
  JOIN names ON names.label = e.label
)
"""


def create_tables(cursor: duckdb.DuckDBPyConnection) -> None:
    """Make the tables, empty."""
    columns = ", ".join(f"{quote(name)} {kind}" for name, kind in OWN_COLUMNS.items())
    cursor.execute(f"CREATE TABLE clips ({columns})")
    cursor.execute(
        "CREATE TABLE events (n BIGINT, clip BIGINT, label SMALLINT, onset_s DOUBLE, offset_s DOUBLE, peak FLOAT, "
        "mean FLOAT, bin TINYINT, day DATE, hour TINYINT)"
    )
    cursor.execute("CREATE TABLE names (code SMALLINT, label VARCHAR)")
    cursor.execute("CREATE TABLE effort (clip BIGINT, day DATE, hour TINYINT, seconds DOUBLE)")
    cursor.execute("CREATE TABLE superseded (unit BIGINT, by_unit BIGINT)")
    cursor.execute("CREATE SEQUENCE numbers")


def stage_units(cursor: duckdb.DuckDBPyConnection, path: StoragePath, units: Sequence[int], *, arrow: bool) -> None:
    """Read units into the temporary tables `staged_files` and `staged_events`; `arrow` reads slowly, and more."""
    for folder in ("files", "events"):
        create = f"CREATE OR REPLACE TEMP TABLE staged_{folder} AS "
        if arrow:
            cursor.register("staged_arrow", _read_parts(path / folder, units))
            cursor.execute(f"{create} SELECT * FROM staged_arrow")
            cursor.unregister("staged_arrow")
        else:
            names = [escape_glob(str(part_path(path / folder, unit))) for unit in units]
            cursor.execute(
                f"{create} SELECT *, regexp_extract({quote(_NAME)}, '([0-9]+)[.]parquet$', 1)::BIGINT "
                f"AS {quote(_UNIT)} FROM read_parquet(?, union_by_name = true, hive_partitioning = false, "
                f"filename = '{_NAME}')",
                [names],
            )


def escape_glob(path: str) -> str:
    """A path as DuckDB takes it, which else looks for others like it."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in path)


def _read_parts(folder: StoragePath, units: Sequence[int]) -> pa.Table:
    tables = []
    for unit in units:
        table, _ = read_part(folder, unit)
        table = table.drop_columns(
            [name for name in _LEFT_OUT if name in table.column_names]
        )  # DuckDB takes no float16
        tables.append(table.append_column(_UNIT, pa.repeat(pa.scalar(unit, pa.int64()), table.num_rows)))
    return concatenate_tables(tables)


def find_superseded(cursor: duckdb.DuckDBPyConnection, units: Collection[int]) -> set[int]:
    """Units with clips that do not count because of clips in `units`, whatever lies between; without `units`."""
    found, by_units = set(units), set(units)
    while by_units:
        rows = cursor.execute("SELECT DISTINCT unit FROM superseded WHERE by_unit IN (SELECT unnest(?))", [[*by_units]])
        by_units = {unit for (unit,) in rows.fetchall()} - found
        found |= by_units
    return found.difference(units)


def delete_units(cursor: duckdb.DuckDBPyConnection, units: Collection[int]) -> None:
    """Remove units; those that `find_superseded` tells are read again then."""
    own = [[*units]]
    for table in ("events", "effort"):
        cursor.execute(f"DELETE FROM {table} WHERE clip IN (SELECT n FROM clips WHERE unit IN (SELECT unnest(?)))", own)
    for column in ("unit", "by_unit"):
        cursor.execute(f"DELETE FROM superseded WHERE {column} IN (SELECT unnest(?))", own)
    cursor.execute("DELETE FROM clips WHERE unit IN (SELECT unnest(?))", own)


def take_staged(cursor: duckdb.DuckDBPyConnection, units: Sequence[int], timezone: str) -> None:
    """Move staged rows into the tables; of a clip that was tried again the newest attempt alone counts."""
    places = _place_columns(cursor)
    own = [name for name in OWN_COLUMNS if name not in ("n", "unit", "file", "recorded_at")]
    into = ", ".join(quote(name) for name in ("n", "unit", "file", "recorded_at", *own, *places.values()))
    took = ", ".join(quote(name) for name in (*own, *places))
    cursor.execute(
        f"INSERT INTO clips ({into}) SELECT nextval('numbers'), {quote(_UNIT)}, {_FILE}, epoch_us(recorded_at), {took} "
        "FROM staged_files"
    )
    cursor.execute(
        "INSERT INTO names SELECT (SELECT coalesce(max(code), -1) FROM names) + row_number() OVER (), label FROM "
        "(SELECT DISTINCT label FROM staged_events WHERE label NOT IN (SELECT label FROM names))"
    )
    cursor.execute(_EVENTS.format(unit=quote(_UNIT)), [timezone])
    cursor.execute(_EFFORT, [timezone, [*units]])
    _remove_superseded(cursor)
    for name in ("staged_files", "staged_events"):
        cursor.execute(f"DROP TABLE {name}")


def _remove_superseded(cursor: duckdb.DuckDBPyConnection) -> None:
    cursor.execute(
        """
        CREATE OR REPLACE TEMP TABLE removed AS SELECT * FROM (
          SELECT n, unit, first_value(unit) OVER newest_first AS by_unit, row_number() OVER newest_first AS place
          FROM clips WHERE clip_id IN (SELECT clip_id FROM staged_files)
          WINDOW newest_first AS (PARTITION BY clip_id ORDER BY attempts DESC, unit DESC, n DESC)
        ) WHERE place > 1
        """
    )
    if cursor.execute("SELECT count(*) FROM removed").fetchone() != (0,):
        for table in ("events", "effort"):
            cursor.execute(f"DELETE FROM {table} WHERE clip IN (SELECT n FROM removed)")
        cursor.execute("INSERT INTO superseded SELECT DISTINCT unit, by_unit FROM removed")
        cursor.execute("DELETE FROM clips WHERE n IN (SELECT n FROM removed)")
    cursor.execute("DROP TABLE removed")


def _place_columns(cursor: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Make a place in `clips` for each carried column that is staged: its name in the parts, its name there.

    Names that differ in their case alone are one to DuckDB; one of the page's own is taken.
    """
    held = {name.casefold(): (name, kind) for name, kind in _list_kinds(cursor, "clips").items()}
    places: dict[str, str] = {}
    taken = set(OWN_COLUMNS)
    for name, kind in _list_kinds(cursor, "staged_files").items():
        if name in _LEFT_OUT | {_UNIT, _NAME} or (name in OWN_COLUMNS and name not in ("n", "unit", "file")):
            continue
        place = name
        while place.casefold() in taken:
            place += "_1"
        taken.add(place.casefold())
        if place.casefold() not in held:
            cursor.execute(f"ALTER TABLE clips ADD COLUMN {quote(place)} {_widen(kind, kind)}")
        else:
            place, old = held[place.casefold()]
            if (wider := _widen(old, kind)) != old:
                cursor.execute(f"ALTER TABLE clips ALTER COLUMN {quote(place)} TYPE {wider}")
        places[name] = place
    return places


def _widen(kind: str, other: str) -> str:
    """The type that holds values of both: as `concatenate_tables` has it, text where nothing else does."""
    kinds = {kind.strip('"'), other.strip('"')} - {"NULL"}
    if len(kinds) < 2:
        return kinds.pop() if kinds else "VARCHAR"
    return "BIGINT" if kinds <= _WHOLE else "DOUBLE" if kinds <= _WHOLE | {"FLOAT", "DOUBLE"} else "VARCHAR"


def _list_kinds(cursor: duckdb.DuckDBPyConnection, table: str) -> Mapping[str, str]:
    found = cursor.execute("SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ?", [table])
    return dict(found.fetchall())


def quote(name: str) -> str:
    """A column's name as SQL takes it, whatever it is."""
    return '"' + name.replace('"', '""') + '"'
