"""Export of event tables to the formats of other programs, one module a format.

A format's module has two functions: ``write(source, folder) -> Export`` and ``read(path) -> events``, which gives back
what the format can hold; and `OPTIONS`, the names of the options that it takes.
"""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

import pandas as pd

from hubbub.errors import LabelsError, UsageError, suggest_nearest
from hubbub.io.paths import StoragePath
from hubbub.labels.export import (
    audacity,
    birdnet,
    clips,
    csv,
    daily,
    elan,
    geojson,
    jams,
    jsonl,
    kaleidoscope,
    raven,
    textgrid,
    wav_cues,
)
from hubbub.labels.export._source import Export, ExportOptions, ExportSource, type_option

__all__ = ["EVENT_COLUMNS", "FORMATS", "Export", "ExportOptions", "ExportSource", "check_options", "export_events"]

FORMATS: dict[str, ModuleType] = {
    "audacity": audacity,
    "birdnet": birdnet,
    "clips": clips,
    "csv": csv,
    "daily": daily,
    "elan": elan,
    "geojson": geojson,
    "jams": jams,
    "jsonl": jsonl,
    "kaleidoscope": kaleidoscope,
    "raven": raven,
    "textgrid": textgrid,
    "wav-cues": wav_cues,
}
"""Formats by the name that ``--format`` takes."""

EVENT_COLUMNS = tuple(csv.SCHEMA)
"""What every event has, in this order; carried columns follow."""

_REQUIRED = EVENT_COLUMNS[:4]


def export_events(source: ExportSource, folder: StoragePath, format: str) -> Export:
    """Write events as `format` into `folder`.

    Each file is written whole or not at all. Files of an earlier export are replaced where they have the
    same name; nothing else in the folder is touched, and nothing outside it.

    Parameters
    ----------
    source
        Events and files. Formats with a file for each recording write one for every recording that is 'ok', also where
        nothing was found in it.
    folder
        Made where it is missing.
    format
        A name in `FORMATS`.

    Returns
    -------
    Export
        The files written; of those for each recording, sorted by the recordings' uri.

    Raises
    ------
    UsageError
        For a format that is not known (says the nearest), and options that the format does not take.
    LabelsError
        For a missing column.
    StorageError
        Where a file cannot be written.
    """
    check_options(format, source.options)
    _check("events", source.events, _REQUIRED)
    _check("files", source.files, ("uri", "status"))
    return FORMATS[format].write(replace(source, events=_sort_events(source.events)), folder)


def check_options(format: str, options: ExportOptions) -> None:
    """Refuse a format that is not known, and options of other formats (`UsageError`)."""
    if format not in FORMATS:
        raise UsageError(f"no export format is called '{format}': {suggest_nearest(format, FORMATS)}")
    for name, typed in options.given().items():
        if name not in FORMATS[format].OPTIONS:
            takers = " or ".join(f"--format {other}" for other, module in FORMATS.items() if name in module.OPTIONS)
            own = ", ".join(type_option(own) for own in sorted(FORMATS[format].OPTIONS)) or "no options"
            raise UsageError(f"{typed} goes with {takers}; --format {format} takes {own}")


def _check(name: str, table: pd.DataFrame, columns: tuple[str, ...]) -> None:
    missing = [column for column in columns if column not in table.columns]
    if missing:
        has = ", ".join(map(str, table.columns)) or "no columns"
        raise LabelsError(f"the {name} table lacks {', '.join(missing)}; expected it beside: {has}")


def _sort_events(events: pd.DataFrame) -> pd.DataFrame:
    carried = [column for column in events.columns if column not in EVENT_COLUMNS]
    ordered = events.reindex(columns=[*EVENT_COLUMNS, *carried])
    return ordered.sort_values(["uri", "onset_s", "offset_s", "label"], ignore_index=True)
