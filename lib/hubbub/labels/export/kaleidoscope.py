"""Kaleidoscope Pro: all events in one file, ``cluster.csv``, to be opened with File > Open Results.

The columns are those of Kaleidoscope's own table of clusters. INDIR, FOLDER and IN FILE are the recording; DATE, TIME
and HOUR are when the recording began, as Kaleidoscope reads it from a file's name, and those with -12 twelve hours
earlier, so that a night has one date: in UTC, or in ``--timezone``. TOP1MATCH* and AUTO ID* are the label; TOP1DIST, of
which Kaleidoscope takes little for a good match, is 1 minus the event's peak; MANUAL ID is empty, for the person who
reviews.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from hubbub.io.paths import StoragePath, absolute_path
from hubbub.labels.clock import read_zone
from hubbub.labels.export._bands import find_bands
from hubbub.labels.export._files import one_line, split_rows, write_parts
from hubbub.labels.export._source import Export, ExportSource, read_times
from hubbub.labels.export._values import write_csv

OPTIONS = frozenset({"timezone"})

COLUMNS = (
    *("INDIR", "FOLDER", "IN FILE", "CHANNEL", "OFFSET", "DURATION", "Fmin", "Fmean", "Fmax"),
    *("DATE", "TIME", "HOUR", "DATE-12", "TIME-12", "HOUR-12"),
    *("TOP1MATCH*", "TOP1DIST", "AUTO ID*", "MANUAL ID"),
)


def write(source: ExportSource, folder: StoragePath) -> Export:
    """Write ``cluster.csv``."""
    began = dict(zip(source.recordings["uri"], read_times(source.recordings, "recorded_at"), strict=True))
    zone = read_zone(source.options.timezone)
    parts = (_tabulate(part, source.root, began, zone) for part in split_rows(source, source.events, "events"))
    return Export([write_parts(folder / "cluster.csv", write_csv(parts))])


def read(path: Path) -> pd.DataFrame:
    """Read the events back: uri (of a folder that is no address, below INDIR), label, onset_s, offset_s, peak."""
    table = pd.read_csv(path, keep_default_na=False, dtype="string")
    folder = table["FOLDER"].where(table["FOLDER"] == "", table["FOLDER"] + "/")
    onset_s = table["OFFSET"].astype("float64")
    return pd.DataFrame(
        {
            "uri": folder + table["IN FILE"],
            "label": table["TOP1MATCH*"],
            "onset_s": onset_s,
            "offset_s": onset_s + table["DURATION"].astype("float64"),
            "peak": 1 - pd.to_numeric(table["TOP1DIST"]).astype("float64"),
        }
    )


def _tabulate(
    events: pd.DataFrame, root: StoragePath | None, began: dict[str, pd.Timestamp], zone: str
) -> pd.DataFrame:
    uris = events["uri"].map(str)
    places = {uri: _part_path(uri, root) for uri in uris.unique()}
    low_hz, high_hz = find_bands(events)
    local = pd.to_datetime(uris.map(began), utc=True).dt.tz_convert(zone)
    duration_s = events["offset_s"] - events["onset_s"]
    columns = {
        **{name: [places[uri][place] for uri in uris] for place, name in enumerate(COLUMNS[:3])},
        "CHANNEL": 0,
        "OFFSET": events["onset_s"].map("{:.6f}".format),
        "DURATION": duration_s.map("{:.6f}".format),
        "Fmin": low_hz,
        "Fmean": np.nan,
        "Fmax": high_hz,
        **_write_clock(local, ""),
        **_write_clock(local.dt.tz_localize(None) - pd.Timedelta(hours=12), "-12"),
        "TOP1MATCH*": events["label"].map(one_line),
        "TOP1DIST": (1 - events["peak"].astype("float64")).round(6),
        "AUTO ID*": events["label"].map(one_line),
        "MANUAL ID": "",
    }
    return pd.DataFrame(columns, index=events.index, columns=list(COLUMNS))


def _part_path(uri: str, root: StoragePath | None) -> tuple[str, str, str]:
    """Return INDIR, FOLDER and IN FILE; what lies elsewhere than below the root has its own INDIR."""
    path = PurePosixPath(uri)
    if "://" in uri or path.is_absolute():
        return one_line(uri.rpartition("/")[0]), "", one_line(path.name)
    folder = "" if str(path.parent) == "." else str(path.parent)
    return one_line("" if root is None else str(absolute_path(root))), one_line(folder), one_line(path.name)


def _write_clock(times: pd.Series, suffix: str) -> dict[str, pd.Series]:
    formats = {"DATE": "%Y-%m-%d", "TIME": "%H:%M:%S", "HOUR": "%H"}
    return {f"{name}{suffix}": times.dt.strftime(form) for name, form in formats.items()}
