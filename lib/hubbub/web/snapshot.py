"""A copy of what the page has read, so that ten thousand parts are opened in a second the next time.

::

    LABELS/.browse/current.json       which copy counts, and the stamp of each unit in it
    LABELS/.browse/NUMBER-clips.parquet, NUMBER-events.parquet, and so on

The folder may be removed at any time. It is made where reading took long, and where it can be written.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hubbub.errors import HubbubError
from hubbub.io.atomic import atomic_write, write_json
from hubbub.io.paths import is_local
from hubbub.labels.tables import LabelTables
from hubbub.web.loading import escape_glob
from hubbub.web.stamps import Stamp

if TYPE_CHECKING:
    import duckdb

FOLDER = ".browse"
FORMAT = "hubbub-browse/2"

WORTH_S = 1.0
"""Reading that took less is not worth a copy."""

_FREE_NUMBER = "SELECT coalesce(max(n), 0) + 1 FROM (SELECT max(n) AS n FROM clips UNION ALL SELECT max(n) FROM events)"
_TABLES = ("clips", "events", "effort", "names", "superseded")


class Snapshot:
    """The copy of one archive's tables."""

    def __init__(self, tables: LabelTables, timezone: str) -> None:
        self._folder = Path(str(tables.path)) / FOLDER if is_local(tables.path) else None
        self._made_of = {"format": FORMAT, "run_hash": tables.run["run_hash"], "timezone": timezone}

    def read(self, db: duckdb.DuckDBPyConnection) -> dict[int, Stamp] | None:
        """Fill the tables; returns the stamps of what they hold now, None where there is no copy that counts."""
        import duckdb

        if self._folder is None:
            return None
        try:
            said = json.loads((self._folder / "current.json").read_bytes())
            if {name: said[name] for name in self._made_of} != self._made_of:
                return None
            stamps = {int(unit): (str(files), str(events)) for unit, (files, events) in said["stamps"].items()}
            names = {table: self._folder / f"{int(said['number']):d}-{table}.parquet" for table in _TABLES}
            if not all(path.is_file() for path in names.values()):
                return None
            _read_tables(db, names)
            return stamps
        except (OSError, ValueError, KeyError, TypeError, duckdb.Error):
            return None  # none that counts, or torn, or another server has just put its own in its place

    def write(self, db: duckdb.DuckDBPyConnection, stamps: dict[int, Stamp], *, took_s: float) -> None:
        """Write a copy, if reading took so long that it is worth one; a folder that cannot be written has none."""
        if self._folder is None or took_s < WORTH_S:
            return
        import duckdb

        number, is_whole = secrets.randbits(48), False
        with contextlib.suppress(HubbubError, OSError, duckdb.Error), db.cursor() as cursor:
            self._folder.mkdir(exist_ok=True)
            cursor.begin()  # all tables as they are at one moment
            for table in _TABLES:
                with atomic_write(self._folder / f"{number}-{table}.parquet") as partial:
                    cursor.execute(f"COPY {table} TO '{_escape(partial)}' (FORMAT parquet)")
            cursor.commit()
            write_json(self._folder / "current.json", self._made_of | {"number": number, "stamps": stamps})
            is_whole = True
        with contextlib.suppress(OSError):
            for name in os.listdir(self._folder):
                if name.endswith(".parquet") and name.startswith(f"{number}-") != is_whole:  # the others, or its own
                    (self._folder / name).unlink()


def _read_tables(db: duckdb.DuckDBPyConnection, paths: Mapping[str, Path]) -> None:
    with db.cursor() as cursor:
        cursor.begin()
        try:
            for table, path in paths.items():
                cursor.execute(
                    f"CREATE OR REPLACE TABLE {table} AS SELECT * FROM read_parquet(?, hive_partitioning = false)",
                    [escape_glob(str(path))],
                )
            (first,) = cursor.execute(_FREE_NUMBER).fetchone() or (1,)
            cursor.execute(f"CREATE OR REPLACE SEQUENCE numbers START {int(first)}")
            cursor.commit()
        except BaseException:
            cursor.rollback()
            raise


def _escape(path: Path) -> str:
    return str(path).replace("'", "''")
