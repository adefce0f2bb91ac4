"""CSV: all events in one file, ``events.csv``.

Columns: uri, label, onset_s, offset_s, peak, mean, onset_at, then the carried columns in the order of the
clip table. UTF-8, a header also when there are no events. Times are rounded to nanoseconds, scores to six
decimals, `onset_at` is ISO 8601 in UTC; lists are JSON; what is not known is empty; tabs,
line ends and other control characters are spaces, so that a line is an event.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hubbub.io.atomic import write_text
from hubbub.io.paths import StoragePath
from hubbub.labels.export._files import one_line

_DECIMALS = {"onset_s": 9, "offset_s": 9, "peak": 6, "mean": 6}


def write(events: pd.DataFrame, files: pd.DataFrame, folder: StoragePath) -> list[StoragePath]:
    """Write ``events.csv``; `files` adds nothing to it."""
    return [write_text(folder / "events.csv", format_events(events))]


def format_events(events: pd.DataFrame) -> str:
    """Return events as the text of ``events.csv``."""
    table = events.copy()
    for column, decimals in _DECIMALS.items():
        table[column] = table[column].astype("Float64").round(decimals)
    table["onset_at"] = _iso(table["onset_at"])
    for column in table.columns.difference([*_DECIMALS, "onset_at"]):
        table[column] = table[column].map(_cell)
    return table.to_csv(index=False, lineterminator="\n")


def read(path: Path) -> pd.DataFrame:
    """Read the events back: carried columns as pandas guesses them, `onset_at` in UTC."""
    types: dict[str, Any] = {"uri": "string", "label": "string", **dict.fromkeys(_DECIMALS, "float64")}
    table = pd.read_csv(path, dtype=types, keep_default_na=False, na_values=[""])
    table["onset_at"] = pd.to_datetime(table["onset_at"], utc=True, format="ISO8601")
    return table


def _iso(times: pd.Series) -> pd.Series:
    return pd.to_datetime(times, utc=True).dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _cell(value: Any) -> Any:
    if isinstance(value, (list, tuple, np.ndarray)):
        return json.dumps(list(value), ensure_ascii=False)
    return one_line(value) if isinstance(value, str) else value
