"""Raven: one selection table a recording, to be opened with File > Open Sound Selection Table.

Tab-separated, with a header also where nothing was found. A box spans all frequencies that the recording can
hold, as its events have none of their own. `Score` is the event's peak.
"""

from __future__ import annotations

from pathlib import PurePosixPath

import pandas as pd

from hubbub.io.atomic import write_text
from hubbub.io.paths import StoragePath
from hubbub.labels.export._files import one_line, write_per_recording

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


def write(events: pd.DataFrame, files: pd.DataFrame, folder: StoragePath) -> list[StoragePath]:
    """Write a ``….Table.1.selections.txt`` for each recording."""
    top_hz = _top_hz(files)
    return [
        write_text(folder / name, _table(own, uri, top_hz.get(uri, _UNKNOWN_TOP_HZ)))
        for uri, name, own in write_per_recording(events, files, suffix=SUFFIX)
    ]


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


def _top_hz(files: pd.DataFrame) -> dict[str, float]:
    if "sample_rate" not in files.columns:
        return {}
    known = files.dropna(subset=["sample_rate"])
    return {uri: rate / 2 for uri, rate in zip(known["uri"], known["sample_rate"], strict=True)}


def _table(events: pd.DataFrame, uri: str, top_hz: float) -> str:
    columns = ["onset_s", "offset_s", "label", "peak", "mean"]
    rows = (
        _row(number, uri, top_hz, *values)
        for number, values in enumerate(events[columns].itertuples(index=False), start=1)
    )
    return "\n".join(["\t".join(COLUMNS), *rows]) + "\n"


def _row(
    number: int,
    uri: str,
    top_hz: float,
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
        "0.0",
        f"{top_hz:.1f}",
        one_line(PurePosixPath(uri).name),
        one_line(uri),
        f"{onset_s:.6f}",
        one_line(label),
        _score(peak),
        _score(mean),
    ]
    return "\t".join(cells)


def _score(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.6f}"
