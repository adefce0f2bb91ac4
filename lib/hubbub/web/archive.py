"""Label tables in DuckDB: compact, in memory, and a consistent view that grows while ``hubbub label`` writes.

::

    clips    one row a clip that counts: n, unit, file, uri, status, error, duration_s … and the carried columns
    events   n, clip (clips.n), label (names.code), onset_s, offset_s, peak, mean, bin (of the peak, 0 to 99), day, hour
    names    code, label
    effort   clip, day, hour, seconds: when there was audio that was analysed
    superseded   unit, by_unit: some clips of a unit do not count, because another tried them again

A unit enters whole or not at all, in one transaction with the units read beside it.
"""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from hubbub.errors import HubbubError, UsageError
from hubbub.io.paths import StoragePath, is_local
from hubbub.io.retry import is_transient
from hubbub.labels.tables import LabelTables, open_labels
from hubbub.web.loading import OWN_COLUMNS, create_tables, delete_units, find_superseded, stage_units, take_staged
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
        config |= {"threads": str(THREADS), "memory_limit": MEMORY}
        self._overflow = tempfile.TemporaryDirectory(prefix="hubbub-browse-", ignore_cleanup_errors=True)
        self._db = duckdb.connect(config=config | {"temp_directory": self._overflow.name})
        _set_timezone(self._db, timezone)
        if not is_local(tables.path):
            self._db.register_filesystem(tables.path.fs)
        create_tables(self._db)
        self._loaded: dict[int, Stamp] = {}
        self._listed = 0
        self._problems: dict[int, tuple[Stamp, str]] = {}
        self._generation, self._is_closing = 0, False
        self._refreshing, self._snapshot = threading.Lock(), Snapshot(tables, timezone)

    @property
    def state(self) -> LoadState:
        """How far the tables are read."""
        problems = tuple(reason for _, reason in list(self._problems.values()))
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

    def read_copy(self) -> bool:
        """Read what was there the last time, if nothing is read yet; `refresh` then finds what has changed.

        Returns
        -------
        bool
            Whether there is something to show.
        """
        with self._refreshing:
            self._read_snapshot()
            return bool(self._loaded)

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
            self._read_snapshot()
            listed = list_stamps(self.tables.path)
            self._listed = len(listed)
            gone = [unit for unit in self._loaded if self._loaded[unit] != listed.get(unit)]
            problems = self._problems
            self._problems = {unit: held for unit, held in self._problems.items() if listed.get(unit) == held[0]}
            wanted = [unit for unit in listed if unit not in self._problems]
            started = time.monotonic()
            self._remove(set(gone).difference(listed))
            wanted = sorted(unit for unit in wanted if self._loaded.get(unit) != listed[unit])
            for first in range(0, len(wanted), UNITS_AT_ONCE):
                if self._is_closing:
                    break
                self._replace(wanted[first : first + UNITS_AT_ONCE], listed)
            self._generation += self._problems != problems
            if wanted and self.state.is_complete and not self._problems:
                self._snapshot.write(self._db, self._loaded, took_s=time.monotonic() - started)
            return self._generation != before

    def close(self) -> None:
        """Let go of the memory; reading that goes on ends after the units it is at."""
        self._is_closing = True
        with self._refreshing:
            self._db.close()
            self._overflow.cleanup()

    @contextlib.contextmanager
    def open_cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection of one thread's own."""
        cursor = self._db.cursor()
        try:
            yield cursor
        finally:
            cursor.close()

    def _read_snapshot(self) -> None:
        if self._loaded or self._generation:
            return
        held = self._snapshot.read(self._db)
        if held is not None:
            self._loaded, self._listed = held, len(held)
            self._generation += 1

    def _remove(self, units: set[int]) -> None:
        """Remove units, and forget those whose clips count again, so that they are read anew."""
        if not units:
            return
        with self._transaction() as cursor:
            again = find_superseded(cursor, units)
            delete_units(cursor, units)
        for unit in units | again:
            self._loaded.pop(unit, None)
        self._generation += 1

    def _replace(self, units: list[int], listed: dict[int, Stamp]) -> None:
        """Read units in place of what they held before."""
        import duckdb

        try:
            self._insert(units, listed)
        except (duckdb.Error, OSError):
            self._replace_one_by_one(units, listed)

    def _replace_one_by_one(self, units: list[int], listed: dict[int, Stamp]) -> None:
        """Find the unit that cannot be read; the others are read all the same."""
        import duckdb

        for unit in units:
            try:
                for folder in ("files", "events"):
                    self.tables.read_part(folder, unit)
                self._insert([unit], listed, arrow=True)
            except UsageError as error:  # of a bucket: one that is away is asked again, not once for each unit
                if is_transient(error):
                    raise
                self._problems[unit] = ("", ""), str(error)
            except (HubbubError, OSError, pa.ArrowException, duckdb.Error) as error:
                self._problems[unit] = listed[unit], _explain(error, self.tables.path, unit)

    def _insert(self, units: list[int], listed: dict[int, Stamp], *, arrow: bool = False) -> None:
        """Read units, and with them those whose clips count again without what they held before."""
        with self._transaction() as cursor:
            again = find_superseded(cursor, units).intersection(listed).difference(self._problems)
            units = [*units, *sorted(again)]
            delete_units(cursor, units)
            stage_units(cursor, self.tables.path, units, arrow=arrow)
            take_staged(cursor, units, self.timezone)
        self._loaded |= {unit: listed[unit] for unit in units}
        self._generation += 1

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


def _set_timezone(db: duckdb.DuckDBPyConnection, timezone: str) -> None:
    """Let times be told in the page's zone, whatever this machine's is."""
    import duckdb

    try:
        db.execute("SET GLOBAL TimeZone = ?", [timezone])
        db.execute("SELECT now() AT TIME ZONE ?", [timezone])
    except duckdb.Error:
        raise UsageError(f"time zone {timezone!r}: expected a name such as Europe/Berlin or UTC") from None


def _explain(error: Exception, path: StoragePath, unit: int) -> str:
    return str(error) if isinstance(error, HubbubError) else f"{path}: unit {unit:08d} cannot be read ({error})"
