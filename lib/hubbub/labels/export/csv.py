"""CSV: all events in one file, ``events.csv``.

Columns: those of `SCHEMA`, then the carried columns in the order of the clip table. UTF-8, a header also when there
are no events. Times are rounded to nanoseconds, scores to six decimals, `onset_at` is ISO 8601 in UTC; lists are JSON;
what is not known is empty; tabs, line ends and other control characters are spaces, so that a line is an event.

Text is written as it is, so that it can be read back, also where a spreadsheet takes it for a formula (``=1+1``);
``--spreadsheet`` writes an apostrophe before such text.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from hubbub.io.paths import StoragePath
from hubbub.labels.export._files import split_rows, write_parts
from hubbub.labels.export._source import Export, ExportSource
from hubbub.labels.export._values import DECIMALS, write_cell, write_csv, write_times

OPTIONS = frozenset({"spreadsheet"})

SCHEMA = {
    "uri": "text",
    "label": "text",
    "onset_s": "seconds",
    "offset_s": "seconds",
    "peak": "score",
    "mean": "score",
    "onset_at": "time in UTC",
}
"""Columns in their order, and what they hold. Scripts rely on them: they change with the major version only."""


def write(source: ExportSource, folder: StoragePath) -> Export:
    """Write ``events.csv``."""
    parts = (_tabulate(part) for part in split_rows(source, source.events, "events"))
    return Export([write_parts(folder / "events.csv", write_csv(parts, guard=source.options.spreadsheet))])


def format_events(events: pd.DataFrame) -> str:
    """Return events as the text of ``events.csv``."""
    return "".join(write_csv([_tabulate(events)]))


def read(path: Path) -> pd.DataFrame:
    """Read the events back: carried columns as pandas guesses them, `onset_at` in UTC."""
    types: dict[str, Any] = {"uri": "string", "label": "string", **dict.fromkeys(DECIMALS, "float64")}
    table = pd.read_csv(path, dtype=types, keep_default_na=False, na_values=[""])
    table["onset_at"] = pd.to_datetime(table["onset_at"], utc=True, format="ISO8601")
    return table


def _tabulate(events: pd.DataFrame) -> pd.DataFrame:
    table = events.copy()
    for column, decimals in DECIMALS.items():
        table[column] = table[column].astype("Float64").round(decimals)
    table["onset_at"] = write_times(table["onset_at"])
    for column in table.columns.difference([*DECIMALS, "onset_at"]):
        table[column] = table[column].map(write_cell)
    return table
