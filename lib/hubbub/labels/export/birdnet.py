"""BirdNET-Analyzer: one table of results a recording, ``….BirdNET.results.csv``, as its analyser writes them.

The label is the common name, and the scientific name as well: so BirdNET writes its own classes that are no species
(``Engine``). A label ``Turdus merula_Eurasian Blackbird``, as BirdNET's models have them, is parted into both.
`Confidence` is the event's peak; an event has its own length, not BirdNET's three seconds.
"""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pandas as pd

from hubbub.clips.table import resolve_uri
from hubbub.io.paths import StoragePath, absolute_path
from hubbub.labels.export._files import Recording, one_line, write_each
from hubbub.labels.export._source import Export, ExportSource

SUFFIX = ".BirdNET.results.csv"
OPTIONS: frozenset[str] = frozenset()

COLUMNS = ("Start (s)", "End (s)", "Scientific name", "Common name", "Confidence", "File")

_SPECIES = re.compile(r"([A-Z][a-z-]+(?: [a-z-]+){1,2})_(.+)")


def write(source: ExportSource, folder: StoragePath) -> Export:
    """Write a ``….BirdNET.results.csv`` for each recording."""

    def make(recording: Recording) -> str:
        uri, root = recording.uri, source.root
        return _table(recording.events, uri if root is None else str(absolute_path(resolve_uri(uri, root))))

    return Export(write_each(source, folder, SUFFIX, make))


def read(path: Path) -> pd.DataFrame:
    """Read a table back: uri, label, onset_s, offset_s, peak."""
    table = pd.read_csv(path, keep_default_na=False, dtype={name: "string" for name in COLUMNS})
    scientific, common = table["Scientific name"], table["Common name"]
    label = common.where(scientific == common, scientific + "_" + common)
    numbers = {"onset_s": "Start (s)", "offset_s": "End (s)", "peak": "Confidence"}
    held = {name: pd.to_numeric(table[column]).astype("float64") for name, column in numbers.items()}
    return pd.DataFrame({"uri": table["File"], "label": label, **held})


def _table(events: pd.DataFrame, path: str) -> str:
    names = [_part_name(one_line(label)) for label in events["label"]]
    columns = (events[name].tolist() for name in ("onset_s", "offset_s", "peak"))
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for onset_s, offset_s, peak, name in zip(*columns, names, strict=True):
        score = "" if pd.isna(peak) else f"{peak:.6f}"
        writer.writerow((f"{onset_s:.6f}", f"{offset_s:.6f}", *name, score, one_line(path)))
    return text.getvalue()


def _part_name(label: str) -> tuple[str, str]:
    """Return scientific and common name."""
    match = _SPECIES.fullmatch(label)
    return (match[1], match[2]) if match and match[1] != match[2] else (label, label)
