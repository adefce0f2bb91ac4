"""Audacity: one label track a recording, to be opened with File > Import > Labels.

Lines of onset, offset (seconds, six decimals) and label, with tabs between; where an event has `low_hz` and `high_hz`,
a line with a backslash and both frequencies follows, as Audacity writes spectral selections. A recording in which
nothing was found has an empty file. The label stands alone, without its score: so a track can be edited, and indexed
again.
"""

from __future__ import annotations

import pandas as pd

from hubbub.io.paths import StoragePath
from hubbub.labels.export._bands import find_bands
from hubbub.labels.export._files import Recording, one_line, write_each
from hubbub.labels.export._source import Export, ExportSource

SUFFIX = ".labels.txt"
OPTIONS: frozenset[str] = frozenset()


def write(source: ExportSource, folder: StoragePath) -> Export:
    """Write a ``….labels.txt`` for each recording."""
    return Export(write_each(source, folder, SUFFIX, _track))


def read(path: StoragePath) -> pd.DataFrame:
    """Read a label track back: label, onset_s, offset_s, and low_hz and high_hz where it has any."""
    rows: list[list[str | None]] = []
    for line in path.read_text(encoding="utf-8").split("\n"):
        if line.startswith("\\"):  # the frequencies of the label above
            rows[-1][3:] = line.split("\t")[1:3]
        elif line:
            rows.append([*line.split("\t", 2), None, None])
    table = pd.DataFrame(rows, columns=["onset_s", "offset_s", "label", "low_hz", "high_hz"])
    numbers = ["onset_s", "offset_s", "low_hz", "high_hz"]
    table = table.astype({"label": "string", **dict.fromkeys(numbers, "float64")})
    names = ["label", "onset_s", "offset_s", "low_hz", "high_hz"]
    return table[names if table["low_hz"].notna().any() else names[:3]]


def _track(recording: Recording) -> str:
    events = recording.events
    low_hz, high_hz = find_bands(events)
    rows = zip(events["onset_s"], events["offset_s"], events["label"], low_hz, high_hz, strict=True)
    return "".join(_lines(*row) for row in rows)


def _lines(onset_s: float, offset_s: float, label: str, low_hz: float, high_hz: float) -> str:
    line = f"{onset_s:.6f}\t{offset_s:.6f}\t{one_line(label)}\n"
    return line if pd.isna(low_hz) else f"{line}\\\t{low_hz:.6f}\t{high_hz:.6f}\n"
