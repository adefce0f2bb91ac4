"""Export of event tables to the formats of other programs, one module a format.

A format's module has two functions: ``write(events, files, folder) -> list of paths`` and
``read(path) -> events``, which gives back what the format can hold.
"""

from __future__ import annotations

from types import ModuleType

import pandas as pd

from hubbub.errors import LabelsError, UsageError, suggest_nearest
from hubbub.io.paths import StoragePath
from hubbub.labels.export import audacity, csv, raven

FORMATS: dict[str, ModuleType] = {"audacity": audacity, "csv": csv, "raven": raven}

EVENT_COLUMNS = ("uri", "label", "onset_s", "offset_s", "peak", "mean", "onset_at")
"""What every event has, in this order; carried columns follow."""

_REQUIRED = EVENT_COLUMNS[:4]


def export_events(events: pd.DataFrame, files: pd.DataFrame, folder: StoragePath, format: str) -> list[StoragePath]:
    """Write events as `format` into `folder`.

    Each file is written whole or not at all. Files of an earlier export are replaced where they have the
    same name; nothing else in the folder is touched, and nothing outside it.

    Parameters
    ----------
    events
        Columns uri, label, onset_s, offset_s; peak, mean, onset_at and carried columns where there are any.
    files
        One row a recording, with uri and status, and sample_rate where it is known. Formats with a file for
        each recording write one for every recording that is 'ok', also where nothing was found in it.
    folder
        Made where it is missing.
    format
        A name in `FORMATS`.

    Returns
    -------
    list of StoragePath
        The files written, sorted by the recordings' uri.

    Raises
    ------
    UsageError
        For a format that is not known (says the nearest).
    LabelsError
        For a missing column.
    StorageError
        Where a file cannot be written.
    """
    if format not in FORMATS:
        raise UsageError(f"no export format is called '{format}': {suggest_nearest(format, FORMATS)}")
    _check("events", events, _REQUIRED)
    _check("files", files, ("uri", "status"))
    return FORMATS[format].write(_sort_events(events), _select_analysed(files), folder)


def _check(name: str, table: pd.DataFrame, columns: tuple[str, ...]) -> None:
    missing = [column for column in columns if column not in table.columns]
    if missing:
        has = ", ".join(map(str, table.columns)) or "no columns"
        raise LabelsError(f"the {name} table lacks {', '.join(missing)}; expected it beside: {has}")


def _sort_events(events: pd.DataFrame) -> pd.DataFrame:
    carried = [column for column in events.columns if column not in EVENT_COLUMNS]
    ordered = events.reindex(columns=[*EVENT_COLUMNS, *carried])
    return ordered.sort_values(["uri", "onset_s", "offset_s", "label"], ignore_index=True)


def _select_analysed(files: pd.DataFrame) -> pd.DataFrame:
    """Keep the recordings that were analysed; a failed one must not look like a quiet one."""
    return files[files["status"] == "ok"].drop_duplicates("uri", keep="last").sort_values("uri", ignore_index=True)
