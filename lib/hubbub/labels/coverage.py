"""When there was audio, and when events began: amounts by day and hour, in UTC, from the frames of label tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

MOST_COLUMNS = 60
"""Columns of a table of days at most: of a longer time several days share one."""

_DAY_S, _HOUR_S = 86_400, 3_600
_STEPS_DAYS = (1, 2, 7, 14, 28, 91, 364)


@dataclass(frozen=True)
class Days:
    """Columns of days in UTC: column c begins at midnight of day ``first + c * step``, counted from 1970-01-01."""

    first: int
    step: int
    """Days that share a column."""
    columns: int

    @property
    def names(self) -> tuple[str, ...]:
        """The first day of each column, ISO 8601."""
        days = self.first + self.step * np.arange(self.columns)
        return tuple(str(day) for day in days.astype("datetime64[D]"))


@dataclass(frozen=True)
class DayHours:
    """An amount by day and hour, in UTC."""

    days: Days
    values: npt.NDArray[np.float64]
    """float64 [column, hour]: seconds of audio, or events that begin in the hour."""
    untimed: int
    """Recordings or events of which the time is not known: they are in no cell."""


def keep_analysed(files: pd.DataFrame) -> pd.DataFrame:
    """Return the clips that are ok."""
    return files[files["status"] == "ok"]


def span_days(files: pd.DataFrame, events: pd.DataFrame | None = None) -> Days | None:
    """Return the days from the first to the last audio or event in at most `MOST_COLUMNS` columns.

    None where no time is known.
    """
    start_s, end_s = _spans(keep_analysed(files))
    edges = [start_s, np.maximum(start_s, end_s - 1e-6)]
    if events is not None:
        edges.append(_seconds(events["onset_at"]))
    times = np.concatenate(edges)
    times = times[np.isfinite(times)]
    if not len(times):
        return None
    first, last = int(times.min() // _DAY_S), int(times.max() // _DAY_S)
    count = last - first + 1
    step = next((step for step in _STEPS_DAYS if count <= step * MOST_COLUMNS), -(-count // MOST_COLUMNS))
    return Days(first, step, -(-count // step))


def audio_by_hour(files: pd.DataFrame, days: Days) -> DayHours:
    """Sum the seconds of audio of clips that are ok by day and hour; segments that overlap count each."""
    ok = keep_analysed(files)
    start_s, end_s = _spans(ok)
    known = np.isfinite(start_s) & np.isfinite(end_s)
    untimed = ok.loc[~known, "uri"].nunique()
    start_s, end_s = start_s[known], end_s[known]
    first = np.floor(start_s / _HOUR_S).astype(np.int64)
    hours = np.maximum(np.ceil(end_s / _HOUR_S).astype(np.int64) - first, 1)
    clip = np.repeat(np.arange(len(first)), hours)
    hour = first[clip] + np.arange(len(clip)) - np.repeat(np.cumsum(hours) - hours, hours)
    shared_s = np.minimum(end_s[clip], (hour + 1) * _HOUR_S) - np.maximum(start_s[clip], hour * _HOUR_S)
    return DayHours(days, _sum_cells(days, hour, np.maximum(shared_s, 0.0)), int(untimed))


def events_by_hour(events: pd.DataFrame, days: Days) -> DayHours:
    """Count events by the day and hour in which they begin."""
    onset_s = _seconds(events["onset_at"])
    known = np.isfinite(onset_s)
    hour = np.floor(onset_s[known] / _HOUR_S).astype(np.int64)
    return DayHours(days, _sum_cells(days, hour, np.ones(len(hour))), int((~known).sum()))


def _sum_cells(days: Days, hour: npt.NDArray[np.int64], amount: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Add amounts up by cell, float64 [column, hour]; `hour` counts from 1970."""
    column = (hour // 24 - days.first) // days.step
    inside = (column >= 0) & (column < days.columns)
    cells = np.bincount((column * 24 + hour % 24)[inside], amount[inside], minlength=days.columns * 24)
    return cells.astype(np.float64).reshape(days.columns, 24)


def _seconds(times: pd.Series) -> npt.NDArray[np.float64]:
    """Seconds since 1970, float64; NaN for null."""
    stamps = pd.to_datetime(times, utc=True).astype("datetime64[us, UTC]")
    whole = stamps.to_numpy("datetime64[us]")
    return np.where(np.isnat(whole), np.nan, whole.astype(np.int64) / 1e6)


def _spans(files: pd.DataFrame) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Where clips begin and end, in seconds since 1970; NaN where that is not known."""
    begin_s = _seconds(files["recorded_at"]) + files["clip_start_s"].astype("float64").fillna(0.0).to_numpy()
    return begin_s, begin_s + files["duration_s"].astype("float64").to_numpy()
