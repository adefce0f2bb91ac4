"""JSON lines: all events in one file, ``events.jsonl``, one JSON object a line.

Keys are the columns of the CSV, with the same rounding and the same times. What is not known is null, also NaN and
infinities, which JSON has not; text is whole, with its control characters as escapes; lists are lists.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pandas as pd

from hubbub.io.paths import StoragePath
from hubbub.labels.export._files import split_rows, write_parts
from hubbub.labels.export._source import Export, ExportSource
from hubbub.labels.export._values import list_plain_rows, write_json_line
from hubbub.labels.export.csv import SCHEMA

OPTIONS: frozenset[str] = frozenset()


def write(source: ExportSource, folder: StoragePath) -> Export:
    """Write ``events.jsonl``; without events it is empty."""
    return Export([write_parts(folder / "events.jsonl", _lines(source))])


def read(path: StoragePath) -> pd.DataFrame:
    """Read the events back, `onset_at` in UTC."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    table = pd.DataFrame(rows, columns=None if rows else list(SCHEMA))
    types = {"uri": "string", "label": "string", **dict.fromkeys(("onset_s", "offset_s", "peak", "mean"), "float64")}
    return table.astype(types).assign(onset_at=pd.to_datetime(table["onset_at"], utc=True, format="ISO8601"))


def _lines(source: ExportSource) -> Iterator[str]:
    for part in split_rows(source, source.events, "events"):
        yield "".join(f"{write_json_line(row)}\n" for row in list_plain_rows(part))
