"""When there was audio, and when events began: amounts by day and hour of a clock, from the frames of label tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from hubbub.labels.clock import HOUR, UNKNOWN, Micros, choose_step, count_micros, cut_spans, find_hours, read_zone

MOST_COLUMNS = 60
"""Columns of a table of days at most: of a longer time several days share one."""

_MICROS = 1_000_000
_STEPS_DAYS = (1, 2, 7, 14, 28, 91, 364)


@dataclass(frozen=True)
class Days:
    """Columns of days: column c begins at midnight of day ``first + c * step``, counted from 1970-01-01."""

    first: int
    step: int
    """Days that share a column."""
    columns: int
    zone: str = "UTC"
    """The time zone of days and hours, a name of the IANA database."""

    @property
    def names(self) -> tuple[str, ...]:
        """The first day of each column, ISO 8601."""
        days = self.first + self.step * np.arange(self.columns)
        return tuple(str(day) for day in days.astype("datetime64[D]"))


@dataclass(frozen=True)
class DayHours:
    """An amount by day and hour, in the time zone of the days."""

    days: Days
    values: npt.NDArray[np.float64]
    """float64 [column, hour]: seconds of audio, or events that begin in the hour."""
    untimed: int
    """Recordings or events of which the time is not known: they are in no cell."""


def keep_analysed(files: pd.DataFrame) -> pd.DataFrame:
    """Return the clips that are ok."""
    return files[files["status"] == "ok"]


def span_days(files: pd.DataFrame, events: pd.DataFrame | None = None, *, timezone: str | None = None) -> Days | None:
    """Return the days from the first to the last audio or event in at most `MOST_COLUMNS` columns.

    None where no time is known.

    Raises
    ------
    UsageError
        For a time zone that is unknown; None is UTC.
    """
    zone = read_zone(timezone)
    begins, ends, _ = _place_clips(keep_analysed(files))
    edges = [begins, np.maximum(begins, ends - 1)]
    if events is not None:
        onsets = count_micros(events["onset_at"])
        edges.append(onsets[onsets != UNKNOWN])
    times = np.concatenate(edges)
    if not len(times):
        return None
    days = find_hours(times, zone) // HOUR // 24
    first, last = int(days.min()), int(days.max())
    count = last - first + 1
    step = next((step for step in _STEPS_DAYS if count <= step * MOST_COLUMNS), -(-count // MOST_COLUMNS))
    return Days(first, step, -(-count // step), zone)


def audio_by_hour(files: pd.DataFrame, days: Days) -> DayHours:
    """Sum the seconds of audio of clips that are ok by day and hour; segments that overlap count each."""
    ok = keep_analysed(files)
    begins, ends, known = _place_clips(ok)
    _, first, lasts = cut_spans(begins, ends, choose_step(days.zone))
    return DayHours(days, _sum_cells(days, first, lasts / _MICROS), int(ok.loc[~known, "uri"].nunique()))


def events_by_hour(events: pd.DataFrame, days: Days) -> DayHours:
    """Count events by the day and hour in which they begin."""
    onsets = count_micros(events["onset_at"])
    known = onsets != UNKNOWN
    return DayHours(days, _sum_cells(days, onsets[known], np.ones(known.sum())), int((~known).sum()))


def _sum_cells(days: Days, at: Micros, amount: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Add amounts up by cell, float64 [column, hour]; `at` is when each began."""
    step = choose_step(days.zone)
    hour = find_hours(at // step * step, days.zone) // HOUR
    column = (hour // 24 - days.first) // days.step
    inside = (column >= 0) & (column < days.columns)
    cells = np.bincount((column * 24 + hour % 24)[inside], amount[inside], minlength=days.columns * 24)
    return cells.astype(np.float64).reshape(days.columns, 24)


def _place_clips(
    files: pd.DataFrame,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """When the clips of which it is known begin and end, in microseconds since 1970; and which clips these are."""
    recorded = count_micros(files["recorded_at"])
    skipped_s = files["clip_start_s"].astype("float64").fillna(0.0).to_numpy()
    lasts_s = files["duration_s"].astype("float64").to_numpy()
    known = (recorded != UNKNOWN) & np.isfinite(lasts_s)
    begins = recorded[known] + np.rint(skipped_s[known] * _MICROS).astype(np.int64)
    return begins, begins + np.rint(lasts_s[known] * _MICROS).astype(np.int64), known
