"""Audacity: one label track a recording, to be opened with File > Import > Labels.

Lines of onset, offset (seconds, six decimals) and label, with tabs between. A recording in which nothing was
found has an empty file.
"""

from __future__ import annotations

import pandas as pd

from hubbub.io.atomic import write_text
from hubbub.io.paths import StoragePath
from hubbub.labels.export._files import one_line, write_per_recording

SUFFIX = ".labels.txt"


def write(events: pd.DataFrame, files: pd.DataFrame, folder: StoragePath) -> list[StoragePath]:
    """Write a ``….labels.txt`` for each recording."""
    return [
        write_text(folder / name, _track(own)) for _, name, own in write_per_recording(events, files, suffix=SUFFIX)
    ]


def read(path: StoragePath) -> pd.DataFrame:
    """Read a label track back: label, onset_s, offset_s."""
    lines = path.read_text(encoding="utf-8").split("\n")
    # A line that starts with a backslash holds the frequencies of the label above it.
    rows = [line.split("\t", 2) for line in lines if line and not line.startswith("\\")]
    table = pd.DataFrame(rows, columns=["onset_s", "offset_s", "label"])[["label", "onset_s", "offset_s"]]
    return table.astype({"label": "string", "onset_s": "float64", "offset_s": "float64"})


def _track(events: pd.DataFrame) -> str:
    rows = zip(events["onset_s"], events["offset_s"], events["label"], strict=True)
    return "".join(f"{onset_s:.6f}\t{offset_s:.6f}\t{one_line(label)}\n" for onset_s, offset_s, label in rows)
