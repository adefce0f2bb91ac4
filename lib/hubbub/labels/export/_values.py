"""Values of events as text and as JSON: rounding, times, and what is not known."""

from __future__ import annotations

import base64
import datetime
import json
import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from hubbub.labels.export._files import one_line

DECIMALS = {"onset_s": 9, "offset_s": 9, "peak": 6, "mean": 6}
"""Decimals to which times and scores are rounded: nanoseconds, millionths."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_times(times: pd.Series) -> pd.Series:
    """Write times as ISO 8601 in UTC, with microseconds and a Z; null where they are not known."""
    return pd.to_datetime(times, utc=True).dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def list_plain_rows(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield rows of events as JSON has them: no NaN, times of `write_times`, text and lists as they are."""
    columns = []
    for name in table.columns:
        column = table[name]
        if name in DECIMALS:
            columns.append([plain(round(value, DECIMALS[name])) for value in column.astype("float64").tolist()])
        elif isinstance(column.dtype, pd.DatetimeTZDtype) or pd.api.types.is_datetime64_any_dtype(column.dtype):
            columns.append([plain(value) for value in write_times(column).tolist()])
        else:
            columns.append([plain(value) for value in column.tolist()])
    names = [str(name) for name in table.columns]
    for values in zip(*columns, strict=True):
        yield dict(zip(names, values, strict=True))


def plain(value: Any) -> Any:
    """Return a value of a table as JSON can hold it; NaN, infinities and what is missing are None."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int):
        return value
    if isinstance(value, dict):
        return {str(name): plain(held) for name, held in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(held) for held in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, datetime.datetime):
        return write_times(pd.Series([value])).iloc[0]
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    return str(value)


def write_json_line(row: Any) -> str:
    """Write JSON on one line, in which no program finds a second line end."""
    text = json.dumps(row, ensure_ascii=False, allow_nan=False)
    return text.replace("\u2028", r"\u2028").replace("\u2029", r"\u2029").replace("\x85", r"\u0085")


def write_cell(value: Any) -> Any:
    """Return a carried value as a cell of a line holds it: lists as JSON, text on one line."""
    if isinstance(value, list | tuple | dict | np.ndarray):
        return write_json_line(plain(value))
    return one_line(value) if isinstance(value, str) else value


def guard_formula(value: Any) -> Any:
    """Write an apostrophe before text that spreadsheets take for a formula; they show the rest as text."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def write_csv(parts: Iterable[pd.DataFrame], *, guard: bool = False) -> Iterator[str]:
    """Write parts of one table as CSV: a header, a line feed after each line, quotes where a cell needs them.

    Parameters
    ----------
    parts
        With the same columns.
    guard
        Whether text is written for spreadsheets (`guard_formula`).
    """
    for number, part in enumerate(parts):
        if guard:
            part = part.rename(columns=guard_formula)
            for name, kind in part.dtypes.items():
                if pd.api.types.is_object_dtype(kind) or isinstance(kind, pd.StringDtype):
                    part[name] = part[name].map(guard_formula)
        yield part.to_csv(index=False, header=number == 0, lineterminator="\n")
