"""Raven: one selection table a recording, to be opened with File > Open Sound Selection Table.

Tab-separated, with a header also where nothing was found. `Begin Path` is the recording's whole path, by which Raven
finds it; as a table is of one recording, `Begin Time (s)` and `File Offset (s)` are the same. A box spans `low_hz` to
`high_hz` where the event has them, else all frequencies that the recording can hold. `Score` is the event's peak.
"""

from __future__ import annotations

from pathlib import PurePosixPath

import numpy as np
import pandas as pd

from hubbub.clips.table import resolve_uri
from hubbub.io.paths import StoragePath, absolute_path
from hubbub.labels.export._bands import find_bands
from hubbub.labels.export._files import Recording, one_line, write_each
from hubbub.labels.export._source import Export, ExportSource

OPTIONS: frozenset[str] = frozenset()
SUFFIX = ".Table.1.selections.txt"

COLUMNS = (
    "Selection",
    "View",
    "Channel",
    "Begin Time (s)",
    "End Time (s)",
    "Low Freq (Hz)",
    "High Freq (Hz)",
    "Begin File",
    "Begin Path",
    "File Offset (s)",
    "Label",
    "Score",
    "Mean Score",
)

# Half of 22,050 Hz, the rate of the default frontend, for recordings whose own rate was not kept.
_UNKNOWN_TOP_HZ = 11025.0


def write(source: ExportSource, folder: StoragePath) -> Export:
    """Write a ``….Table.1.selections.txt`` for each recording."""

    def make(recording: Recording) -> str:
        return _table(recording, recording.uri if source.root is None else _find_path(recording.uri, source.root))

    return Export(write_each(source, folder, SUFFIX, make))


def read(path: StoragePath) -> pd.DataFrame:
    """Read a selection table back: uri, label, onset_s, offset_s, peak, mean."""
    header, *lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
    table = pd.DataFrame([line.split("\t") for line in lines], columns=header.split("\t"))
    found = table.rename(
        columns={
            "Begin Path": "uri",
            "Label": "label",
            "Begin Time (s)": "onset_s",
            "End Time (s)": "offset_s",
            "Score": "peak",
            "Mean Score": "mean",
        }
    )[["uri", "label", "onset_s", "offset_s", "peak", "mean"]]
    found[["peak", "mean"]] = found[["peak", "mean"]].replace("", "nan")
    return found.astype({"uri": "string", "label": "string", **dict.fromkeys(found.columns[2:], "float64")})


def _find_path(uri: str, root: StoragePath) -> str:
    return str(absolute_path(resolve_uri(uri, root)))


def _table(recording: Recording, path: str) -> str:
    events, rate = recording.events, recording.sample_rate
    low_hz, high_hz = find_bands(events)
    high_hz = np.where(np.isnan(low_hz), _UNKNOWN_TOP_HZ if rate is None else rate / 2, high_hz)
    columns = [events[name] for name in ("onset_s", "offset_s", "label", "peak", "mean")]
    values = zip(np.nan_to_num(low_hz), high_hz, *columns, strict=True)
    rows = (_row(number, path, *row) for number, row in enumerate(values, start=1))
    return "\n".join(["\t".join(COLUMNS), *rows]) + "\n"


def _row(
    number: int,
    path: str,
    low_hz: float,
    high_hz: float,
    onset_s: float,
    offset_s: float,
    label: str,
    peak: float,
    mean: float,
) -> str:
    cells = [
        str(number),
        "Spectrogram 1",
        "1",
        f"{onset_s:.6f}",
        f"{offset_s:.6f}",
        f"{low_hz:.1f}",
        f"{high_hz:.1f}",
        one_line(PurePosixPath(path).name),
        one_line(path),
        f"{onset_s:.6f}",
        one_line(label),
        _score(peak),
        _score(mean),
    ]
    return "\t".join(cells)


def _score(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.6f}"
